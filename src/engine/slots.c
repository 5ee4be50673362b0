#include "engine/slots.h"

#include <string.h>

struct lane {
    lane *next;
    unsigned users;   /* handles and operations that name it */
    unsigned running; /* operations with a place */
    op *first, *last; /* that wait */
    size_t size;      /* of this block */
    char key[];       /* server, line feed, path of the remote */
};

lane *lane_of(loop *lp, const char *server, const char *remote)
{
    size_t a = strlen(server), b = strlen(remote), size = sizeof(lane) + a + b + 2;
    lane *l;
    for (l = lp->lanes; l; l = l->next)
        if (strncmp(l->key, server, a) == 0 && l->key[a] == '\n' &&
            strcmp(l->key + a + 1, remote) == 0)
            break;
    if (!l) {
        l = mem_realloc(lp->mem, NULL, 0, size);
        if (!l)
            return NULL;
        memset(l, 0, sizeof *l);
        l->size = size;
        memcpy(l->key, server, a);
        l->key[a] = '\n';
        memcpy(l->key + a + 1, remote, b + 1);
        l->next = lp->lanes;
        lp->lanes = l;
    }
    l->users++;
    return l;
}

void lane_release(loop *lp, lane *l)
{
    if (!l || --l->users > 0)
        return;
    for (lane **link = &lp->lanes; *link; link = &(*link)->next)
        if (*link == l) {
            *link = l->next;
            break;
        }
    mem_realloc(lp->mem, l, l->size, 0);
}

void lane_push_in(lane *l, op *o)
{
    l->users++;
    l->running++;
    o->lane = l;
    o->in_lane = true;
}

bool lane_enter(lane *l, op *o, unsigned max)
{
    o->lane_places = max;
    if (!l->first && l->running < max) {
        lane_push_in(l, o);
        return true;
    }
    l->users++;
    o->lane = l;
    o->ready = o->in_lane = false;
    o->next_in_lane = NULL;
    *(l->last ? &l->last->next_in_lane : &l->first) = o;
    l->last = o;
    return false;
}

static void stop_waiting(lane *l, op *o)
{
    op *before = NULL;
    for (op *at = l->first; at != o; at = at->next_in_lane)
        before = at;
    *(before ? &before->next_in_lane : &l->first) = o->next_in_lane;
    if (l->last == o)
        l->last = before;
}

static void admit(lane *l)
{
    op *o;
    while ((o = l->first) && l->running < o->lane_places) {
        l->first = o->next_in_lane;
        if (!l->first)
            l->last = NULL;
        l->running++;
        o->in_lane = true;
        loop_op_ready(o);
    }
}

void lane_leave(op *o)
{
    lane *l = o->lane;
    if (!l)
        return;
    if (o->in_lane)
        l->running--;
    else
        stop_waiting(l, o);
    o->lane = NULL;
    o->in_lane = false;
    admit(l);
    lane_release(o->lp, l);
}
