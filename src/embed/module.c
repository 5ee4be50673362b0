#include "embed/module.h"

#include <lauxlib.h>
#include <string.h>

#include "api/client_methods.h"
#include "api/native.h"
#include "api/transfer_functions.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "engine/task.h"
#include "json/json.h"
#include "modalua.h"

static const char loop_key; /* of the state's loop in the registry */

MODALUA_API int luaopen_modalua_arguments(lua_State *L);
MODALUA_API int luaopen_modalua_json(lua_State *L);
MODALUA_API int luaopen_modalua_letters(lua_State *L);
MODALUA_API int luaopen_modalua_table(lua_State *L);
MODALUA_API int luaopen_modalua_task(lua_State *L);
MODALUA_API int luaopen_modalua_doc(lua_State *L);
MODALUA_API int luaopen_modalua_transfer(lua_State *L);

/* ---- the loop of a state ---- */

static int loop_gc(lua_State *L)
{
    loop_free(lua_touserdata(L, 1));
    return 0;
}

/* Makes the loop of a state that the host owns: a userdata that the registry keeps until the state
 * is closed, and the globals of the parts, which a script cannot replace. Nothing else of the state is
 * changed. [-0, +0, v] */
static loop *add_loop(lua_State *L)
{
    loop *lp = lua_newuserdatauv(L, sizeof *lp, 0);
    loop_clear(lp);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, loop_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (!loop_init(lp, NULL))
        luaL_error(L, "modalua: the process has no free file descriptor");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loop_key);
    parts_copy_globals(L);
    return lp;
}

static loop *loop_of(lua_State *L)
{
    loop *lp;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loop_key);
    lp = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return lp ? lp : add_loop(L);
}

/* ---- the modules ---- */

static const doc_row functions[] = {
    { .name = "is_error",
      .function = error_l_is,
      .signature = "modalua.is_error(v) -> boolean",
      .help = "Says whether v is an error object. Operations return such an object behind nil.",
      .example =
          "local answers, err = pacs:find { Level = \"Study\", Query = { Modality = \"CT\" } }\n"
          "print(modalua.is_error(err), err)" },
    { .name = "error_text",
      .function = error_l_text,
      .signature = "modalua.error_text(v) -> string",
      .help =
          "Returns an error value as one readable line. A text stays as it is; an object or a "
          "table "
          "gives its message, with its kind and code; anything else gives its type. The value may "
          "have been caught by pcall.",
      .example = "local good, err = pcall(error, { message = \"no study\", code = 7 })\n"
                 "print(modalua.error_text(err))" },
    { .name = "bar",
      .part = "core.progress_bar",
      .signature = "modalua.bar(p)",
      .help = "Shows progress as a line on a terminal. It is what progress = true does. p is the "
              "table that a progress function is called with: { op =, state =, seconds =, done =, "
              "total =, unit =, over = }, as far as these are known, and the outcome of a resource "
              "for move_resources.",
      .example = "assert(pacs:move(found, { to = \"archive\", progress = function(p) "
                 "modalua.bar(p) end }))" },
    { .name = NULL }
};

int luaopen_modalua_json(lua_State *L)
{
    json_open(L, loop_of(L)->memory);
    return 1;
}

int luaopen_modalua_doc(lua_State *L)
{
    doc_open(L, loop_of(L));
    return 1;
}

/* Also gives the Lua half its C functions (core.native). */
int luaopen_modalua_task(lua_State *L)
{
    loop *lp = loop_of(L);
    native_open(L, lp);
    task_open(L, lp);
    return 1;
}

/* All of it is in parts, which need core.native. */
int luaopen_modalua_transfer(lua_State *L)
{
    luaL_requiref(L, "modalua.task", luaopen_modalua_task, 0);
    lua_pop(L, 1);
    transfer_functions_open(L, loop_of(L));
    return 1;
}

int luaopen_modalua(lua_State *L)
{
    loop *lp = loop_of(L);
    lua_newtable(L);
    doc_register(L, lp, functions);
    client_methods_open(L, lp);
    luaL_requiref(L, "modalua.json", luaopen_modalua_json, 0);
    lua_setfield(L, -2, "json");
    luaL_requiref(L, "modalua.task", luaopen_modalua_task, 0);
    lua_setfield(L, -2, "task");
    luaL_requiref(L, "modalua.transfer", luaopen_modalua_transfer, 0);
    lua_setfield(L, -2, "transfer");
    lua_pushliteral(L, MODALUA_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}

/* ---- the modules that have a public name ---- */

/* Who can use a module. */
enum reach {
    HOSTS,      /* modalua_call */
    SCRIPTS,    /* and `require`, but not in a sandbox: it reaches files, or looks into any value */
    SANDBOX_TOO /* and `require` in a sandbox */
};

static const struct module {
    const char *name;
    lua_CFunction open; /* the C function that opens it; NULL: it is */
    const char *part;   /* a part of the Lua half (binding/parts.h) */
    enum reach reach;
} modules[] = {
    { "modalua", luaopen_modalua, NULL, SANDBOX_TOO },
    { "modalua.doc", luaopen_modalua_doc, NULL, SANDBOX_TOO },
    { "modalua.json", luaopen_modalua_json, NULL, SANDBOX_TOO },
    { "modalua.task", luaopen_modalua_task, NULL, SANDBOX_TOO },
    { "modalua.transfer", luaopen_modalua_transfer, NULL, SCRIPTS },
    { "modalua.letters", NULL, "text.letters", SANDBOX_TOO },
    { "modalua.table", NULL, "text.table", SANDBOX_TOO },
    { "modalua.arguments", NULL, "command.arguments", SCRIPTS },
    { "modalua.playground", NULL, "playground.playground", SCRIPTS },
    { "modalua.samples", NULL, "playground.samples", SCRIPTS },
    { "modalua.completion", NULL, "prompt.completion", SCRIPTS },
    { "modalua.evaluate", NULL, "prompt.evaluate", SCRIPTS },
    { "modalua.help", NULL, "prompt.help", SCRIPTS },
    { "modalua.printing", NULL, "prompt.printing", SCRIPTS },
    { "modalua.time_zone", NULL, "transfer.time_zone", SCRIPTS },
    { "modalua.verbs", NULL, "command.verbs", HOSTS },
};

enum { MODULES = sizeof modules / sizeof modules[0] };

static const struct module *find_module(const char *name)
{
    for (size_t i = 0; i < MODULES; i++)
        if (strcmp(modules[i].name, name) == 0)
            return &modules[i];
    return NULL;
}

bool module_is_for_sandbox(const char *name)
{
    const struct module *m = find_module(name);
    return m && m->reach == SANDBOX_TOO;
}

/* Pushes a module that is a part. All parts may need core.native, which modalua.task opens.
 * [-0, +1, v] */
static void push_part(lua_State *L, const char *part)
{
    luaL_requiref(L, "modalua.task", luaopen_modalua_task, 0);
    lua_pop(L, 1);
    parts_push(L, part);
}

/* ---- the parts that stock Lua has as modules too ---- */

int luaopen_modalua_arguments(lua_State *L)
{
    push_part(L, "command.arguments");
    return 1;
}

int luaopen_modalua_letters(lua_State *L)
{
    push_part(L, "text.letters");
    return 1;
}

int luaopen_modalua_table(lua_State *L)
{
    push_part(L, "text.table");
    return 1;
}

/* ---- package.preload of a state that the library owns ---- */

/* A loader; upvalue 1 is the name of a part. */
static int open_part(lua_State *L)
{
    push_part(L, lua_tostring(L, lua_upvalueindex(1)));
    return 1;
}

void module_push_loader_for_host(lua_State *L, const char *name)
{
    const struct module *m = find_module(name);
    if (m && m->part) {
        lua_pushstring(L, m->part);
        lua_pushcclosure(L, open_part, 1);
        return;
    }
    if (m)
        parts_push_globals(L);
    else
        lua_pushglobaltable(L);
    lua_getfield(L, -1, "require");
    lua_remove(L, -2);
}

void module_preload(lua_State *L, loop *lp, const modalua_config *config)
{
    lua_pushlightuserdata(L, lp);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loop_key);
    connect_set_config(L, config);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (const struct module *m = modules; m < modules + MODULES; m++) {
        if (m->reach == HOSTS)
            continue;
        if (m->open) {
            lua_pushcfunction(L, m->open);
        } else {
            lua_pushstring(L, m->part);
            lua_pushcclosure(L, open_part, 1);
        }
        lua_setfield(L, -2, m->name);
    }
    lua_pop(L, 1);
}
