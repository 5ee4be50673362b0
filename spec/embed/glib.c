/* glib.c - a host with GLib's main loop, as programs with GTK have it: the runtime is a GSource. The
 * argument is the URL of the Orthanc. */
#include <glib.h>
#include <modalua.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 64 };

typedef struct source {
    GSource base;
    modalua_runtime *rt;
    GPollFD polls[ROOM];
    int count;
    gint64 due; /* when the wait is over, on GLib's clock; -1 = never */
} source;

static const char script[] = "version = assert(require 'modalua'.connect():system()).Version";

/* Before the loop waits: what the run waits for may have changed. */
static gboolean prepare(GSource *base, gint *timeout)
{
    source *s = (source *)base;
    struct pollfd fds[ROOM];
    while (s->count > 0)
        g_source_remove_poll(base, &s->polls[--s->count]);
    for (int n = modalua_fds(s->rt, fds, ROOM, timeout); s->count < n; s->count++) {
        s->polls[s->count] = (GPollFD){ fds[s->count].fd, (gushort)fds[s->count].events, 0 };
        g_source_add_poll(base, &s->polls[s->count]);
    }
    s->due = *timeout < 0 ? -1 : g_get_monotonic_time() + *timeout * (gint64)1000;
    return *timeout == 0;
}

static gboolean check(GSource *base)
{
    const source *s = (source *)base;
    for (int i = 0; i < s->count; i++)
        if (s->polls[i].revents)
            return TRUE;
    return s->due >= 0 && g_get_monotonic_time() >= s->due;
}

/* The step that ends the run calls `done`. */
static gboolean dispatch(GSource *base, GSourceFunc callback, gpointer user)
{
    (void)callback;
    (void)user;
    modalua_step(((source *)base)->rt, 0);
    return G_SOURCE_CONTINUE;
}

static void done(void *user, modalua_runtime *rt, int status)
{
    const char *version = NULL;
    if (status == MODALUA_OK)
        modalua_get_global(rt, "version", &version);
    puts(version ? version : modalua_last_error(rt));
    g_main_loop_quit(user);
}

int main(int argc, char **argv)
{
    static GSourceFuncs functions = { prepare, check, dispatch, NULL, NULL, NULL };
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    GSource *base = g_source_new(&functions, sizeof(source));
    source *s = (source *)base;
    modalua_config config;
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL;
    if (modalua_create(&s->rt, &config) != MODALUA_OK ||
        modalua_start_string(s->rt, "=glib", script, strlen(script), done, loop) != MODALUA_OK)
        return 1;
    g_source_attach(base, NULL);
    g_main_loop_run(loop);
    g_source_destroy(base);
    modalua_destroy(s->rt);
    g_source_unref(base);
    g_main_loop_unref(loop);
    return 0;
}
