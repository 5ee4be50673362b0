/* database/machine.h - what a worker of a transfer needs of the machine: clocks, random bits, its name.
 * For the part "transfer.native". */
#ifndef DATABASE_MACHINE_H
#define DATABASE_MACHINE_H

#include <lua.h>

/* wall() -> integer. Milliseconds since 1970, UTC. */
int machine_l_wall(lua_State *L);

/* boot() -> integer. Milliseconds on a clock that also runs while the process is stopped, or the machine
 * sleeps. Only differences mean something. */
int machine_l_boot(lua_State *L);

/* random() -> string. 128 random bits, as 32 hexadecimal digits. */
int machine_l_random(lua_State *L);

/* process() -> host, pid. The name of the machine, and the number of this process. */
int machine_l_process(lua_State *L);

/* signal_self("kill" | "stop"). For specs: sends the process the signal SIGKILL or SIGSTOP. */
int machine_l_signal_self(lua_State *L);

#endif
