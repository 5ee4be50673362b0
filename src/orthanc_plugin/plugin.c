#include "orthanc_plugin/plugin.h"

#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/filters.h"
#include "orthanc_plugin/routes.h"

/* Seconds. */
enum {
    GRACE = 5,
    MORE_GRACE = 3,
    LONGEST_CALL = 60, /* how long a modality is waited for when the server has no limit for it */
    LAST_WAIT = 10     /* for scripts that have not ended with the server */
};

/* The server's callbacks have no argument for it. */
static plugin *the_plugin;

plugin *plugin_get(void)
{
    return the_plugin;
}

script *plugin_find(const plugin *p, const char *name)
{
    for (size_t i = 0; i < p->settings.count; i++)
        if (strcmp(p->settings.scripts[i].name, name) == 0)
            return p->scripts[i];
    return NULL;
}

/* ---- start and stop of the server ---- */

/* The database is open, and the REST API works. */
static void begin(plugin *p)
{
    follow_load(p->host.follow);
    for (size_t i = 0; i < p->settings.count; i++)
        script_begin(p->scripts[i]);
}

static struct timespec in_seconds(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += (time_t)seconds;
    return t;
}

/* Ends all scripts, and waits for their calls of the REST API: when this returns, the server destroys the objects that
 * these calls use. So it waits as long as such a call can wait for a modality. Orthanc holds a lock meanwhile, which a
 * call may need; so all waits here are limited, and plugin_free waits for what is left. */
static void stop(plugin *p)
{
    struct timespec until;
    double longest = GRACE, call = p->settings.dicom_timeout;
    for (size_t i = 0; i < p->settings.count; i++) {
        script_quit(p->scripts[i]);
        if (p->settings.scripts[i].grace > longest)
            longest = p->settings.scripts[i].grace;
    }
    until = in_seconds(longest + (call > 0 ? call : LONGEST_CALL) + MORE_GRACE);
    for (size_t i = 0; i < p->settings.count; i++)
        script_wait(p->scripts[i], &until);
    executor_stop(p->executor, &until);
}

/* Whether a change of that type is in the log of the server, GET /changes. */
static bool is_logged(OrthancPluginChangeType type)
{
    switch (type) {
    case OrthancPluginChangeType_CompletedSeries:
    case OrthancPluginChangeType_NewInstance:
    case OrthancPluginChangeType_NewPatient:
    case OrthancPluginChangeType_NewSeries:
    case OrthancPluginChangeType_NewStudy:
    case OrthancPluginChangeType_StablePatient:
    case OrthancPluginChangeType_StableSeries:
    case OrthancPluginChangeType_StableStudy:
    case OrthancPluginChangeType_UpdatedAttachment:
    case OrthancPluginChangeType_UpdatedMetadata: return true;
    default: return false;
    }
}

static OrthancPluginErrorCode on_change(OrthancPluginChangeType type,
                                        OrthancPluginResourceType level, const char *id)
{
    plugin *p = plugin_get();
    for (size_t i = 0; i < p->settings.count; i++)
        events_push(&p->scripts[i]->events, type, level, id);
    if (type == OrthancPluginChangeType_OrthancStarted)
        begin(p);
    else if (type == OrthancPluginChangeType_OrthancStopped)
        stop(p);
    else if (is_logged(type))
        follow_notify(p->host.follow);
    return OrthancPluginErrorCode_Success;
}

/* ---- the plugin ---- */

/* No request comes any more. */
static void flush_unanswered(plugin *p)
{
    text held = { 0 };
    repeated_flush(&p->unanswered, &held);
    if (held.data)
        OrthancPluginLogError(p->context, held.data);
    text_free(&held);
}

/* What a script that is left behind may still use is not freed. */
static void plugin_free(plugin *p)
{
    const struct timespec until = in_seconds(LAST_WAIT);
    bool all = true;
    flush_unanswered(p);
    for (size_t i = 0; p->scripts && i < p->settings.count; i++)
        all = script_free(p->scripts[i], &until) && all;
    if (!all)
        return;
    free(p->scripts);
    executor_free(p->executor);
    follow_free(p->host.follow);
    settings_free(&p->settings);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* False: there is not enough memory. */
static bool fill(plugin *p)
{
    p->host = (script_host){ p->context, &p->settings, follow_new(p->context) };
    p->executor = executor_new(&p->host);
    p->scripts = calloc(p->settings.count + 1, sizeof *p->scripts);
    if (!p->host.follow || !p->executor || !p->scripts)
        return false;
    for (size_t i = 0; i < p->settings.count; i++)
        if (!(p->scripts[i] = script_new(&p->host, &p->settings.scripts[i])))
            return false;
    return true;
}

ORTHANC_PLUGINS_API int32_t OrthancPluginInitialize(OrthancPluginContext *context)
{
    plugin *p;
    if (!OrthancPluginCheckVersion(context)) {
        OrthancPluginLogError(
            context, "modalua: this Orthanc is older than the one that the plugin was built for");
        return -1;
    }
    p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    p->context = context;
    pthread_mutex_init(&p->lock, NULL);
    if (!settings_read(&p->settings, context)) {
        plugin_free(p);
        return -1;
    }
    if (!fill(p)) {
        OrthancPluginLogError(context, "modalua: there is not enough memory to start");
        plugin_free(p);
        return -1;
    }
    if (p->settings.strict && p->settings.faults > 0) {
        OrthancPluginLogError(
            context, "modalua: the server does not start, as its configuration has a fault, and "
                     "Modalua.Strict is true");
        plugin_free(p);
        return -1;
    }
    the_plugin = p;
    OrthancPluginSetDescription2(context, OrthancPluginGetName(),
                                 "Runs Lua scripts that work with this server and its modalities.");
    OrthancPluginRegisterOnChangeCallback(context, on_change);
    routes_register(p);
    filters_register(p);
    return 0;
}

ORTHANC_PLUGINS_API void OrthancPluginFinalize(void)
{
    plugin *p = the_plugin;
    the_plugin = NULL;
    if (p)
        plugin_free(p);
}

ORTHANC_PLUGINS_API const char *OrthancPluginGetName(void)
{
    return "modalua";
}

ORTHANC_PLUGINS_API const char *OrthancPluginGetVersion(void)
{
    return modalua_version();
}
