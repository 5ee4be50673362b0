#include "orthanc_plugin/filters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "orthanc_plugin/calls.h"

enum {
    SECONDS = 2,
    DIMSE_OUT_OF_RESOURCES = 0xA700 /* PS3.4 B.2.3: refused, out of resources */
};

/* The script that decides this filter. The configuration allows one; NULL = it has a fault, and is not there. */
static script *script_with(const plugin *p, unsigned filter)
{
    for (size_t i = 0; i < p->settings.count; i++)
        if (p->settings.scripts[i].filters & filter)
            return p->scripts[i];
    return NULL;
}

/* The log of the server gets this as repeated.h says. The text is always the same one. */
static void log_no_script(plugin *p, const char *verb)
{
    char line[300];
    text due = { 0 };
    snprintf(line, sizeof line,
             "modalua: no script decides a filter, as the configuration has a fault, and the "
             "setting FilterDefault %s",
             verb);
    pthread_mutex_lock(&p->lock);
    repeated_add(&p->unanswered, clock_now(), line);
    repeated_take(&p->unanswered, clock_now(), &due);
    pthread_mutex_unlock(&p->lock);
    if (due.data)
        OrthancPluginLogError(p->context, due.data);
    text_free(&due);
}

/* Nothing answers: the configuration decides. Logs that. s may be NULL. */
static bool decide_without_script(plugin *p, script *s, const char *why)
{
    bool accepts = p->settings.filter_accepts;
    const char *verb = accepts ? "accepts" : "rejects";
    if (s)
        log_repeated(&s->log, LOG_FILTER,
                     "its filter gives no answer, and the setting FilterDefault %s: %s", verb, why);
    else
        log_no_script(p, verb);
    return accepts;
}

/* Whether the script accepts, and its answer; without one it is what the configuration says, and a->status is not 200 or 403. Frees the
 * members. */
static bool ask(plugin *p, unsigned filter, text *members, const call_body *body, call_answer *a)
{
    script *s = script_with(p, filter);
    double limit = p->settings.filter_time_limit;
    char why[500] = "not enough memory";
    bool is_answered = s && !members->failed &&
                       calls_ask(s, "modalua.host.decide", members->data, body,
                                 limit > 0 ? limit : SECONDS, a, why, sizeof why);
    bool accepts;
    if (!is_answered && s && a->status == CALL_TOO_LATE)
        snprintf(
            why, sizeof why,
            "the script has not answered in time (does the filter send a request to this server? "
            "Orthanc holds a lock meanwhile)");
    accepts = is_answered ? a->status == 200 : decide_without_script(p, s, why);
    text_free(members);
    return accepts;
}

static void free_answer(call_answer *a)
{
    free(a->type);
    free(a->body);
}

static const char *filter_name(unsigned filter)
{
    unsigned i = 0;
    while (!(filter & 1u << i))
        i++;
    return settings_filter_names[i];
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

static bool ask_about_instance(unsigned filter, const OrthancPluginDicomInstance *instance,
                               call_answer *a)
{
    plugin *p = plugin_get();
    text t = { 0 };
    char *tags = OrthancPluginGetInstanceSimplifiedJson(p->context, instance);
    const char *aet = OrthancPluginGetInstanceRemoteAet(p->context, instance);
    text_member_string(&t, "filter", filter_name(filter));
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
    return ask(p, filter, &t, NULL, a);
}

static int32_t on_instance(const OrthancPluginDicomInstance *instance)
{
    call_answer a = { 0 };
    bool accepts = ask_about_instance(FILTER_INSTANCE, instance, &a);
    free_answer(&a);
    return accepts ? 1 : 0;
}

/* The script's answer is the DIMSE status. Without one, a rejection is one that may pass: the sender may try again. */
static int32_t on_c_store(uint16_t *dimse_status, const OrthancPluginDicomInstance *instance)
{
    call_answer a = { 0 };
    bool accepts = ask_about_instance(FILTER_C_STORE, instance, &a);
    if (!accepts)
        *dimse_status = a.status == 403 && a.body ? (uint16_t)strtoul(a.body, NULL, 10)
                                                  : DIMSE_OUT_OF_RESOURCES;
    free_answer(&a);
    return accepts ? 1 : 0;
}

static int32_t on_http(OrthancPluginHttpMethod method, const char *uri, const char *ip,
                       uint32_t headers, const char *const *keys, const char *const *values,
                       uint32_t arguments, const char *const *argument_keys,
                       const char *const *argument_values)
{
    static const char *const methods[] = { "", "GET", "POST", "PUT", "DELETE" };
    text t = { 0 };
    call_answer a = { 0 };
    bool accepts;
    text_member_string(&t, "filter", filter_name(FILTER_HTTP));
    text_member(&t, "first");
    text_add(&t, "{", 1);
    text_member_string(&t, "method", methods[method]);
    text_member_string(&t, "path", uri);
    text_member_string(&t, "ip", ip);
    text_member_pairs(&t, "headers", headers, keys, values);
    text_member_pairs(&t, "query", arguments, argument_keys, argument_values);
    text_add(&t, "}", 1);
    accepts = ask(plugin_get(), FILTER_HTTP, &t, NULL, &a);
    free_answer(&a);
    return accepts ? 1 : 0;
}

void filters_ask_about_find(plugin *p, const void *query, size_t size, text *t)
{
    text members = { 0 };
    call_answer a = { 0 };
    bool accepts = true; /* modalua_find_filter.lua asks also when no script has the filter */
    if (p->settings.filters & FILTER_FIND) {
        text_member_string(&members, "filter", filter_name(FILTER_FIND));
        accepts = ask(p, FILTER_FIND, &members, &(call_body){ query, size }, &a);
    }
    text_add(t, "{", 1);
    text_member(t, "Accept");
    text_format(t, "%s", accepts ? "true" : "false");
    if (accepts && a.size > 0) {
        text_member(t, "Query");
        text_add(t, a.body, a.size);
    }
    text_add(t, "}", 1);
    free_answer(&a);
}

void filters_register(plugin *p)
{
    if (p->settings.filters & FILTER_INSTANCE)
        OrthancPluginRegisterIncomingDicomInstanceFilter(p->context, on_instance);
    if (p->settings.filters & FILTER_HTTP)
        OrthancPluginRegisterIncomingHttpRequestFilter2(p->context, on_http);
    if (p->settings.filters & FILTER_C_STORE)
        OrthancPluginRegisterIncomingCStoreInstanceFilter(p->context, on_c_store);
}
