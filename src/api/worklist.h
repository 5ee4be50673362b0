/* api/worklist.h - modality worklists: C-FIND of what is scheduled. */
#ifndef API_WORKLIST_H
#define API_WORKLIST_H

#include <lua.h>

int worklist_find(lua_State *L); /* modality:find_worklist(query [, options]) */

#endif
