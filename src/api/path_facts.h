/* api/path_facts.h - what a path names, before a database opens it. */
#ifndef API_PATH_FACTS_H
#define API_PATH_FACTS_H

#include <lua.h>

/* path_kind(path) -> "file" | "folder" | "other" | nil: there is nothing; the name of the network file
 * system that it is in, or would be in, such as "NFS" | nil; the size; a text that no other file has
 * while this one exists. */
int path_facts_l_kind(lua_State *L);

#endif
