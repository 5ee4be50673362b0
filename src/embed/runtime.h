/* embed/runtime.h - the runtime from inside: what modalua.h's opaque struct holds. */
#ifndef EMBED_RUNTIME_H
#define EMBED_RUNTIME_H

#include <locale.h>
#include <lua.h>

#include "api/connect.h"
#include "base/memory.h"
#include "embed/stdlib.h"
#include "engine/loop.h"
#include "engine/stop.h"
#include "modalua.h"

struct modalua_runtime {
    loop lp; /* first: a state's loop is found by its address */
    memory memory;
    lua_State *L;
    modalua_config config; /* its strings are copies, owned by the runtime */
    client_defaults defaults;
    stdlib_output host;
    locale_t c_locale;
    bool busy; /* inside a call: another one would be re-entry */
    /* the run under way */
    task *root;       /* NULL without a run; kept in the registry */
    double drain_end; /* until when farewells may be sent; 0 = the root has not ended */
    modalua_done_fn done;
    void *done_user;
    /* what the last call left; static, or in the registry */
    const char *error, *error_json;
    const char *json;
};

/* What every protected function receives as its only argument, a light userdata. */
typedef struct protected_call {
    modalua_runtime *rt;
    int status; /* what the public function returns */
    const char *name,
        *text; /* a chunk's name and source; a file's path; a function's name and argument */
    size_t size;
    int argc, script;
    const char *const *argv;
    double seconds;
} protected_call;

/* Between these two the runtime works on the calling thread, under the "C" locale; `before` is the
 * locale to put back. */
void runtime_enter(modalua_runtime *rt, locale_t *before);
void runtime_leave(modalua_runtime *rt, locale_t before);

/* Frees a runtime that has no run under way. */
void runtime_free(modalua_runtime *rt);

/* Runs a C function under protection and returns the status that it left in the call, or, should it
 * fail itself, MODALUA_E_NOMEM or MODALUA_E_SCRIPT with its message as the last error. */
int runtime_protect(modalua_runtime *rt, lua_CFunction function, protected_call *c);

/* The same as a whole call of the host's: MODALUA_E_BUSY inside another one. */
int runtime_call(modalua_runtime *rt, lua_CFunction function, protected_call *c);

/* The runtime of a state that is ours. */
#define runtime_of(L) ((modalua_runtime *)stop_loop(L))

#endif
