/* lencode.h - what the two halves of ljson.h share. */
#ifndef LENCODE_H
#define LENCODE_H

#include <lua.h>

typedef enum ljson_mark {
    LJSON_UNMARKED, /* no metatable */
    LJSON_ARRAY,
    LJSON_OBJECT,
    LJSON_FOREIGN   /* some other metatable: no business of ours */
} ljson_mark;

/* Which metatable the table at index has. [-0, +0, -] */
ljson_mark ljson_mark_of(lua_State *L, int index);

#endif
