/* api/files.h - files, of any size, to and from a server: streamed, never held in memory. */
#ifndef API_FILES_H
#define API_FILES_H

#include <lua.h>

int lfiles_download(lua_State *L);       /* client:download(path, file, options) */
int lfiles_upload(lua_State *L);         /* client:upload(source, options) */
int lfiles_store_straight(lua_State *L); /* modality:store_straight(source, options) */

#endif
