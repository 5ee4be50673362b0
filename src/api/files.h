/* api/files.h - files, of any size, to and from a server: streamed, never held in memory. */
#ifndef API_FILES_H
#define API_FILES_H

#include <lua.h>

int files_download(lua_State *L);       /* client:download(path, file, options) */
int files_upload(lua_State *L);         /* client:upload(source, options) */
int files_store_straight(lua_State *L); /* modality:store_straight(source, options) */

#endif
