/* threads.c - runs four runtimes on four threads. The main thread cancels one of them, whose script
 * never ends. The argument is the URL of an Orthanc. */
#include <modalua.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct job {
    const char *name, *script;
    modalua_runtime *rt;
    pthread_t thread;
    int status;
} job;

static void *drive(void *user)
{
    job *j = user;
    while ((j->status = modalua_step(j->rt, -1)) == MODALUA_WORKING)
        ;
    return NULL;
}

/* Starts the run before the thread exists, so that a cancel always finds a run. */
static int start(job *j, const modalua_config *config)
{
    return modalua_create(&j->rt, config) == MODALUA_OK &&
           modalua_start_string(j->rt, j->name, j->script, strlen(j->script), NULL, NULL) ==
               MODALUA_OK &&
           pthread_create(&j->thread, NULL, drive, j) == 0;
}

/* Waits for the thread. After that the main thread may use the runtime again. */
static void finish(job *j)
{
    const char *result = NULL;
    pthread_join(j->thread, NULL);
    if (j->status == MODALUA_OK)
        modalua_get_global(j->rt, "result", &result);
    printf("%s: %s\n", j->name + 1, result ? result : modalua_strerror(j->status));
    modalua_destroy(j->rt);
}

int main(int argc, char **argv)
{
    job jobs[] = {
        { .name = "=version",
          .script = "result = assert(require 'modalua'.connect():system()).Version" },
        { .name = "=pause", .script = "require 'modalua.task'.sleep(0.1) result = 'rested'" },
        { .name = "=sum", .script = "result = 0 for i = 1, 1000 do result = result + i end" },
        { .name = "=endless", .script = "while true do end" },
    };
    const size_t n = sizeof jobs / sizeof *jobs;
    modalua_config config;
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL; /* the runtimes copy it */
    for (size_t i = 0; i < n; i++)
        if (!start(&jobs[i], &config))
            return 1;
    modalua_cancel(jobs[n - 1].rt);
    for (size_t i = 0; i < n; i++)
        finish(&jobs[i]);
    return 0;
}
