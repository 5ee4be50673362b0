#include "engine/slots.h"

#include <string.h>

struct slots {
    slots *next;
    unsigned users;   /* handles and operations that name it */
    unsigned running; /* operations with a place */
    op *first, *last; /* that wait */
    size_t size;      /* of this block */
    char key[];       /* server, line feed, path of the remote */
};

slots *slots_of(loop *lp, const char *server, const char *remote)
{
    size_t a = strlen(server), b = strlen(remote), size = sizeof(slots) + a + b + 2;
    slots *l;
    for (l = lp->slots_list; l; l = l->next)
        if (strncmp(l->key, server, a) == 0 && l->key[a] == '\n' &&
            strcmp(l->key + a + 1, remote) == 0)
            break;
    if (!l) {
        l = memory_realloc(lp->memory, NULL, 0, size);
        if (!l)
            return NULL;
        memset(l, 0, sizeof *l);
        l->size = size;
        memcpy(l->key, server, a);
        l->key[a] = '\n';
        memcpy(l->key + a + 1, remote, b + 1);
        l->next = lp->slots_list;
        lp->slots_list = l;
    }
    l->users++;
    return l;
}

void slots_release(loop *lp, slots *l)
{
    if (!l || --l->users > 0)
        return;
    for (slots **link = &lp->slots_list; *link; link = &(*link)->next)
        if (*link == l) {
            *link = l->next;
            break;
        }
    memory_realloc(lp->memory, l, l->size, 0);
}

void slots_push_in(slots *l, op *o)
{
    l->users++;
    l->running++;
    o->slots = l;
    o->has_slot = true;
}

bool slots_enter(slots *l, op *o, unsigned max)
{
    o->slot_limit = max;
    if (!l->first && l->running < max) {
        slots_push_in(l, o);
        return true;
    }
    l->users++;
    o->slots = l;
    o->ready = o->has_slot = false;
    o->next_waiting = NULL;
    *(l->last ? &l->last->next_waiting : &l->first) = o;
    l->last = o;
    return false;
}

static void stop_waiting(slots *l, op *o)
{
    op *before = NULL;
    for (op *at = l->first; at != o; at = at->next_waiting)
        before = at;
    *(before ? &before->next_waiting : &l->first) = o->next_waiting;
    if (l->last == o)
        l->last = before;
}

static void admit(slots *l)
{
    op *o;
    while ((o = l->first) && l->running < o->slot_limit) {
        l->first = o->next_waiting;
        if (!l->first)
            l->last = NULL;
        l->running++;
        o->has_slot = true;
        loop_op_ready(o);
    }
}

void slots_leave(op *o)
{
    slots *l = o->slots;
    if (!l)
        return;
    if (o->has_slot)
        l->running--;
    else
        stop_waiting(l, o);
    o->slots = NULL;
    o->has_slot = false;
    admit(l);
    slots_release(o->lp, l);
}
