/* serve.c - runs a server for as long as another program reads this program's standard output; for
 * specs and shell scripts.
 *
 *   serve PORT SECONDS -- COMMAND [ARGUMENT...]
 *
 * It starts COMMAND in a new process group, waits until 127.0.0.1:PORT accepts connections, and
 * prints "ready" and then "pid N", the process id of COMMAND. It ends COMMAND (SIGTERM; after the
 * grace time SIGKILL) and itself when the reader of its standard output closes it, when its parent
 * process ends, or on SIGTERM, SIGINT or SIGHUP. When serve itself is killed, the kernel kills
 * COMMAND. If COMMAND ends early, or does not accept connections within SECONDS, serve prints
 * "failed: REASON" and the end of the log (on standard error), and exits with status 1.
 *
 * Environment variables:
 *   SERVE_LOG     file to which the output of COMMAND is appended (default /dev/null)
 *   SERVE_GRACE   grace time in seconds from SIGTERM to SIGKILL (default 10; 0: SIGKILL at once)
 *   SERVE_REMOVE  folder that is removed at the end, unless it then contains a file named "keep"
 *
 *   serve --free-ports N
 *
 * It prints N free TCP ports, one on each line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Below the range of ephemeral ports of Linux: no outgoing connection takes such a port before the
 * caller uses it. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12000, RESERVED_SECONDS = 300 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(in_addr_t host, int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = { htonl(host) } };
    return a;
}

static bool accepts(int port)
{
    struct sockaddr_in to = address(INADDR_LOOPBACK, port), from;
    socklen_t size = sizeof from;
    const struct timeval patience = { 0, 200000 }; /* bounds connect() too */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    /* If the kernel gives this socket PORT as its own port, the socket connects to itself: no server
     * is there. */
    yes = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
          getsockname(fd, (struct sockaddr *)&from, &size) == 0 && from.sin_port != to.sin_port;
    close(fd);
    return yes;
}

/* Waits at most `milliseconds` for a reason to stop. `signals` also delivers SIGCHLD, which ends the
 * wait but is no reason to stop. */
static bool told_to_stop(int signals, pid_t parent, int milliseconds)
{
    struct pollfd p[2] = { { signals, POLLIN, 0 }, { STDOUT_FILENO, 0, 0 } };
    struct signalfd_siginfo s;
    if (poll(p, 2, milliseconds) > 0 && p[1].revents)
        return true;
    /* getppid, not PR_SET_PDEATHSIG: this signal comes when the thread that started us ends, even if
     * the parent process has other threads */
    if (getppid() != parent)
        return true;
    return p[0].revents && read(signals, &s, sizeof s) == (ssize_t)sizeof s &&
           s.ssi_signo != SIGCHLD;
}

/* Leaves the zombie, so that the kernel cannot give the number of the process group to another
 * process. */
static bool ended(pid_t pid, int *status)
{
    siginfo_t info = { 0 };
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
        return false;
    *status = info.si_status;
    return true;
}

static void stop(pid_t pid)
{
    const struct timespec nap = { 0, 20 * 1000 * 1000 };
    const char *wanted = getenv("SERVE_GRACE");
    const double grace = wanted ? atof(wanted) : 10, deadline = now() + grace;
    int status;
    kill(-pid, grace > 0 ? SIGTERM : SIGKILL);
    kill(-pid, SIGCONT); /* a stopped process cannot die of SIGTERM */
    while (!ended(pid, &status) && now() < deadline)
        nanosleep(&nap, NULL);
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Runs in the child: prepares it and executes the command. Does not return. */
static void exec_command(char **command, const char *log, pid_t parent, const sigset_t *mask)
{
    int null = open("/dev/null", O_RDWR), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* the parent died before the line above */
        _exit(127);
    if (null < 0 || out < 0) {
        perror(log);
        _exit(127);
    }
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close_range(3, ~0U, 0);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

static pid_t start(char **command, const char *log, const sigset_t *mask)
{
    const pid_t self = getpid(), pid = fork();
    if (pid == 0)
        exec_command(command, log, self, mask);
    if (pid > 0)
        setpgid(pid, pid); /* in both processes, because either may run first */
    return pid;
}

static void show_end_of(const char *log)
{
    char end[3000], *from = end;
    ssize_t size;
    off_t length;
    int fd = open(log, O_RDONLY);
    if (fd < 0)
        return;
    length = lseek(fd, 0, SEEK_END);
    if (length > (off_t)sizeof end)
        length = (off_t)sizeof end;
    lseek(fd, -length, SEEK_END);
    size = read(fd, end, sizeof end);
    close(fd);
    if (size == (ssize_t)sizeof end && (from = memchr(end, '\n', sizeof end)) == NULL)
        from = end;
    if (size > 0)
        fwrite(from, 1, (size_t)(end + size - from), stderr);
}

__attribute__((format(printf, 2, 3))) static int failed(const char *log, const char *why, ...)
{
    va_list arguments;
    va_start(arguments, why);
    printf("failed: ");
    vprintf(why, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
    if (log)
        show_end_of(log);
    return 1;
}

/* Waits until the command ends or serve must stop. Returns the exit status of serve. */
static int watch(pid_t pid, int port, double seconds, int signals, pid_t parent, const char *log)
{
    const double deadline = now() + seconds;
    int status;
    while (!accepts(port)) {
        if (ended(pid, &status))
            return failed(log, "the command ended by itself, status %d", status);
        if (now() > deadline)
            return failed(log, "nothing accepts connections on port %d after %g s", port, seconds);
        if (told_to_stop(signals, parent, 20))
            return 1;
    }
    printf("ready\npid %d\n", (int)pid);
    fflush(stdout);
    while (!ended(pid, &status))
        if (told_to_stop(signals, parent, 200))
            return 0;
    return 1;
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s, (void)kind, (void)where;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    char keep[4096];
    snprintf(keep, sizeof keep, "%s/keep", folder);
    if (access(keep, F_OK) != 0)
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int serve(int port, double seconds, char **command)
{
    const char *log = getenv("SERVE_LOG"), *folder = getenv("SERVE_REMOVE");
    const pid_t parent = getppid();
    sigset_t watched, before;
    int result, signals;
    pid_t pid;
    if (!log || !*log)
        log = "/dev/null";
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before);
    signals = signalfd(-1, &watched, SFD_CLOEXEC);
    if (accepts(port))
        result = failed(NULL, "port %d is in use", port);
    else if (signals < 0 || (pid = start(command, log, &before)) < 0)
        result = failed(NULL, "cannot start a process: %s", strerror(errno));
    else {
        result = watch(pid, port, seconds, signals, parent, log);
        stop(pid);
    }
    if (folder && *folder)
        remove_folder(folder);
    return result;
}

/* Other specs run at the same time, and a port is used some time after it was given out. So it is given
 * out once within RESERVED_SECONDS: a file of its name in a folder of this user says when. */
static bool reserve(int port)
{
    char folder[64], path[96];
    struct stat s;
    int fd;
    snprintf(folder, sizeof folder, "/tmp/modalua-ports-%u", (unsigned)getuid());
    snprintf(path, sizeof path, "%s/%d", folder, port);
    mkdir(folder, 0700);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return true;
    }
    if (errno == EEXIST && stat(path, &s) == 0 && time(NULL) - s.st_mtime < RESERVED_SECONDS)
        return false;
    utimensat(AT_FDCWD, path, NULL, 0);
    return true;
}

/* The sockets stay open until the program ends, so that all ports are different. */
static int free_ports(int n)
{
    unsigned next = (unsigned)getpid() * 7919U + (unsigned)(now() * 1e6);
    for (int tries = 0; n > 0 && tries < PORT_COUNT; tries++, next++) {
        const int port = PORT_FIRST + (int)(next % PORT_COUNT);
        struct sockaddr_in a = address(INADDR_ANY, port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0 && reserve(port)) {
            printf("%d\n", port);
            n--;
        } else
            close(fd);
    }
    return n == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    close_range(3, ~0U, 0); /* else inherited descriptors would keep the parent's sockets open */
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "--free-ports") == 0)
        return free_ports(atoi(argv[2]));
    if (argc < 5 || atoi(argv[1]) < 1 || atoi(argv[1]) > 65535 || atof(argv[2]) <= 0 ||
        strcmp(argv[3], "--") != 0) {
        fprintf(
            stderr,
            "usage: serve PORT SECONDS -- COMMAND [ARGUMENT...]\n       serve --free-ports N\n");
        return 2;
    }
    return serve(atoi(argv[1]), atof(argv[2]), argv + 4);
}
