#include "api/native_steps.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "api/answers.h"
#include "api/commitment.h"
#include "api/find_filter.h"
#include "api/identifiers.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "json/mark.h"
#include "orthanc/tags.h"
#include "request/guard.h"
#include "request/redact.h"
#include "request/response.h"
#include "request/route_options.h"
#include "request/shape.h"
#include "request/version.h"

/* ---- requests ---- */

/* Pushes a call for the operation at index 1. The strings that the call points at stay below it on
 * the stack. [-0, +6, v] */
static call *push_call(lua_State *L, size_t size, call_step first)
{
    int top = lua_gettop(L);
    call *c;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "op");
    lua_getfield(L, 1, "method");
    lua_getfield(L, 1, "path");
    lua_getfield(L, 1, "deadline");
    lua_getfield(L, 1, "client");
    c = call_new(L, doc_loop(L), size, -1, luaL_checkstring(L, top + 1), first);
    c->method = luaL_checkstring(L, top + 2);
    c->route = luaL_checkstring(L, top + 3);
    c->deadline = luaL_optnumber(L, top + 4, 0);
    return c;
}

typedef struct one_request {
    call call;
    const char *method, *path;
    call_work work;
    shape shape; /* of the answer, as far as it has a name; data.shape may describe it */
} one_request;

static int native_steps_on_answer(lua_State *L, call *c);

static int native_steps_send(lua_State *L, call *c)
{
    const one_request *r = (const one_request *)c;
    call_push(L, c, "body");
    return call_request(L, c, native_steps_on_answer, r->method, r->work, "%s", r->path);
}

static int native_steps_on_answer(lua_State *L, call *c)
{
    int answer = c->op.index + 1;
    if (call_answer_of(L, c, ((const one_request *)c)->shape) != 1)
        return 2;
    call_push(L, c, "shape");
    if (lua_istable(L, -1) && shape_differs_from(L, answer, answer + 1))
        return response_fail_shape(L, &c->op, lua_tostring(L, -1));
    lua_settop(L, answer);
    return 1;
}

static int l_request(lua_State *L)
{
    enum { OPERATION = 1, METHOD, PATH, WORK, BODY, SHAPE };
    static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", NULL };
    static const char *const words[] = { "local", "change", "echo", "remote", NULL };
    static const call_work works[] = { CALL_LOCAL, CALL_CHANGE, CALL_ECHO, CALL_REMOTE };
    const char *method = methods[luaL_checkoption(L, METHOD, NULL, methods)];
    const char *path = luaL_checkstring(L, PATH);
    call_work work = works[luaL_checkoption(L, WORK, NULL, words)];
    one_request *r;
    bool wants_secrets;
    lua_settop(L, SHAPE);
    luaL_checktype(L, OPERATION, LUA_TTABLE);
    wants_secrets = lua_getfield(L, OPERATION, "secrets") != LUA_TNIL;
    lua_settop(L, SHAPE);
    if (method[0] == 'P')
        luaL_checktype(L, BODY, LUA_TTABLE);
    r = (one_request *)push_call(L, sizeof *r, native_steps_send);
    r->method = method;
    r->path = path;
    r->work = work;
    r->call.op.wants_secrets = wants_secrets;
    r->shape = lua_type(L, SHAPE) == LUA_TSTRING ? shape_check_name(L, SHAPE) : SHAPE_ANY;
    call_keep(L, lua_gettop(L), "body", BODY);
    call_keep(L, lua_gettop(L), "shape", SHAPE);
    call_set_progress(L, OPERATION, lua_gettop(L));
    r->call.progress.partial = true;
    return op_run(L, &r->call.op);
}

static int l_redacted(lua_State *L)
{
    lua_settop(L, 1);
    redact_value(L, 1);
    return 1;
}

/* ---- the server's version ---- */

typedef struct version_call {
    call call;
    int since;
} version_call;

static int native_steps_on_version(lua_State *L, call *c)
{
    lua_pushboolean(L, version_of(c) >= ((const version_call *)c)->since);
    return 1;
}

static int l_at_least(lua_State *L)
{
    int since = orthanc_version_parse(luaL_checkstring(L, 2));
    version_call *v = (version_call *)push_call(L, sizeof *v, native_steps_on_version);
    v->since = since;
    v->call.needs.version = true;
    return op_run(L, &v->call.op);
}

static int l_check_version(lua_State *L)
{
    enum { OPERATION = 1, NEWEST, SINCE, WHAT };
    version_call *v;
    lua_settop(L, WHAT);
    v = (version_call *)push_call(L, sizeof *v, native_steps_on_version);
    v->call.needs.version = true;
    v->call.needs.key = lua_touserdata(L, NEWEST);
    if (!lua_isnil(L, SINCE)) {
        v->call.needs.since = orthanc_version_parse(luaL_checkstring(L, SINCE));
        v->call.needs.what = luaL_checkstring(L, WHAT);
    }
    return op_run(L, &v->call.op);
}

/* ---- polls ---- */

static int l_poll_delay(lua_State *L)
{
    double begun = luaL_checknumber(L, 2), least = luaL_checknumber(L, 3),
           most = luaL_checknumber(L, 4);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "deadline");
    lua_pushnumber(L, call_poll_delay(begun, lua_tonumber(L, -1), least, most)); /* nil is 0 */
    return 1;
}

static int l_is_transient(lua_State *L)
{
    double heard = luaL_checknumber(L, 3);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 1, "client");
    lua_pushvalue(L, 2);
    lua_pushboolean(L, call_is_transient(L, client_check(L, -2), heard));
    return 1;
}

/* ---- errors ---- */

static int l_failed(lua_State *L)
{
    static const char *const fields[] = { "op", "method", "path" };
    const char *kind = luaL_checkstring(L, 2), *code = luaL_optstring(L, 3, NULL);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstring(L, 4);
    lua_settop(L, 4);
    error_from_message(L, kind, code);
    for (size_t i = 0; i < 3; i++) {
        lua_getfield(L, 1, fields[i]);
        lua_setfield(L, -2, fields[i]);
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int l_unexpected(lua_State *L)
{
    enum { OPERATION = 1, METHOD, PATH, DIFFERENCE };
    const char *method = luaL_checkstring(L, METHOD), *path = luaL_checkstring(L, PATH);
    luaL_checktype(L, OPERATION, LUA_TTABLE);
    response_push_unexpected(L, method, path, luaL_checkstring(L, DIFFERENCE));
    lua_getfield(L, OPERATION, "op");
    lua_setfield(L, -2, "op");
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int l_differs(lua_State *L)
{
    lua_settop(L, 2);
    if (!shape_differs_from(L, 1, 2))
        lua_pushnil(L);
    return 1;
}

static int l_forbid_in_sandbox(lua_State *L)
{
    guard_check(L, doc_loop(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 0;
}

/* ---- options ---- */

/* modalua's own, of all tables. */
typedef struct own_options {
    double wait_timeout; /* at offset 0, as in call_timeout_rows; 0 = no limit */
    bool create;
} own_options;

const option native_steps_settings_rows[] = {
    { "create", OPTION_FLAG, offsetof(own_options, create),
      "true: makes a new entry when the server has none of that name" },
    OPTIONS_END
};

const option native_steps_find_rows[] = {
    { "keep", OPTION_TABLE, 0,
      "list of tags whose filters are sent although DICOM has no such value" },
    OPTIONS_END
};

/* The tables of options that Lua reads. */
static const struct table {
    const char *name;
    const option *own;
    const orthanc_route *route;
} tables[] = { { "modality settings", native_steps_settings_rows, &orthanc_modality_settings },
               { "peer settings", native_steps_settings_rows, &orthanc_peer_settings },
               { "local find", native_steps_find_rows, &orthanc_tools_find },
               { "storage commitment", call_timeout_rows, &orthanc_commitment },
               { "wait", call_wait_rows, NULL } };

static const struct table *check_table(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);
    size_t i = 0, n = sizeof tables / sizeof tables[0];
    while (i < n && strcmp(tables[i].name, name) != 0)
        i++;
    luaL_argcheck(L, i < n, index, "unknown table of options");
    return &tables[i];
}

/* Pushes those that the table at index `given` has. [-0, +1, v] */
static void push_own(lua_State *L, const char *op_name, int given, const own_options *o)
{
    progress p = { 0 };
    lua_createtable(L, 0, 4);
    lua_pushboolean(L, o->create);
    lua_setfield(L, -2, "create");
    if (o->wait_timeout > 0) {
        lua_pushnumber(L, o->wait_timeout);
        lua_setfield(L, -2, "wait_timeout");
    }
    if (progress_take(L, given, op_name, &p))
        lua_setfield(L, -2, "progress");
    lua_pushboolean(L, p.bar);
    lua_setfield(L, -2, "bar");
}

static int l_options(lua_State *L)
{
    enum { OP = 1, TABLE, GIVEN };
    const char *op_name = luaL_checkstring(L, OP);
    const struct table *t = check_table(L, TABLE);
    own_options own = { 0, false };
    const orthanc_key *newest = NULL;
    lua_settop(L, GIVEN);
    if (t->route) {
        newest = route_options_read(L, GIVEN, op_name, t->route, t->own, &own);
    } else {
        options_read(L, GIVEN, op_name, t->own, &own);
        lua_pushnil(L);
    }
    push_own(L, op_name, GIVEN, &own); /* body own */
    lua_insert(L, -2);
    if (newest)
        lua_pushlightuserdata(L, (void *)newest);
    else
        lua_pushnil(L);
    return 3;
}

static int l_keys(lua_State *L)
{
    const struct table *t = check_table(L, 1);
    const orthanc_key *key = t->route ? t->route->keys : NULL;
    if (!key)
        return luaL_argerror(L, 1, "nothing of it is sent");
    lua_newtable(L);
    for (lua_Integer i = 1; key->name; key++, i++) {
        lua_pushstring(L, key->name);
        lua_seti(L, -2, i);
    }
    return 1;
}

static int l_body_level(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushstring(L, orthanc_level_name(route_options_level(L, 2, luaL_checkstring(L, 1))));
    return 1;
}

/* ---- identifiers ---- */

static int l_is_uid(lua_State *L)
{
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
    lua_pushboolean(L, orthanc_is_uid(text) && strlen(text) == lua_rawlen(L, 1));
    return 1;
}

static int l_is_handle(lua_State *L)
{
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
    lua_pushboolean(L, orthanc_is_handle(text) && strlen(text) == lua_rawlen(L, 1));
    return 1;
}

static int l_check_stored(lua_State *L)
{
    const char *op_name = luaL_checkstring(L, 1);
    lua_Integer n = luaL_checkinteger(L, 3);
    lua_settop(L, 2);
    if (!identifiers_check_stored(L, op_name, n)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- filters and answers ---- */

static int l_filter(lua_State *L)
{
    enum { OP = 1, LEVEL, QUERY, KEEP, NORMALIZED };
    find_filter f = { .function = luaL_checkstring(L, OP), .any_value = true };
    f.normalize = lua_toboolean(L, NORMALIZED);
    f.level = orthanc_level_of(luaL_checkstring(L, LEVEL));
    lua_settop(L, KEEP);
    f.query = lua_istable(L, QUERY) ? QUERY : 0;
    f.keep = lua_istable(L, KEEP) ? KEEP : 0;
    if (!find_filter_check(L, &f)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, f.sent);
    return 1;
}

static int l_not_indexed(lua_State *L)
{
    uint32_t tag;
    luaL_argcheck(L, orthanc_tag_parse(luaL_checkstring(L, 1), &tag), 1, "not a tag");
    lua_pushstring(L, orthanc_tag_not_indexed(tag, orthanc_level_of(luaL_checkstring(L, 2))));
    return 1;
}

static int native_steps_on_answers(lua_State *L, call *c)
{
    bool lossy;
    if (!answers_receive(L, c, ANSWERS_SIMPLIFIED, &lossy))
        return 2;
    lua_pop(L, 1);
    lua_pushboolean(L, lossy);
    return 2;
}

static int native_steps_ask_answers(lua_State *L, call *c)
{
    return call_get(L, c, native_steps_on_answers, "%s?expand%s", ((const one_request *)c)->path,
                    answers_parameters(ANSWERS_SIMPLIFIED));
}

static int l_answers(lua_State *L)
{
    const char *path = luaL_checkstring(L, 2);
    one_request *r;
    lua_settop(L, 2);
    r = (one_request *)push_call(L, sizeof *r, native_steps_ask_answers);
    r->path = path;
    return op_run(L, &r->call.op);
}

/* Removes the nulls from the table on the top, and from the tables in it, down to that depth. */
static void drop_nulls(lua_State *L, int depth)
{
    int t = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    json_mark_drop_nulls(L);
    if (depth == 0)
        return;
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
        if (lua_istable(L, -1))
            drop_nulls(L, depth - 1);
}

static int l_drop_nulls(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    drop_nulls(L, 2);
    return 1;
}

/* ---- the part ---- */

/* An operation is a table: `client`; `op`, its name; `method` and `path`, the request that its own
 * errors name; `deadline` (as task.now tells the time) or nil; `progress`, a function that is called
 * from time to time while a request is under way, or nil. */

/* clang-format off */
static const luaL_Reg functions[] = {
    /* ---- requests ---- */

    /* request(operation, method, path, work [, body [, shape]]) -> value | nil, err. Sends one request.
     * work is "local", "change", "echo" or "remote" (call_work in request/call.h); body is a table. An
     * answer that has not the described shape (request/shape.h) is an error. */
    { "request", l_request },
    /* poll_delay(operation, begun, least, most) -> seconds. call_poll_delay in request/call.h. */
    { "poll_delay", l_poll_delay },
    /* is_transient(operation, err, heard) -> boolean. call_is_transient in request/call.h. */
    { "is_transient", l_is_transient },
    /* failed(operation, kind, code | nil, message) -> nil, err. */
    { "failed", l_failed },
    /* differs(value, shape) -> text | nil. How the value, a part of an answer, differs from the described
     * shape (request/shape.h): "element 3 is a number, not an object". */
    { "differs", l_differs },
    /* redacted(entry) -> entry. Removes the secrets from an answer that came with them, because the
     * operation has secrets = true. */
    { "redacted", l_redacted },
    /* unexpected(operation, method, path, difference) -> nil, err. The answer to that request differs from
     * what it should be. */
    { "unexpected", l_unexpected },

    /* ---- the server's version ---- */

    /* at_least(operation, version) -> boolean | nil, err. Whether the server has that version, such
     * as "1.12.5", or a later one. */
    { "at_least", l_at_least },
    /* check_version(operation, newest [, version, what]) -> true | nil, err. An error of code
     * "unsupported" when the server does not have what came with that version, or does not know the
     * newest key (of `options`, or nil). */
    { "check_version", l_check_version },

    /* ---- options ---- */

    /* options(op, name, given) -> own, body, newest. Reads a table of options, of the kind that is
     * called `name` in `tables` above: modalua's own are in `own` (progress as a function, with bar =
     * true when it is the bar), what is sent is in `body`, and `newest` is the key in it that needs
     * the newest version, or nil. Throws on unknown names and wrong values. */
    { "options", l_options },
    /* keys(name) -> list. The names that Orthanc knows in that kind of table. */
    { "keys", l_keys },
    /* body_level(op, body) -> the Level of the body, as Orthanc writes it. Throws when it has none. */
    { "body_level", l_body_level },
    /* forbid_in_sandbox(op, why). Throws when the script is sandboxed. */
    { "forbid_in_sandbox", l_forbid_in_sandbox },

    /* ---- identifiers ---- */

    /* is_uid(v) -> boolean. */
    { "is_uid", l_is_uid },
    /* is_handle(v) -> boolean. Whether v can be the ID of a job or query. */
    { "is_handle", l_is_handle },
    /* check_stored(op, v, n) -> true | nil, message. Whether resource number n is an identifier that
     * Orthanc gives. Throws when it is no string. */
    { "check_stored", l_check_stored },
    /* new_commitment(client, uid) -> commitment. */
    { "new_commitment", commitment_new },

    /* ---- filters and answers ---- */

    /* filter(op, level, query | nil, keep | nil [, normalized]) -> sent | nil, message. The Query as it is
     * sent when nothing normalizes it; native.fault checks its values. normalized = true: that of a
     * C-FIND, which refuses the filters that the level does not have. Throws on wrong types. */
    { "filter", l_filter },
    /* not_indexed(tag, level) -> advice | nil. Why the server's index does not match by the tag. */
    { "not_indexed", l_not_indexed },
    /* drop_nulls(list) -> list. Removes the nulls from its objects, and from the objects in these. */
    { "drop_nulls", l_drop_nulls },
    /* answers(operation, path) -> list, lossy | nil, err. The simplified answers of a query, which are at
     * that path (answers_receive in api/answers.h). */
    { "answers", l_answers },

    { NULL, NULL }
};
/* clang-format on */

int native_steps_open(lua_State *L)
{
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, doc_loop(L));
    luaL_setfuncs(L, functions, 1);
    return 1;
}
