/* api/native_steps.h - what operations that are written in Lua need for their requests: the part
 * "core.native_steps". */
#ifndef API_NATIVE_STEPS_H
#define API_NATIVE_STEPS_H

#include <lua.h>

#include "binding/options.h"

extern const option native_steps_settings_rows[]; /* modalua's own options of configure */
extern const option native_steps_find_rows[];     /* modalua's own options of client:find */

/* Pushes the table of the part; the loop is upvalue 1. Returns 1. */
int native_steps_open(lua_State *L);

#endif
