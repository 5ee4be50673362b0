/* disturb.c - a library for LD_PRELOAD that makes the surroundings of a program restless. DISTURB in
 * the environment says how:
 *
 *   ticks   a signal a thousand times a second interrupts every system call that can be interrupted
 *
 *   clock   the wall clock is right, a day ahead, or a day behind, and changes every 20 ms; the
 *           monotonic clock is left alone
 *
 *   names   the name server has the name "slow.test", which is 127.0.0.1 and 127.0.0.9, but gives no answer
 *           before the file DISTURB_ANSWERS exists
 *
 *   hold    the first read of a file behind the byte DISTURB_PLACE says "held" on standard error, and waits for
 *           Ctrl-C
 *
 *   full    while the file DISTURB_FULL exists, there is no space left on any disk
 *
 * Programs that the program starts are left alone. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 86400, SLOT_MS = 20 };

static bool clock_is_wrong;
static const char
    *answers; /* the name server answers when this file exists; NULL: it is the real one */

static off64_t place_to_hold; /* a read behind it waits once; 0 = none does */

static const char *full; /* no space is left while this file exists; NULL: there is */

static void on_tick(int sig)
{
    (void)sig;
}

/* The signal is a real-time one: at a SIGALRM, readline gives the terminal's old modes back for a moment,
 * and a key that is typed in this moment can be lost. */
static void start_ticks(void)
{
    const struct itimerspec millisecond = { { 0, 1000000 }, { 0, 1000000 } };
    struct sigaction how;
    struct sigevent event;
    timer_t timer;
    memset(&how, 0, sizeof how); /* without SA_RESTART */
    how.sa_handler = on_tick;
    sigaction(SIGRTMAX, &how, NULL);
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMAX;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        timer_settime(timer, 0, &millisecond, NULL);
}

__attribute__((constructor)) static void start(void)
{
    const char *how = getenv("DISTURB");
    unsetenv("LD_PRELOAD");
    answers = how && strcmp(how, "names") == 0 ? getenv("DISTURB_ANSWERS") : NULL;
    place_to_hold = how && strcmp(how, "hold") == 0 ? atoll(getenv("DISTURB_PLACE")) : 0;
    full = how && strcmp(how, "full") == 0 ? getenv("DISTURB_FULL") : NULL;
    clock_is_wrong = how && strcmp(how, "clock") == 0;
    if (how && strcmp(how, "ticks") == 0)
        start_ticks();
}

/* Seconds that the wall clock is ahead. */
static time_t error_of_clock(void)
{
    struct timespec t;
    if (!clock_is_wrong)
        return 0;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (time_t)((t.tv_sec * 1000 + t.tv_nsec / 1000000) / SLOT_MS % 3 - 1) * DAY;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, id, t);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += error_of_clock();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = (int)syscall(SYS_gettimeofday, now, zone);
    if (result == 0)
        now->tv_sec += error_of_clock();
    return result;
}

time_t time(time_t *into)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (into)
        *into = t.tv_sec;
    return t.tv_sec;
}

/* ---- names ---- */

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    const struct timespec moment = { 0, 2000000 };
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    look_up *real;
    int error;
    memcpy(&real, &symbol, sizeof real);
    if (!answers || !name || strcmp(name, "slow.test") != 0)
        return real(name, service, hints, result);
    while (access(answers, F_OK) != 0)
        nanosleep(&moment, NULL);
    error = real("127.0.0.9", service, hints, result);
    return error ? error : real("127.0.0.1", service, hints, &(*result)->ai_next);
}

/* ---- a full disk ---- */

/* SQLite writes by this function alone. */
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t place)
{
    if (full && access(full, F_OK) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, place);
}

/* ---- a read that is held ---- */

static void wait_for_interrupt(void)
{
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    (void)!write(STDERR_FILENO, "held\n", strlen("held\n"));
    sigsuspend(&before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* SQLite reads by this function alone. */
ssize_t pread64(int fd, void *bytes, size_t size, off64_t place)
{
    if (place_to_hold > 0 && place > place_to_hold) {
        place_to_hold = 0;
        wait_for_interrupt();
    }
    return syscall(SYS_pread64, fd, bytes, size, place);
}
