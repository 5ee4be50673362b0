/* api/config_file.h - the user's file that gives names to servers:
 *
 *     return {
 *       default = "hospital",
 *       servers = {
 *         hospital = { url = "https://orthanc.hospital.example", username = "…", password = "…" },
 *         test = { url = "http://localhost:8042", timeout = 60 },
 *       },
 *     }
 *
 * A server has the options of modalua.connect (base/connect_options.def), and those of
 * api/config_secret.h. The text is Lua, but sees no variables: it can only build tables and strings. It
 * may begin with a byte order mark. When it holds a secret, only its owner may be able to read the
 * file. */
#ifndef API_CONFIG_FILE_H
#define API_CONFIG_FILE_H

#include <lua.h>
#include <stdbool.h>

/* Pushes the options of the named server as the file has them: config_secret_resolve reads secrets that
 * are kept elsewhere. name NULL: of the file's default server; when there is no file (file NULL, too),
 * or it has no default, returns false and pushes nothing. Throws everything else that is wrong as an
 * error of connect. [-0, +(0|1), v] */
bool config_file_push(lua_State *L, const char *file, const char *name);

#endif
