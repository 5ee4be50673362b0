/* binding/doc.h - descriptor rows: every public function with its name, signature and help in one place.
 * Registration, help(), completion, the reference page and the spec "every function is documented"
 * all read them. */
#ifndef BINDING_DOC_H
#define BINDING_DOC_H

#include <lua.h>

#include "engine/loop.h"

typedef struct doc_row {
    const char *name;
    lua_CFunction function;
    const char *signature; /* "client:get(path [, query]) -> value | nil, err" */
    const char *help;      /* one to three sentences */
} doc_row;

/* Sets every row's function (ended by a row without a name) as a field of the table on the top,
 * with the loop as upvalue 1, and notes the row under the function. [-0, +0, m] */
void doc_register(lua_State *L, loop *lp, const doc_row *rows);

/* The loop that a registered function belongs to. */
#define doc_loop(L) ((loop *)lua_touserdata((L), lua_upvalueindex(1)))

/* describe(f, signature, help) -> f, for functions that are written in Lua. */
int doc_describe(lua_State *L);

/* modalua.doc: of(f) -> {signature=, help=} | nil; describe; rows(); nearest(word,
 * names), for "did you mean". Pushes the module table. [-0, +1, m] */
void doc_open(lua_State *L, loop *lp);

#endif
