#include "request/guard.h"

#include "binding/error.h"
#include "orthanc/sandbox_routes.h"

static _Noreturn void refuse(lua_State *L, const char *name, const char *method, const char *path,
                             const char *why)
{
    error_new(L, "refused", "sandbox", "%s", why);
    error_set(L, "op", name);
    error_set(L, "method", method);
    error_set(L, "path", path);
    error_raise(L);
}

void guard_check(lua_State *L, const loop *lp, const char *name, const char *why)
{
    if (lp->sandboxed)
        refuse(L, name, NULL, NULL, why);
}

void guard_check_route(lua_State *L, const loop *lp, const char *name, const http_server *s,
                       const char *method, const char *path)
{
    const char *whole, *why;
    if (!lp->sandboxed)
        return;
    whole = lua_pushfstring(L, "%s%s", http_server_base(s), path);
    why = orthanc_route_refusal(method, whole);
    if (why)
        refuse(L, name, method, whole, why);
    lua_pop(L, 1);
}
