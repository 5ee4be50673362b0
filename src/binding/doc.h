/* binding/doc.h - descriptor rows: every public function with its name, signature, help, options and
 * example in one place. Registration, help(), completion, the manual, lua/README.md and the specs all
 * read them. */
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

enum { DOC_TABLES = 2 }; /* arguments that are tables with options: find has two */

typedef struct doc_row {
    const char *name;
    lua_CFunction function;
    const char *part;      /* of the Lua half that has the function; one in C then only checks the
                              arguments (binding/parts.h), or is NULL */
    const char *signature; /* "client:get(path [, query]) -> value | nil, err" */
    const char *help;      /* one to three short sentences */
    doc_options options[DOC_TABLES];
    const char *example; /* one to six lines; a spec runs them in the context of lua/README.md */
} doc_row;

/* Sets every row's function (ended by a row without a name) as a field of the table on the top, and
 * notes the row under the function. One in C has `upvalue` (nearly always the loop) as upvalue 1;
 * one in Lua loads its part when it is first called (binding/parts.h). [-0, +0, m] */
void doc_register(lua_State *L, void *upvalue, const doc_row *rows);

/* The upvalue of a registered function; the same as a loop. */
#define doc_upvalue(L) (lua_touserdata((L), lua_upvalueindex(1)))
#define doc_loop(L)    ((struct loop *)doc_upvalue(L))

/* modalua.doc: of(f) -> row | nil; describe; rows(); nearest(word, names), for "did you mean". A row
 * is {signature=, help=, example=, options = {{argument=, name=, type=, help=}, …}}; options is nil
 * when there are none, and so is the type of an option whose help tells it. Pushes the module table.
 * [-0, +1, m] */
void doc_open(lua_State *L, struct loop *lp);

#endif
