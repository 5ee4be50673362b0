#include "command/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Below Linux's range of ephemeral ports: no outgoing connection takes such a port between its
 * choice and its use. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12000 };

enum { POLL_MS = 10, WATCH_MS = 1000, LOG_TAIL = 1500, REMOVE_TRIES = 100 };

/* The first byte that the keeper sends to its creator; after a failure a text follows. */
enum { READY = '+', FAILED = '-' };

/* A terminal or the system sends these to all processes at once. The keeper ignores them, so that
 * it ends last. */
static const int ignored_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

/* The state of the keeper. */
typedef struct keeping {
    const process_plan *plan;
    int fd; /* its end of the socket */
    pid_t creator;
    pid_t pids[PROCESS_MAX]; /* of the programs that were started */
    size_t started;
    char why[PROCESS_WHY]; /* what went wrong; empty: nothing did */
} keeping;

static void nap(void)
{
    const struct timespec t = { 0, POLL_MS * 1000 * 1000 };
    nanosleep(&t, NULL);
}

/* ---- ports ---- */

static struct sockaddr_in address(in_addr_t host, int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = { htonl(host) } };
    return a;
}

/* Binds the port on every interface, as servers do. Returns the socket, or -1 when the port is
 * taken. */
static int bind_port(int port)
{
    struct sockaddr_in a = address(INADDR_ANY, port);
    const int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Connections in TIME_WAIT do not count. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool process_port_taken(int port)
{
    int fd = bind_port(port);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

bool process_free_ports(int *ports, size_t n)
{
    int sockets[2 * PROCESS_MAX]; /* stay bound until the end, so that all are different */
    unsigned next = 0;
    size_t found = 0;
    if (n > sizeof sockets / sizeof sockets[0] || getrandom(&next, sizeof next, 0) != sizeof next)
        return false;
    next %= PORT_COUNT;
    for (int tries = 0; found < n && tries < PORT_COUNT; tries++, next++) {
        ports[found] = PORT_FIRST + (int)(next % PORT_COUNT);
        sockets[found] = bind_port(ports[found]);
        if (sockets[found] >= 0)
            found++;
    }
    for (size_t i = 0; i < found; i++)
        close(sockets[i]);
    return found == n;
}

static bool accepts_connections(int port)
{
    struct sockaddr_in to = address(INADDR_LOOPBACK, port);
    const struct timeval patience = { 0, 200000 }; /* SO_SNDTIMEO limits connect() too */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    yes = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    close(fd);
    return yes;
}

/* ---- the folder ---- */

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s, (void)kind, (void)where;
    return remove(path);
}

/* Tries again and again: a program that was killed may still write a file there. */
static void remove_folder(const char *folder)
{
    for (int i = 0; i < REMOVE_TRIES && nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 &&
                    errno != ENOENT;
         i++)
        nap();
}

/* Notes what went wrong. Returns false. */
__attribute__((format(printf, 2, 3))) static bool fail(keeping *k, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(k->why, sizeof k->why, format, arguments);
    va_end(arguments);
    return false;
}

static bool write_file(const process_file *file)
{
    size_t size = strlen(file->text);
    int fd = open(file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, file->text, size) == (ssize_t)size;
    return fd >= 0 && close(fd) == 0 && ok;
}

static bool fill_folder(keeping *k)
{
    if (chdir(k->plan->folder) != 0)
        return fail(k, "cannot enter the folder %s: %s", k->plan->folder, strerror(errno));
    for (size_t i = 0; i < k->plan->file_count; i++)
        if (!write_file(&k->plan->files[i]))
            return fail(k, "cannot write %s/%s: %s", k->plan->folder, k->plan->files[i].name,
                        strerror(errno));
    return true;
}

/* ---- the programs ---- */

static void handle_signals(void (*how)(int))
{
    for (size_t i = 0; i < sizeof ignored_signals / sizeof ignored_signals[0]; i++)
        signal(ignored_signals[i], how);
}

/* Runs in the child, until it becomes the program. */
static _Noreturn void become_program(const process_program *program, pid_t parent)
{
    char log[NAME_MAX + 1];
    int out;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* the parent died before the line above */
        _exit(127);
    snprintf(log, sizeof log, "%s.log", program->name);
    out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
        _exit(127);
    handle_signals(SIG_DFL); /* an exec keeps ignored signals ignored */
    /* DCMTK reads it. Without it Nagle's algorithm delays every DICOM message by 45 ms. */
    setenv("TCP_NODELAY", "1", 1);
    execv(program->argv[0], (char *const *)program->argv);
    dprintf(STDERR_FILENO, "%s: %s\n", program->argv[0], strerror(errno));
    _exit(127);
}

static bool start_all(keeping *k)
{
    const pid_t self = getpid();
    for (; k->started < k->plan->program_count; k->started++) {
        pid_t pid = fork();
        if (pid == 0)
            become_program(&k->plan->programs[k->started], self);
        if (pid < 0)
            return fail(k, "cannot start a process: %s", strerror(errno));
        setpgid(pid, pid); /* in the child too: either may come first */
        k->pids[k->started] = pid;
    }
    return true;
}

static void end_all(keeping *k)
{
    for (size_t i = 0; i < k->started; i++)
        kill(-k->pids[i], SIGKILL); /* not reaped yet, so no other process has its number */
    for (size_t i = 0; i < k->started; i++)
        waitpid(k->pids[i], NULL, 0);
}

/* Appends the last lines of a program's log to what went wrong. */
static void add_end_of_log(keeping *k, const process_program *program)
{
    char log[NAME_MAX + 1], end[LOG_TAIL + 1], *from = end;
    size_t used = strlen(k->why);
    ssize_t size;
    int fd;
    snprintf(log, sizeof log, "%s.log", program->name);
    fd = open(log, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Fails when the log is shorter: it is then read from its start. */
    lseek(fd, -(off_t)LOG_TAIL, SEEK_END);
    size = read(fd, end, LOG_TAIL);
    close(fd);
    if (size <= 0)
        return;
    end[size] = '\0';
    if (size == LOG_TAIL && strchr(end, '\n'))
        from = strchr(end, '\n') + 1;
    snprintf(k->why + used, sizeof k->why - used, "; the end of its log:\n%s", from);
    used = strlen(k->why);
    while (used > 0 && k->why[used - 1] == '\n')
        k->why[--used] = '\0';
}

/* Leaves the ended process a zombie (WNOWAIT), so that its number is not given to another one. */
static bool has_ended(pid_t pid, siginfo_t *info)
{
    memset(info, 0, sizeof *info);
    return waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG | WNOWAIT) != 0 || info->si_pid != 0;
}

/* ---- the keeper ---- */

/* Waits at most that long for the end of the creator, or for its process_release. The socket alone
 * does not tell of its end: another child of the creator may still hold that. */
static bool is_released(const keeping *k, int milliseconds)
{
    struct pollfd p = { k->fd, POLLIN, 0 };
    return (poll(&p, 1, milliseconds) > 0 && p.revents) || getppid() != k->creator;
}

/* Waits until all programs are ready. False: one has failed (k->why is set), or the creator does
 * not want them any more. */
static bool wait_until_ready(keeping *k)
{
    const double deadline = clock_now() + k->plan->patience;
    siginfo_t info;
    for (size_t i = 0; i < k->plan->program_count;) {
        const process_program *program = &k->plan->programs[i];
        bool ready = accepts_connections(program->port);
        if (has_ended(k->pids[i], &info))
            fail(k, "%s has ended by itself (%s %d)", program->name,
                 info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
        else if (!ready && clock_now() > deadline)
            fail(k, "%s accepts no connections on port %d after %g s", program->name, program->port,
                 k->plan->patience);
        if (k->why[0]) {
            add_end_of_log(k, program);
            return false;
        }
        if (ready)
            i++;
        else if (is_released(k, POLL_MS))
            return false;
    }
    return true;
}

/* The keeper leaves the terminal, the signals and the descriptors of its creator. */
static void detach(keeping *k)
{
    int null;
    setsid();
    handle_signals(SIG_IGN);
    k->fd = fcntl(k->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (k->fd < 0)
        _exit(EXIT_FAILURE);
    null = open("/dev/null", O_RDWR);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (k->fd > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)k->fd - 1, 0);
    close_range((unsigned)k->fd + 1, ~0U, 0);
}

/* The life of the keeper. */
static _Noreturn void keep(keeping *k)
{
    detach(k);
    if (mkdir(k->plan->folder, 0700) != 0) {
        fail(k, "cannot make the folder %s: %s", k->plan->folder, strerror(errno));
        dprintf(k->fd, "%c%s", FAILED, k->why);
        _exit(EXIT_SUCCESS);
    }
    if (fill_folder(k) && start_all(k) && wait_until_ready(k)) {
        dprintf(k->fd, "%c", READY);
        while (!is_released(k, WATCH_MS))
            ;
    }
    end_all(k);
    if (k->why[0])
        dprintf(k->fd, "%c%s", FAILED, k->why);
    remove_folder(k->plan->folder);
    _exit(EXIT_SUCCESS);
}

/* ---- the creator ---- */

/* Reads the keeper's report. True: all programs are ready. False: `why` says what happened. */
static bool read_report(int fd, char *why)
{
    char text[PROCESS_WHY + 1];
    size_t size = 0;
    ssize_t n;
    do {
        n = read(fd, text + size, sizeof text - 1 - size);
        size += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && text[0] != READY && size < sizeof text - 1) || (n < 0 && errno == EINTR));
    text[size] = '\0';
    snprintf(why, PROCESS_WHY, "%s",
             size > 1 ? text + 1 : "the process that starts the programs has ended unexpectedly");
    return size > 0 && text[0] == READY;
}

bool process_keep(process_keeper *keeper, const process_plan *plan, char *why)
{
    keeping k = { .plan = plan, .creator = getpid() };
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        snprintf(why, PROCESS_WHY, "cannot make a socket: %s", strerror(errno));
        return false;
    }
    keeper->folder = plan->folder;
    keeper->fd = fds[0];
    k.fd = fds[1];
    keeper->pid = fork();
    if (keeper->pid == 0)
        keep(&k);
    close(fds[1]);
    if (keeper->pid < 0) {
        snprintf(why, PROCESS_WHY, "cannot start a process: %s", strerror(errno));
        close(fds[0]);
        return false;
    }
    if (read_report(keeper->fd, why))
        return true;
    process_release(keeper);
    return false;
}

void process_release(process_keeper *keeper)
{
    int status = 0;
    close(keeper->fd);
    while (waitpid(keeper->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
        remove_folder(keeper->folder);
}
