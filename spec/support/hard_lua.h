/* hard_lua.h - makes Lua's own hard tests usable for whole programs. fetch_lua.sh appends an #include
 * of this file to Lua's llimits.h, and compiles Lua with HARDSTACKTESTS, HARDMEMTESTS and
 * EMERGENCYGCTESTS. As Lua defines these tests, they move the stack at every call, however large it is,
 * and collect all garbage at every allocation: a deep recursion would take hours, and so would the
 * loading of busted. */
#ifndef HARD_LUA_H
#define HARD_LUA_H

/* A larger stack is not moved. In slots: 200 calls of C functions. */
#define HARD_LUA_STACK 4096

/* Whether Lua collects all garbage now: at each N-th opportunity, where N is the environment variable
 * MODALUA_COLLECT; never without it. A script can pause that: collectgarbage "stop". */
int hard_lua_collects(void);

/* No garbage is collected while a stack is moved that has room: Lua 5.4.4 itself does not expect it there. */
#undef condmovestack
#define condmovestack(L, pre, pos)             \
    {                                          \
        int size_ = stacksize(L);              \
        if (size_ <= HARD_LUA_STACK) {         \
            lu_byte stopped_ = G(L)->gcstopem; \
            pre;                               \
            G(L)->gcstopem = 1;                \
            luaD_reallocstack((L), size_, 0);  \
            G(L)->gcstopem = stopped_;         \
            pos;                               \
        }                                      \
    }

#undef condchangemem
#define condchangemem(L, pre, pos)                    \
    {                                                 \
        if (gcrunning(G(L)) && hard_lua_collects()) { \
            pre;                                      \
            luaC_fullgc(L, 0);                        \
            pos;                                      \
        }                                             \
    }

#endif
