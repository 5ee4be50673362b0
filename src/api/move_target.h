/* api/move_target.h - the destination of a C-MOVE: an AE title (TargetAet), or a modality of the
 * server by its name (to). */
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

/* Reads the option `to` of the table at index `options`, and TargetAet of the body at index. Returns
 * whether one of them is given. `to` becomes data.to of the call at index `call` (0 = it is only
 * checked), for move_target_find. Throws when both are given, or when `to` is neither a name nor a
 * modality. [-0, +0, v] */
bool move_target_read(lua_State *L, int options, int body, const char *function, int call);

/* For steps: puts the AE title of data.to into data.body, then goes on with transfer_begin. Warns
 * when TargetAet is the name of a modality that has another AE title; data.hint then says so. */
int move_target_find(lua_State *L, call *c);

#endif
