/* embed/error_place.h - where in a script an error has happened: read from the texts that Lua makes. */
#ifndef EMBED_ERROR_PLACE_H
#define EMBED_ERROR_PLACE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct error_place {
    const char *module; /* the name of the chunk, of `size` bytes, in one of the texts below */
    size_t size;
    long line;
} error_place;

/* Reads "NAME:LINE", the field `where` of an error object. False: it is not of that form. */
bool error_place_read_where(const char *where, error_place *p);

/* Whether a line of the traceback is one of Lua code, and not of a C function. */
bool error_place_has_line(const char *traceback);

/* Finds the place of an error: the one at the beginning of its message, or else the innermost line of a
 * script in its traceback (NULL = there is none: it is an error of syntax). A message can begin like a
 * place and be none, as "http://host:80: refused": the traceback must have it too. False: not known. */
bool error_place_find(const char *message, const char *traceback, error_place *p);

/* The column, from 1, of an error of syntax in the source of which the message is about; 0: not known.
 * It is where the token begins that the message is "near". [-0, +0, m] */
int error_place_column(lua_State *L, const char *message, const char *source, size_t size);

#endif
