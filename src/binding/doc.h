/* binding/doc.h - descriptor rows: every public function with its name, signature and help in one place.
 * Registration, help(), completion, the reference page and the spec "every function is documented"
 * all read them. */
#ifndef BINDING_DOC_H
#define BINDING_DOC_H

#include <lua.h>

struct loop;

typedef struct doc_row {
    const char *name;
    lua_CFunction function;
    const char *signature; /* "client:get(path [, query]) -> value | nil, err" */
    const char *help;      /* one to three sentences */
} doc_row;

/* A function that is written in Lua: its row, without a C function, and the part of the Lua half that
 * has it under the row's name (binding/parts.h). */
typedef struct doc_lua_row {
    const char *part;
    doc_row row;
} doc_lua_row;

/* Sets every row's function (ended by a row without a name) as a field of the table on the top,
 * with `upvalue` (nearly always the loop) as upvalue 1, and notes the row under the function.
 * [-0, +0, m] */
void doc_register(lua_State *L, void *upvalue, const doc_row *rows);

/* The same for functions that are written in Lua: each loads its part when it is called first. The
 * rows are ended by one without a part. [-0, +0, m] */
void doc_register_lua(lua_State *L, const doc_lua_row *rows);

/* The upvalue of a registered function; the same as a loop. */
#define doc_upvalue(L) (lua_touserdata((L), lua_upvalueindex(1)))
#define doc_loop(L)    ((struct loop *)doc_upvalue(L))

/* modalua.doc: of(f) -> {signature=, help=} | nil; describe; rows(); nearest(word,
 * names), for "did you mean". Pushes the module table. [-0, +1, m] */
void doc_open(lua_State *L, struct loop *lp);

#endif
