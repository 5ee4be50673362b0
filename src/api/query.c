#include "api/query.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answers.h"
#include "api/find_result.h"
#include "api/move.h"
#include "binding/doc.h"
#include "binding/userdata.h"
#include "request/call.h"

enum { QUERY_CLIENT = 1 }; /* its user value */

/* ---- the answers, the level and the modality ---- */

static int query_l_answers(lua_State *L)
{
    const query_handle *q = find_result_check_query(L, 1);
    answers_form form;
    lua_settop(L, 2);
    form = answers_read_format(L, 2, "answers");
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return answers_get(L, doc_loop(L), 3, q->id, "answers", form);
}

typedef struct query_call {
    call call;
    char id[ORTHANC_ID_SIZE];
    const char *part; /* the last part of the path: "level" */
    shape shape;      /* of the answer */
} query_call;

static int query_on_part(lua_State *L, call *c)
{
    return call_answer_of(L, c, ((const query_call *)c)->shape);
}

static int query_ask_part(lua_State *L, call *c)
{
    const query_call *q = (const query_call *)c;
    return call_get(L, c, query_on_part, "/queries/%s/%s", q->id, q->part);
}

static int ask_about(lua_State *L, const char *part, shape answer)
{
    const query_handle *q = find_result_check_query(L, 1);
    query_call *c;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    c = (query_call *)call_new(L, doc_loop(L), sizeof *c, 2, part, query_ask_part);
    strcpy(c->id, q->id);
    c->part = part;
    c->shape = answer;
    return op_run(L, &c->call.op);
}

static int query_l_level(lua_State *L)
{
    return ask_about(L, "level", SHAPE_LEVEL);
}

static int query_l_modality(lua_State *L)
{
    return ask_about(L, "modality", SHAPE_NAME);
}

/* ---- close ---- */

/* Marks the Query at index 1 as closed, and pushes its client. False: it was closed already. */
static bool close_handle(lua_State *L)
{
    query_handle *q = luaL_checkudata(L, 1, QUERY_TYPE);
    bool was_open = !q->closed;
    q->closed = true;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return was_open;
}

static int query_l_close(lua_State *L)
{
    const query_handle *q = luaL_checkudata(L, 1, QUERY_TYPE);
    if (!close_handle(L)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return op_run(L, &find_result_push_close(L, doc_loop(L), 2, q->id)->op);
}

static int query_l_scope(lua_State *L)
{
    const query_handle *q = luaL_checkudata(L, 1, QUERY_TYPE);
    return close_handle(L) ? find_result_close_later(L, doc_loop(L), 2, q->id) : 0;
}

/* ---- for the Lua half ---- */

int query_l_client(lua_State *L)
{
    find_result_check_query(L, 1);
    lua_getiuservalue(L, 1, QUERY_CLIENT);
    return 1;
}

/* ---- the object ---- */

static const field_row fields[] = { { "ID", "string: its identifier on the server" }, FIELDS_END };
static const object_kind kind = { "query", "a query", fields };

static int query_l_index(lua_State *L)
{
    const query_handle *q = luaL_checkudata(L, 1, QUERY_TYPE);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "ID") == 0) {
        lua_pushstring(L, q->id);
        return 1;
    }
    return userdata_method(L);
}

static int query_l_tostring(lua_State *L)
{
    const query_handle *q = luaL_checkudata(L, 1, QUERY_TYPE);
    lua_pushfstring(L, "%s %s%s", QUERY_TYPE, q->id, q->closed ? " (closed)" : "");
    return 1;
}

int query_push(lua_State *L, int client_index, int id)
{
    char text[ORTHANC_ID_SIZE];
    query_handle *q;
    client_check(L, client_index);
    find_result_identify(L, id, "query", text);
    q = lua_newuserdatauv(L, sizeof *q, QUERY_CLIENT);
    q->closed = false;
    strcpy(q->id, text);
    luaL_setmetatable(L, QUERY_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, QUERY_CLIENT);
    return 1;
}

static const doc_row query_methods[] = {
    { .name = "answers",
      .function = query_l_answers,
      .signature = "query:answers([format]) -> list | nil, err",
      .help =
          "Returns what the query found. list.warning says when names may have lost characters.",
      .options = { { "format", answers_format_rows, NULL } },
      .example =
          "local query = orthanc:query(found.ID)\n"
          "for _, study in ipairs(assert(query:answers())) do print(study.PatientName) end" },
    { .name = "move",
      .part = "core.move",
      .function = move_check_query,
      .signature = "query:move([options [, index]]) -> result | nil, err",
      .help = "Sends a C-MOVE for everything that the query found. With an index (from 1) it moves "
              "that answer alone. The options are those of modality:move.",
      .options = { { "options", move_rows, &orthanc_retrieve } },
      .example = "local query = orthanc:query(found.ID)\n"
                 "assert(query:move({ to = \"archive\" }, 1))" },
    { .name = "level",
      .function = query_l_level,
      .signature = "query:level() -> string | nil, err",
      .help = "Returns the level of the query. It is Patient, Study, Series or Instance.",
      .example = "print(assert(orthanc:query(found.ID):level()))" },
    { .name = "modality",
      .function = query_l_modality,
      .signature = "query:modality() -> string | nil, err",
      .help = "Returns the name of the modality that was asked.",
      .example = "print(assert(orthanc:query(found.ID):modality()))" },
    { .name = "close",
      .function = query_l_close,
      .signature = "query:close() -> true | nil, err",
      .help = "Removes the query from the server. A <close> variable does this at the end of its "
              "scope.",
      .example = "local query = orthanc:query(found.ID)\n"
                 "assert(query:close())" },
    { .name = NULL }
};

void query_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__index", query_l_index },
                                     { "__tostring", query_l_tostring },
                                     { "__close", query_l_scope },
                                     { NULL, NULL } };
    lua_newtable(L);
    doc_register(L, lp, query_methods);
    userdata_open(L, lp, QUERY_TYPE, &kind, meta);
    lua_pop(L, 1);
}
