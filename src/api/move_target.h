/* api/move_target.h - the destination of a C-MOVE: an AE title (TargetAet), or a modality of the
 * server by its name (to). core.move_target of the Lua half finds the AE title of a name. */
#ifndef API_MOVE_TARGET_H
#define API_MOVE_TARGET_H

#include <lua.h>
#include <stdbool.h>

#include "binding/options.h"

/* clang-format off */
#define MOVE_TARGET_ROW { "to", OPTION_VALUE, 0, \
    "name of the modality that receives, or a modality object; modalua finds its AE title" }
/* clang-format on */

/* Checks the option `to` of the table at index `options`, and TargetAet of the body at index. Returns
 * whether one of them is given. Throws when both are given, or when `to` is neither a name nor a
 * modality. [-0, +0, v] */
bool move_target_read(lua_State *L, int options, int body, const char *function);

/* For the Lua half. */
int move_target_name(
    lua_State *L); /* (op, client, to) -> name; throws: a modality of another server */
int move_target_warn(
    lua_State *L); /* (op, message): warns of a target that is probably a mistake */

#endif
