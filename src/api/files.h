/* api/files.h - files to and from a server. They are streamed, so they can have any size. */
#ifndef API_FILES_H
#define API_FILES_H

#include <lua.h>

#include "binding/options.h"

extern const option files_download_rows[]; /* of a download; an upload has call_wait_rows */
extern const option files_source_rows[];   /* of what is sent, in place of the name of a file */

int files_download(lua_State *L);       /* client:download(path, file, options) */
int files_upload(lua_State *L);         /* client:upload(source, options) */
int files_store_straight(lua_State *L); /* modality:store_straight(source, options) */

#endif
