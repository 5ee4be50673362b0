#include "database/sqlite_slow.h"

#include <lauxlib.h>
#include <poll.h>
#include <pthread.h>

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
    wakeup ended; /* the thread tells the loop: the step has ended */
    wakeup next;  /* the loop tells the thread: make a step, or end */
    bool has_thread;
    bool is_stepping;
    atomic_bool must_end;
    int code; /* what the step returned */
};

/* Makes one step each time that the loop says so. Between them it uses nothing of the connection. */
static void *slow_thread(void *user)
{
    sqlite_slow *c = user;
    struct pollfd fd = { .fd = c->next.reader, .events = POLLIN };
    for (;;) {
        while (poll(&fd, 1, -1) != 1)
            ;
        wakeup_drain(&c->next);
        if (atomic_load(&c->must_end))
            return NULL;
        c->code = c->s->api.step(c->s->active);
        wakeup_send(&c->ended);
    }
}

static bool slow_has_ended(const sqlite_slow *c, int milliseconds)
{
    struct pollfd fd = { .fd = c->ended.reader, .events = POLLIN };
    return poll(&fd, 1, milliseconds) == 1;
}

/* The step has ended: the connection is free. */
static void slow_leave_step(sqlite_slow *c)
{
    wakeup_drain(&c->ended);
    c->is_stepping = false;
    c->s->slow = NULL;
    c->s->base.user = NULL;
}

/* Ends the step that is under way, which takes about a millisecond, and the thread. */
static void slow_stop(sqlite_slow *c)
{
    sqlite *s = c->s;
    if (c->is_stepping) {
        atomic_store(&s->is_stopped, true);
        do
            s->api.interrupt(s->handle);
        while (!slow_has_ended(c, TOLD_AGAIN_MS));
        slow_leave_step(c);
        atomic_store(&s->is_stopped, false);
    }
    if (!c->has_thread)
        return;
    atomic_store(&c->must_end, true);
    wakeup_send(&c->next);
    pthread_join(c->thread, NULL);
    c->has_thread = false;
}

static void slow_on_release(op *o)
{
    sqlite_slow *c = (sqlite_slow *)o;
    slow_stop(c);
    wakeup_close(&c->ended);
    wakeup_close(&c->next);
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

static int slow_wait(lua_State *L, sqlite_slow *c)
{
    return op_watch(L, &c->op, c->ended.reader, POLLIN, clock_now() + LONGEST_WAIT);
}

static int slow_step(lua_State *L, sqlite_slow *c)
{
    c->s->slow = c;
    c->s->base.user = &c->op;
    c->is_stepping = true;
    wakeup_send(&c->next);
    return slow_wait(L, c);
}

/* False: the system has no thread or no descriptor left. */
static bool slow_start_thread(sqlite_slow *c)
{
    c->has_thread = wakeup_open(&c->ended) == 0 && wakeup_open(&c->next) == 0 &&
                    thread_start(&c->thread, STACK_BYTES, slow_thread, c) == 0;
    return c->has_thread;
}

static int slow_end_call(lua_State *L, sqlite_slow *c, int code)
{
    slow_stop(c);
    return sqlite_end_call(L, c->s, code, c->total);
}

static int slow_advance(lua_State *L, op *o)
{
    sqlite_slow *c = (sqlite_slow *)o;
    bool is_row;
    if (!c->s->base.is_open) {
        lua_pushliteral(L, "the connection was closed meanwhile");
        return database_fail(L, "run", "SQLITE_ABORT");
    }
    if (!slow_has_ended(c, 0))
        return slow_wait(L, c);
    slow_leave_step(c);
    lua_getiuservalue(L, o->index, SLOW_ROWS);
    is_row = c->code == SQLITE_ROW;
    if (is_row && sqlite_add_row(L, c->s, ++c->rows)) {
        lua_pop(L, 1);
        return slow_step(L, c);
    }
    return slow_end_call(L, c, is_row ? SQLITE_NOMEM : c->code);
}

/* Without a thread the statement blocks the loop: that is better than no result. */
static int slow_begin(lua_State *L, op *o)
{
    sqlite_slow *c = (sqlite_slow *)o;
    o->advance = slow_advance;
    if (slow_start_thread(c))
        return slow_step(L, c);
    lua_getiuservalue(L, o->index, SLOW_ROWS);
    return slow_end_call(L, c, sqlite_step_all(L, c->s));
}

int sqlite_slow_run(lua_State *L, sqlite *s, sqlite3_int64 total)
{
    sqlite_slow *c =
        (sqlite_slow *)op_new(L, s->base.lp, sizeof *c, SLOW_VALUES, slow_begin, "run");
    wakeup_clear(&c->ended);
    wakeup_clear(&c->next);
    c->s = s;
    c->total = total;
    c->op.on_stop = slow_on_stop;
    c->op.on_release = slow_on_release;
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, SLOW_ROWS);
    lua_pushvalue(L, DATABASE_DB);
    lua_setiuservalue(L, -2, SLOW_DB);
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
