/* embed/spawned.h - what a host runs beside the run under way: tasks that it has started
 * (modalua_spawn_call), and calls that any thread has posted (modalua_post), which become such tasks at
 * the next step. They are children of the run's root task, so the run ends when they have ended.
 *
 * The list has a lock, because any thread may post. Its records are allocated from the C library: the
 * runtime's memory account is for one thread. */
#ifndef EMBED_SPAWNED_H
#define EMBED_SPAWNED_H

#include <lua.h>
#include <pthread.h>
#include <stdbool.h>

#include "engine/loop.h"
#include "modalua.h"

typedef struct spawned spawned;

typedef struct spawned_list {
    pthread_mutex_t lock;
    bool open;    /* the lock has been made */
    bool refuses; /* the runtime is being destroyed: no call may be added */
    spawned *first, *last;
    unsigned long last_id;
} spawned_list;

/* For a zeroed list. False: the system refuses. */
bool spawned_open(spawned_list *list);

/* The list must be empty. Idempotent; a zeroed list is fine. */
void spawned_close(spawned_list *list);

/* In a step: makes tasks of the calls that have been posted, and cancels those that are to be cancelled.
 * [-0, +0, -] */
void spawned_begin(lua_State *L, modalua_runtime *rt);

/* loop->on_task_cancels: cancels the tasks at work that modalua_cancel_task has named. [-0, +0, -] */
void spawned_cancel(loop *lp);

/* In a step: takes the outcomes of the tasks that have ended. [-0, +0, -] */
void spawned_collect(lua_State *L, modalua_runtime *rt);

/* The run ends, and with it all of its tasks: takes the outcomes that are left. */
void spawned_finish(modalua_runtime *rt);

/* After a step, outside the runtime: calls `done` for each outcome that has been taken. */
void spawned_tell(modalua_runtime *rt);

/* The runtime is being destroyed: from now on calls that are posted are refused. */
void spawned_refuse(modalua_runtime *rt);

/* The same, after the last run: the calls that wait for one are cancelled. */
void spawned_abandon(modalua_runtime *rt);

#endif
