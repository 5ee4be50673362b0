#include "orthanc_plugin/filters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/calls.h"

enum { SECONDS = 2 };

/* The script that decides this filter. The configuration allows one; NULL = it has a fault, and is not there. */
static script *script_with(const plugin *p, unsigned filter)
{
    for (size_t i = 0; i < p->settings.count; i++)
        if (p->settings.scripts[i].filters & filter)
            return p->scripts[i];
    return NULL;
}

/* Nothing answers: the configuration decides. Logs that. s may be NULL. */
static bool decide_without_script(const plugin *p, script *s, const char *why)
{
    bool accepts = p->settings.filter_accepts;
    const char *verb = accepts ? "accepts" : "rejects";
    char line[300];
    snprintf(line, sizeof line,
             "modalua: no script decides a filter, as the configuration has a fault, and the "
             "setting FilterDefault %s",
             verb);
    if (s)
        log_line(&s->log, 1, "its filter gives no answer, and the setting FilterDefault %s: %s",
                 verb, why);
    else
        OrthancPluginLogError(p->context, line);
    return accepts;
}

/* 1: the script accepts; 0: it does not. Without an answer it is what the configuration says. */
static int ask(const plugin *p, unsigned filter, text *members)
{
    script *s = script_with(p, filter);
    double limit = p->settings.filter_time_limit;
    call_answer a = { .status = 503 };
    char why[500] = "not enough memory";
    bool is_answered = s && !members->failed &&
                       calls_ask(s, "modalua.host.decide", members->data, NULL,
                                 limit > 0 ? limit : SECONDS, &a, why, sizeof why);
    bool accepts = is_answered ? a.status == 200 : decide_without_script(p, s, why);
    free(a.type);
    free(a.body);
    text_free(members);
    return accepts ? 1 : 0;
}

static const char *origin_name(OrthancPluginInstanceOrigin origin)
{
    switch (origin) {
    case OrthancPluginInstanceOrigin_DicomProtocol: return "DicomProtocol";
    case OrthancPluginInstanceOrigin_RestApi: return "RestApi";
    case OrthancPluginInstanceOrigin_Plugin: return "Plugins";
    case OrthancPluginInstanceOrigin_Lua: return "Lua";
    case OrthancPluginInstanceOrigin_WebDav: return "WebDav";
    default: return "Unknown";
    }
}

static int32_t on_instance(const OrthancPluginDicomInstance *instance)
{
    const plugin *p = plugin_get();
    text t = { 0 };
    char *tags = OrthancPluginGetInstanceSimplifiedJson(p->context, instance);
    const char *aet = OrthancPluginGetInstanceRemoteAet(p->context, instance);
    text_member_string(&t, "filter", "ReceivedInstance");
    text_member(&t, "first");
    text_add(&t, tags ? tags : "{}", tags ? strlen(tags) : 2);
    text_member(&t, "second");
    text_add(&t, "{", 1);
    text_member_string(&t, "RequestOrigin",
                       origin_name(OrthancPluginGetInstanceOrigin(p->context, instance)));
    text_member_string(&t, "RemoteAet", aet ? aet : "");
    text_add(&t, "}", 1);
    if (tags)
        OrthancPluginFreeString(p->context, tags);
    return ask(p, FILTER_INSTANCE, &t);
}

static int32_t on_http(OrthancPluginHttpMethod method, const char *uri, const char *ip,
                       uint32_t headers, const char *const *keys, const char *const *values,
                       uint32_t arguments, const char *const *argument_keys,
                       const char *const *argument_values)
{
    static const char *const methods[] = { "", "GET", "POST", "PUT", "DELETE" };
    text t = { 0 };
    text_member_string(&t, "filter", "IncomingHttpRequest");
    text_member(&t, "first");
    text_add(&t, "{", 1);
    text_member_string(&t, "method", methods[method]);
    text_member_string(&t, "path", uri);
    text_member_string(&t, "ip", ip);
    text_member_pairs(&t, "headers", headers, keys, values);
    text_member_pairs(&t, "query", arguments, argument_keys, argument_values);
    text_add(&t, "}", 1);
    return ask(plugin_get(), FILTER_HTTP, &t);
}

void filters_register(plugin *p)
{
    if (p->settings.filters & FILTER_INSTANCE)
        OrthancPluginRegisterIncomingDicomInstanceFilter(p->context, on_instance);
    if (p->settings.filters & FILTER_HTTP)
        OrthancPluginRegisterIncomingHttpRequestFilter2(p->context, on_http);
}
