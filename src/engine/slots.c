#include "engine/slots.h"

#include <string.h>

struct slots {
    slots *next;
    unsigned users;   /* slots_open without slots_close, and operations that hold or wait */
    unsigned held;    /* operations with a slot */
    op *first, *last; /* that wait */
    size_t size;      /* bytes of this block */
    char key[];       /* server, line feed, path of the remote */
};

static slots *slots_find(const loop *lp, const char *server, const char *remote)
{
    size_t n = strlen(server);
    slots *s = lp->slots;
    while (s && (strncmp(s->key, server, n) != 0 || s->key[n] != '\n' ||
                 strcmp(s->key + n + 1, remote) != 0))
        s = s->next;
    return s;
}

static slots *slots_make(loop *lp, const char *server, const char *remote)
{
    size_t a = strlen(server), b = strlen(remote), size = sizeof(slots) + a + b + 2;
    slots *s = memory_realloc(lp->memory, NULL, 0, size);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->size = size;
    memcpy(s->key, server, a);
    s->key[a] = '\n';
    memcpy(s->key + a + 1, remote, b + 1);
    s->next = lp->slots;
    lp->slots = s;
    return s;
}

slots *slots_open(loop *lp, const char *server, const char *remote)
{
    slots *s = slots_find(lp, server, remote);
    if (!s)
        s = slots_make(lp, server, remote);
    if (s)
        s->users++;
    return s;
}

void slots_close(loop *lp, slots *s)
{
    slots **link = &lp->slots;
    if (!s || --s->users > 0)
        return;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    memory_realloc(lp->memory, s, s->size, 0);
}

void slots_acquire_now(slots *s, op *o)
{
    s->users++;
    s->held++;
    o->slot.of = s;
    o->slot.held = true;
}

bool slots_acquire(slots *s, op *o, unsigned limit)
{
    o->slot.limit = limit;
    if (!s->first && s->held < limit) {
        slots_acquire_now(s, o);
        return true;
    }
    s->users++;
    o->slot.of = s;
    o->ready = o->slot.held = false;
    o->slot.next = NULL;
    *(s->last ? &s->last->slot.next : &s->first) = o;
    s->last = o;
    return false;
}

static void stop_waiting(slots *s, op *o)
{
    op *before = NULL;
    for (op *at = s->first; at != o; at = at->slot.next)
        before = at;
    *(before ? &before->slot.next : &s->first) = o->slot.next;
    if (s->last == o)
        s->last = before;
}

/* Gives free slots to the operations that have waited longest. */
static void slots_serve(slots *s)
{
    op *o;
    while ((o = s->first) && s->held < o->slot.limit) {
        s->first = o->slot.next;
        if (!s->first)
            s->last = NULL;
        s->held++;
        o->slot.held = true;
        loop_op_ready(o);
    }
}

void slots_release(op *o)
{
    slots *s = o->slot.of;
    if (!s)
        return;
    if (o->slot.held)
        s->held--;
    else
        stop_waiting(s, o);
    o->slot.of = NULL;
    o->slot.held = false;
    slots_serve(s);
    slots_close(o->lp, s);
}
