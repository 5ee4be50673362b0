/* database/postgres_call.h - a call on a connection to PostgreSQL, as an operation: what its steps share. The files
 * postgres*.c alone include it. */
#ifndef DATABASE_POSTGRES_CALL_H
#define DATABASE_POSTGRES_CALL_H

#include <lua.h>
#include <stdbool.h>

#include "database/database.h"
#include "database/postgres_connector.h"
#include "database/postgres_functions.h"
#include "engine/op.h"

typedef struct postgres {
    database base;
    postgres_functions api;
    postgres_connector *connector; /* NULL: none is at work */
    PGconn *conn;                  /* NULL: it must be made */
    bool in_transaction;           /* as the caller knows it */
    bool is_broken;                /* the connection was lost inside a transaction */
    bool is_ending;                /* the server has said so */
    bool is_unfinished;            /* a statement was left; it may still be executed */
    int kept;                      /* statements that are prepared and kept */
    unsigned names;                /* that have been given to statements */
    double limits[3];              /* of each phase of a call, in seconds */
} postgres;

typedef struct postgres_call postgres_call;

/* A step does one of three things: it starts a wait and returns OP_WAIT; it sets `next` and returns GO_ON; it
 * pushes the results of the call and returns their number. */
typedef int (*postgres_step)(lua_State *L, postgres_call *c);

enum { GO_ON = 0 };

enum postgres_phase {
    CONNECTS, /* the connection is made */
    DRAINS,   /* waits for the end of the statement that was left */
    RUNS
};

/* The connection is its user value, and at DATABASE_DB. */
struct postgres_call {
    op op;
    postgres *p;
    enum postgres_phase phase;
    postgres_step next, then; /* then: when all results of what was sent are here */
    postgres_step connected;  /* with a new connection */
    double due;               /* the end of the time limit of the phase */
    const char *const *texts; /* of the parameters; the array is on the stack */
    int count;
    PGresult *result; /* the first one that is an error, or the last one */
    bool opens;       /* native.open */
    bool is_slow;     /* db:run_slowly */
    char name[16];    /* of the prepared statement; "": it is not kept */
};

/* Pushes a call on the connection at DATABASE_DB, for op_run. [-0, +1, m] */
postgres_call *postgres_call_new(lua_State *L, postgres *p, const char *function,
                                 postgres_step first);

/* For database_kind: db:close, and db:abandon. A call that waits is told, and fails. */
void postgres_call_close(database *d);
void postgres_call_abandon(database *d);

/* PQsetNoticeReceiver of a connection; `user` is its postgres. */
void postgres_call_on_notice(void *user, const PGresult *notice);

/* ---- for steps ---- */

/* The phase begins, and its time limit. */
void postgres_call_enter(postgres_call *c, enum postgres_phase phase);

/* Waits for an event of poll(2) on the descriptor, or for the end of the time limit. Returns OP_WAIT. */
int postgres_call_wait(lua_State *L, postgres_call *c, int fd, int events);

/* A step: sends and receives until all results are here, and then goes on with the step `then`. */
int postgres_call_complete(lua_State *L, postgres_call *c);

/* What one of the functions PQsend… has returned: 0 is a failure. Goes on with `then` when all results are here. */
int postgres_call_sent(lua_State *L, postgres_call *c, int is_sent, postgres_step then);

/* Pushes the address of the database, which is its place. [-0, +1, -] */
const char *postgres_call_push_address(lua_State *L);

/* "open" or "run". */
const char *postgres_call_function(const postgres_call *c);

/* Pushes nil and the error with the message on the top, and returns 2. [-1, +2, m] */
int postgres_call_fail(lua_State *L, const postgres_call *c, const char *sqlstate);

/* Whether the statement is ROLLBACK. */
bool postgres_call_is_rollback(lua_State *L, const postgres_call *c);

/* The results of a ROLLBACK of a transaction that is gone. [-0, +2, m] */
int postgres_call_rolled_back(lua_State *L, postgres *p);

/* Ends the connection. */
void postgres_call_disconnect(postgres *p);

#endif
