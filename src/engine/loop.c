#include "engine/loop.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "engine/descriptor.h"
#include "engine/task.h"
#include "engine/timer.h"

enum { WAIT_MAX_S = 1, POLL_AGAIN_MS = 10 };

/* ---- life ---- */

void loop_clear(loop *lp)
{
    memset(lp, 0, sizeof *lp);
    wakeup_clear(&lp->wakeup);
}

static void wake_loop(void *user)
{
    loop_wake(user);
}

bool loop_init(loop *lp, memory *m)
{
    loop_clear(lp);
    if (!m) {
        memory_init(&lp->own_memory, NULL, NULL, 0);
        m = &lp->own_memory;
    }
    lp->memory = m;
    atomic_init(&lp->cancels, 0);
    atomic_init(&lp->due, -1);
    http_init(&lp->http, m, &lp->host);
    lp->http.wake = wake_loop;
    lp->http.wake_user = lp;
    return wakeup_open(&lp->wakeup) == 0;
}

void loop_free(loop *lp)
{
    http_free(&lp->http);
    timer_free(lp);
    descriptor_free(lp);
    wakeup_close(&lp->wakeup);
    host_thread_close(&lp->host);
}

/* ---- ready tasks ---- */

void loop_make_ready(loop *lp, task *t)
{
    if (t->queued)
        return;
    t->queued = true;
    t->next_ready = NULL;
    *(lp->ready_tail ? &lp->ready_tail->next_ready : &lp->ready) = t;
    lp->ready_tail = t;
}

task *loop_take_ready(loop *lp)
{
    task *t = lp->ready;
    if (t) {
        lp->ready = t->next_ready;
        if (!lp->ready)
            lp->ready_tail = NULL;
        t->queued = false;
    }
    return t;
}

void loop_op_ready(op *o)
{
    task *t = o->waiter;
    o->ready = true;
    o->waiter = NULL;
    if (t) {
        t->waits = NULL;
        loop_make_ready(o->lp, t);
    }
}

bool loop_is_stuck(const loop *lp)
{
    const http *h = &lp->http;
    if (lp->ready || timer_first(lp) || lp->descriptors.count > 0 || lp->external ||
        h->running > 0 || h->waiting > 0 || h->finished.first)
        return false;
    for (const task *t = lp->tasks; t; t = t->next)
        if (t->waits)
            return true;
    return false;
}

void loop_break_deadlock(loop *lp)
{
    for (task *t = lp->tasks; t; t = t->next)
        if (t->waits) {
            t->waits->stuck = true;
            loop_op_ready(t->waits);
            return;
        }
}

/* ---- answers from outside the loop ---- */

/* The flag is set after the byte is written: was_woken clears it and then drains the pipe, so that
 * no byte is left behind. */
void loop_wake(loop *lp)
{
    wakeup_send(&lp->wakeup);
    atomic_store(&lp->woken, true);
}

void loop_wait_external(op *o, bool (*is_answered)(const op *o))
{
    o->ready = false;
    o->external.is_answered = is_answered;
    o->external.next = o->lp->external;
    o->lp->external = o;
}

void loop_forget_external(op *o)
{
    op **link = &o->lp->external;
    if (!o->external.is_answered)
        return;
    while (*link != o)
        link = &(*link)->external.next;
    *link = o->external.next;
    o->external.is_answered = NULL;
}

/* Whether loop_wake was called. Then the operations that have been answered become ready, and *any
 * is set when there was one. */
static bool was_woken(loop *lp, bool *any)
{
    op *next;
    if (!atomic_exchange(&lp->woken, false))
        return false;
    wakeup_drain(&lp->wakeup);
    for (op *o = lp->external; o; o = next) {
        next = o->external.next;
        if (o->external.is_answered(o)) {
            loop_forget_external(o);
            loop_op_ready(o);
            *any = true;
        }
    }
    return true;
}

/* ---- the run, and requests to stop it ---- */

/* A kill is due at that time, or earlier when one was due already. */
static void set_due(loop *lp, double when)
{
    double before = atomic_load(&lp->due);
    while ((before == 0 || when < before) && !atomic_compare_exchange_weak(&lp->due, &before, when))
        ;
}

void loop_set_deadline(loop *lp, double deadline)
{
    lp->deadline = deadline;
    set_due(lp, deadline);
}

void loop_clear_deadline(loop *lp)
{
    lp->deadline = 0;
    atomic_store(&lp->due, 0);
    atomic_store(&lp->burst_end, 0);
}

double loop_overdue(const loop *lp)
{
    double due = atomic_load(&lp->due), burst = atomic_load(&lp->burst_end);
    double away = atomic_load(&lp->away);
    if (due == 0 || (burst > 0 && burst < due))
        due = burst;
    if (due <= 0)
        return -HUGE_VAL;
    return (away > 0 ? fmin(clock_now(), fmax(away, due)) : clock_now()) - due;
}

void loop_enter_host(loop *lp)
{
    if (lp->host.lent == 0)
        atomic_store(&lp->away, clock_now());
    host_thread_lend(&lp->host);
}

/* A kill that was due meanwhile is due now. */
void loop_leave_host(loop *lp)
{
    double now = clock_now(), away = atomic_load(&lp->away), due = atomic_load(&lp->due);
    host_thread_take_back(&lp->host);
    if (lp->host.lent > 0)
        return;
    while (due > 0 && due < now &&
           !atomic_compare_exchange_weak(&lp->due, &due, due + now - fmax(due, away)))
        ;
    atomic_store(&lp->away, 0);
}

unsigned loop_cancels(const loop *lp)
{
    return atomic_load(&lp->cancels) + atomic_load(&lp->sticky);
}

static void set_cancels_due(loop *lp)
{
    set_due(lp, clock_now() + (loop_cancels(lp) < 2 ? lp->grace : 0));
}

void loop_cancel(loop *lp)
{
    atomic_fetch_add(&lp->cancels, 1);
    set_cancels_due(lp);
    loop_wake(lp);
}

void loop_cancel_sticky(loop *lp)
{
    atomic_fetch_add(&lp->sticky, 1);
    set_cancels_due(lp);
    loop_wake(lp);
}

void loop_forget_sticky(loop *lp)
{
    atomic_store(&lp->sticky, 0);
}

void loop_begin(loop *lp)
{
    lp->stop = LOOP_GO;
    lp->reason = REASON_NONE;
    lp->kill_grace_end = 0;
    lp->kill_place[0] = '\0';
    lp->thrown_by_hook = NULL;
    atomic_store(&lp->cancels, 0);
    loop_clear_deadline(lp);
    if (loop_cancels(lp) > 0)
        set_cancels_due(lp);
    atomic_store(&lp->woken, true); /* a byte that is drained here may be for this run */
    wakeup_drain(&lp->wakeup);
}

void loop_end(loop *lp)
{
    loop_begin(lp);
    atomic_store(&lp->due, -1);
}

/* Cancels one task. The request of its operation is aborted, unless the operation needs the answer
 * and the request has started. */
static void cancel_one(loop *lp, task *t)
{
    op *o = t->waits;
    if (t->state == TASK_DONE)
        return;
    t->cancelled = true;
    if (o) {
        o->waiter = NULL;
        if (!o->keeps_request || o->transfer.state == HTTP_WAITING)
            http_end(&o->transfer);
        timer_clear(o);
        descriptor_forget(o);
        t->waits = NULL;
        loop_make_ready(lp, t);
    }
}

/* Walks the tree of `top`: the task after `at`, among its children when `below` is true; NULL at
 * the end. It does not recurse, since the tree can be deep. */
static task *next_task(const task *top, task *at, bool below)
{
    if (below && at->children)
        return at->children;
    while (at != top && !at->sibling)
        at = at->parent;
    return at == top ? NULL : at->sibling;
}

void loop_detach_task(task *t)
{
    for (task *at = t; at; at = next_task(t, at, true))
        at->detached = true;
}

void loop_cancel_task(loop *lp, task *t)
{
    for (task *at = t; at; at = next_task(t, at, at->state == TASK_CLOSING))
        cancel_one(lp, at);
}

void loop_cancel_scope(loop *lp, task *t)
{
    double due = clock_now() + lp->grace;
    for (task *at = t; at; at = next_task(t, at, true)) {
        cancel_one(lp, at);
        if (at->kill_due == 0)
            at->kill_due = due;
    }
}

void loop_request_task_cancels(loop *lp)
{
    atomic_store(&lp->task_cancels_requested, true);
    loop_wake(lp);
}

bool loop_kills(const loop *lp)
{
    return lp->stop == LOOP_KILL || (lp->current && lp->current->killed);
}

void loop_kill(loop *lp, loop_reason reason)
{
    if (lp->stop == LOOP_KILL)
        return;
    lp->stop = LOOP_KILL;
    lp->reason = reason;
    for (task *t = lp->tasks; t; t = t->next)
        cancel_one(lp, t);
}

static void begin_cancel(loop *lp)
{
    double end = clock_now() + lp->grace;
    lp->stop = LOOP_CANCEL;
    lp->reason = REASON_CANCELLED;
    if (lp->owned && (lp->deadline == 0 || end < lp->deadline))
        lp->deadline = end;
    for (task *t = lp->tasks; t; t = t->next)
        cancel_one(lp, t);
}

/* Acts on requests to cancel single tasks. */
static void check_tasks(loop *lp, double now)
{
    task *t = lp->current;
    if (atomic_load_explicit(&lp->task_cancels_requested, memory_order_relaxed) &&
        atomic_exchange(&lp->task_cancels_requested, false) && lp->on_task_cancels)
        lp->on_task_cancels(lp);
    if (t && t->kill_due > 0 && now >= t->kill_due)
        t->killed = true;
}

void loop_check(loop *lp)
{
    bool is_limited = lp->deadline > 0 || (lp->current && lp->current->kill_due > 0);
    loop_check_at(lp, is_limited ? clock_now() : 0);
}

void loop_check_at(loop *lp, double now)
{
    unsigned cancels = loop_cancels(lp);
    if (lp->stop == LOOP_KILL)
        return;
    if (cancels > 1 || (cancels == 1 && lp->apart))
        loop_kill(lp, REASON_CANCELLED);
    else if (cancels == 1 && lp->stop == LOOP_GO)
        begin_cancel(lp);
    else if (lp->deadline > 0 && now >= lp->deadline)
        loop_kill(lp, lp->stop == LOOP_CANCEL ? lp->reason : REASON_RUN_TIME);
    check_tasks(lp, now);
}

/* ---- the pump ---- */

/* The op's request has ended. Returns whether the op became ready; if not, the request will be
 * retried. A cleanup request is retried only when the server is there, and is busy. */
static bool request_ended(op *o)
{
    bool last = o->cleanup.ref && o->transfer.fault != HTTP_OK;
    double pause = last ? 0 : retry_pause(&o->retry, &o->transfer);
    timer_clear(o);
    if (pause > 0 && timer_set(o, clock_now() + pause))
        return false;
    o->retry.pausing = false;
    loop_op_ready(o);
    return true;
}

/* The pause before a retry is over. False: not enough memory to send the request again. */
static bool send_again(op *o)
{
    if (!retry_send(&o->retry, &o->transfer))
        return false;
    o->transfer.owner = o;
    return timer_set_progress(o);
}

/* The op's timer is due. Returns whether the op became ready. */
static bool timer_ended(op *o)
{
    timer_clear(o);
    if (o->retry.pausing && send_again(o))
        return false;
    loop_op_ready(o);
    return true;
}

/* Makes operations ready whose request or timer has ended, or whose descriptor is ready. Returns whether there
 * was one. */
static bool collect(loop *lp)
{
    http_transfer *t;
    op *first;
    double now;
    bool any = false;
    http_perform(&lp->http);
    while ((t = http_next_finished(&lp->http)))
        any = request_ended(t->owner) || any;
    now = timer_first(lp) ? clock_now() : 0;
    while ((first = timer_first(lp)) && first->timer.due <= now)
        any = timer_ended(first) || any;
    return descriptor_collect(lp) || any;
}

/* Rounded up, so that the timer or limit that ends the wait is due after it. */
static int wait_milliseconds(const loop *lp, double seconds)
{
    double now = clock_now();
    const op *first = timer_first(lp);
    if (seconds < 0 || seconds > WAIT_MAX_S)
        seconds = WAIT_MAX_S;
    if (first && first->timer.due - now < seconds)
        seconds = first->timer.due - now;
    if (lp->deadline > 0 && lp->deadline - now < seconds)
        seconds = lp->deadline - now;
    return seconds <= 0 ? 0 : (int)(seconds * 1000) + 1;
}

bool loop_pump(loop *lp, double seconds)
{
    bool any = false, woken = was_woken(lp, &any);
    any = collect(lp) || any;
    if (!any && !woken && seconds != 0) {
        size_t count;
        struct pollfd first, *own = descriptor_list(lp, &first, &count);
        http_wait(&lp->http, own, count, wait_milliseconds(lp, seconds));
        was_woken(lp, &any);
        any = collect(lp) || any;
    }
    loop_check(lp);
    return any;
}

int loop_fds(loop *lp, struct pollfd *fds, int count, int *milliseconds)
{
    size_t own_count;
    struct pollfd first;
    const struct pollfd *own = descriptor_list(lp, &first, &own_count);
    int n = 0;
    *milliseconds = wait_milliseconds(lp, -1);
    for (; n < count && n < (int)own_count; n++)
        fds[n] = own[n];
    n = (int)own_count + http_fds(&lp->http, fds + n, count - n, milliseconds);
    if (n > count && *milliseconds > POLL_AGAIN_MS)
        *milliseconds = POLL_AGAIN_MS; /* some descriptors have no room */
    if (lp->ready || lp->http.finished.first || atomic_load(&lp->woken) || loop_is_stuck(lp))
        *milliseconds = 0;
    return n < count ? n : count;
}
