/* api/config_keys.h - finds what Lua leaves out silently: a key that a table of the configuration file has
 * twice. */
#ifndef API_CONFIG_KEYS_H
#define API_CONFIG_KEYS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Reads the text of a file that Lua has compiled. Whether a table constructor in it has a key twice; then pushes
 * the key. Does not look into blocks, such as the bodies of functions. [-0, +(0|1), m] */
bool config_keys_push_repeated(lua_State *L, const char *text, size_t size);

#endif
