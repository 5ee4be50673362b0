#include "database/machine.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "binding/error.h"

static int push_milliseconds(lua_State *L, clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    lua_pushinteger(L, (lua_Integer)t.tv_sec * 1000 + t.tv_nsec / 1000000);
    return 1;
}

int machine_l_wall(lua_State *L)
{
    return push_milliseconds(L, CLOCK_REALTIME);
}

int machine_l_boot(lua_State *L)
{
    return push_milliseconds(L, CLOCK_BOOTTIME);
}

/* The kernel gives so few bytes at once, or waits until it has them. */
int machine_l_random(lua_State *L)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bits[16];
    char text[2 * sizeof bits];
    while (getrandom(bits, sizeof bits, 0) < 0)
        if (errno != EINTR)
            error_throw(L, "database", "random", "the system has no random bits: %s",
                        strerror(errno));
    for (size_t i = 0; i < sizeof bits; i++) {
        text[2 * i] = digits[bits[i] >> 4];
        text[2 * i + 1] = digits[bits[i] & 15];
    }
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

int machine_l_process(lua_State *L)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        name[0] = '\0';
    name[sizeof name - 1] = '\0';
    lua_pushstring(L, name);
    lua_pushinteger(L, getpid());
    return 2;
}

int machine_l_signal_self(lua_State *L)
{
    static const char *const names[] = { "kill", "stop", NULL };
    static const int signals[] = { SIGKILL, SIGSTOP };
    kill(getpid(), signals[luaL_checkoption(L, 1, NULL, names)]);
    return 0;
}
