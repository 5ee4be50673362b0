/* polled.c - a host whose own poll loop runs a script that has a ledger in PostgreSQL: spec/transfer_postgres_spec.lua
 * runs it. The arguments are the URL of an Orthanc, the port of PostgreSQL, and the file of the script.
 *
 * It steps the script only when a descriptor of modalua_fds is ready, or when the time is over that modalua_fds gives.
 * At the end it prints how often a connection to PostgreSQL was ready, and how often the time was over. */
#include <arpa/inet.h>
#include <modalua.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "check.h"

enum { ROOM = 64 };

static void done(void *user, modalua_runtime *rt, int status)
{
    bool *running = user;
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
    *running = false;
}

/* Whether the descriptor is a connection to that port. */
static bool is_to_port(int fd, int port)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
           ntohs(peer.sin_port) == port;
}

int main(int argc, char **argv)
{
    struct pollfd fds[ROOM];
    int port, ready = 0, over = 0;
    bool running = true;
    modalua_config config;
    modalua_runtime *rt;
    CHECK(argc == 4);
    port = atoi(argv[2]);
    modalua_config_init(&config);
    config.url = argv[1];
    CHECK(modalua_create(&rt, &config) == MODALUA_OK);
    CHECK(modalua_start_file(rt, argv[3], 0, NULL, done, &running) == MODALUA_OK);
    while (running) {
        int milliseconds, n = modalua_fds(rt, fds, ROOM, &milliseconds);
        CHECK(n <= ROOM);
        over += poll(fds, (nfds_t)n, milliseconds) == 0;
        for (int i = 0; i < n; i++)
            ready += fds[i].revents && is_to_port(fds[i].fd, port);
        modalua_step(rt, 0);
    }
    modalua_destroy(rt);
    printf("%d %d\n", ready, over);
    return 0;
}
