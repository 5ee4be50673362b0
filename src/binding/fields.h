/* binding/fields.h - the kinds of modalua's objects, and their fields that are no methods. A name that an
 * object does not have throws with "did you mean"; help() and completion read the rows. */
#ifndef BINDING_FIELDS_H
#define BINDING_FIELDS_H

#include <lua.h>

typedef struct field_row {
    const char *name;
    const char *help; /* one line */
} field_row;

/* The last row of a table. */
#define FIELDS_END \
    {              \
        NULL, NULL \
    }

typedef struct object_kind {
    const char *name;        /* "found": as in the signatures of its methods */
    const char *noun;        /* "a result of find": what messages call it */
    const field_row *fields; /* NULL: it has none */
} object_kind;

/* The metatable on the top is that of the kind. [-0, +0, m] */
void fields_describe(lua_State *L, const object_kind *kind);

/* The end of a metamethod __index, with the object at index 1 and the name at index 2. Returns 0
 * results when the kind has a field of this name; else throws. `methods`: index of the table of the
 * methods; 0 = none. [-0, +0, v] */
int fields_end_index(lua_State *L, int methods);

/* The same for a list that has fields besides its items, in which any script may look for others: throws
 * only when the name has five characters or more, and is near that of a field. [-0, +0, v] */
int fields_end_list_index(lua_State *L);

/* fields(object) -> list of { name =, help = } | nil: those of its kind. */
int fields_l_of(lua_State *L);

/* kind(value) -> name | nil: the kind of one of modalua's objects. */
int fields_l_kind(lua_State *L);

#endif
