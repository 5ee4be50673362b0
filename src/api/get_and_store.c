#include "api/get_and_store.h"

#include <lauxlib.h>

#include "api/identifiers.h"
#include "api/move_target.h"
#include "api/peer.h"
#include "api/remote.h"
#include "api/transfer.h"
#include "json/mark.h"
#include "request/guard.h"
#include "request/route_options.h"

#define TIMEOUT_ROW CALL_TIMEOUT_ROW(offsetof(transfer_options, wait_timeout))
#define VERIFY_ROW  TRANSFER_VERIFY_ROW(offsetof(transfer_options, verify))

const option get_and_store_rows[] = { VERIFY_ROW, TIMEOUT_ROW, CALL_PROGRESS_ROW, OPTIONS_END };

const option get_and_store_peer_rows[] = { TIMEOUT_ROW, CALL_PROGRESS_ROW, OPTIONS_END };

const option get_and_store_move_rows[] = { MOVE_TARGET_ROW,
                                           { "max", OPTION_COUNT, offsetof(transfer_options, max),
                                             "moves nothing when there are more resources" },
                                           VERIFY_ROW,
                                           TIMEOUT_ROW,
                                           CALL_PROGRESS_ROW,
                                           OPTIONS_END };

/* ---- common to all ----
 *
 * Each function reads its arguments into a call, whose first step is transfer_begin (transfer.c). */

/* The stack of each function: its arguments, then the client, the call, the body and the resources. */
enum { SELF = 1, LEVEL, RESOURCES, OPTIONS, CLIENT, CALL, BODY, LIST };

typedef struct plan {
    const char *name;
    const remote_kind *kind;
    const orthanc_route *route;
    const option *options; /* modalua's own */
    call_step first;
} plan;

/* Pushes the client, the call and the body, as the options say. */
static transfer *push_transfer(lua_State *L, const plan *p)
{
    const remote *r = remote_check(L, SELF, p->kind);
    transfer_options o = { 0 };
    transfer *t;
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    t = transfer_new(L, r->lp, sizeof *t, CLIENT, SELF, p->name, p->first);
    lua_pushfstring(L, "%s/%s", r->path, p->route->name);
    call_set_route(L, CALL);
    transfer_read_options(L, OPTIONS, CALL, p->route, p->options, &o);
    return t;
}

/* Replaces the list of tables of keys on the top by a list of one table, in which their unique key is a
 * list of UIDs (DICOM PS3.4 C.2.2.2.2). The keys of the levels above are those of the first table. */
static void join_keys(lua_State *L)
{
    int list = lua_gettop(L), first = list + 1;
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    const char *name;
    luaL_Buffer b;
    lua_rawgeti(L, list, 1);
    lua_getfield(L, first, "SeriesInstanceUID");
    name = lua_isnil(L, -1) ? "StudyInstanceUID" : "SeriesInstanceUID";
    lua_settop(L, first);
    luaL_buffinit(L, &b);
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\\');
        lua_rawgeti(L, list, i);
        lua_getfield(L, -1, name);
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, first); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_newtable(L);
    json_mark_array(L);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_replace(L, list);
    lua_settop(L, list);
}

/* Runs the transfer. The list of resources, or (not good) a message why they are invalid, is on the
 * top. */
static int run_transfer(lua_State *L, transfer *t, bool good)
{
    call *c = &t->call;
    if (good && lua_rawlen(L, LIST) == 0) {
        lua_pushliteral(L, "no resource is given");
        good = false;
    }
    if (!good)
        return call_fail(L, c, "refused", "bad_identifier", "%s", lua_tostring(L, -1));
    c->progress.total = (double)lua_rawlen(L, LIST);
    c->progress.unit = "resources";
    lua_pushvalue(L, LIST);
    if (t->together)
        join_keys(L);
    lua_setfield(L, BODY, "Resources");
    call_keep(L, CALL, "resources", LIST);
    lua_settop(L, CALL);
    return op_run(L, &c->op);
}

/* ---- C-GET and C-MOVE of named resources ---- */

static int run_at_level(lua_State *L, transfer *t, orthanc_level level)
{
    const char *name = t->call.op.name;
    if (level == ORTHANC_PATIENT)
        t->verify_reason = TRANSFER_PATIENT_LEVEL;
    lua_pushstring(L, orthanc_level_name(level));
    call_keep(L, CALL, "level", -1);
    lua_setfield(L, BODY, "Level");
    return run_transfer(L, t,
                        identifiers_push_keys(L, RESOURCES, level, name, "resource", t->by_get));
}

/* POST /modalities/{name}/get: DICOM PS3.4 C.4.3 (C-GET). self level resources options */
int get_and_store_get(lua_State *L)
{
    static const plan p = { "get", &remote_modality, &orthanc_get, get_and_store_rows,
                            transfer_begin };
    orthanc_level level;
    transfer *t;
    remote_check(L, SELF, &remote_modality);
    lua_settop(L, OPTIONS);
    level = identifiers_level(L, LEVEL, p.name);
    t = push_transfer(L, &p);
    t->by_get = true;
    return run_at_level(L, t, level);
}

/* POST /modalities/{name}/move: DICOM PS3.4 C.4.2 (C-MOVE). self level resources options more */
int get_and_store_move_one(lua_State *L)
{
    enum { MORE = LEVEL }; /* there when the level has been read */
    plan p = { NULL, &remote_modality, &orthanc_move, get_and_store_move_rows, transfer_begin };
    orthanc_level level;
    transfer *t;
    remote_check(L, SELF, &remote_modality);
    level = identifiers_level(L, LEVEL, "move_resources");
    luaL_checktype(L, OPTIONS + 1, LUA_TTABLE);
    lua_settop(L, OPTIONS + 1);
    lua_replace(L, MORE);
    lua_getfield(L, MORE, "op");
    p.name = luaL_checkstring(L, -1); /* the table at MORE keeps it alive, and then the data do */
    lua_pop(L, 1);
    t = push_transfer(L, &p);
    transfer_make_part(L, CALL, MORE);
    lua_getfield(L, MORE, "together");
    t->together = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (t->mode == TRANSFER_HANDLE) {
        t->call.needs.since = ORTHANC_MOVE_JOBS;
        t->call.needs.what = "C-MOVE without waiting for it";
    }
    return run_at_level(L, t, level);
}

/* move_options(options) -> max | nil, for modality:move_resources. Throws when an option is wrong.
 * get_and_store_move_one checks the version. */
int get_and_store_move_options(lua_State *L)
{
    transfer_options o = { 0 };
    lua_settop(L, 1);
    route_options_check(L, 1, "move_resources", &orthanc_move, get_and_store_move_rows, &o);
    move_target_read(L, 1, 2, "move_resources");
    route_options_take_synchronous(L, 2, "move_resources");
    if (o.max == 0)
        return 0;
    lua_pushinteger(L, o.max);
    return 1;
}

/* ---- stores ---- */

static int store_by(lua_State *L, const plan *p)
{
    transfer *t;
    remote_check(L, SELF, p->kind);
    lua_settop(L, 3);
    lua_pushnil(L);
    lua_insert(L, LEVEL); /* stores have none */
    t = push_transfer(L, p);
    return run_transfer(L, t, identifiers_push_stored(L, RESOURCES, p->name));
}

/* A sandboxed script cannot store to a host of its own choice. */
static void check_sandboxed_place(lua_State *L, const remote *r, int options)
{
    static const char *const names[] = { "Host", "Port", NULL };
    for (int i = 0; lua_istable(L, options) && names[i]; i++) {
        lua_pushstring(L, names[i]);
        if (lua_rawget(L, options) != LUA_TNIL)
            guard_check(
                L, r->lp, "store",
                "a sandboxed script cannot set Host or Port: it sends to the server's modalities");
        lua_pop(L, 1);
    }
}

/* POST /modalities/{name}/store: DICOM PS3.4 B (Storage). self ids options */
int get_and_store_store(lua_State *L)
{
    enum { GIVEN = 3 };
    static const plan p = { "store", &remote_modality, &orthanc_store, get_and_store_rows,
                            transfer_begin };
    check_sandboxed_place(L, remote_check(L, SELF, &remote_modality), GIVEN);
    return store_by(L, &p);
}

/* POST /peers/{name}/store. self ids options */
int get_and_store_peer_store(lua_State *L)
{
    static const plan p = { "store", &remote_peer, &orthanc_peer_store, get_and_store_peer_rows,
                            transfer_begin };
    return store_by(L, &p);
}
