#include "embed/module.h"

#include <lauxlib.h>
#include <string.h>

#include "api/client_methods.h"
#include "api/modality_methods.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "embed/embedded.h"
#include "embed/sandbox.h"
#include "engine/task.h"
#include "json/json.h"
#include "modalua.h"

static const char loop_key; /* of the loop in the registry */

MODALUA_API int luaopen_modalua_json(lua_State *L);
MODALUA_API int luaopen_modalua_task(lua_State *L);
MODALUA_API int luaopen_modalua_doc(lua_State *L);

/* ---- the loop of a state ---- */

static int borrowed_gc(lua_State *L)
{
    loop_free(lua_touserdata(L, 1));
    return 0;
}

/* In a state that is not ours the loop is a userdata that the registry keeps to the end; it changes
 * nothing else there. */
static loop *borrow(lua_State *L)
{
    loop *lp = lua_newuserdatauv(L, sizeof *lp, 0);
    loop_clear(lp);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, borrowed_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (!loop_init(lp, NULL))
        luaL_error(L, "modalua: no file descriptors are left");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loop_key);
    return lp;
}

static loop *loop_of(lua_State *L)
{
    loop *lp;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loop_key);
    lp = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return lp ? lp : borrow(L);
}

/* ---- the modules ---- */

static int l_is_error(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, error_is(L, 1));
    return 1;
}

static const doc_row functions[] = {
    { "is_error", l_is_error, "is_error(v) -> boolean",
      "Whether v is an error object, as operations return it after nil." },
    { NULL, NULL, NULL, NULL }
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

/* Pushes the embedded module as a function. [-0, +1, v] */
static void push_embedded(lua_State *L, const embedded_module *m)
{
    if (luaL_loadbufferx(L, (const char *)m->text, m->size, m->chunk, "t") != LUA_OK)
        lua_error(L);
    sandbox_push_own_globals(L);
    lua_setupvalue(L, -2, 1); /* _ENV */
}

/* Pushes one by its name. [-0, +1, v] */
static void push_part(lua_State *L, const char *name)
{
    const embedded_module *m = embedded_modules;
    while (strcmp(m->name, name) != 0)
        m++;
    push_embedded(L, m);
}

/* modalua.task, with what is written in Lua. */
int luaopen_modalua_task(lua_State *L)
{
    static const luaL_Reg ours[] = { { "describe", doc_describe },
                                     { "fail", error_fail },
                                     { "usage", error_blame },
                                     { "is_error", l_is_error },
                                     { "can_join", task_can_join },
                                     { "keep_origin", task_keep_origin },
                                     { NULL, NULL } };
    loop *lp = loop_of(L);
    task_open(L, lp);
    push_part(L, "modalua.combine");
    lua_pushvalue(L, -2);
    luaL_newlibtable(L, ours);
    lua_pushlightuserdata(L, lp);
    luaL_setfuncs(L, ours, 1);
    lua_call(L, 2, 0);
    return 1;
}

/* The part of Client and Modality that is written in Lua, and the module's function bar. */
static void complete_modality(lua_State *L, loop *lp)
{
    static const char *const parts[] = {
        "modalua.progress", "modalua.arrival",  "modalua.modality",
        "modalua.each",     "modalua.children", "modalua.changes"
    };
    modality_methods_push_ours(L, lp);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        push_part(L, parts[i]);
        lua_pushvalue(L, -2);
        lua_call(L, 1, 0);
    }
    lua_getfield(L, -1, "bar");
    lua_setfield(L, -3, "bar");
    modality_methods_take_theirs(L);
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
    complete_modality(L, lp);
    lua_pushliteral(L, MODALUA_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}

/* ---- a state of ours ---- */

static int load_embedded(lua_State *L)
{
    push_embedded(L, lua_touserdata(L, lua_upvalueindex(1)));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

void module_preload(lua_State *L, loop *lp, const client_defaults *defaults)
{
    static const luaL_Reg modules[] = { { "modalua", luaopen_modalua },
                                        { "modalua.json", luaopen_modalua_json },
                                        { "modalua.task", luaopen_modalua_task },
                                        { "modalua.doc", luaopen_modalua_doc },
                                        { NULL, NULL } };
    lua_pushlightuserdata(L, lp);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loop_key);
    connect_set_defaults(L, defaults);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    for (const embedded_module *m = embedded_modules; m->name; m++) {
        lua_pushlightuserdata(L, (void *)m);
        lua_pushcclosure(L, load_embedded, 1);
        lua_setfield(L, -2, m->name);
    }
    lua_pop(L, 1);
}
