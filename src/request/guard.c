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

void guard_check_route(lua_State *L, const loop *lp, const char *name, const char *method,
                       const char *path)
{
    const char *why = lp->sandboxed ? orthanc_route_refusal(method, path) : NULL;
    if (why)
        refuse(L, name, method, path, why);
}
