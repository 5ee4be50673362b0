/* embed/runtime.h - the runtime: the struct behind modalua.h's opaque type, and how its functions
 * enter the Lua state. */
#ifndef EMBED_RUNTIME_H
#define EMBED_RUNTIME_H

#include <lua.h>

#include "base/memory.h"
#include "embed/spawned.h"
#include "embed/stdlib.h"
#include "engine/loop.h"
#include "engine/stop.h"
#include "modalua.h"

struct modalua_runtime {
    loop lp; /* first: runtime_of casts the address of a state's loop */
    memory memory;
    size_t allocated; /* bytes since the last stop_look */
    lua_State *L;
    modalua_config config; /* its strings are copies, owned by the runtime */
    stdlib_output host;
    bool busy; /* a function of modalua.h is at work in the state */
    /* the run under way */
    task *root;       /* its first task, kept by KEPT_TASK; NULL without a run */
    double drain_end; /* until when detached cleanup requests may be sent, on clock_now's clock; 0 =
                         the root task has not ended */
    bool is_call;     /* the root task calls a function, and its result is the run's */
    modalua_done_fn done;
    void *done_user;
    spawned_list spawned; /* what runs beside it, and what waits for it */
    bool telling;         /* the `done` of such a task is being called */
    /* strings for the host; static, or kept (embed/kept.h) */
    const char *error, *error_json;
    const char *result;
    char refusal[256]; /* what `authorize` said last (embed/gate.h) */
};

/* The arguments of a function of modalua.h, for the lua_CFunction that does its work under
 * protection; a light userdata, its only argument. Each function uses the fields that it needs. */
typedef struct protected_call {
    modalua_runtime *rt;
    int status;       /* the status that the function of modalua.h returns */
    const char *name; /* of a chunk, a function or a global; the path of a file */
    const char *text; /* a chunk's source; JSON */
    size_t size;      /* of the text */
    int argc, script; /* the arguments of a script, and its own place among them */
    const char *const *argv;
    bool may_block; /* the file may be one that has to be waited for */
    double seconds;
} protected_call;

/* Between these two calls the runtime works, on this thread and in the "C" locale. */
void runtime_enter(modalua_runtime *rt);
void runtime_leave(modalua_runtime *rt);

/* Calls the function under protection, between runtime_enter and runtime_leave. Returns c->status;
 * when the function throws, MODALUA_E_NOMEM or MODALUA_E_SCRIPT, and what it threw is the last
 * error. */
int runtime_protect(modalua_runtime *rt, lua_CFunction function, protected_call *c);

/* Enters the runtime, does the same, and leaves it. Returns MODALUA_E_BUSY, and does nothing, while
 * another call is at work. */
int runtime_call(modalua_runtime *rt, lua_CFunction function, protected_call *c);

/* After a kill the hook is called at every instruction. Sets it for the coroutines of the next run, which
 * inherit it. */
void runtime_reset_hook(modalua_runtime *rt);

/* Whether the error at index says that memory has ended: Lua's own, or an error object of kind "limit", which
 * operations throw. [-0, +0, -] */
bool runtime_is_memory_error(lua_State *L, int index);

/* The status of a run, or a task, that has ended with the error at index. [-0, +0, -] */
int run_failure_status(lua_State *L, int index);

/* Sets the count hook of the script that this thread runs, so that it sees a request to stop. Any thread, and signal
 * handlers. */
void run_reach_script(modalua_runtime *rt);

/* Frees a runtime without a run. */
void runtime_free(modalua_runtime *rt);

/* The runtime of a state that the library owns. */
#define runtime_of(L) ((modalua_runtime *)stop_loop(L))

#endif
