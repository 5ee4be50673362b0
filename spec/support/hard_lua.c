/* hard_lua.c - see hard_lua.h. It becomes a part of the Lua that fetch_lua.sh builds. */
#include "hard_lua.h"

#include <stdlib.h>

int hard_lua_collects(void)
{
    static _Thread_local long every = -1, left;
    if (every < 0) {
        const char *text = getenv("MODALUA_COLLECT");
        left = every = text ? strtol(text, 0, 10) : 0;
    }
    if (every == 0 || --left > 0)
        return 0;
    left = every;
    return 1;
}
