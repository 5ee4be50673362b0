#include "engine/descriptor.h"

#include <string.h>

#include "engine/timer.h"

enum { DESCRIPTORS_AT_FIRST = 4 };

static struct pollfd descriptor_of_wakeup(const loop *lp)
{
    return (struct pollfd){ .fd = lp->wakeup.reader, .events = POLLIN };
}

/* Both lists are in one block. */
static size_t descriptor_bytes(size_t room)
{
    return (room + 1) * (sizeof(op *) + sizeof(struct pollfd));
}

static bool descriptor_grow(loop *lp)
{
    struct loop_descriptors *d = &lp->descriptors;
    struct loop_descriptors grown = { .room = d->room > 0 ? 2 * d->room : DESCRIPTORS_AT_FIRST,
                                      .count = d->count };
    grown.ops = memory_realloc(lp->memory, NULL, 0, descriptor_bytes(grown.room));
    if (!grown.ops)
        return false;
    grown.list = (struct pollfd *)(grown.ops + grown.room + 1);
    if (d->ops) {
        memcpy(grown.ops, d->ops, (d->count + 1) * sizeof *d->ops);
        memcpy(grown.list, d->list, (d->count + 1) * sizeof *d->list);
    }
    descriptor_free(lp);
    *d = grown;
    d->list[0] = descriptor_of_wakeup(lp);
    d->ops[0] = NULL;
    return true;
}

bool descriptor_watch(op *o, int fd, short events)
{
    struct loop_descriptors *d = &o->lp->descriptors;
    if (o->descriptor == 0) {
        if (d->count == d->room && !descriptor_grow(o->lp))
            return false;
        o->descriptor = ++d->count;
        d->ops[o->descriptor] = o;
    }
    d->list[o->descriptor] = (struct pollfd){ .fd = fd, .events = events };
    return true;
}

/* The last one takes its place. */
void descriptor_forget(op *o)
{
    struct loop_descriptors *d = &o->lp->descriptors;
    size_t place = o->descriptor;
    if (place == 0)
        return;
    d->list[place] = d->list[d->count];
    d->ops[place] = d->ops[d->count];
    d->ops[place]->descriptor = place;
    d->count--;
    o->descriptor = 0;
}

/* From the last one to the first: those that take the place of one that is ready have been looked at. */
bool descriptor_collect(loop *lp)
{
    struct loop_descriptors *d = &lp->descriptors;
    bool any = false;
    if (d->count == 0 || poll(d->list + 1, (nfds_t)d->count, 0) <= 0)
        return false;
    for (size_t i = d->count; i > 0; i--)
        if (d->list[i].revents) {
            op *o = d->ops[i];
            descriptor_forget(o);
            timer_clear(o);
            loop_op_ready(o);
            any = true;
        }
    return any;
}

struct pollfd *descriptor_list(loop *lp, struct pollfd *first, size_t *count)
{
    *count = lp->descriptors.count + 1;
    if (lp->descriptors.count > 0)
        return lp->descriptors.list;
    *first = descriptor_of_wakeup(lp);
    return first;
}

void descriptor_free(loop *lp)
{
    struct loop_descriptors *d = &lp->descriptors;
    if (d->ops)
        memory_realloc(lp->memory, d->ops, descriptor_bytes(d->room), 0);
    *d = (struct loop_descriptors){ 0 };
}
