/* api/worklist.h - C-FIND of a modality worklist: the procedures that are scheduled. */
#ifndef API_WORKLIST_H
#define API_WORKLIST_H

#include <lua.h>

#include "binding/options.h"

extern const option worklist_rows[]; /* of find_worklist, beside the keys of its route */

int worklist_find(lua_State *L); /* modality:find_worklist(query [, options]) */

#endif
