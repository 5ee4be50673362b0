/* runtime.h - the runtime from inside: what modalua.h's opaque struct holds. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <locale.h>
#include <lua.h>

#include "lclient.h"
#include "loop.h"
#include "mem.h"
#include "modalua.h"

struct modalua_runtime {
    loop lp;                 /* first: a state's loop is found by its address */
    mem mem;
    lua_State *L;
    modalua_config config;   /* its strings are copies, owned by the runtime */
    lclient_defaults defaults;
    locale_t c_locale;
    bool busy;               /* inside a call: another one would be re-entry */
    bool warnings;           /* warn "@on" */
    bool warning_goes_on;    /* the next piece belongs to the same warning */
    /* the run under way */
    task *root;              /* NULL without a run; kept in the registry */
    double drain_end;        /* until when farewells may be sent; 0 = the root has not ended */
    modalua_done_fn done;
    void *done_user;
    /* what the last call left; both live in the registry */
    const char *error;
    const char *json;
};

/* The runtime of a state that is ours. */
#define runtime_of(L) ((modalua_runtime *)*(void **)lua_getextraspace(L))

#endif
