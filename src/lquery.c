#include "lquery.h"

#include <lauxlib.h>
#include <string.h>

#include "ldoc.h"
#include "lerror.h"
#include "lexchange.h"
#include "lopts.h"
#include "lmove.h"
#include "orthanc_encoding.h"

#define QUERY_TYPE "modalua.Query"
#define FOUND_TYPE "modalua.Found"

enum { QUERY_CLIENT = 1 }; /* its user value */

typedef struct query {
    bool closed;
    char id[ORTHANC_ID_SIZE];
} query;

/* Its address is the key, in the metatable of what find gave, of a table of what is known of it:
 * broad, level, count, client, id; closed in the end. */
static const char facts_key;

/* ---- names of queries ---- */

static query *check_query(lua_State *L, int index)
{
    query *q = luaL_checkudata(L, index, QUERY_TYPE);
    luaL_argcheck(L, !q->closed, index, "attempt to use a closed query");
    return q;
}

/* Pushes the facts of what find gave; false, and pushes nothing, when it is something else. */
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

void lquery_identify(lua_State *L, int index, const char *function, char id[ORTHANC_ID_SIZE])
{
    int top = lua_gettop(L);
    const char *text;
    const query *q = luaL_testudata(L, index, QUERY_TYPE);
    if (q) {
        strcpy(id, check_query(L, index)->id);
        return;
    }
    if (push_facts(L, index) && lua_getfield(L, -1, "closed") != LUA_TNIL)
        lerror_usage(L, "%s: this query is closed", function);
    lua_settop(L, top);
    if (lua_istable(L, index)) {
        lua_pushliteral(L, "ID");
        lua_rawget(L, index);
    } else {
        lua_pushvalue(L, index);
    }
    text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (!text)
        lerror_usage(L,
                     "%s: a query is expected: its ID, what find gave, or a Query (a %s was given)",
                     function, luaL_typename(L, index));
    if (!orthanc_is_handle(text) || strlen(text) != lua_rawlen(L, -1))
        lerror_usage(L, "%s: '%s' is no identifier of a query", function, text);
    strcpy(id, text);
    lua_settop(L, top);
}

query_facts lquery_facts(lua_State *L, int client_index, const char *id)
{
    query_facts facts = { .known = false, .level = ORTHANC_NO_LEVEL };
    int top = lua_gettop(L);
    lua_getiuservalue(L, client_index, CLIENT_QUERIES);
    if (lua_getfield(L, -1, id) == LUA_TTABLE && push_facts(L, top + 2)) {
        facts.known = true;
        lua_getfield(L, top + 3, "broad");
        facts.broad = lua_toboolean(L, -1);
        lua_getfield(L, top + 3, "level");
        facts.level = (orthanc_level)lua_tointeger(L, -1);
        lua_getfield(L, top + 3, "count");
        facts.count = lua_tointeger(L, -1);
    }
    lua_settop(L, top);
    return facts;
}

/* ---- closing ---- */

static int close_advance(lua_State *L, op *o)
{
    int results = lexchange_advance(L, o);
    if (results == 1)
        lua_pushboolean(L, 1);
    return results;
}

/* Pushes the exchange DELETE /queries/{id} of the client at index. */
static exchange *push_close(lua_State *L, loop *lp, int client_index, const char *id)
{
    const client *c = lclient_check(L, client_index);
    exchange *x;
    lua_pushfstring(L, "/queries/%s", id);
    x = lexchange_new(L, lp, client_index, c->server, c->timeout, "close", "DELETE");
    x->base.advance = close_advance;
    return x;
}

/* As the end of a scope: nobody waits for it, and it is sent also when the task is being
 * cancelled. */
static int close_later(lua_State *L, loop *lp, int client_index, const char *id)
{
    exchange *x = push_close(L, lp, client_index, id);
    op_farewell(L, &x->base, x->server, &x->request);
    return 0;
}

/* Marks what find gave, at 1, as closed. False: it was already. Pushes its client and its id. */
static bool close_found(lua_State *L)
{
    lua_settop(L, 1);
    if (!push_facts(L, 1))
        luaL_argexpected(L, false, 1, "what find gave");
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

static int l_found_close(lua_State *L)
{
    if (!close_found(L)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return op_run(L, &push_close(L, ldoc_loop(L), 3, lua_tostring(L, 4))->base);
}

static int l_found_scope(lua_State *L)
{
    return close_found(L) ? close_later(L, ldoc_loop(L), 3, lua_tostring(L, 4)) : 0;
}

/* Pushes its client. */
static bool close_query(lua_State *L)
{
    query *q = luaL_checkudata(L, 1, QUERY_TYPE);
    bool was_open = !q->closed;
    q->closed = true;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return was_open;
}

static int l_close(lua_State *L)
{
    const query *q = luaL_checkudata(L, 1, QUERY_TYPE);
    if (!close_query(L)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return op_run(L, &push_close(L, ldoc_loop(L), 2, q->id)->base);
}

static int l_scope(lua_State *L)
{
    const query *q = luaL_checkudata(L, 1, QUERY_TYPE);
    return close_query(L) ? close_later(L, ldoc_loop(L), 2, q->id) : 0;
}

/* ---- what find gives ---- */

static const ldoc_row found_methods[] = {
    { "close", l_found_close, "found:close() -> true | nil, err",
      "Removes the query from the server, which keeps some kilobytes for each answer. A <close> "
      "variable does it at the end of its scope." },
    { NULL, NULL, NULL, NULL }
};

static void set_value(lua_State *L, int table, const char *name, int value)
{
    lua_pushvalue(L, value);
    lua_setfield(L, table, name);
}

/* Pushes a table of what is known, for the metatable. */
static void push_new_facts(lua_State *L, int client_index, const char *id, const query_facts *facts)
{
    lua_createtable(L, 0, 6);
    set_value(L, lua_gettop(L), "client", client_index);
    lua_pushstring(L, id);
    lua_setfield(L, -2, "id");
    lua_pushboolean(L, facts->broad);
    lua_setfield(L, -2, "broad");
    lua_pushinteger(L, facts->level);
    lua_setfield(L, -2, "level");
    lua_pushinteger(L, facts->count);
    lua_setfield(L, -2, "count");
}

void lquery_push_found(lua_State *L, int client_index, const char *id, const query_facts *facts,
                       int answers, int dropped, int warning)
{
    int found, meta, fields;
    lua_createtable(L, 0, 2);
    found = lua_gettop(L);
    lua_pushstring(L, id);
    lua_setfield(L, found, "ID");
    set_value(L, found, "answers", answers);

    lua_createtable(L, 0, 8);
    meta = lua_gettop(L);
    luaL_getmetatable(L, FOUND_TYPE); /* what all of them share */
    for (lua_pushnil(L); lua_next(L, meta + 1);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, meta);
    }
    lua_createtable(L, 0, 3);
    fields = lua_gettop(L);
    lua_getfield(L, meta, "__index"); /* the methods */
    lua_getfield(L, -1, "close");
    lua_setfield(L, fields, "close");
    set_value(L, fields, "dropped", dropped);
    set_value(L, fields, "warning", warning);
    set_value(L, meta, "__index", fields);
    push_new_facts(L, client_index, id, facts);
    lua_rawsetp(L, meta, &facts_key);
    lua_settop(L, meta);
    lua_setmetatable(L, found);

    lua_getiuservalue(L, client_index, CLIENT_QUERIES);
    set_value(L, lua_gettop(L), id, found);
    lua_settop(L, found);
}

/* ---- answers ---- */

const char *lquery_format(lua_State *L, int index, const char *function)
{
    struct {
        bool simplify, brief;
    } o = { false, false };
    static const lopt rows[] = { { "simplify", LOPT_FLAG, 0 },
                                 { "short", LOPT_FLAG, sizeof(bool) },
                                 { NULL, LOPT_FLAG, 0 } };
    bool said = false;
    if (!lua_isnoneornil(L, index)) {
        lopts_read(L, index, function, rows, &o);
        lua_getfield(L, index, "simplify");
        said = !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    if (o.simplify && o.brief)
        lerror_usage(L, "%s: simplify and short can't be both True.", function);
    return o.brief ? "&short" : o.simplify || !said ? "&simplify" : "";
}

typedef struct loss {
    const orthanc_encoding *encoding; /* the server's, as the answers say it; NULL = not seen */
    bool texts;                       /* there are names or descriptions */
    lua_Integer signs, first;         /* answers whose texts look as if letters were missing */
    char where[64];                   /* the tag of the first */
} loss;

/* The name of a key, in whichever format. */
static const char *key_name(const char *key)
{
    uint32_t tag;
    const orthanc_tag *row = orthanc_tag_parse(key, &tag) ? orthanc_tag_row(tag) : NULL;
    return row ? row->name : key;
}

static bool is_text_key(const char *key)
{
    static const char *const words[] = { "Name", "Description", "Comment", "Physician", "Person" };
    const char *name = key_name(key);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(name, words[i]))
            return true;
    return false;
}

/* Delimiters with nothing between them: "^^", "Yamada^Tarou=^=^". */
static bool looks_emptied(const char *value)
{
    const char *group = value;
    while (*group) {
        size_t n = strcspn(group, "=");
        if (n > 0 && strspn(group, "^ ") >= n)
            return true;
        group += n + (group[n] == '=');
    }
    return false;
}

static void look_at(loss *l, lua_Integer answer, const char *key, const char *value)
{
    if (strcmp(key, "SpecificCharacterSet") == 0 || strcmp(key, "0008,0005") == 0)
        l->encoding = orthanc_encoding_of_dicom(value);
    if (!*value || !is_text_key(key))
        return;
    l->texts = true;
    if (!looks_emptied(value) || l->first == answer)
        return;
    l->signs++;
    if (l->first == 0) {
        l->first = answer;
        strncpy(l->where, key_name(key), sizeof l->where - 1);
    }
}

/* The value of a tag in whichever format; NULL when it is no string. */
static const char *value_of(lua_State *L, int value)
{
    const char *text = NULL;
    if (lua_type(L, value) == LUA_TSTRING)
        return lua_tostring(L, value);
    if (lua_istable(L, value)) {
        if (lua_getfield(L, value, "Value") == LUA_TSTRING)
            text = lua_tostring(L, -1); /* the table keeps it */
        lua_pop(L, 1);
    }
    return text;
}

/* Removes the nulls of the table on the top. */
static void remove_nulls(lua_State *L)
{
    int t = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
        if (lua_islightuserdata(L, -1)) {
            lua_pushvalue(L, -2);
            lua_pushnil(L);
            lua_rawset(L, t); /* an existing key may be cleared during a traversal */
        }
}

/* One answer is on the top. */
static void tidy_one(lua_State *L, lua_Integer number, loss *l)
{
    int answer = lua_gettop(L);
    remove_nulls(L);
    for (lua_pushnil(L); lua_next(L, answer); lua_settop(L, answer + 1)) {
        const char *value = value_of(L, answer + 2);
        if (value)
            look_at(l, number, lua_tostring(L, answer + 1), value);
        else if (lua_istable(L, answer + 2))
            remove_nulls(L);
    }
}

/* Orthanc has put every answer into its DefaultEncoding: what that lacks is gone without a trace.
 */
static void push_warning(lua_State *L, const loss *l)
{
    if (!l->texts || !l->encoding || orthanc_encoding_is_complete(l->encoding)) {
        lua_pushnil(L);
        return;
    }
    lua_pushfstring(L,
                    "names and descriptions may lack letters: the server passes answers on in its "
                    "DefaultEncoding, "
                    "%s, and leaves out what that does not have",
                    l->encoding->name);
    if (l->signs > 1)
        lua_pushfstring(L, " (it shows in %I answers, first in %s of answer %I)",
                        (LUAI_UACINT)l->signs, l->where, (LUAI_UACINT)l->first);
    else if (l->signs > 0)
        lua_pushfstring(L, " (it shows in %s of answer %I)", l->where, (LUAI_UACINT)l->first);
    else
        lua_pushliteral(L, "");
    lua_pushliteral(L, "; \"DefaultEncoding\": \"Utf8\" in the server's configuration, or "
                       "client:use_utf8() until its next start, keeps them");
    lua_concat(L, 3);
}

void lquery_tidy(lua_State *L)
{
    int list = lua_gettop(L);
    lua_Integer n = luaL_len(L, list);
    loss l = { NULL, false, 0, 0, "" };
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, list, i) == LUA_TTABLE)
            tidy_one(L, i, &l);
        lua_settop(L, list);
    }
    push_warning(L, &l);
}

/* ---- questions about a query ---- */

typedef struct query_call {
    call base;
    char id[ORTHANC_ID_SIZE];
    const char *part; /* of the path */
} query_call;

static int answers_answered(lua_State *L, call *c)
{
    if (lcall_answer(L, c) != 1)
        return 2;
    if (!lua_istable(L, -1))
        return lcall_fail(L, c, "decode", NULL, "the answers are no list");
    lquery_tidy(L);
    return lua_isnil(L, -1) ? (lua_pop(L, 1), 1) : 2;
}

static int ask_answers(lua_State *L, call *c)
{
    const query_call *q = (const query_call *)c;
    return lcall_get(L, c, answers_answered, "/queries/%s/answers?expand%s", q->id, q->part);
}

static int ask_part(lua_State *L, call *c)
{
    const query_call *q = (const query_call *)c;
    return lcall_get(L, c, lcall_answer, "/queries/%s/%s", q->id, q->part);
}

static int run(lua_State *L, loop *lp, int client_index, const char *id, const char *name,
               const char *part, call_step first)
{
    query_call *q = (query_call *)lcall_new(L, lp, sizeof *q, client_index, name, first);
    strcpy(q->id, id);
    q->part = part;
    return op_run(L, &q->base.base);
}

int lquery_answers(lua_State *L, loop *lp, int client_index, const char *id, const char *name,
                   const char *format)
{
    return run(L, lp, client_index, id, name, format, ask_answers);
}

/* ---- Query ---- */

static int l_answers(lua_State *L)
{
    const query *q = check_query(L, 1);
    const char *format;
    lua_settop(L, 2);
    format = lquery_format(L, 2, "answers");
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return lquery_answers(L, ldoc_loop(L), 3, q->id, "answers", format);
}

static int about(lua_State *L, const char *name)
{
    const query *q = check_query(L, 1);
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return run(L, ldoc_loop(L), 2, q->id, name, name, ask_part);
}

static int l_level(lua_State *L)
{
    return about(L, "level");
}

static int l_modality(lua_State *L)
{
    return about(L, "modality");
}

static int l_move(lua_State *L)
{
    const query *q = check_query(L, 1);
    lua_settop(L, 3);
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return lmove_query(L, ldoc_loop(L), q->id);
}

static int l_index(lua_State *L)
{
    const query *q = luaL_checkudata(L, 1, QUERY_TYPE);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "ID") == 0) {
        lua_pushstring(L, q->id);
        return 1;
    }
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static int l_tostring(lua_State *L)
{
    const query *q = luaL_checkudata(L, 1, QUERY_TYPE);
    lua_pushfstring(L, "%s %s%s", QUERY_TYPE, q->id, q->closed ? " (closed)" : "");
    return 1;
}

int lquery_push(lua_State *L, int client_index, int id)
{
    char text[ORTHANC_ID_SIZE];
    query *q;
    lclient_check(L, client_index);
    lquery_identify(L, id, "query", text);
    q = lua_newuserdatauv(L, sizeof *q, QUERY_CLIENT);
    q->closed = false;
    strcpy(q->id, text);
    luaL_setmetatable(L, QUERY_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, QUERY_CLIENT);
    return 1;
}

static const ldoc_row query_methods[] = {
    { "answers", l_answers,
      "query:answers([{simplify = true, short = false}]) -> list [, warning] | nil, err",
      "What the query found; the formats are those of modality:get_query_answers." },
    { "move", l_move, "query:move([options [, index]]) -> result | nil, err",
      "C-MOVE of what the query found, or of its answer number `index` alone (from 1); options as "
      "in "
      "modality:move." },
    { "level", l_level, "query:level() -> string | nil, err",
      "Patient, Study, Series or Instance." },
    { "modality", l_modality, "query:modality() -> string | nil, err",
      "The name of the modality that was asked." },
    { "close", l_close, "query:close() -> true | nil, err",
      "Removes the query from the server. A <close> variable does it at the end of its scope." },
    { NULL, NULL, NULL, NULL }
};

/* The functions that the state keeps by this name, with their rows. The metatable stays on the
 * top, its methods below it. */
static void new_type(lua_State *L, loop *lp, const char *type, const ldoc_row *rows)
{
    lua_newtable(L);
    ldoc_register(L, lp, rows);
    luaL_newmetatable(L, type);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

static void set_function(lua_State *L, loop *lp, const char *name, lua_CFunction function)
{
    lua_pushlightuserdata(L, lp);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void lquery_open(lua_State *L, loop *lp)
{
    int top = lua_gettop(L);
    new_type(L, lp, QUERY_TYPE, query_methods);
    set_function(L, lp, "__close", l_scope);
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");

    new_type(L, lp, FOUND_TYPE, found_methods);
    set_function(L, lp, "__close", l_found_scope);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "__index");
    lua_settop(L, top);
}
