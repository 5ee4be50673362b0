/* embed/kept.h - values that a state keeps alive for its host: the task of the run under way, and
 * the strings that functions of modalua.h return. Each has a place in the registry. The places
 * always exist, so that filling one cannot fail. */
#ifndef EMBED_KEPT_H
#define EMBED_KEPT_H

#include <lua.h>

typedef enum kept_place {
    KEPT_TASK,       /* the root task of the run under way */
    KEPT_ERROR,      /* modalua_last_error's string */
    KEPT_ERROR_JSON, /* modalua_last_error_json's */
    KEPT_RESULT,     /* modalua_result's */
    KEPT_GLOBAL,     /* modalua_get_global's */
    KEPT_PLACES
} kept_place;

/* Makes the places. [-0, +0, m] */
void kept_open(lua_State *L);

/* Keeps the value on the top, in place of the one before. Returns it as a string, NULL when it is
 * none; the string is valid until the place gets another value. [-1, +0, -] */
const char *kept_set(lua_State *L, kept_place place);

/* Pushes the value. [-0, +1, -] */
void kept_push(lua_State *L, kept_place place);

/* Lets go of the value. [-0, +0, -] */
void kept_clear(lua_State *L, kept_place place);

#endif
