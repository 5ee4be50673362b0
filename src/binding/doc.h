/* binding/doc.h - descriptor rows: every public function with its name, signature, help, options
 * and example in one place. Registration, help(), completion, the manual, lua/README.md and the
 * specs all read them. */
#ifndef BINDING_DOC_H
#define BINDING_DOC_H

#include <lua.h>

#include "binding/options.h"
#include "orthanc/routes.h"

struct loop;

/* The names that one table among the arguments may have. */
typedef struct doc_options {
    const char *argument;       /* the table's name in the signature; NULL: there is no table */
    const option *rows;         /* modalua's own, or NULL */
    const orthanc_route *route; /* its keys go to Orthanc, and `extra` adds others; or NULL */
} doc_options;

enum { DOC_TABLES = 3 }; /* tables of options that a function has at most: find_all */

typedef struct doc_row {
    const char *name;
    lua_CFunction function;
    const char *part;      /* the part of the Lua half that has the function, and then `function`
                              only checks the arguments, or is NULL; NULL: the function is in C */
    const char *signature; /* "client:get(path [, query]) -> value | nil, err" */
    const char *help;      /* one to three short sentences */
    doc_options options[DOC_TABLES];
    const char *example; /* one to six lines; a spec runs them in the context of lua/README.md */
} doc_row;

/* Sets the function of each row as a field of the table on the top, and remembers the row. A row
 * without a name ends the rows. A C function gets `upvalue`, nearly always the loop, as upvalue 1.
 * A function of the Lua half loads its part at the first call (binding/parts.h). [-0, +0, m] */
void doc_register(lua_State *L, void *upvalue, const doc_row *rows);

/* In a registered C function: its upvalue 1; the same as a loop. */
#define doc_upvalue(L) (lua_touserdata((L), lua_upvalueindex(1)))
#define doc_loop(L)    ((struct loop *)doc_upvalue(L))

/* Pushes the module table of modalua.doc: of, describe, rows and nearest. In Lua a row is
 * {signature=, help=, example=, options = {{argument=, name=, type=, help=}, …}}. A function
 * without options has no `options`; an option has no `type` when its help describes the type. [-0,
 * +1, m] */
void doc_open(lua_State *L, struct loop *lp);

#endif
