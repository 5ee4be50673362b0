/* command/process.h - runs other programs that end when this process ends, in whatever way. For
 * Linux.
 *
 * A keeper is a small process of our own. It makes a folder, starts the programs in it, and waits
 * on a socket; this process holds the other end. When that end closes, because of process_release
 * or because this process has died, the keeper kills the programs, removes the folder, and ends.
 * When the keeper itself is killed, the kernel kills the programs, and process_release removes the
 * folder.
 */
#ifndef COMMAND_PROCESS_H
#define COMMAND_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PROCESS_MAX = 8, PROCESS_WHY = 4096 };

typedef struct process_file {
    const char *name, *text;
} process_file;

typedef struct process_program {
    const char *name;        /* its name in messages; its output goes to the file NAME.log */
    const char *const *argv; /* argv[0] is a path; ended by NULL */
    int port;                /* the program is ready when it accepts connections on this port of the
                                loopback interface */
} process_program;

typedef struct process_plan {
    const char *folder;        /* an absolute path, which must not exist yet. Only this user may
                                  enter the folder */
    const process_file *files; /* are written into the folder before a program starts */
    size_t file_count;
    const process_program *programs; /* at most PROCESS_MAX; they run in the folder, with
                                        TCP_NODELAY=1 in their environment */
    size_t program_count;
    double patience; /* seconds until all programs must be ready */
} process_plan;

typedef struct process_keeper {
    pid_t pid;
    int fd;
    const char *folder;
} process_keeper;

/* Finds n different TCP ports that no program uses. False: there are not enough. */
bool process_free_ports(int *ports, size_t n);

/* Whether a program uses the port. */
bool process_port_taken(int port);

/* Starts the programs and blocks until all are ready, at most plan->patience seconds. Of the plan,
 * only its folder's name is needed afterwards. False: the programs have ended and the folder is
 * removed; `why` (PROCESS_WHY bytes) says what happened, with the end of a program's log. Call it
 * before the process has threads. */
bool process_keep(process_keeper *keeper, const process_plan *plan, char *why);

/* Kills the programs and removes the folder. Blocks until that is done. */
void process_release(process_keeper *keeper);

#endif
