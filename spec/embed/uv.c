/* uv.c - a host with libuv's loop. While the script waits for an Orthanc, the loop goes on: a timer of the
 * host ticks, and at its second tick posts a call to the script. The argument is the URL of the Orthanc. */
#include <modalua.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { ROOM = 64, TICK_MS = 10 };

typedef struct host {
    uv_loop_t *loop;
    modalua_runtime *rt;
    uv_poll_t *polls[ROOM];
    int count, ticks;
    uv_timer_t wait, tick;
} host;

static const char script[] = "local task = require 'modalua.task'\n"
                             "version = assert(require 'modalua'.connect():system()).Version\n"
                             "while not told do task.sleep(0.001) end\n";

static void watch(host *h);

static void step(host *h)
{
    if (modalua_step(h->rt, 0) == MODALUA_WORKING)
        watch(h);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    step(poll->data);
}

static void on_wait(uv_timer_t *timer)
{
    step(timer->data);
}

static void free_poll(uv_handle_t *poll)
{
    free(poll);
}

static void unwatch(host *h)
{
    while (h->count > 0)
        uv_close((uv_handle_t *)h->polls[--h->count], free_poll);
    uv_timer_stop(&h->wait);
}

/* After each step: what the run waits for has changed. */
static void watch(host *h)
{
    struct pollfd fds[ROOM];
    int wait_ms, n = modalua_fds(h->rt, fds, ROOM, &wait_ms);
    unwatch(h);
    for (int i = 0; i < n; i++) {
        uv_poll_t *poll = malloc(sizeof *poll);
        if (!poll || uv_poll_init(h->loop, poll, fds[i].fd) != 0)
            abort();
        poll->data = h;
        uv_poll_start(poll,
                      (fds[i].events & POLLIN ? UV_READABLE : 0) |
                          (fds[i].events & POLLOUT ? UV_WRITABLE : 0),
                      on_ready);
        h->polls[h->count++] = poll;
    }
    if (wait_ms >= 0)
        uv_timer_start(&h->wait, on_wait, (uint64_t)wait_ms, 0);
}

static void told(void *user, modalua_runtime *rt, unsigned long task, int status, const char *json)
{
    (void)user;
    (void)task;
    modalua_set_global(rt, "told", "true");
    printf("posted: %d, %s\n", status, json ? json : "none");
}

static void on_tick(uv_timer_t *timer)
{
    host *h = timer->data;
    if (++h->ticks == 2)
        modalua_post(h->rt, "string.upper", "\"told\"", told, NULL, NULL);
}

static void done(void *user, modalua_runtime *rt, int status)
{
    host *h = user;
    const char *version = NULL;
    if (status == MODALUA_OK)
        modalua_get_global(rt, "version", &version);
    puts(version ? version : modalua_last_error(rt));
    unwatch(h);
    uv_close((uv_handle_t *)&h->wait, NULL);
    uv_close((uv_handle_t *)&h->tick, NULL);
}

int main(int argc, char **argv)
{
    host h = { .loop = uv_default_loop() };
    modalua_config config;
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL;
    if (modalua_create(&h.rt, &config) != MODALUA_OK)
        return 1;
    uv_timer_init(h.loop, &h.wait);
    uv_timer_init(h.loop, &h.tick);
    h.wait.data = h.tick.data = &h;
    uv_timer_start(&h.tick, on_tick, TICK_MS, TICK_MS);
    if (modalua_start_string(h.rt, "=uv", script, strlen(script), done, &h) != MODALUA_OK)
        return 1;
    watch(&h);
    uv_run(h.loop, UV_RUN_DEFAULT);
    uv_loop_close(h.loop);
    modalua_destroy(h.rt);
    return 0;
}
