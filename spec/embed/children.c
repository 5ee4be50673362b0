/* children.c - a child process inherits no descriptor of modalua, whatever a runtime does when the child is
 * made: no pipe, no socket of a transfer or of libcurl, no file. The argument is the URL of the fault
 * server. */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "runs.h"

enum { FIRST = 3, LAST = 200 };

static bool was_open[LAST];

static bool is_inherited(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void check_descriptors(void)
{
    for (int fd = FIRST; fd < LAST; fd++) {
        if (is_inherited(fd) && !was_open[fd]) {
            fprintf(stderr, "a child process would inherit the descriptor %d\n", fd);
            CHECK(false);
        }
    }
}

/* A callback that is called within libcurl's calls, too. */
static void on_log(void *user, const char *line, size_t size)
{
    (void)user;
    (void)line;
    (void)size;
    check_descriptors();
}

static const char script[] =
    "local modalua, task = require 'modalua', require 'modalua.task'\n"
    "local client, file = modalua.connect '%s', os.tmpname()\n"
    "task.spawn(function() assert(client:download('/big?bytes=3000000', file)) end)\n"
    "task.map({ 1, 2, 3, 4 }, function() assert(client:get '/delay?s=0.02') end)\n"
    "task.map({ 1, 2, 3, 4, 5, 6 }, function(i)\n"
    "  local name = modalua.connect('http://name' .. i .. '.invalid', { retries = 0 })\n"
    "  assert(not name:get '/')\n"
    "end)\n"
    "task.sleep(0.01)\n"
    "os.remove(file)\n";

int main(int argc, char **argv)
{
    char code[2048];
    modalua_config config = watched();
    modalua_runtime *rt;
    int status;
    CHECK(argc == 2);
    snprintf(code, sizeof code, script, argv[1]);
    for (int fd = FIRST; fd < LAST; fd++)
        was_open[fd] = is_inherited(fd);
    config.log = on_log;
    rt = make(&config);
    check_descriptors();
    CHECK(start(rt, code) == MODALUA_OK);
    do {
        status = modalua_step(rt, 1);
        check_descriptors();
    } while (status == MODALUA_WORKING);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
    modalua_destroy(rt);
    check_descriptors();
    return 0;
}
