/* orthanc_plugin/filters.h - filters of the server that a script decides (modalua.host.filter): which instances
 * it stores, which HTTP requests it allows. They are registered when the setting Filters of a
 * script names them, also of one that has a fault: then FilterDefault decides. */
#ifndef ORTHANC_PLUGIN_FILTERS_H
#define ORTHANC_PLUGIN_FILTERS_H

#include "orthanc_plugin/plugin.h"

void filters_register(plugin *p);

#endif
