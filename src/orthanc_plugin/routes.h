/* orthanc_plugin/routes.h - what the plugin adds to the REST API of the server: /modalua/… */
#ifndef ORTHANC_PLUGIN_ROUTES_H
#define ORTHANC_PLUGIN_ROUTES_H

#include "orthanc_plugin/plugin.h"

void routes_register(plugin *p);

#endif
