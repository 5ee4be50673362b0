/* poll.c - a host with a poll loop of its own, which answers each line of its standard input at once:
 * it starts a script that asks the Orthanc at the URL it is given for its version, or says that one
 * is under way. At the end of its input it ends what is under way, and itself. */
#define _POSIX_C_SOURCE 200809L

#include <modalua.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A step is short, and libcurl keeps its descriptors to itself: while a script runs the loop looks
 * after it this often, and when none does it sleeps until there is input. */
enum { LOOK_EVERY_MS = 5 };

static const char script[] = "version = assert(require 'modalua'.connect():system()).Version";

static void done(void *user, modalua_runtime *rt, int status)
{
    const char *version = NULL;
    if (status == MODALUA_OK)
        modalua_get_global(rt, "version", &version);
    puts(version ? version : modalua_last_error(rt));
    *(bool *)user = false;
}

static void serve_line(modalua_runtime *rt, bool *running)
{
    if (*running) {
        puts("one at a time");
        return;
    }
    *running =
        modalua_start_string(rt, "=poll", script, strlen(script), done, running) == MODALUA_OK;
    puts(*running ? "asking" : modalua_last_error(rt));
}

int main(int argc, char **argv)
{
    struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
    char buffer[512];
    bool running = false;
    modalua_config config;
    modalua_runtime *rt;
    setvbuf(stdout, NULL, _IOLBF, 0);
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL;
    if (modalua_create(&rt, &config) != MODALUA_OK)
        return 1;
    while (input.fd >= 0 || running) {
        if (poll(&input, 1, running ? LOOK_EVERY_MS : -1) > 0) {
            ssize_t size = read(input.fd, buffer, sizeof buffer);
            for (ssize_t i = 0; i < size; i++)
                if (buffer[i] == '\n')
                    serve_line(rt, &running);
            if (size <= 0) {
                input.fd = -1; /* poll passes over it */
                modalua_cancel(rt);
            }
        }
        if (running)
            modalua_step(rt, 0); /* the one that ends the run calls `done` */
    }
    modalua_destroy(rt);
    return 0;
}
