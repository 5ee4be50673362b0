/* pair.c - runs two commands in turn and prints the medians of wall clock, CPU and peak memory, and
 * of their ratios pair by pair.
 *
 *     pair RUNS COMMAND_A [ARGS] -- COMMAND_B [ARGS]
 *
 * The output of the commands is discarded. A command that fails ends pair. */
#define _DEFAULT_SOURCE

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WALL, CPU, PEAK, FIGURES, RUNS_MAX = 1000 };

typedef struct sample {
    double figure[FIGURES];
} sample;

static double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static sample run(char **command)
{
    struct rusage usage;
    sample s;
    int status;
    double start = clock_seconds();
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDOUT_FILENO);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        fprintf(stderr, "pair: %s failed\n", command[0]);
        exit(1);
    }
    s.figure[WALL] = (clock_seconds() - start) * 1000;
    s.figure[CPU] = (seconds(usage.ru_utime) + seconds(usage.ru_stime)) * 1000;
    s.figure[PEAK] = (double)usage.ru_maxrss / 1024;
    return s;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void report(const char *name, const char *unit, const sample *a, const sample *b, int runs,
                   int which)
{
    double va[RUNS_MAX], vb[RUNS_MAX], ratio[RUNS_MAX];
    for (int i = 0; i < runs; i++) {
        va[i] = a[i].figure[which];
        vb[i] = b[i].figure[which];
        ratio[i] = va[i] / vb[i];
    }
    printf("  %-12s %9.2f %9.2f %s   ratio %.3f\n", name, median(va, runs), median(vb, runs), unit,
           median(ratio, runs));
}

int main(int argc, char **argv)
{
    static sample a[RUNS_MAX], b[RUNS_MAX];
    int runs = argc > 1 ? atoi(argv[1]) : 0, split = 2;
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    if (runs < 1 || runs > RUNS_MAX || split + 1 >= argc) {
        fputs("usage: pair RUNS COMMAND_A [ARGS] -- COMMAND_B [ARGS]\n", stderr);
        return 2;
    }
    argv[split] = NULL;
    run(argv + 2); /* a warm-up that does not count */
    run(argv + split + 1);
    for (int i = 0; i < runs; i++) {
        a[i] = run(argv + 2);
        b[i] = run(argv + split + 1);
    }
    report("wall", "ms", a, b, runs, WALL);
    report("CPU", "ms", a, b, runs, CPU);
    report("peak memory", "MB", a, b, runs, PEAK);
    return 0;
}
