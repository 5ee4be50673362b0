/* poll.c - a host that runs scripts in its own poll loop. For each line of standard input it starts
 * a script that asks an Orthanc for its version, or says that a script is still running. It answers
 * each line at once. At the end of the input it cancels a running script and exits. The argument is
 * the URL of the Orthanc. */
#define _POSIX_C_SOURCE 200809L

#include <modalua.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Indexes in the array of descriptors: the host has the first OWN entries, the runtime the rest. */
enum { INPUT, OWN, ROOM = 16 };

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

/* Reads the available input. At its end it empties the input's entry in the array. */
static void read_input(modalua_runtime *rt, struct pollfd *input, bool *running)
{
    char buffer[512];
    ssize_t size = read(input->fd, buffer, sizeof buffer);
    for (ssize_t i = 0; i < size; i++)
        if (buffer[i] == '\n')
            serve_line(rt, running);
    if (size <= 0) {
        input->fd = -1; /* poll ignores negative descriptors */
        modalua_cancel(rt);
    }
}

int main(int argc, char **argv)
{
    struct pollfd fds[ROOM] = { [INPUT] = { STDIN_FILENO, POLLIN, 0 } };
    bool running = false;
    modalua_config config;
    modalua_runtime *rt;
    setvbuf(stdout, NULL, _IOLBF, 0);
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL;
    if (modalua_create(&rt, &config) != MODALUA_OK)
        return 1;
    while (fds[INPUT].fd >= 0 || running) {
        int wait_ms, n = modalua_fds(rt, fds + OWN, ROOM - OWN, &wait_ms);
        if (poll(fds, OWN + (nfds_t)n, wait_ms) > 0 && fds[INPUT].revents)
            read_input(rt, &fds[INPUT], &running);
        if (running)
            modalua_step(rt, 0); /* the step that ends the run calls `done` */
    }
    modalua_destroy(rt);
    return 0;
}
