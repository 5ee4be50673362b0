/* orthanc_plugin/plugin.h - the whole of the plugin. Orthanc's callbacks have no argument for it, so there is one in a
 * process, which plugin.c owns. */
#ifndef ORTHANC_PLUGIN_PLUGIN_H
#define ORTHANC_PLUGIN_PLUGIN_H

#include "orthanc_plugin/execute.h"
#include "orthanc_plugin/script.h"

typedef struct plugin {
    OrthancPluginContext *context;
    settings settings;
    script_host host;
    executor *executor;
    script **scripts; /* as settings.scripts */
} plugin;

/* The plugin; between OrthancPluginInitialize and OrthancPluginFinalize. */
plugin *plugin_get(void);

/* The script with that name; NULL: there is none. */
script *plugin_find(const plugin *p, const char *name);

#endif
