#include "listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void listener_prepare(void)
{
    close_range(3, ~0U, 0); /* else inherited descriptors would keep the parent's sockets open */
    signal(SIGPIPE, SIG_IGN);
}

void listener_raise_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int listener_open(int *port)
{
    const int on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        perror("listen");
        exit(1);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

bool listener_accept(int listener, pid_t parent, void (*take)(int fd))
{
    struct pollfd p[2] = { { listener, POLLIN, 0 }, { STDOUT_FILENO, 0, 0 } };
    poll(p, 2, 100);
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        take(fd);
    /* getppid, not PR_SET_PDEATHSIG: this signal comes when the thread that started us ends, even if
     * the parent process has other threads */
    return p[1].revents == 0 && getppid() == parent;
}
