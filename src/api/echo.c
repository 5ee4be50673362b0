#include "api/echo.h"

#include <lauxlib.h>

#include "api/remote.h"
#include "request/route_options.h"

/* ---- the steps, in order ---- */

static int echo_send(lua_State *L, call *c);
static int echo_on_answer(lua_State *L, call *c);

/* self options */
int echo_echo(lua_State *L)
{
    enum { SELF = 1, OPTIONS, CALL, BODY };
    struct {
        double wait_timeout;
    } o = { 0 };
    call *c;
    remote_check(L, SELF, &remote_modality);
    lua_settop(L, OPTIONS);
    c = remote_new_call(L, sizeof *c, "echo", "/echo", echo_send);
    route_options_read_call(L, OPTIONS, c, &orthanc_echo, call_timeout_rows, &o); /* body */
    call_keep(L, CALL, "body", BODY);
    lua_settop(L, CALL);
    return op_run(L, &c->op);
}

/* POST /modalities/{name}/echo: DICOM PS3.4 A (Verification). */
static int echo_send(lua_State *L, call *c)
{
    call_push(L, c, "body");
    return call_post(L, c, echo_on_answer, CALL_ECHO, "%s", c->route);
}

/* Orthanc says {} for yes, in all versions and also with CheckFind. A failure is false and the error, in
 * place of nil and the error. */
static int echo_on_answer(lua_State *L, call *c)
{
    if (call_answer_of(L, c, SHAPE_EMPTY_OBJECT) == 1) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_replace(L, -3);
    return 2;
}
