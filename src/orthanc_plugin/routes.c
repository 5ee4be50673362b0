#include "orthanc_plugin/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "orthanc_plugin/calls.h"
#include "orthanc_plugin/filters.h"
#include "orthanc_plugin/parts.h"
#include "orthanc_plugin/runtime.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

enum {
    ROUTE_SECONDS = 10,
    SOURCE_MAX = 1 << 20 /* bytes of a script that is executed */
};

/* ---- answers ---- */

/* Orthanc gives an answer with another status than 200 no Content-Type, and a browser is not to guess one. */
static OrthancPluginErrorCode answer(const plugin *p, OrthancPluginRestOutput *output, int status,
                                     const char *type, const void *body, size_t size)
{
    if (status == 200) {
        OrthancPluginAnswerBuffer(p->context, output, body ? body : "", (uint32_t)size, type);
    } else {
        OrthancPluginSetHttpHeader(p->context, output, "X-Content-Type-Options", "nosniff");
        OrthancPluginSendHttpStatus(p->context, output, (uint16_t)status, body ? body : "",
                                    (uint32_t)size);
    }
    return OrthancPluginErrorCode_Success;
}

/* As Orthanc writes an error, so that a client shows the reason. */
static OrthancPluginErrorCode answer_error(const plugin *p, OrthancPluginRestOutput *output,
                                           int status, const char *message)
{
    text t = { 0 };
    OrthancPluginErrorCode code;
    text_add(&t, "{", 1);
    text_member_string(&t, "Details", message);
    text_member(&t, "HttpStatus");
    text_format(&t, "%d}", status);
    code = answer(p, output, status, JSON, t.data, t.failed ? 0 : t.size);
    text_free(&t);
    return code;
}

/* An error. Where Orthanc has one that fits, it writes the answer itself, as for its own routes. */
static OrthancPluginErrorCode refuse(const plugin *p, OrthancPluginRestOutput *output, int status,
                                     const char *message)
{
    OrthancPluginErrorCode code = status == 404   ? OrthancPluginErrorCode_UnknownResource
                                  : status == 400 ? OrthancPluginErrorCode_BadFileFormat
                                  : status == 500 ? OrthancPluginErrorCode_Plugin
                                                  : OrthancPluginErrorCode_Success;
    if (code == OrthancPluginErrorCode_Success)
        return answer_error(p, output, status, message);
    OrthancPluginSetHttpErrorDetails(p->context, output, message, 0);
    return code;
}

static bool has_header(const OrthancPluginHttpRequest *q, const char *name)
{
    for (uint32_t i = 0; i < q->headersCount; i++)
        if (strcasecmp(q->headersKeys[i], name) == 0)
            return true;
    return false;
}

/* Whether the request is one that a page of another site can make a browser send, with the password that the browser
 * knows. A browser adds Origin; it lets another site's page add X-Modalua only when this server allows that. */
static bool is_foreign(const OrthancPluginHttpRequest *q)
{
    return q->method != OrthancPluginHttpMethod_Get && has_header(q, "Origin") &&
           !has_header(q, "X-Modalua");
}

/* Whether the request has that method, and may have it; otherwise the answer is 405 or 403. */
static bool is_method(const plugin *p, OrthancPluginRestOutput *output,
                      const OrthancPluginHttpRequest *q, OrthancPluginHttpMethod method)
{
    if (q->method != method)
        OrthancPluginSendMethodNotAllowed(p->context, output,
                                          method == OrthancPluginHttpMethod_Get ? "GET" : "POST");
    else if (is_foreign(q))
        refuse(p, output, 403, "a web page must send the header X-Modalua");
    else
        return true;
    return false;
}

/* ---- /modalua/scripts ---- */

static OrthancPluginErrorCode on_scripts(OrthancPluginRestOutput *output, const char *url,
                                         const OrthancPluginHttpRequest *q)
{
    const plugin *p = plugin_get();
    text t = { 0 };
    (void)url;
    if (!is_method(p, output, q, OrthancPluginHttpMethod_Get))
        return OrthancPluginErrorCode_Success;
    text_add(&t, "[", 1);
    for (size_t i = 0; i < p->settings.count; i++) {
        if (i > 0)
            text_add(&t, ",", 1);
        script_describe(p->scripts[i], &t);
    }
    text_add(&t, "]", 1);
    answer(p, output, 200, JSON, t.data, t.size);
    text_free(&t);
    return OrthancPluginErrorCode_Success;
}

static OrthancPluginErrorCode answer_log(const plugin *p, OrthancPluginRestOutput *output,
                                         script *s)
{
    text t = { 0 };
    OrthancPluginErrorCode code;
    log_write(&s->log, &t);
    code = answer(p, output, 200, TEXT, t.data, t.size);
    text_free(&t);
    return code;
}

/* Starts the script again with its present file, unless that has a fault: then it runs on. */
static OrthancPluginErrorCode reload(const plugin *p, OrthancPluginRestOutput *output, script *s)
{
    char *why;
    OrthancPluginErrorCode code;
    if (runtime_try(s, &why) == MODALUA_OK) {
        script_restart(s);
        return answer(p, output, 200, JSON, "{}", 2);
    }
    code = refuse(p, output, 400, why ? why : "not enough memory");
    free(why);
    return code;
}

/* Whether the server would refuse every request over HTTP without that script. */
static bool locks_out(const plugin *p, const script *s)
{
    return (s->settings->filters & FILTER_HTTP) && !p->settings.filter_accepts;
}

static OrthancPluginErrorCode on_script(OrthancPluginRestOutput *output, const char *url,
                                        const OrthancPluginHttpRequest *q)
{
    const plugin *p = plugin_get();
    script *s = plugin_find(p, q->groups[0]);
    const char *act = q->groups[1];
    bool reads = strcmp(act, "log") == 0;
    (void)url;
    if (!s)
        return refuse(p, output, 404, "there is no script with this name");
    if (!is_method(p, output, q,
                   reads ? OrthancPluginHttpMethod_Get : OrthancPluginHttpMethod_Post))
        return OrthancPluginErrorCode_Success;
    if (reads)
        return answer_log(p, output, s);
    if (strcmp(act, "reload") == 0)
        return reload(p, output, s);
    if (strcmp(act, "stop") == 0 && locks_out(p, s))
        return refuse(p, output, 409,
                      "this script decides IncomingHttpRequest, and FilterDefault rejects: without "
                      "it, the server would refuse every request, also the one that starts it");
    if (strcmp(act, "stop") == 0)
        script_stop(s);
    else if (strcmp(act, "start") == 0)
        script_start(s);
    else
        script_restart(s);
    return answer(p, output, 200, JSON, "{}", 2);
}

/* ---- /modalua/execute ---- */

static OrthancPluginErrorCode on_execute(OrthancPluginRestOutput *output, const char *url,
                                         const OrthancPluginHttpRequest *q)
{
    const plugin *p = plugin_get();
    text t = { 0 };
    (void)url;
    if (!is_method(p, output, q, OrthancPluginHttpMethod_Post))
        return OrthancPluginErrorCode_Success;
    if (!p->settings.allow_execute)
        return refuse(p, output, 403, "the setting Modalua.AllowExecute is not true");
    if (q->bodySize > SOURCE_MAX)
        return refuse(p, output, 413, "the script is larger than 1 MB");
    if (executor_run(p->executor, q->body, q->bodySize, &t) == 200 && !t.failed)
        answer(p, output, 200, JSON, t.data, t.size);
    else
        refuse(p, output, 503, "too many scripts are executed at this moment");
    text_free(&t);
    return OrthancPluginErrorCode_Success;
}

/* ---- /modalua/find-filter ---- */

static OrthancPluginErrorCode on_find_filter(OrthancPluginRestOutput *output, const char *url,
                                             const OrthancPluginHttpRequest *q)
{
    plugin *p = plugin_get();
    text t = { 0 };
    (void)url;
    if (!is_method(p, output, q, OrthancPluginHttpMethod_Post))
        return OrthancPluginErrorCode_Success;
    filters_ask_about_find(p, q->body, q->bodySize, &t);
    answer(p, output, t.failed ? 503 : 200, JSON, t.data, t.size);
    text_free(&t);
    return OrthancPluginErrorCode_Success;
}

/* ---- the routes of scripts, and the page ---- */

static void add_request(text *t, const char *path, const OrthancPluginHttpRequest *q)
{
    static const char *const methods[] = { "", "GET", "POST", "PUT", "DELETE" };
    text_member_string(t, "method", methods[q->method]);
    text_member_string(t, "path", path);
    text_member_pairs(t, "query", q->getCount, q->getKeys, q->getValues);
    text_member_pairs(t, "headers", q->headersCount, q->headersKeys, q->headersValues);
}

static OrthancPluginErrorCode call_route(const plugin *p, OrthancPluginRestOutput *output,
                                         script *s, const char *members,
                                         const OrthancPluginHttpRequest *q)
{
    double limit = p->settings.route_time_limit > 0 ? p->settings.route_time_limit : ROUTE_SECONDS;
    call_answer a;
    char why[1000];
    bool is_answered = calls_ask(s, "modalua.host.serve", members,
                                 &(call_body){ q->body, q->bodySize }, limit, &a, why, sizeof why);
    OrthancPluginErrorCode code = is_answered ? answer(p, output, a.status, a.type ? a.type : TEXT,
                                                       a.body, a.body ? a.size : 0)
                                              : refuse(p, output, a.status, why);
    if (!is_answered && a.status == CALL_TOO_LATE)
        log_repeated(&s->log, LOG_ROUTE, "route %s is ended: no answer within %g s", q->groups[1],
                     limit);
    free(a.type);
    free(a.body);
    return code;
}

static OrthancPluginErrorCode on_route(OrthancPluginRestOutput *output, const char *url,
                                       const OrthancPluginHttpRequest *q)
{
    const plugin *p = plugin_get();
    script *s = plugin_find(p, q->groups[0]);
    text t = { 0 };
    OrthancPluginErrorCode code;
    (void)url;
    if (!s)
        return refuse(p, output, 404, "there is no script with this name");
    add_request(&t, q->groups[1], q);
    code = t.failed ? OrthancPluginErrorCode_NotEnoughMemory : call_route(p, output, s, t.data, q);
    text_free(&t);
    return code;
}

static OrthancPluginErrorCode on_app(OrthancPluginRestOutput *output, const char *url,
                                     const OrthancPluginHttpRequest *q)
{
    const plugin *p = plugin_get();
    (void)url;
    if (!is_method(p, output, q, OrthancPluginHttpMethod_Get))
        return OrthancPluginErrorCode_Success;
    OrthancPluginSetHttpHeader(p->context, output, "X-Frame-Options", "DENY");
    return answer(p, output, 200, "text/html; charset=utf-8", part_page, part_page_size);
}

/* The scripts can call these routes too; so no lock of Orthanc's may be held meanwhile ("NoLock"). */
void routes_register(plugin *p)
{
    OrthancPluginContext *c = p->context;
    OrthancPluginRegisterRestCallbackNoLock(c, "/modalua/scripts", on_scripts);
    OrthancPluginRegisterRestCallbackNoLock(
        c, "/modalua/scripts/([^/]+)/(start|stop|restart|reload|log)", on_script);
    OrthancPluginRegisterRestCallbackNoLock(c, "/modalua/execute", on_execute);
    OrthancPluginRegisterRestCallbackNoLock(c, "/modalua/routes/([^/]+)(/.*)", on_route);
    OrthancPluginRegisterRestCallbackNoLock(c, "/modalua/find-filter", on_find_filter);
    OrthancPluginRegisterRestCallbackNoLock(c, "/modalua/app", on_app);
    OrthancPluginSetRootUri2(c, OrthancPluginGetName(), "/modalua/app");
}
