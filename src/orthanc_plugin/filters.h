/* orthanc_plugin/filters.h - filters of the server that a script decides (modalua.host.filter): which instances it stores, which HTTP
 * requests it allows, what a C-FIND request asks for. They are registered when the setting Filters of a script names them, also of one that
 * has a fault: then FilterDefault decides. The plugin API has none for C-FIND: modalua_find_filter.lua asks for that one. */
#ifndef ORTHANC_PLUGIN_FILTERS_H
#define ORTHANC_PLUGIN_FILTERS_H

#include "orthanc_plugin/plugin.h"

void filters_register(plugin *p);

/* Decides a C-FIND request: query is what modalua_find_filter.lua has sent. Adds {"Accept": true or false, "Query": {…}}, where Query is the
 * one to answer instead, if any. Accepts when no script is to decide. Waits. */
void filters_ask_about_find(plugin *p, const void *query, size_t size, text *t);

#endif
