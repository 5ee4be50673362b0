#include "orthanc_plugin/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/calls.h"
#include "orthanc_plugin/parts.h"

/* ---- callbacks of the runtime; user is the script ---- */

static void runtime_print(void *user, const char *data, size_t size)
{
    script *s = user;
    log_print(&s->log, data, size);
}

static void note_request(void *user, const char *line, size_t size)
{
    script *s = user;
    log_repeated(&s->log, LOG_REQUEST, "%.*s", (int)size, line);
}

static void runtime_transport(void *user, const modalua_request *request,
                              modalua_response *response)
{
    script *s = user;
    rest_pool_send(s->pool, request, response);
}

static void on_follow(void *user, const char *arguments, modalua_reply *reply)
{
    script *s = user;
    follow_ask(s->host->follow, s, s->settings->name, arguments, reply);
}

static void runtime_search(void *user, const char *name, modalua_reply *reply)
{
    (void)user;
    if (strcmp(name, "modalua.host") == 0)
        modalua_reply_text(reply, part_host, part_host_size);
}

/* ---- making one ---- */

int runtime_new(script *s, modalua_runtime **rt)
{
    const script_settings *of = s->settings;
    modalua_config config;
    int status;
    modalua_config_init(&config);
    config.memory_limit = of->memory_limit;
    config.run_seconds = of->time_limit;
    config.burst_seconds = of->burst_limit;
    config.grace_seconds = of->grace;
    config.flags = of->sandbox ? MODALUA_SANDBOX : 0;
    config.write = config.warn = runtime_print;
    config.log = note_request;
    config.log_level = MODALUA_LOG_WARNING;
    config.user = s;
    config.module_path = s->host->settings->module_path;
    config.url = config.transport_url = REST_URL;
    config.server_max_inflight = script_threads(of);
    config.transport = runtime_transport;
    config.search = runtime_search;
    config.follow = on_follow;
    status = modalua_create(rt, &config);
    if (status == MODALUA_E_INVALID)
        log_line(&s->log, LOG_ERROR, "its settings are refused: %s", modalua_config_fault(&config));
    return status;
}

static int start_file(const script *s, modalua_runtime *rt)
{
    const script_settings *of = s->settings;
    return modalua_start_file(rt, of->path, (int)of->argument_count,
                              (const char *const *)of->arguments, NULL, NULL);
}

int runtime_start(script *s, modalua_runtime *rt)
{
    static const char prelude[] = "require 'modalua'.host = require 'modalua.host'";
    int status = calls_register(s, rt);
    if (status == MODALUA_OK)
        status = events_register(&s->events, rt);
    if (status == MODALUA_OK)
        status = modalua_run_string(rt, "=modalua.host", prelude, sizeof prelude - 1);
    if (status != MODALUA_OK)
        return status;
    script_keep_cancel(s);
    return start_file(s, rt);
}

/* What Orthanc's own Lua calls. Initialize and Finalize are not here: a script may call functions with these names itself. */
static const char *const own_lua_callbacks[] = { "OnStoredInstance",
                                                 "OnStablePatient",
                                                 "OnStableStudy",
                                                 "OnStableSeries",
                                                 "OnUpdatedPatient",
                                                 "OnUpdatedStudy",
                                                 "OnUpdatedSeries",
                                                 "OnUpdatedInstance",
                                                 "OnDeletedPatient",
                                                 "OnDeletedStudy",
                                                 "OnDeletedSeries",
                                                 "OnDeletedInstance",
                                                 "OnJobSubmitted",
                                                 "OnJobSuccess",
                                                 "OnJobFailure",
                                                 "OnHeartBeat",
                                                 "ReceivedInstanceFilter",
                                                 "ReceivedCStoreInstanceFilter",
                                                 "IncomingHttpRequestFilter",
                                                 "IncomingFindRequestFilter",
                                                 "IncomingWorklistRequestFilter",
                                                 "OutgoingFindRequestFilter" };

void runtime_warn(script *s, modalua_runtime *rt)
{
    const char *json;
    for (size_t i = 0; i < sizeof own_lua_callbacks / sizeof own_lua_callbacks[0]; i++)
        if (modalua_get_global(rt, own_lua_callbacks[i], &json) ==
            MODALUA_E_SCRIPT) /* a function cannot be JSON */
            log_line(&s->log, LOG_ERROR,
                     "defines the function %s, which Orthanc's own Lua would call, and this plugin "
                     "does not call: its README.md says what to write instead",
                     own_lua_callbacks[i]);
}

int runtime_try(script *s, char **why)
{
    modalua_runtime *rt = NULL;
    int status = runtime_new(s, &rt);
    if (status == MODALUA_OK)
        status = start_file(s, rt); /* no line of it is executed without a step */
    *why = status == MODALUA_OK ? NULL
                                : strdup(rt ? modalua_last_error(rt) : modalua_strerror(status));
    modalua_destroy(rt);
    return status;
}
