#include "api/get_and_store.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

#include "api/modality.h"
#include "api/move_target.h"
#include "api/transfer.h"
#include "binding/error.h"
#include "json/mark.h"
#include "orthanc/tags.h"
#include "request/guard.h"

enum { SOP_CLASSES_IN_STUDY = 0x00080062 };

typedef struct common_options {
    double wait_timeout;
    unsigned max; /* of the resources of move_resources; 0 = any number */
    bool verify;
} common_options;

#define TIMEOUT_ROW CALL_TIMEOUT_ROW(offsetof(common_options, wait_timeout))
#define VERIFY_ROW  TRANSFER_VERIFY_ROW(offsetof(common_options, verify))

const option get_and_store_rows[] = { VERIFY_ROW, TIMEOUT_ROW, CALL_PROGRESS_ROW, OPTIONS_END };

const option get_and_store_peer_rows[] = { TIMEOUT_ROW, CALL_PROGRESS_ROW, OPTIONS_END };

const option get_and_store_move_rows[] = { MOVE_TARGET_ROW,
                                           { "max", OPTION_COUNT, offsetof(common_options, max),
                                             "moves nothing when there are more resources" },
                                           VERIFY_ROW,
                                           TIMEOUT_ROW,
                                           CALL_PROGRESS_ROW,
                                           OPTIONS_END };

/* ---- identifiers ---- */

bool get_and_store_push_tag(lua_State *L, int row, uint32_t tag)
{
    char hex[ORTHANC_TAG_TEXT];
    const orthanc_tag *known = orthanc_tag_row(tag);
    int type = known ? lua_getfield(L, row, known->name) : LUA_TNIL;
    if (type == LUA_TNIL) {
        if (known)
            lua_pop(L, 1);
        orthanc_tag_write(tag, hex);
        type = lua_getfield(L, row, hex);
    }
    if (type == LUA_TTABLE) {
        type = lua_getfield(L, -1, "Value");
        lua_remove(L, -2);
    }
    if (type != LUA_TSTRING)
        lua_pop(L, 1);
    return type == LUA_TSTRING;
}

/* What names more than one thing, or everything, is no identifier; nor is what may lose letters on
 * its way, and name another patient then. */
static bool is_identifier(const char *value, size_t size)
{
    bool any = false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)value[i];
        if (iscntrl(c) || c > 127 || strchr("*?\\", c))
            return false;
        any = any || c != ' ';
    }
    return any;
}

/* Pushes the unique keys of the row on the top, which is number `n`. False: a message is pushed. */
static bool push_identifiers(lua_State *L, orthanc_level level, lua_Integer n)
{
    int row = lua_gettop(L), keys;
    lua_newtable(L);
    keys = lua_gettop(L);
    for (const uint32_t *tag = orthanc_unique_keys(level); *tag; tag++) {
        const char *name = orthanc_tag_row(*tag)->name;
        bool there = get_and_store_push_tag(L, row, *tag);
        size_t size = 0;
        const char *value = there ? lua_tolstring(L, -1, &size) : "";
        if (!is_identifier(value, size)) {
            if (there)
                lua_pushfstring(L, "resource %I: %s = '%s' names no single %s", (LUAI_UACINT)n,
                                name, value, orthanc_level_name(level));
            else
                lua_pushfstring(L, "resource %I has no %s, which a %s needs", (LUAI_UACINT)n, name,
                                orthanc_level_name(level));
            return false;
        }
        lua_setfield(L, keys, name);
    }
    return true;
}

/* What C-GET proposes to receive, beside the commonest, is in the answers that were asked for it.
 * The row is below its identifiers. */
static void add_classes(lua_State *L)
{
    if (get_and_store_push_tag(L, lua_gettop(L) - 1, SOP_CLASSES_IN_STUDY))
        lua_setfield(L, -2, "SOPClassesInStudy");
}

/* Pushes the list of identifiers of one table or a list of them at index. False: a message about
 * the first bad one is pushed instead. Throws when it is neither. */
static bool push_resources(lua_State *L, int index, orthanc_level level, const char *function)
{
    int list;
    bool one;
    lua_Integer n;
    if (!lua_istable(L, index))
        error_usage(
            L, "%s: resources must be a table of identifiers, or a list of them (a %s was given)",
            function, luaL_typename(L, index));
    n = luaL_len(L, index);
    list = lua_gettop(L) + 1;
    lua_pushnil(L);
    one = n == 0 && lua_next(L, index);
    lua_settop(L, list - 1);
    lua_newtable(L);
    json_mark_array(L);
    for (lua_Integer i = 1; i <= (one ? 1 : n); i++) {
        if (one)
            lua_pushvalue(L, index);
        else if (lua_geti(L, index, i) != LUA_TTABLE)
            error_usage(L, "%s: resource %I must be a table (a %s was given)", function,
                        (LUAI_UACINT)i, luaL_typename(L, -1));
        if (!push_identifiers(L, level, i)) {
            lua_replace(L, list);
            lua_settop(L, list);
            return false;
        }
        if (strcmp(function, orthanc_get.name) == 0)
            add_classes(L);
        lua_seti(L, list, i);
        lua_settop(L, list);
    }
    return true;
}

static orthanc_level check_level(lua_State *L, int index, const char *function)
{
    orthanc_level level = lua_type(L, index) == LUA_TSTRING
                              ? orthanc_level_of(lua_tostring(L, index))
                              : ORTHANC_NO_LEVEL;
    if (level == ORTHANC_NO_LEVEL)
        error_usage(L, "%s: the level must be \"Patient\", \"Study\", \"Series\" or \"Instance\"",
                    function);
    return level;
}

/* ---- what they have in common ---- */

/* The arguments of all of them, from self on; the last are ours: the client, the body, the call
 * and, of the call's resources, the list. */
enum { SELF = 1, LEVEL, RESOURCES, OPTIONS, CLIENT, BODY, CALL, LIST };

typedef struct plan {
    const char *name; /* the operation */
    const remote_kind *kind;
    const orthanc_route *route;
    const option *options; /* our own */
    call_step prepared;
} plan;

/* Pushes client, body and call, from the options; the call is about that modality's route. */
static transfer *push_transfer(lua_State *L, const plan *p)
{
    remote *m = remote_check(L, SELF, p->kind);
    common_options o = { 0, 0, false };
    const orthanc_key *newest;
    transfer *t;
    lua_getiuservalue(L, SELF, NAMED_CLIENT);
    newest = route_options_read(L, OPTIONS, p->name, p->route, p->options, &o);
    t = transfer_new(L, m->lp, sizeof *t, CLIENT, p->name, transfer_check_version);
    t->poll.base.modality = m;
    t->route = p->route;
    t->newest = newest;
    t->prepared = p->prepared;
    t->doubt = o.verify ? TRANSFER_VERIFY : NULL;
    transfer_take_mode(L, t, BODY);
    call_set_deadline(&t->poll.base.call, o.wait_timeout);
    call_set_progress(L, OPTIONS, CALL);
    lua_pushfstring(L, "%s/%s/%s", m->kind->root, m->name, p->route->name);
    call_keep_route(L, CALL);
    return t;
}

/* The list of resources, or a message why there is none, is on the top. */
static int run_with(lua_State *L, transfer *t, bool good)
{
    call *c = &t->poll.base.call;
    if (good && lua_rawlen(L, LIST) == 0) {
        lua_pushliteral(L, "no resource is given");
        good = false;
    }
    if (!good)
        return call_fail(L, c, "refused", "bad_identifier", "%s", lua_tostring(L, -1));
    c->progress.total = (double)lua_rawlen(L, LIST);
    c->progress.unit = "resources";
    lua_pushvalue(L, LIST);
    lua_setfield(L, BODY, "Resources");
    call_keep(L, CALL, "resources", LIST);
    call_keep(L, CALL, t->poll.base.modality->kind->word, SELF);
    call_keep(L, CALL, "client", CLIENT);
    call_keep(L, CALL, "body", BODY);
    lua_settop(L, CALL);
    return op_run(L, &c->base);
}

/* ---- C-GET and C-MOVE of named resources ---- */

static int run_at_level(lua_State *L, transfer *t, orthanc_level level)
{
    if (level == ORTHANC_PATIENT)
        t->doubt = TRANSFER_PATIENT_DOUBT;
    lua_pushstring(L, orthanc_level_name(level));
    call_keep(L, CALL, "level", -1);
    lua_setfield(L, BODY, "Level");
    return run_with(L, t, push_resources(L, RESOURCES, level, t->poll.base.call.base.name));
}

/* POST /modalities/{name}/get: DICOM PS3.4 C.4.3 (C-GET). self level resources options */
int get_and_store_get(lua_State *L)
{
    static const plan p = { "get", &remote_modality, &orthanc_get, get_and_store_rows,
                            transfer_begin };
    orthanc_level level;
    transfer *t;
    modality_check(L, SELF);
    lua_settop(L, OPTIONS);
    level = check_level(L, LEVEL, p.name);
    t = push_transfer(L, &p);
    t->by_get = true;
    return run_at_level(L, t, level);
}

/* POST /modalities/{name}/move: DICOM PS3.4 C.4.2 (C-MOVE). For modality:move_resources, which is
 * written in Lua and gives one resource at a time. self level resource options */
int get_and_store_move_one(lua_State *L)
{
    static const plan p = { "move_resources", &remote_modality, &orthanc_move,
                            get_and_store_move_rows, move_target_find };
    orthanc_level level;
    transfer *t;
    modality_check(L, SELF);
    lua_settop(L, OPTIONS);
    level = check_level(L, LEVEL, p.name);
    t = push_transfer(L, &p);
    if (t->synchronous == 0)
        t->least = ORTHANC_MOVE_JOBS;
    move_target_read(L, OPTIONS, BODY, p.name);
    move_target_keep(L, CALL, OPTIONS);
    return run_at_level(L, t, level);
}

/* ---- stores ---- */

bool get_and_store_check_stored(lua_State *L, const char *function, lua_Integer n)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        error_usage(L, "%s: identifier %I must be a string (a %s was given)", function,
                    (LUAI_UACINT)n, luaL_typename(L, -1));
    if (lua_rawlen(L, -1) == 44 && orthanc_is_stored_id(lua_tostring(L, -1)))
        return true;
    lua_pushfstring(L,
                    "resource %I: '%s' is no identifier that Orthanc gives (5 groups of 8 "
                    "hexadecimal digits)",
                    (LUAI_UACINT)n, lua_tostring(L, -1));
    return false;
}

/* Pushes the list of identifiers at index, one or several. False: a message is pushed instead. */
static bool push_stored(lua_State *L, int index)
{
    bool list = lua_istable(L, index);
    lua_Integer n = list ? luaL_len(L, index) : 1;
    if (!list && lua_type(L, index) != LUA_TSTRING)
        error_usage(
            L,
            "store: an identifier that Orthanc has given, or a list of them, is expected (a "
            "%s was given; its options are the second argument)",
            luaL_typename(L, index));
    lua_newtable(L);
    json_mark_array(L);
    for (lua_Integer i = 1; i <= n; i++) {
        if (list)
            lua_geti(L, index, i);
        else
            lua_pushvalue(L, index);
        if (!get_and_store_check_stored(L, "store", i)) {
            lua_replace(L, -3);
            lua_pop(L, 1);
            return false;
        }
        lua_seti(L, -2, i);
    }
    if (n > 0)
        return true;
    lua_pushliteral(L, "no resource is given");
    lua_replace(L, -2);
    return false;
}

static int store_by(lua_State *L, const plan *p)
{
    transfer *t;
    remote_check(L, SELF, p->kind);
    lua_settop(L, 3);
    lua_pushnil(L);
    lua_insert(L, LEVEL); /* it has none */
    t = push_transfer(L, p);
    return run_with(L, t, push_stored(L, RESOURCES));
}

/* In a sandbox it goes where the server's own list says. */
static void check_sandboxed_place(lua_State *L, const remote *n, int options)
{
    static const char *const names[] = { "Host", "Port", NULL };
    for (int i = 0; lua_istable(L, options) && names[i]; i++) {
        lua_pushstring(L, names[i]);
        if (lua_rawget(L, options) != LUA_TNIL)
            guard_check(L, n->lp, "store",
                        "a sandboxed script sends to the server's modalities, as they are");
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

/* ---- for the Lua half ---- */

/* identifiers(op, level, resources) -> list of unique keys, with the level's name | nil, err */
int get_and_store_identifiers(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    orthanc_level level = check_level(L, 2, name);
    lua_settop(L, 3);
    if (!push_resources(L, 3, level, name)) {
        error_from_message(L, "refused", "bad_identifier");
        error_set(L, "op", name);
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushstring(L, orthanc_level_name(level));
    lua_setfield(L, -2, "level");
    return 1;
}

/* value(row, name) -> string | nil. */
int get_and_store_value(lua_State *L)
{
    uint32_t tag;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, orthanc_tag_parse(luaL_checkstring(L, 2), &tag), 2, "no tag");
    if (!get_and_store_push_tag(L, 1, tag))
        lua_pushnil(L);
    return 1;
}

/* move_options(options) -> max | nil. Throws when one of them is wrong. */
int get_and_store_move_options(lua_State *L)
{
    common_options o = { 0, 0, false };
    lua_settop(L, 1);
    route_options_read(L, 1, "move_resources", &orthanc_move, get_and_store_move_rows, &o);
    move_target_read(L, 1, 2, "move_resources");
    if (o.max == 0)
        return 0;
    lua_pushinteger(L, o.max);
    return 1;
}
