#include "orthanc_plugin/follow.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orthanc_plugin/text.h"

enum {
    PROPERTY = 5042,   /* of Orthanc's global properties; those of plugins begin at 1024 */
    LONGEST_WAIT = 60, /* seconds */
    SAVE_SHARE = 10,   /* a save takes at most this part of the time */
    NAME_SIZE = 600
};

/* Where the loops with this name and these types are: behind the change `since`. */
typedef struct place {
    char name[NAME_SIZE]; /* script/types */
    long long since;
} place;

/* A loop that waits. */
typedef struct waiter waiter;
struct waiter {
    waiter *next;
    const void *owner;
    modalua_reply *reply;
    double since;
};

struct follow {
    OrthancPluginContext *context;
    pthread_mutex_t lock;
    waiter *waiters;
    unsigned long notified; /* the changes so far */
    place *places;
    size_t count;
    bool dirty;             /* a place has not been saved */
    double may_save;        /* not before that time, unless it must */
    pthread_mutex_t saving; /* one thread at a time saves; it is taken before `lock` */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

follow *follow_new(OrthancPluginContext *context)
{
    follow *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->context = context;
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->saving, NULL);
    return f;
}

void follow_free(follow *f)
{
    if (!f)
        return;
    pthread_mutex_destroy(&f->lock);
    pthread_mutex_destroy(&f->saving);
    free(f->places);
    free(f);
}

/* ---- the places ---- */

/* The place with that name; NULL: there is none. The lock is held. */
static place *find_place(follow *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->places[i].name, name) == 0)
            return &f->places[i];
    return NULL;
}

/* The lock is held. */
static void set_place(follow *f, const char *name, long long since)
{
    place *p = find_place(f, name);
    if (!p) {
        place *grown = realloc(f->places, (f->count + 1) * sizeof *grown);
        if (!grown)
            return; /* the place is not kept, and the loop goes on */
        f->places = grown;
        p = &f->places[f->count++];
        snprintf(p->name, sizeof p->name, "%s", name);
        p->since = -1;
    }
    f->dirty = f->dirty || p->since != since;
    p->since = since;
}

void follow_load(follow *f)
{
    char *all = OrthancPluginGetGlobalProperty(f->context, PROPERTY, ""), *rest = NULL;
    pthread_mutex_lock(&f->lock);
    f->count = 0;
    for (char *line = all ? strtok_r(all, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strrchr(line, '=');
        if (!equals || equals - line >= NAME_SIZE)
            continue;
        *equals = '\0';
        set_place(f, line, strtoll(equals + 1, NULL, 10));
    }
    f->dirty = false;
    pthread_mutex_unlock(&f->lock);
    if (all)
        OrthancPluginFreeString(f->context, all);
}

/* Saves the places, unless `at_once` is false and the last save has taken a large part of the time since. No lock that Orthanc's callbacks
 * need is held while the database writes. */
static void save(follow *f, bool at_once)
{
    text t = { 0 };
    bool is_due, good = true;
    double began, taken;
    pthread_mutex_lock(&f->saving);
    pthread_mutex_lock(&f->lock);
    began = now();
    is_due = f->dirty && (at_once || began >= f->may_save);
    for (size_t i = 0; is_due && i < f->count; i++)
        text_format(&t, "%s=%lld\n", f->places[i].name, f->places[i].since);
    f->dirty = f->dirty && !is_due;
    pthread_mutex_unlock(&f->lock);
    if (is_due) {
        good = !t.failed && OrthancPluginSetGlobalProperty(f->context, PROPERTY, t.data) ==
                                OrthancPluginErrorCode_Success;
        taken = now() - began;
        pthread_mutex_lock(&f->lock);
        f->dirty = f->dirty || !good;
        f->may_save = began + (taken < 0.1 ? taken * SAVE_SHARE : 1);
        pthread_mutex_unlock(&f->lock);
    }
    pthread_mutex_unlock(&f->saving);
    text_free(&t);
}

/* ---- waiting ---- */

static void answer_number(modalua_reply *reply, unsigned long number)
{
    char json[32];
    snprintf(json, sizeof json, "%lu", number);
    if (modalua_reply_json(reply, json) == MODALUA_E_NOMEM)
        modalua_reply_error(reply, NULL, "");
}

/* Answers and frees all waiters of the list. */
static void answer_all(waiter *list, unsigned long notified)
{
    waiter *next;
    for (; list; list = next) {
        next = list->next;
        answer_number(list->reply, notified);
        free(list);
    }
}

/* Takes the waiters of that owner out of the list, that have waited since before `before`. NULL = of all owners.
 * The lock is held. */
static waiter *take_out(follow *f, const void *owner, double before)
{
    waiter *taken = NULL;
    for (waiter **at = &f->waiters; *at;) {
        waiter *w = *at;
        if ((!owner || w->owner == owner) && w->since < before) {
            *at = w->next;
            w->next = taken;
            taken = w;
        } else {
            at = &w->next;
        }
    }
    return taken;
}

static void wake(follow *f, const void *owner, double before, unsigned long more)
{
    waiter *taken;
    unsigned long notified;
    pthread_mutex_lock(&f->lock);
    notified = f->notified += more;
    taken = take_out(f, owner, before);
    pthread_mutex_unlock(&f->lock);
    answer_all(taken, notified);
}

void follow_notify(follow *f)
{
    wake(f, NULL, 1e300, 1);
}

void follow_refresh(follow *f, const void *owner)
{
    wake(f, owner, now() - LONGEST_WAIT, 0);
    save(f, false);
}

void follow_leave(follow *f, const void *owner)
{
    wake(f, owner, 1e300, 0);
    save(f, true);
}

/* Keeps the reply until something has changed, or answers at once when it has since `notified`. */
static void wait_for_change(follow *f, const void *owner, const char *notified,
                            modalua_reply *reply)
{
    waiter *w = malloc(sizeof *w);
    unsigned long present;
    pthread_mutex_lock(&f->lock);
    present = f->notified;
    if (w && *notified != 'n' && strtoul(notified, NULL, 10) == present &&
        modalua_reply_keep(reply) == MODALUA_OK) {
        *w = (waiter){ f->waiters, owner, reply, now() };
        f->waiters = w;
        w = NULL;
        reply = NULL;
    }
    pthread_mutex_unlock(&f->lock);
    free(w);
    if (reply)
        answer_number(reply, present);
}

/* ---- a call of a loop ---- */

/* What is behind the first element of [types, since, wait, notified]; `name` becomes script/types, "" when types is
 * null: the script has chosen the place itself. */
static const char *read_types(const char *arguments, const char *script, char name[NAME_SIZE])
{
    size_t size;
    name[0] = '\0';
    if (strncmp(arguments, "[null,", 6) == 0)
        return arguments + 6;
    size = strcspn(arguments + 2, "\"");
    snprintf(name, NAME_SIZE, "%s/%.*s", script, (int)size, arguments + 2);
    return arguments + 2 + size + 2;
}

void follow_ask(follow *f, const void *owner, const char *script, const char *arguments,
                modalua_reply *reply)
{
    char name[NAME_SIZE], json[32] = "null";
    char *behind;
    const char *at = read_types(arguments, script, name);
    long long since = strtoll(at, &behind, 10);
    if (strncmp(at, "null", 4) == 0) { /* a loop begins */
        const place *p;
        pthread_mutex_lock(&f->lock);
        p = find_place(f, name);
        if (p)
            snprintf(json, sizeof json, "%lld", p->since);
        pthread_mutex_unlock(&f->lock);
        modalua_reply_json(reply, json);
        return;
    }
    if (name[0]) {
        pthread_mutex_lock(&f->lock);
        set_place(f, name, since);
        pthread_mutex_unlock(&f->lock);
    }
    if (strncmp(behind, ",true,", 6) != 0) {
        save(f, false);
        return;
    }
    save(f, true);
    wait_for_change(f, owner, behind + 6, reply);
}
