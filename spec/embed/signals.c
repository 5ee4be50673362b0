/* signals.c - while libcurl works, no signal reaches the host's thread, and a SIGPIPE that libcurl
 * causes, or a SIGXFSZ of a download, is never seen; afterwards the host's signals are as they were. The program stands before
 * curl_multi_socket_action, where it looks at the mask and raises signals. Its argument is the URL of the
 * fault server. */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "runs.h"

static int actions, raised;
static int to_raise; /* a signal, or 0 */
static volatile sig_atomic_t handled;
static bool in_curl;

static bool is_blocked(int sig)
{
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    return sigismember(&mask, sig) == 1;
}

static bool is_pending(int sig)
{
    sigset_t pending;
    CHECK(sigpending(&pending) == 0);
    return sigismember(&pending, sig) == 1;
}

/* It is called in the place of libcurl's own. */
CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events, int *running)
{
    static const int blocked[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGUSR1, SIGCHLD };
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    CURLMcode (*real)(CURLM *, curl_socket_t, int, int *) =
        (CURLMcode(*)(CURLM *, curl_socket_t, int, int *))dlsym(RTLD_NEXT,
                                                                "curl_multi_socket_action");
    CURLMcode code;
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        CHECK(is_blocked(blocked[i]));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        CHECK(!is_blocked(faults[i])); /* the kernel ends the process at once where they are */
    in_curl = true;
    actions++;
    if (to_raise && !is_pending(to_raise)) {
        raise(to_raise); /* of this thread, as a write to a closed socket does */
        raised++;
    }
    code = real(multi, fd, events, running);
    in_curl = false;
    return code;
}

static void handle(int sig)
{
    (void)sig;
    CHECK(!in_curl);
    handled++;
}

static void request(const char *url)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    sigset_t before, after;
    config.url = url;
    actions = raised = 0;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &before) == 0);
    rt = make(&config);
    pass(rt, "assert(require 'modalua'.connect():get '/ok')");
    modalua_destroy(rt);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &after) == 0);
    for (int sig = 1; sig < SIGRTMIN; sig++)
        CHECK(sigismember(&before, sig) == sigismember(&after, sig));
    CHECK(actions > 0 && (!to_raise || raised > 0));
}

/* SIGPIPE would end this process. */
static void test_pipe(const char *url)
{
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    to_raise = SIGPIPE;
    request(url);
    CHECK(!is_pending(SIGPIPE));
}

/* SIGXFSZ, of a file that reaches the limit of its size, would end this process. The download fails, and
 * leaves nothing. */
static void test_file_limit(const char *url)
{
    const char *code =
        "local target = os.tmpname() .. '-x'\n"
        "local none, err = require 'modalua'.connect():download('/big?bytes=100000', "
        "target)\n"
        "assert(none == nil and err.kind == 'refused' and err.code == 'file' and "
        "err.message:find('File too large', 1, true), err)\n"
        "assert(not io.open(target) and not io.open(target .. '.part'))\n"
        "os.remove(target:sub(1, -3))";
    struct rlimit before, limit;
    modalua_config config = watched();
    modalua_runtime *rt;
    CHECK(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    limit = before;
    limit.rlim_cur = 4096;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    to_raise = 0;
    config.url = url;
    rt = make(&config);
    pass(rt, code);
    modalua_destroy(rt);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(!is_pending(SIGXFSZ));
}

/* The host's own SIGPIPE, which it has blocked, is not taken away. */
static void test_pending_pipe(const char *url)
{
    sigset_t pipe_only, before;
    int sig;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    CHECK(pthread_sigmask(SIG_BLOCK, &pipe_only, &before) == 0);
    CHECK(raise(SIGPIPE) == 0 && is_pending(SIGPIPE));
    to_raise = 0;
    request(url);
    CHECK(is_pending(SIGPIPE));
    CHECK(sigwait(&pipe_only, &sig) == 0 && sig == SIGPIPE);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

/* Other signals come late, and are not lost. */
static void test_others(const char *url)
{
    CHECK(signal(SIGUSR1, handle) != SIG_ERR);
    to_raise = SIGUSR1;
    request(url);
    CHECK(handled == raised && !is_pending(SIGUSR1));
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    test_pipe(argv[1]);
    test_file_limit(argv[1]);
    test_pending_pipe(argv[1]);
    test_others(argv[1]);
    return 0;
}
