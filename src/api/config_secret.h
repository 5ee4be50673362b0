/* api/config_secret.h - secrets of the configuration file that are kept elsewhere: `password_file`, the
 * name of a file, and `password_command`, a command of the shell. The first line of the file, or of
 * what the command prints, is the password. `token` and `key_password` have both forms too. */
#ifndef API_CONFIG_SECRET_H
#define API_CONFIG_SECRET_H

#include <lua.h>

/* Replaces these fields in the table of a server, on the top, by the secrets themselves. `file`: the
 * configuration file, beside which relative names are looked for. Throws what is wrong as an error of
 * connect, which never has a part of a secret. [-0, +0, v] */
void config_secret_resolve(lua_State *L, const char *file);

#endif
