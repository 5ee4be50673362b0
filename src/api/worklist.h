/* lworklist.h - modality worklists: C-FIND of what is scheduled. */
#ifndef LWORKLIST_H
#define LWORKLIST_H

#include <lua.h>

int lworklist_find(lua_State *L); /* modality:find_worklist(query [, options]) */

#endif
