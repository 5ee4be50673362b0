/* api/echo.h - C-ECHO to a modality. */
#ifndef API_ECHO_H
#define API_ECHO_H

#include <lua.h>

int echo_echo(lua_State *L); /* modality:echo([options]) */

#endif
