#include "api/find_result.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answer_notes.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/fields.h"
#include "binding/userdata.h"
#include "engine/cleanup.h"
#include "request/single_request.h"

#define FOUND_TYPE "modalua.Found"

/* Its address is a key in the metatable of each result: the table that described the result
 * (find_result_push), which has the field closed at the end. */
static const char facts_key;

/* ---- what a client remembers ----
 *
 * CLIENT_QUERIES: from the identifier of a query to the result of find, for as long as that is alive.
 * CLIENT_ANSWERS: from an answer to the level that was asked for and the name of its modality, as
 * "Study pacs", for as long as the answer is alive. */

/* Pushes that table, which the first call makes. `mode`: its keys ("k") or values ("v") are weak. */
static void push_weak_table(lua_State *L, int client_index, int value, const char *mode)
{
    client_index = lua_absindex(L, client_index);
    if (lua_getiuservalue(L, client_index, value) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    userdata_push_weak_table(L, mode);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, client_index, value);
}

/* ---- the query that a value names ---- */

query_handle *find_result_check_query(lua_State *L, int index)
{
    query_handle *q = luaL_checkudata(L, index, QUERY_TYPE);
    luaL_argcheck(L, !q->closed, index, "attempt to use a closed query");
    return q;
}

/* Pushes the facts of the result of find at index. False: it is something else, and nothing is pushed.
 * [-0, +(0|1), -] */
static bool push_facts(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    if (lua_rawgetp(L, -1, &facts_key) == LUA_TTABLE) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 2);
    return false;
}

void find_result_identify(lua_State *L, int index, const char *function, char id[ORTHANC_ID_SIZE])
{
    int top = lua_gettop(L);
    const char *text;
    const query_handle *q = luaL_testudata(L, index, QUERY_TYPE);
    if (q) {
        strcpy(id, find_result_check_query(L, index)->id);
        return;
    }
    if (push_facts(L, index) && lua_getfield(L, -1, "closed") != LUA_TNIL)
        error_usage(L, "%s: this query is closed", function);
    lua_settop(L, top);
    if (lua_istable(L, index)) {
        lua_pushliteral(L, "ID");
        lua_rawget(L, index);
    } else {
        lua_pushvalue(L, index);
    }
    text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (!text)
        error_usage(
            L, "%s: a query is expected: its ID, a result of find, or a Query (a %s was given)",
            function, luaL_typename(L, index));
    if (!orthanc_is_handle(text) || strlen(text) != lua_rawlen(L, -1))
        error_usage(L, "%s: '%s' is not the ID of a query", function, text);
    strcpy(id, text);
    lua_settop(L, top);
}

/* Reads the facts from the description at index. [-0, +0, m] */
static void read_facts(lua_State *L, int description, query_facts *facts)
{
    int top = lua_gettop(L);
    facts->known = true;
    lua_getfield(L, description, "broad");
    facts->broad = lua_toboolean(L, -1);
    lua_getfield(L, description, "lossy");
    facts->lossy = lua_toboolean(L, -1);
    lua_getfield(L, description, "by_resource");
    facts->by_resource = lua_toboolean(L, -1);
    lua_getfield(L, description, "level");
    facts->level = orthanc_level_of(lua_tostring(L, -1));
    lua_getfield(L, description, "modality");
    strcpy(facts->modality, lua_tostring(L, -1));
    lua_getfield(L, description, "answers");
    facts->count = (lua_Integer)lua_rawlen(L, -1);
    lua_getfield(L, description, "notes");
    facts->unproven = lua_getfield(L, -1, "unproven") != LUA_TNIL;
    lua_settop(L, top);
}

query_facts find_result_facts(lua_State *L, int client_index, const char *id)
{
    query_facts facts = { .known = false, .level = ORTHANC_NO_LEVEL };
    int top = lua_gettop(L);
    push_weak_table(L, client_index, CLIENT_QUERIES, "v");
    if (lua_getfield(L, -1, id) == LUA_TTABLE && push_facts(L, top + 2)) {
        facts.known = true;
        read_facts(L, top + 3, &facts);
    }
    lua_settop(L, top);
    return facts;
}

void find_result_push_known(lua_State *L, int client_index, const char *id)
{
    push_weak_table(L, client_index, CLIENT_QUERIES, "v");
    lua_getfield(L, -1, id);
    lua_remove(L, -2);
}

/* ---- closing ---- */

static int close_advance(lua_State *L, op *o)
{
    int results = single_request_advance(L, o);
    if (results == 1)
        lua_pushboolean(L, 1);
    return results;
}

/* A close that is cancelled before the server has answered is sent once more, as a cleanup request: the
 * script has no other way to remove the query. */
static void close_on_stop(lua_State *L, op *o, bool detached)
{
    single_request *x = (single_request *)o;
    (void)detached;
    o->transfer.server = x->server; /* also when nothing has been sent */
    cleanup_take_over(L, o, &x->request, NULL);
}

/* DELETE /queries/{id} */
single_request *find_result_push_close(lua_State *L, loop *lp, int client_index, const char *id)
{
    const client *c = client_check(L, client_index);
    single_request *x;
    lua_pushfstring(L, "/queries/%s", id);
    x = single_request_new(L, lp, client_index, c->server, c->timeout, "close", "DELETE");
    x->op.advance = close_advance;
    x->shape = SHAPE_DONE;
    x->op.on_stop = close_on_stop;
    x->request.side_effects = false; /* it may be sent again: the second removal finds nothing */
    return x;
}

int find_result_close_later(lua_State *L, loop *lp, int client_index, const char *id)
{
    single_request *x = find_result_push_close(L, lp, client_index, id);
    cleanup_start(L, &x->op, x->server, &x->request);
    return 0;
}

/* Marks the result at index 1 as closed, and pushes its facts, client and ID. False: it was closed
 * already. */
static bool mark_closed(lua_State *L)
{
    lua_settop(L, 1);
    if (!push_facts(L, 1))
        luaL_argexpected(L, false, 1, "result of find");
    lua_getfield(L, 2, "client");
    lua_getfield(L, 2, "id");
    lua_getfield(L, 2, "closed");
    if (lua_toboolean(L, -1))
        return false;
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_setfield(L, 2, "closed");
    return true;
}

static int find_result_l_close(lua_State *L)
{
    if (!mark_closed(L)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return op_run(L, &find_result_push_close(L, doc_loop(L), 3, lua_tostring(L, 4))->op);
}

static int find_result_l_scope(lua_State *L)
{
    return mark_closed(L) ? find_result_close_later(L, doc_loop(L), 3, lua_tostring(L, 4)) : 0;
}

/* ---- the result ---- */

static int find_result_l_tostring(lua_State *L)
{
    lua_settop(L, 1);
    if (!push_facts(L, 1))
        luaL_argexpected(L, false, 1, "result of find");
    lua_getfield(L, 2, "id");
    lua_getfield(L, 2, "answers");
    lua_getfield(L, 2, "closed");
    lua_pushfstring(L, "%s %s (%I answers%s)", FOUND_TYPE, lua_tostring(L, 3),
                    (LUAI_UACINT)lua_rawlen(L, 4), lua_toboolean(L, 5) ? ", closed" : "");
    return 1;
}

static const field_row fields[] = {
    { "ID", "string: identifier of the query on the server" },
    { "answers", "list of the answers; #found, found[i], ipairs(found) and pairs(found) read it" },
    { "broad", "true: the query has no filter" },
    { "dropped", "list of the tags that do not belong to the level, and were not asked for" },
    ANSWER_NOTES_ROWS,
    FIELDS_END
};

static const object_kind kind = { "found", "a result of find", fields };

/* Pushes the list of the answers of the result at index 1; nil when the script has replaced it by
 * something else. [-0, +1, m] */
static bool push_answers(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushliteral(L, "answers");
    if (lua_rawget(L, 1) == LUA_TTABLE)
        return true;
    lua_pushnil(L);
    lua_replace(L, -2);
    return false;
}

/* An answer by its number, or a field of the notes, which are upvalue 2 (as the methods of a userdata:
 * binding/userdata.h). */
static int find_result_l_index(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_isinteger(L, 2)) {
        if (push_answers(L))
            lua_geti(L, -1, lua_tointeger(L, 2));
        return 1;
    }
    lua_pushvalue(L, 2);
    if (lua_rawget(L, USERDATA_METHODS) != LUA_TNIL)
        return 1;
    return fields_end_index(L, USERDATA_METHODS);
}

static int find_result_l_len(lua_State *L)
{
    lua_pushinteger(L, push_answers(L) ? (lua_Integer)lua_rawlen(L, -1) : 0);
    return 1;
}

static int find_result_l_next(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int find_result_l_pairs(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushcfunction(L, find_result_l_next);
    if (!push_answers(L)) {
        lua_newtable(L);
        lua_replace(L, -2);
    }
    return 2;
}

static const doc_row found_methods[] = {
    { .name = "close",
      .function = find_result_l_close,
      .signature = "found:close() -> true | nil, err",
      .help = "Removes the query from the server. Each answer takes some kilobytes there. A "
              "<close> variable does this at the end of its scope.",
      .example = "assert(found:close())" },
    { .name = NULL }
};

/* Pushes the metatable of a result with those notes, which get the method. */
static void push_metatable(lua_State *L, int description, int notes)
{
    int meta;
    lua_createtable(L, 0, 8);
    meta = lua_gettop(L);
    luaL_getmetatable(L, FOUND_TYPE); /* the members that every metatable has */
    for (lua_pushnil(L); lua_next(L, meta + 1);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, meta);
    }
    lua_getfield(L, meta, "__index"); /* the methods */
    lua_getfield(L, -1, "close");
    lua_setfield(L, notes, "close");
    lua_pushnil(L);
    lua_pushvalue(L, notes);
    lua_pushcclosure(L, find_result_l_index, USERDATA_UPVALUES);
    lua_setfield(L, meta, "__index");
    lua_pushvalue(L, description);
    lua_rawsetp(L, meta, &facts_key);
    lua_settop(L, meta);
}

void find_result_push(lua_State *L, int description)
{
    int found, notes;
    luaL_checkstack(L, LUA_MINSTACK, "result of find");
    description = lua_absindex(L, description);
    lua_createtable(L, 0, 2);
    found = lua_gettop(L);
    lua_getfield(L, description, "id");
    lua_setfield(L, found, "ID");
    lua_getfield(L, description, "answers");
    lua_setfield(L, found, "answers");
    lua_getfield(L, description, "notes");
    notes = lua_gettop(L);
    answer_notes_complete(L);
    lua_getfield(L, description, "broad");
    lua_setfield(L, notes, "broad");
    push_metatable(L, description, notes);
    lua_setmetatable(L, found);

    lua_getfield(L, description, "client");
    push_weak_table(L, -1, CLIENT_QUERIES, "v");
    lua_getfield(L, description, "id");
    lua_pushvalue(L, found);
    lua_settable(L, -3);
    lua_settop(L, found);
}

/* ---- answers ---- */

void find_result_note_answers(lua_State *L, int client_index, int answers, orthanc_level level,
                              const char *modality)
{
    int noted = lua_gettop(L) + 1;
    lua_Integer n = (lua_Integer)lua_rawlen(L, answers);
    push_weak_table(L, client_index, CLIENT_ANSWERS, "k");
    lua_pushfstring(L, "%s %s", orthanc_level_name(level), modality);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, answers, i);
        lua_pushvalue(L, noted + 1);
        if (lua_istable(L, -2))
            lua_rawset(L, noted);
        lua_settop(L, noted + 1);
    }
    lua_settop(L, noted - 1);
}

orthanc_level find_result_answer_level(lua_State *L, int client_index, int index,
                                       const char *modality)
{
    orthanc_level level = ORTHANC_NO_LEVEL;
    int top = lua_gettop(L);
    push_weak_table(L, client_index, CLIENT_ANSWERS, "k");
    lua_pushvalue(L, index);
    if (lua_rawget(L, top + 1) == LUA_TSTRING) {
        const char *noted = lua_tostring(L, -1), *name = strchr(noted, ' ') + 1;
        lua_pushlstring(L, noted, (size_t)(name - noted) - 1);
        if (strcmp(name, modality) == 0)
            level = orthanc_level_of(lua_tostring(L, -1));
    }
    lua_settop(L, top);
    return level;
}

void find_result_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, found_methods);
    luaL_newmetatable(L, FOUND_TYPE); /* a model: each result has a metatable of its own */
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    fields_describe(L, &kind);
    lua_pushcfunction(L, find_result_l_len);
    lua_setfield(L, -2, "__len");
    lua_pushcfunction(L, find_result_l_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushlightuserdata(L, lp);
    lua_pushcclosure(L, find_result_l_scope, 1);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, find_result_l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
