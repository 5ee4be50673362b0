/* callbacks.c - every callback of a host runs with the locale and the signal mask that the host's thread
 * has, also within libcurl; and what a callback changes of them stays. The argument is the URL of the
 * fault server. */
#define _POSIX_C_SOURCE 200809L

#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "runs.h"

enum kind {
    WRITE,
    LOG,
    WARN,
    PROGRESS,
    SEARCH,
    FUNCTION,
    DONE,
    ALLOC,
    AUTHORIZE,
    LOG_ENTRY,
    KINDS
};

static const char *const names[] = { "write",    "log",  "warn",  "progress",  "search",
                                     "function", "done", "alloc", "authorize", "log_entry" };

/* Globals, because not every callback has a `user` of its own. */
static int calls[KINDS], wrong[KINDS];
static locale_t mine;
static sigset_t my_mask;

static bool has_my_mask(void)
{
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    for (int sig = 1; sig < SIGRTMIN; sig++)
        if (sigismember(&mask, sig) != sigismember(&my_mask, sig))
            return false;
    return true;
}

static void look(enum kind kind)
{
    calls[kind]++;
    wrong[kind] += uselocale((locale_t)0) != mine || !has_my_mask();
}

static void on_write(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    look(WRITE);
}

static void on_log(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    look(LOG);
}

static void on_warn(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    look(WARN);
}

static void on_progress(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    look(PROGRESS);
}

static void on_search(void *user, const char *name, modalua_reply *reply)
{
    (void)user;
    (void)name;
    look(SEARCH);
    CHECK(modalua_reply_text(reply, "return 1", 8) == MODALUA_OK);
}

static void on_function(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    look(FUNCTION);
    CHECK(modalua_reply_json(reply, "1.5") == MODALUA_OK);
}

static void on_done(void *user, modalua_runtime *rt, int status)
{
    (void)user;
    (void)rt;
    (void)status;
    look(DONE);
}

static void *on_alloc(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    look(ALLOC);
    if (new_size > 0)
        return realloc(block, new_size);
    free(block);
    return NULL;
}

static const char *on_authorize(void *user, const char *method, const char *address,
                                const char *operation)
{
    (void)user;
    (void)method;
    (void)address;
    (void)operation;
    look(AUTHORIZE);
    return NULL;
}

static void on_log_entry(void *user, const modalua_log_entry *entry)
{
    (void)user;
    (void)entry;
    look(LOG_ENTRY);
}

static modalua_config all(const char *url)
{
    modalua_config config = watched();
    config.url = url;
    config.write = on_write;
    config.log = on_log;
    config.warn = on_warn;
    config.progress = on_progress;
    config.search = on_search;
    config.alloc = on_alloc;
    config.authorize = on_authorize;
    config.log_entry = on_log_entry;
    return config;
}

static void check_calls(void)
{
    for (int kind = 0; kind < KINDS; kind++) {
        if (calls[kind] == 0 || wrong[kind] > 0)
            fprintf(stderr, "%s: %d calls, %d of them wrong\n", names[kind], calls[kind],
                    wrong[kind]);
        CHECK(calls[kind] > 0 && wrong[kind] == 0);
    }
}

static void test_all(const char *url)
{
    static const char code[] =
        "local client = require 'modalua'.connect()\n"
        "assert(tostring(f()) == '1.5' and require 'other' == 1)\n"
        "warn '@on' warn('one', 'two') print(1.5)\n"
        "assert(#client:get('/big', {bytes = 1000000}) == 1000000)\n" /* allocates within libcurl */
        "local file = os.tmpname()\n"
        "assert(client:download('/big?bytes=1000000', file, {progress = true}))\n"
        "os.remove(file)";
    modalua_config config = all(url);
    modalua_runtime *rt = make(&config);
    int status;
    CHECK(modalua_register(rt, "f", on_function, NULL) == MODALUA_OK);
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), on_done, NULL) == MODALUA_OK);
    do
        status = modalua_step(rt, 10);
    while (status == MODALUA_WORKING);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
    modalua_destroy(rt);
    check_calls();
    CHECK(uselocale((locale_t)0) == mine && has_my_mask());
}

/* ---- what a callback changes ---- */

static locale_t other;

static void change_thread(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    uselocale(other);
    sigaddset(&my_mask, SIGWINCH);
    CHECK(pthread_sigmask(SIG_SETMASK, &my_mask, NULL) == 0);
}

/* The log is written while libcurl has all signals blocked. */
static void test_changes(const char *url)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.log = change_thread;
    rt = make(&config);
    pass(rt, "assert(require 'modalua'.connect():get '/ok') assert(tostring(1.5) == '1.5')");
    CHECK(uselocale((locale_t)0) == other && has_my_mask());
    modalua_destroy(rt);
    uselocale(mine);
}

/* ---- the time of a callback ---- */

typedef struct slow {
    modalua_runtime *rt;
    bool cancels;
    int calls;
} slow;

/* Works until every limit of the run is over. The kill that becomes due meanwhile is not late: what
 * modalua_overdue says does not grow. */
static void take_time(void *user, const char *arguments, modalua_reply *reply)
{
    slow *s = user;
    double begun = now(), before = modalua_overdue(s->rt);
    (void)arguments;
    (void)reply;
    if (s->cancels)
        modalua_cancel(s->rt);
    while (now() - begun < 0.6)
        CHECK(modalua_overdue(s->rt) <= (before > 0 ? before : 0));
    s->calls++;
}

static void test_overdue(double run_seconds, double burst_seconds, bool cancels)
{
    slow s = { .cancels = cancels };
    modalua_config config;
    int status;
    modalua_config_init(&config);
    config.run_seconds = run_seconds;
    config.burst_seconds = burst_seconds;
    config.grace_seconds = 0.001;
    s.rt = make(&config);
    CHECK(modalua_register(s.rt, "f", take_time, &s) == MODALUA_OK);
    status = run(s.rt, "f() pcall(string.rep, 'x', 10)");
    CHECK(status == (cancels           ? MODALUA_E_CANCELLED
                     : run_seconds > 0 ? MODALUA_E_LIMIT
                                       : MODALUA_OK));
    CHECK(s.calls == 1);
    modalua_destroy(s.rt);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    mine = newlocale(LC_NUMERIC_MASK, "de_DE.UTF-8", (locale_t)0);
    other = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    CHECK(mine && other);
    uselocale(mine);
    sigemptyset(&my_mask);
    sigaddset(&my_mask, SIGUSR2);
    CHECK(pthread_sigmask(SIG_SETMASK, &my_mask, NULL) == 0);
    test_all(argv[1]);
    test_changes(argv[1]);
    test_overdue(0.5, 0, false); /* in which a busy machine calls f */
    test_overdue(0, 0.5, false);
    test_overdue(0, 0, true);
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(mine);
    freelocale(other);
    return 0;
}
