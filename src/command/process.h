/* command/process.h - programs that run beside this one and end with it, however it ends. POSIX and Linux;
 * no Lua.
 *
 * A keeper, a small process of our own, makes a folder, starts the programs in it, and waits at a
 * socket whose other end only we hold. When that end closes, because we let go or because we died,
 * of whatever, it kills the programs, removes the folder, and ends. Should the keeper itself be
 * killed, the kernel kills the programs, and process_release removes the folder.
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
    const char *name;        /* what messages call it; its output goes to the file NAME.log */
    const char *const *argv; /* argv[0] is a path; ends with NULL */
    int port;                /* it is ready when it accepts connections here, on loopback */
} process_program;

typedef struct process_plan {
    const char *folder;        /* absolute; must not exist yet; only we may enter it */
    const process_file *files; /* written into it before anything starts; only we may read them */
    size_t file_count;
    const process_program *programs; /* at most PROCESS_MAX; they start there, with TCP_NODELAY=1 in
                                        their environment */
    size_t program_count;
    double patience; /* seconds for all of them to become ready */
} process_plan;

typedef struct process_keeper {
    pid_t pid;
    int fd;
    const char *folder;
} process_keeper;

/* Fills in n TCP ports that nothing is bound to, no two equal. False when there are none. */
bool process_free_ports(int *ports, size_t n);

/* Whether something else has taken the port. */
bool process_port_taken(int port);

/* Starts the plan's programs and blocks, at most plan->patience, until all are ready. False:
 * nothing is left of them, and why (PROCESS_WHY bytes) says what happened, with the end of the log.
 * The plan may go afterwards, but for its folder's name, which the keeper still wants. To be called
 * before threads are started. */
bool process_keep(process_keeper *keeper, const process_plan *plan, char *why);

/* Kills the programs and removes the folder; blocks until that is done. */
void process_release(process_keeper *keeper);

#endif
