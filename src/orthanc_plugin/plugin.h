/* orthanc_plugin/plugin.h - the whole of the plugin. Orthanc's callbacks have no argument for it, so there is one in a
 * process, which plugin.c owns. */
#ifndef ORTHANC_PLUGIN_PLUGIN_H
#define ORTHANC_PLUGIN_PLUGIN_H

#include "orthanc_plugin/execute.h"
#include "orthanc_plugin/script.h"

/* From 1.12.4 on, Orthanc's header deprecates the functions that do not take the name of the plugin. */
#if !ORTHANC_PLUGINS_VERSION_IS_ABOVE(1, 12, 4)
#define OrthancPluginSetDescription2(context, plugin, text) \
    OrthancPluginSetDescription(context, text)
#define OrthancPluginSetRootUri2(context, plugin, uri) OrthancPluginSetRootUri(context, uri)
#endif

typedef struct plugin {
    OrthancPluginContext *context;
    settings settings;
    script_host host;
    executor *executor;
    script **scripts; /* as settings.scripts */
    pthread_mutex_t lock;
    repeated
        unanswered; /* requests for which no script decides; behind the lock. What is held is written with a
                          * later request, or when the server stops */
} plugin;

/* The plugin; between OrthancPluginInitialize and OrthancPluginFinalize. */
plugin *plugin_get(void);

/* The script with that name; NULL: there is none. */
script *plugin_find(const plugin *p, const char *name);

#endif
