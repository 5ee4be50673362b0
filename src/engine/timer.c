#include "engine/timer.h"

#include "base/clock.h"

enum { FIRST_ROOM = 16 };

/* Places in the heap are counted from 1: the children of place n are 2n and 2n + 1. */

static op *heap_at(const loop *lp, size_t place)
{
    return lp->timers.heap[place - 1];
}

static void heap_put(loop *lp, size_t place, op *o)
{
    lp->timers.heap[place - 1] = o;
    o->timer.place = place;
}

/* Puts the op at the place, or above: its parents must not be later. */
static void sift_up(loop *lp, size_t place, op *o)
{
    for (; place > 1 && heap_at(lp, place / 2)->timer.due > o->timer.due; place /= 2)
        heap_put(lp, place, heap_at(lp, place / 2));
    heap_put(lp, place, o);
}

/* Puts the op at the place, or below: its children must not be earlier. */
static void sift_down(loop *lp, size_t place, op *o)
{
    for (;;) {
        size_t child = place * 2;
        if (child > lp->timers.count)
            break;
        if (child < lp->timers.count &&
            heap_at(lp, child + 1)->timer.due < heap_at(lp, child)->timer.due)
            child++;
        if (heap_at(lp, child)->timer.due >= o->timer.due)
            break;
        heap_put(lp, place, heap_at(lp, child));
        place = child;
    }
    heap_put(lp, place, o);
}

static bool heap_grow(loop *lp)
{
    size_t before = lp->timers.room, room = before ? before * 2 : FIRST_ROOM;
    op **heap =
        memory_realloc(lp->memory, lp->timers.heap, before * sizeof *heap, room * sizeof *heap);
    if (!heap)
        return false;
    lp->timers.heap = heap;
    lp->timers.room = room;
    return true;
}

bool timer_set(op *o, double due)
{
    loop *lp = o->lp;
    timer_clear(o);
    if (lp->timers.count == lp->timers.room && !heap_grow(lp))
        return false;
    o->timer.due = due;
    sift_up(lp, ++lp->timers.count, o);
    return true;
}

bool timer_set_progress(op *o)
{
    return o->progress_interval == 0 || timer_set(o, clock_now() + o->progress_interval);
}

/* The last op of the heap fills the gap. */
void timer_clear(op *o)
{
    loop *lp = o->lp;
    size_t place = o->timer.place;
    op *last;
    if (place == 0)
        return;
    o->timer.place = 0;
    last = heap_at(lp, lp->timers.count--);
    if (last == o)
        return;
    if (place > 1 && heap_at(lp, place / 2)->timer.due > last->timer.due)
        sift_up(lp, place, last);
    else
        sift_down(lp, place, last);
}

op *timer_first(const loop *lp)
{
    return lp->timers.count > 0 ? heap_at(lp, 1) : NULL;
}

void timer_free(loop *lp)
{
    if (lp->timers.heap)
        memory_realloc(lp->memory, lp->timers.heap, lp->timers.room * sizeof *lp->timers.heap, 0);
    lp->timers.heap = NULL;
    lp->timers.count = lp->timers.room = 0;
}
