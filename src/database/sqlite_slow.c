#include "database/sqlite_slow.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "base/wakeup.h"
#include "engine/descriptor.h"
#include "engine/op.h"
#include "engine/timer.h"

enum {
    STACK_BYTES = 1024 * 1024
}; /* the usual size may be more than a limited address space has */

/* A step that must end is told so again after this time: SQLite forgets sqlite3_interrupt when no statement is
 * running yet. */
enum { TOLD_AGAIN_MS = 2 };

enum { LONGEST_WAIT = 3600 }; /* seconds; the call then waits again */

enum { SLOW_DB = 1, SLOW_ROWS, SLOW_VALUES = SLOW_ROWS }; /* user values */

struct sqlite_slow {
    op op;
    sqlite *s;
    sqlite3_int64 total;
    lua_Integer rows;
    pthread_t thread;
    wakeup ended; /* the thread tells the loop */
    bool has_thread;
    int code; /* what the step returned */
};

static void *slow_step(void *user)
{
    sqlite_slow *c = user;
    sqlite *s = c->s;
    c->code = s->api.step(s->active);
    wakeup_send(&c->ended);
    return NULL;
}

static bool slow_has_ended(const sqlite_slow *c, int milliseconds)
{
    struct pollfd fd = { .fd = c->ended.reader, .events = POLLIN };
    return poll(&fd, 1, milliseconds) == 1;
}

static void slow_join(sqlite_slow *c)
{
    pthread_join(c->thread, NULL);
    wakeup_drain(&c->ended);
    c->has_thread = false;
    c->s->slow = NULL;
    c->s->base.user = NULL;
}

/* Ends the step that is under way, which takes about a millisecond. */
static void slow_stop(sqlite_slow *c)
{
    sqlite *s = c->s;
    if (!c->has_thread)
        return;
    atomic_store(&s->is_stopped, true);
    do
        s->api.interrupt(s->handle);
    while (!slow_has_ended(c, TOLD_AGAIN_MS));
    slow_join(c);
    atomic_store(&s->is_stopped, false);
}

static void slow_on_release(op *o)
{
    sqlite_slow *c = (sqlite_slow *)o;
    slow_stop(c);
    wakeup_close(&c->ended);
}

/* The task is cancelled. */
static void slow_on_stop(lua_State *L, op *o, bool detached)
{
    sqlite_slow *c = (sqlite_slow *)o;
    (void)L;
    (void)detached;
    slow_stop(c);
    if (c->s->handle)
        sqlite_leave_statement(c->s);
}

static int slow_fail(lua_State *L, const char *message)
{
    lua_pushstring(L, message);
    return database_fail(L, "run", "SQLITE_ABORT");
}

static int slow_wait(lua_State *L, sqlite_slow *c)
{
    c->s->slow = c;
    c->s->base.user = &c->op;
    return op_watch(L, &c->op, c->ended.reader, POLLIN, clock_now() + LONGEST_WAIT);
}

static int slow_start_step(lua_State *L, sqlite_slow *c)
{
    int fault = thread_start(&c->thread, STACK_BYTES, slow_step, c);
    if (fault != 0) {
        sqlite_leave_statement(c->s);
        return slow_fail(L, strerror(fault));
    }
    c->has_thread = true;
    return slow_wait(L, c);
}

static int slow_advance(lua_State *L, op *o)
{
    sqlite_slow *c = (sqlite_slow *)o;
    bool is_row;
    if (!c->s->base.is_open)
        return slow_fail(L, "the connection was closed meanwhile");
    if (!c->has_thread)
        return slow_start_step(L, c);
    if (!slow_has_ended(c, 0))
        return slow_wait(L, c);
    slow_join(c);
    lua_getiuservalue(L, o->index, SLOW_ROWS);
    is_row = c->code == SQLITE_ROW;
    if (is_row && sqlite_add_row(L, c->s, ++c->rows)) {
        lua_pop(L, 1);
        return slow_start_step(L, c);
    }
    return sqlite_end_call(L, c->s, is_row ? SQLITE_NOMEM : c->code, c->total);
}

int sqlite_slow_run(lua_State *L, sqlite *s, sqlite3_int64 total)
{
    sqlite_slow *c =
        (sqlite_slow *)op_new(L, s->base.lp, sizeof *c, SLOW_VALUES, slow_advance, "run");
    int fault;
    wakeup_clear(&c->ended);
    c->s = s;
    c->total = total;
    c->op.on_stop = slow_on_stop;
    c->op.on_release = slow_on_release;
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, SLOW_ROWS);
    lua_pushvalue(L, DATABASE_DB);
    lua_setiuservalue(L, -2, SLOW_DB);
    fault = wakeup_open(&c->ended);
    if (fault != 0)
        return slow_fail(L, strerror(fault));
    return op_run(L, &c->op);
}

void sqlite_slow_end(sqlite *s)
{
    sqlite_slow *c = s->slow;
    if (!c)
        return;
    slow_stop(c);
    descriptor_forget(&c->op);
    timer_clear(&c->op);
    loop_op_ready(&c->op);
}
