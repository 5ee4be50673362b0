/* watchdog.c - runs scripts that nobody trusts: in a sandbox with limits, in a process of its own, which
 * this one ends when the sandbox cannot. The argument is the URL of the only Orthanc that they reach. */
#define _POSIX_C_SOURCE 200809L

#include <modalua.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_SECONDS = 1, CPU_SECONDS = 3, MORE_SECONDS = 10, MEMORY_MB = 64 };

static void write_out(void *user, const char *text, size_t size)
{
    (void)user;
    fwrite(text, 1, size, stdout);
    fflush(stdout);
}

/* The child. Returns the status of the process. */
static int run_script(const char *url, const char *script)
{
    const struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
    const struct rlimit no_core = { 0, 0 };
    modalua_config config;
    modalua_runtime *rt;
    int status;
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &no_core);
    modalua_config_init(&config);
    config.flags = MODALUA_SANDBOX;
    config.url = url;
    config.memory_limit = (size_t)MEMORY_MB << 20;
    config.run_seconds = RUN_SECONDS;
    config.write = write_out;
    if (modalua_create(&rt, &config) != MODALUA_OK)
        return 1;
    status = modalua_run_string(rt, "=script", script, strlen(script));
    if (status != MODALUA_OK)
        printf("%s\n", modalua_strerror(status));
    fflush(stdout);
    modalua_destroy(rt);
    return status == MODALUA_OK ? 0 : 1;
}

/* The watchdog: waits until the child has closed its end of the pipe, which it does when it ends, or
 * until it has had enough time. */
static void watch(const char *url, const char *script)
{
    struct pollfd end = { .events = POLLIN };
    int ends[2], status;
    pid_t child;
    if (pipe(ends) != 0 || (child = fork()) < 0)
        return;
    if (child == 0) {
        close(ends[0]);
        _exit(run_script(url, script));
    }
    close(ends[1]);
    end.fd = ends[0];
    if (poll(&end, 1, (RUN_SECONDS + MORE_SECONDS) * 1000) == 0)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(ends[0]);
    puts(WIFSIGNALED(status) ? "the process was ended" : "the script has ended");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : "http://localhost:8042";
    watch(url, "print(assert(require 'modalua'.connect():system()).Version)");
    watch(url, "while true do end"); /* the limit */
    watch(url, "local t = print\n"   /* one call of C */
               "for _ = 1, 200000 do t = setmetatable({}, { __call = t }) end\n"
               "t()");
    return 0;
}
