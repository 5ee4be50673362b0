/* api/whole_file.h - a file that the Lua half writes, and that appears under its name only when it is
 * complete (base/partial_file.h). */
#ifndef API_WHOLE_FILE_H
#define API_WHOLE_FILE_H

#include <lua.h>

/* whole_file(path) -> file | nil, message. The file has write(text) -> true | nil, message, and
 * commit() -> true | nil, message, which puts it in its place. Without that, closing it (`<close>`)
 * leaves nothing behind. What is there, and is no regular file, stays as it is. */
int whole_file_l_open(lua_State *L);

/* same_file(path, other) -> boolean. Whether both name one file. Of files that do not exist, the texts
 * are compared. */
int whole_file_l_same(lua_State *L);

#endif
