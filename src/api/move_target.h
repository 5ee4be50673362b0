/* api/move_target.h - where a C-MOVE sends things: an AE title, or a modality's, by its name. */
#ifndef API_MOVE_TARGET_H
#define API_MOVE_TARGET_H

#include <lua.h>
#include <stdbool.h>

#include "binding/options.h"
#include "request/call.h"

/* clang-format off */
#define MOVE_TARGET_ROW { "to", OPTION_VALUE, 0, \
    "name of the modality that receives, or a modality object; modalua finds its AE title" }
/* clang-format on */

/* Checks the option `to` of the options at index against the body's TargetAet. True: there is a
 * target. Throws when there are two, or `to` is neither a name nor a modality. [-0, +0, v] */
bool move_target_read(lua_State *L, int options, int body, const char *function);

/* Gives the call at index the option `to`, for move_target_find. [-0, +0, m] */
void move_target_keep(lua_State *L, int call, int options);

/* For steps: puts the AE title of data.to into data.body; or, of a TargetAet that is the name of a
 * modality with another AE title, warns, and notes a hint. Then goes on with transfer_begin. */
int move_target_find(lua_State *L, call *c);

#endif
