/* listener.h - what the servers of the specs have in common: each listens on a free port of 127.0.0.1, and ends when
 * the reader of its standard output closes it, or when its parent process ends. */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

/* Closes inherited descriptors, and ignores SIGPIPE. Call it first. */
void listener_prepare(void);

/* Allows this process, and those that it starts from then on, as many descriptors as the system does. */
void listener_raise_limit(void);

/* Returns a listening descriptor, and sets *port. When it cannot, it ends the process. */
int listener_open(int *port);

/* Waits 0.1 s at most for connections, and gives each to `take`. False: the server must end. `parent` is what
 * getppid returned at first. */
bool listener_accept(int listener, pid_t parent, void (*take)(int fd));

#endif
