/* binding/fields.h - the fields of modalua's objects that are no methods. A name that an object does
 * not have throws with "did you mean"; help() and completion read the rows. */
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

/* The metatable on the top gets the rows, which fields_l_of finds. [-0, +0, m] */
void fields_describe(lua_State *L, const field_row *rows);

/* The end of a metamethod __index, with the object at index 1 and the name at index 2. Returns 0
 * results when the object may have a field of this name; else throws. `word` says what the object is
 * ("job"). `methods`: index of the table of its methods; 0 = none. [-0, +0, v] */
int fields_end_index(lua_State *L, const char *word, const field_row *rows, int methods);

/* of(object) -> list of { name =, help = } | nil: the fields of one of modalua's objects. */
int fields_l_of(lua_State *L);

#endif
