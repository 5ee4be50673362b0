/* binding/parts.h - the parts of the Lua half (lua/modalua). A part is loaded when it is first
 * needed. C code and other parts can require it; scripts cannot, unless embed/module.c gives it a
 * public name.
 *
 * A part has the name of its file: lua/modalua/core/changes.lua is "core.changes". Its chunk is
 * called with one argument, the `require` of the Lua half, and returns the value of the part. That
 * `require` takes the name of a part, or of a module that scripts can require ("modalua.json").
 */
#ifndef BINDING_PARTS_H
#define BINDING_PARTS_H

#include <lua.h>
#include <stddef.h>

/* The text of a part. packaging/embed.cmake generates the list; a row without a name ends it. */
typedef struct embedded_part {
    const char *name;  /* "core.changes" */
    const char *chunk; /* "=modalua/core/changes.lua" */
    const unsigned char *text;
    size_t size;
} embedded_part;

extern const embedded_part embedded_parts[];

/* The field of the registry with the loaded parts: a table from names to values. */
#define PARTS_LOADED "modalua.parts"

/* Pushes the value of a part; loads it at the first use. [-0, +1, v] */
void parts_push(lua_State *L, const char *name);

/* Pushes a C function that calls a function of the part and can yield; its first call loads the
 * part. [-0, +1, m] */
void parts_push_function(lua_State *L, const char *part, const char *function);

/* The same, with a C function (or NULL) that is called with the arguments first, and that throws
 * when they are wrong. [-0, +1, m] */
void parts_push_checked(lua_State *L, const char *part, const char *function, lua_CFunction check);

/* Makes the value on the top the value of the part with that name. [-1, +0, m] */
void parts_provide(lua_State *L, const char *name);

/* Makes the result of the C function `open` the value of the part with that name, when the part is
 * first needed. `open` has the light userdata as upvalue 1. [-0, +0, m] */
void parts_provide_later(lua_State *L, const char *name, lua_CFunction open, void *upvalue);

/* Gives all parts a copy of the globals that the state has now, so that a script that sets a global
 * such as `type` does not break them. Their _G is that of the script. [-0, +0, m] */
void parts_copy_globals(lua_State *L);

/* Makes the table on the top the globals of all parts. Without this call they have the globals of
 * the state. [-1, +0, m] */
void parts_set_globals(lua_State *L);

/* Pushes the globals of all parts. [-0, +1, -] */
void parts_push_globals(lua_State *L);

#endif
