#include "api/configuration.h"

#include <lauxlib.h>
#include <string.h>

#include "api/remote.h"
#include "binding/error.h"
#include "json/encode.h"
#include "json/mark.h"
#include "request/guard.h"
#include "request/route_options.h"

/* What differs between the kinds of entries. No version says whether it keeps them. */
typedef struct entry_kind {
    const orthanc_route *settings;
    const char *needs[4]; /* what a new one cannot do without; ended by NULL */
    const char *unknown;  /* the code of an error about a name that the server does not have */
    const char *note;
} entry_kind;

#define NOTE(list, option)                                                                   \
    "the server does not tell whether it keeps this: unless its configuration has \"" option \
    "\" : true, its next start brings back the " list                                        \
    " of its configuration file, without this change (and with it, it ignores those in the file)"

static const char not_the_server[] = "a sandboxed script does not change the server's lists";

static const entry_kind modality_entry = { &orthanc_modality_settings,
                                           { "AET", "Host", "Port", NULL },
                                           "unknown_modality",
                                           NOTE("DicomModalities", "DicomModalitiesInDatabase") };

static const entry_kind peer_entry = { &orthanc_peer_settings,
                                       { "Url", NULL },
                                       "unknown_peer",
                                       NOTE("OrthancPeers", "OrthancPeersInDatabase") };

static const entry_kind *entry_kind_of(const remote *n)
{
    return n->kind != &remote_modality ? &peer_entry : &modality_entry;
}

typedef struct entry_call {
    call call;
    bool create; /* a new entry is allowed */
} entry_call;

static int get_entry(lua_State *L, call *c, call_step next)
{
    const remote *n = c->remote;
    return call_get(L, c, next, "%s/%s/configuration", n->kind->root, n->name);
}

/* ---- what is never told, and so would be lost ---- */

/* The server says null of a password that it has; and of its headers the names alone, in a list.
 * The entry is at index. */
static bool is_hidden(lua_State *L, int entry, const char *key)
{
    bool hidden;
    lua_getfield(L, entry, key);
    hidden = json_mark_is_null(L, -1) || (strcmp(key, "HttpHeaders") == 0 && lua_rawlen(L, -1) > 0);
    lua_pop(L, 1);
    return hidden;
}

/* Pushes the names of what is hidden in the entry and not given anew in the settings; false, and
 * pushes nothing, when there is none. */
static bool push_hidden(lua_State *L, const entry_kind *kind, int entry, int settings)
{
    int top = lua_gettop(L);
    for (const orthanc_key *key = kind->settings->keys; key->name; key++) {
        bool given = lua_getfield(L, settings, key->name) != LUA_TNIL;
        lua_pop(L, 1);
        if (given || !is_hidden(L, entry, key->name))
            continue;
        if (lua_gettop(L) == top) {
            lua_pushstring(L, key->name);
        } else {
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), key->name);
            lua_remove(L, -2);
        }
    }
    return lua_gettop(L) > top;
}

/* ---- the comparison ---- */

/* The list of names at `got` is that of the headers at `asked`. */
static bool are_names(lua_State *L, int asked, int got)
{
    int top = lua_gettop(L);
    lua_Integer wanted = 0;
    bool all = lua_istable(L, got);
    for (lua_pushnil(L); all && lua_next(L, asked); lua_settop(L, top + 1)) {
        bool there = false;
        wanted++;
        for (lua_Integer i = 1; !there && lua_geti(L, got, i) != LUA_TNIL; i++, lua_pop(L, 1))
            there = lua_rawequal(L, -1, top + 1);
        all = there;
    }
    lua_settop(L, top);
    return all && (lua_Integer)lua_rawlen(L, got) == wanted;
}

/* The server ends an address with a slash. */
static bool is_address(lua_State *L, int asked, int got)
{
    size_t a, b;
    const char *x = lua_tolstring(L, asked, &a), *y = lua_tolstring(L, got, &b);
    while (a > 0 && x[a - 1] == '/')
        a--;
    while (b > 0 && y[b - 1] == '/')
        b--;
    return a == b && memcmp(x, y, a) == 0;
}

/* As JSON, of which the server keeps what stands for it in a string. */
static bool is_same(lua_State *L, int asked, int got)
{
    bool same = false;
    int top = lua_gettop(L);
    if (lua_isboolean(L, asked) && lua_type(L, got) == LUA_TSTRING)
        lua_pushstring(L, lua_toboolean(L, asked) ? "1" : "0");
    else if (lua_type(L, asked) == LUA_TNUMBER && lua_type(L, got) == LUA_TSTRING)
        luaL_tolstring(L, asked, NULL);
    else
        lua_pushvalue(L, asked);
    if (json_encode(L, top + 1, NULL) && json_encode(L, got, NULL))
        same = lua_rawequal(L, -1, -2);
    lua_settop(L, top);
    return same;
}

/* Whether the server has the value on the top of the key below it. The entry is at index. */
static bool is_taken(lua_State *L, int entry)
{
    int asked = lua_gettop(L), got = asked + 1;
    const char *key = lua_tostring(L, asked - 1);
    bool taken;
    lua_getfield(L, entry, key);
    if (json_mark_is_null(L, got)) /* a password: there is one */
        taken = true;
    else if (lua_isnil(L, got))
        taken = json_mark_is_null(L, asked) ||
                (lua_type(L, asked) == LUA_TSTRING && lua_rawlen(L, asked) == 0);
    else if (strcmp(key, "HttpHeaders") == 0)
        taken = are_names(L, asked, got);
    else if (strcmp(key, "Url") == 0 && lua_type(L, got) == LUA_TSTRING)
        taken = is_address(L, asked, got);
    else
        taken = is_same(L, asked, got);
    lua_pop(L, 1);
    return taken;
}

/* ---- configure: after the request ---- */

static int not_taken(lua_State *L, call *c, int entry, const char *names)
{
    call_fail(L, c, "orthanc", "not_taken", "the server was told, but it did not take: %s", names);
    lua_pushvalue(L, entry);
    lua_setfield(L, -2, "result");
    return 2;
}

/* What the server has now is the answer. */
static int compare(lua_State *L, call *c)
{
    int entry = c->op.index + 1, settings = entry + 2, names = entry + 3;
    if (call_answer(L, c) != 1) {
        lua_getfield(L, -1, "message");
        lua_pushfstring(L, "it is changed, but what the server has now cannot be told: %s",
                        lua_tostring(L, -1));
        lua_setfield(L, -3, "message");
        lua_pop(L, 1);
        return 2;
    }
    if (!lua_istable(L, entry))
        return call_fail(L, c, "decode", NULL, "what the server says of the entry is no table");
    call_push_data(L, c);
    lua_getfield(L, -1, "settings");
    lua_pushliteral(L, "");
    for (lua_pushnil(L); lua_next(L, settings); lua_settop(L, names + 1)) {
        if (is_taken(L, entry))
            continue;
        lua_pushfstring(L, "%s%s%s", lua_tostring(L, names), lua_rawlen(L, names) ? ", " : "",
                        lua_tostring(L, names + 1));
        lua_replace(L, names);
    }
    if (lua_rawlen(L, names) > 0)
        return not_taken(L, c, entry, lua_tostring(L, names));
    lua_settop(L, entry);
    lua_pushstring(L, entry_kind_of(c->remote)->note);
    return 2;
}

static int written(lua_State *L, call *c)
{
    if (call_answer(L, c) != 1)
        return 2;
    lua_settop(L, c->op.index);
    return get_entry(L, c, compare);
}

/* ---- configure: before the request ---- */

/* The settings go over the entry, and what cannot be written as it was read is left out. */
static void merge(lua_State *L, int entry, int settings)
{
    int top = lua_gettop(L);
    if (lua_getfield(L, entry, "HttpHeaders") == LUA_TTABLE) { /* the empty list of their names */
        lua_pushnil(L);
        lua_setfield(L, entry, "HttpHeaders");
    }
    for (lua_pushnil(L); lua_next(L, settings); lua_settop(L, top + 2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, entry);
        lua_settop(L, top + 2);
    }
    lua_settop(L, top);
}

/* Pushes the name of what the entry at index lacks; NULL, and pushes nothing, when that is nothing.
 */
static const char *first_lack(lua_State *L, const entry_kind *kind, int entry)
{
    int top = lua_gettop(L);
    const char *lack = NULL;
    for (size_t i = 0; !lack && kind->needs[i]; i++)
        if (lua_getfield(L, entry, kind->needs[i]) == LUA_TNIL)
            lack = kind->needs[i];
    lua_getfield(L, entry, "Password");
    if (!lack && lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) > 0 &&
        lua_getfield(L, entry, "Username") == LUA_TNIL)
        lack = "Username";
    lua_settop(L, top);
    return lack;
}

/* The entry as it is, or an empty table for a new one, is on the top. */
static int write_entry(lua_State *L, call *c)
{
    const remote *n = c->remote;
    const entry_kind *kind = entry_kind_of(n);
    int entry = c->op.index + 1, settings = entry + 2;
    const char *lack;
    if (!lua_istable(L, entry))
        return call_fail(L, c, "decode", NULL, "what the server says of the entry is no table");
    call_push_data(L, c);
    lua_getfield(L, -1, "settings");
    if (push_hidden(L, kind, entry, settings))
        return call_fail(L, c, "refused", "hidden_settings",
                         "the server never tells %s, so writing the entry anew would lose that: "
                         "give it too (\"\", or {} for HttpHeaders, when there is to be none)",
                         lua_tostring(L, -1));
    merge(L, entry, settings);
    lack = first_lack(L, kind, entry);
    if (lack)
        return call_fail(L, c, "refused", "missing_setting", "the %s '%s' cannot do without %s",
                         n->kind->word, n->name, lack);
    lua_settop(L, entry);
    return call_request(L, c, written, "PUT", CALL_CHANGE, "%s/%s", n->kind->root, n->name);
}

/* nil and an error are on the top. */
static int not_read(lua_State *L, call *c)
{
    const entry_call *e = (entry_call *)c;
    bool unknown = error_is_code(L, -1, entry_kind_of(e->call.remote)->unknown);
    if (unknown && e->create) {
        lua_settop(L, c->op.index);
        lua_newtable(L);
        return write_entry(L, c);
    }
    if (unknown) {
        lua_getfield(L, -1, "message");
        lua_pushfstring(L, "%s; create = true makes a new one", lua_tostring(L, -1));
        lua_setfield(L, -3, "message");
        lua_pop(L, 1);
    }
    return 2;
}

static int read_answered(lua_State *L, call *c)
{
    return call_answer(L, c) == 1 ? write_entry(L, c) : not_read(L, c);
}

static int read_entry(lua_State *L, call *c)
{
    return get_entry(L, c, read_answered);
}

/* ---- configure: the call ---- */

/* The server keeps AllowStorageCommitment as these two. */
static void split_commitment(lua_State *L, int settings)
{
    static const char *const parts[] = { "AllowNAction", "AllowEventReport" };
    if (lua_getfield(L, settings, "AllowStorageCommitment") != LUA_TNIL) {
        for (size_t i = 0; i < 2; i++) {
            if (lua_getfield(L, settings, parts[i]) != LUA_TNIL)
                error_usage(L, "configure: AllowStorageCommitment stands for AllowNAction and "
                               "AllowEventReport: give it, or those");
            lua_pop(L, 1);
            lua_pushvalue(L, -1);
            lua_setfield(L, settings, parts[i]);
        }
        lua_pushnil(L);
        lua_setfield(L, settings, "AllowStorageCommitment");
    }
    lua_pop(L, 1);
}

/* No headers are an object, also when the server's empty list of their names is given back. */
static void mark_headers(lua_State *L, int settings)
{
    if (lua_getfield(L, settings, "HttpHeaders") == LUA_TTABLE) {
        lua_pushnil(L);
        if (!lua_next(L, -2)) {
            lua_newtable(L);
            json_mark_object(L);
            lua_setfield(L, settings, "HttpHeaders");
        }
    }
    lua_settop(L, settings);
}

const option configuration_rows[] = {
    { "create", OPTION_FLAG, 0, "true: makes a new entry when the server has none of that name" },
    OPTIONS_END
};

/* PUT /modalities/{name} or /peers/{name}, which replaces the whole entry. self settings */
int configuration_set(lua_State *L)
{
    struct {
        bool create;
    } o = { false };
    enum { SELF = 1, GIVEN, SETTINGS, CALL };
    const remote *n = remote_check_any(L, SELF);
    const orthanc_key *newest;
    entry_call *e;

    guard_check(L, n->lp, "configure", not_the_server);
    lua_settop(L, GIVEN);
    if (!lua_istable(L, GIVEN))
        error_usage(L, "configure: the settings must be a table (a %s was given)",
                    luaL_typename(L, GIVEN));
    newest = route_options_read(L, GIVEN, "configure", entry_kind_of(n)->settings,
                                configuration_rows, &o);
    split_commitment(L, SETTINGS);
    mark_headers(L, SETTINGS);

    e = (entry_call *)remote_new_call(L, sizeof *e, "configure", "", read_entry);
    e->create = o.create;
    e->call.needs.key = newest;
    call_keep(L, CALL, "settings", SETTINGS);
    e->call.method = "PUT";
    return op_run(L, &e->call.op);
}

/* ---- the others ---- */

static int ask(lua_State *L, call *c)
{
    return get_entry(L, c, call_answer);
}

/* GET /modalities/{name}/configuration or /peers/{name}/configuration. */
int configuration_get(lua_State *L)
{
    remote_check_any(L, 1);
    lua_settop(L, 1);
    return op_run(L, &remote_new_call(L, sizeof(call), "configuration", "/configuration", ask)->op);
}

static int removed(lua_State *L, call *c)
{
    if (call_answer(L, c) != 1)
        return 2;
    lua_pushboolean(L, 1);
    return 1;
}

static int send_remove(lua_State *L, call *c)
{
    const remote *n = c->remote;
    return call_request(L, c, removed, "DELETE", CALL_CHANGE, "%s/%s", n->kind->root, n->name);
}

/* DELETE /modalities/{name} or /peers/{name}. */
int configuration_remove(lua_State *L)
{
    const remote *n = remote_check_any(L, 1);
    guard_check(L, n->lp, "remove", not_the_server);
    lua_settop(L, 1);
    return op_run(L, &remote_new_call(L, sizeof(call), "remove", "", send_remove)->op);
}
