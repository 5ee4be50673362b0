/* api/config_file.h - the file in which a user's servers have names:
 *
 *     return {
 *       default = "hospital",
 *       servers = {
 *         hospital = { url = "https://orthanc.hospital.example", username = "…", password = "…" },
 *         test = { url = "http://localhost:8042", timeout = 60 },
 *       },
 *     }
 *
 * A server has the options of modalua.connect. The text is Lua that sees no variable, so
 * nothing but tables and strings; a file with a secret in it must be its owner's alone to read. */
#ifndef API_CONFIG_FILE_H
#define API_CONFIG_FILE_H

#include <lua.h>
#include <stdbool.h>

/* Pushes the options of the server of that name in the file; name NULL: of the file's default.
 * False, and pushes nothing: without a name, there is no file, or it has no default. Throws on
 * everything else that is wrong, in the name of connect. [-0, +(0|1), v] */
bool config_file_push(lua_State *L, const char *file, const char *name);

#endif
