#include "embed/gate.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "orthanc/sandbox_routes.h"

enum { REASON_MAX = 200 }; /* bytes */

/* What the host says of the request; NULL = it allows it. */
static const char *ask_host(modalua_runtime *rt, const http_request *r, const char *url)
{
    const modalua_config *c = &rt->config;
    const char *why;
    host_thread_lend(&rt->lp.host);
    why = c->authorize(c->user, r->method, url, r->operation);
    host_thread_take_back(&rt->lp.host);
    if (!why)
        return NULL;
    snprintf(rt->refusal, sizeof rt->refusal, "the host of this script refuses the request%s%.*s",
             why[0] ? ": " : "", (int)utf8_truncate(why, strlen(why), REASON_MAX), why);
    return rt->refusal;
}

static const char *gate_check(void *user, const http_server *s, const http_request *r,
                              const char **code)
{
    modalua_runtime *rt = user;
    size_t base = strlen(http_server_url(s)), size = base + strlen(r->path) + 1;
    char *url = memory_realloc(&rt->memory, NULL, 0, size);
    const char *why;
    *code = NULL;
    if (!url)
        return "not enough memory to look at the request";
    memcpy(url, http_server_url(s), base);
    memcpy(url + base, r->path, size - base);
    *code = "sandbox";
    why =
        rt->lp.sandboxed
            ? orthanc_operation_refusal(r->method, url + (http_server_base(s) - http_server_url(s)))
            : NULL;
    if (!why && rt->config.authorize) {
        *code = "host";
        why = ask_host(rt, r, url);
    }
    memory_realloc(&rt->memory, url, size, 0);
    return why;
}

void gate_open(modalua_runtime *rt)
{
    if (!rt->lp.sandboxed && !rt->config.authorize)
        return;
    rt->lp.http.gate = gate_check;
    rt->lp.http.gate_user = rt;
}
