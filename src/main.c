/* main.c - the command. It stands on the public header, as any host does. */
#define _XOPEN_SOURCE 700 /* realpath */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modalua.h"
#include "repl.h"

enum { EXIT_USAGE = 2, EXIT_SIGNAL = 128, KILL_SECONDS = 1 };

/* What stands before the script on the command line. argv[1 .. script-1] is read again for -e and -l, in order. */
typedef struct options {
    bool interactive, version, help, verbose, warnings, no_environment;
    bool has_code;          /* an -e: no script is needed */
    const char *url;
    size_t memory_limit;
    double time_limit;
    int script;             /* its place in argv; argc when there is none */
} options;

/* ---- Ctrl-C ---- */

/* A signal handler has no other way to its runtime. */
static modalua_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t interrupts;
static volatile sig_atomic_t last_signal;

static void on_kill_timeout(int sig)
{
    (void)sig;
    _exit(EXIT_SIGNAL + SIGINT);
}

/* First: cancel. Second: kill, and a second later the process, should the script sit in a call that nothing can stop. Third: the system's own way. */
static void on_interrupt(int sig)
{
    last_signal = sig;
    if (interrupted_runtime)
        modalua_cancel(interrupted_runtime);
    if (++interrupts == 2) {
        alarm(KILL_SECONDS);
        signal(sig, SIG_DFL);
    }
}

/* Without SA_RESTART: a read that waits for a line ends too. */
static void catch_signals(modalua_runtime *rt)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    interrupted_runtime = rt;
    interrupts = 0;
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_kill_timeout;
    sigaction(SIGALRM, &action, NULL);
}

static void release_signals(void)
{
    alarm(0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    interrupted_runtime = NULL;
}

/* ---- output ---- */

static void write_out(void *user, const char *text, size_t size)
{
    (void)user;
    fwrite(text, 1, size, stdout);
    fflush(stdout); /* as lua's print */
}

static void write_log(void *user, const char *text, size_t size)
{
    (void)user;
    fprintf(stderr, "modalua: %.*s\n", (int)size, text);
}

static void write_warning(void *user, const char *text, size_t size)
{
    (void)user;
    fwrite(text, 1, size, stderr);
}

static void print_version(void)
{
    printf("modalua %s\n", modalua_version());
}

static void print_usage(FILE *to)
{
    fputs("usage: modalua [options] [script [args]]\n"
          "  -e code              run code\n"
          "  -i                   interactive mode after the script\n"
          "  -l name, -l g=name   require the module into the global name, or g\n"
          "  -v, --version        show the version\n"
          "  -W                   turn warnings on\n"
          "  -E                   ignore the environment\n"
          "  -u, --url URL        the server of modalua.connect() without a URL\n"
          "  --verbose            a line on standard error for each HTTP request\n"
          "  --memory-limit BYTES --time-limit SECONDS\n"
          "  -h, --help           show this\n"
          "  --                   stop handling options\n"
          "  -                    run standard input\n"
          "Without a script, standard input is run, or, if it is a terminal, interactive mode is entered.\n"
          "Environment: MODALUA_URL, with MODALUA_USERNAME and MODALUA_PASSWORD, or MODALUA_TOKEN, for that server alone.\n",
          to);
}

static int usage_error(const char *what, const char *argument)
{
    fprintf(stderr, "modalua: %s '%s'\n", what, argument);
    print_usage(stderr);
    return EXIT_USAGE;
}

/* ---- the command line ---- */

/* A password in the URL would show in the process list. */
static void hide_credentials(char *url)
{
    char *start = strstr(url, "://"), *at = start ? strchr(start, '@') : NULL;
    for (char *p = start ? start + 3 : url; at && p < at; p++)
        *p = '*';
}

static bool parse_size(const char *text, size_t *into)
{
    char *end;
    unsigned long long n;
    int shift;
    errno = 0;
    n = strtoull(text, &end, 10);
    shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == text || text[0] == '-' || errno || end[shift ? 1 : 0] || n == 0 || n > (ULLONG_MAX >> shift))
        return false;
    *into = (size_t)(n << shift);
    return true;
}

static bool parse_seconds(const char *text, double *into)
{
    char *end;
    *into = strtod(text, &end);
    return end != text && *end == '\0' && *into > 0 && *into < 1e9;
}

/* A word that begins with "--". Returns how many arguments it takes, or -1. */
static int long_option(options *o, const char *word, char *value)
{
    if (strcmp(word, "--verbose") == 0)
        o->verbose = true;
    else if (strcmp(word, "--version") == 0)
        o->version = true;
    else if (strcmp(word, "--help") == 0)
        o->help = true;
    else if (strcmp(word, "--url") == 0 && value)
        return o->url = value, 1;
    else if (strcmp(word, "--memory-limit") == 0 && value && parse_size(value, &o->memory_limit))
        return 1;
    else if (strcmp(word, "--time-limit") == 0 && value && parse_seconds(value, &o->time_limit))
        return 1;
    else
        return -1;
    return 0;
}

/* A word that begins with one '-'. As lua has them: -e and -l take the rest of the word or the next one. */
static int short_option(options *o, const char *word, char *value)
{
    bool alone = word[2] == '\0';
    switch (word[1]) {
    case 'e':
        o->has_code = true;
        return !alone ? 0 : value ? 1 : -1;
    case 'l':
        return !alone ? 0 : value ? 1 : -1;
    case 'u':
        o->url = value;
        return alone && value ? 1 : -1;
    case 'i':
        o->interactive = o->version = true;
        return alone ? 0 : -1;
    case 'v':
        o->version = true;
        return alone ? 0 : -1;
    case 'W':
        o->warnings = true;
        return alone ? 0 : -1;
    case 'E':
        o->no_environment = true;
        return alone ? 0 : -1;
    case 'h':
        o->help = true;
        return alone ? 0 : -1;
    default:
        return -1;
    }
}

/* False: the word at o->script is wrong. */
static bool parse(options *o, int argc, char **argv)
{
    int i;
    memset(o, 0, sizeof *o);
    for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;
        int taken;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        o->script = i;
        taken = argv[i][1] == '-' ? long_option(o, argv[i], value) : short_option(o, argv[i], value);
        if (taken < 0)
            return false;
        i += taken;
    }
    o->script = i;
    return true;
}

/* ---- the runtime ---- */

/* Modules beside the script load, as they do in Python; without a script, those of the working directory. */
static char *module_path(const options *o, int argc, char **argv)
{
    static const char templates[] = "%s/?.lua;%s/?/init.lua";
    char folder[PATH_MAX] = "", *slash, *path;
    bool from_script = o->script < argc && strcmp(argv[o->script], "-") != 0;
    size_t size;
    if (from_script ? !realpath(argv[o->script], folder) : !getcwd(folder, sizeof folder))
        return NULL;
    slash = strrchr(folder, '/');
    if (from_script && slash)
        *slash = '\0';
    if (strpbrk(folder, ";?"))
        return NULL; /* a template cannot hold them */
    size = 2 * strlen(folder) + sizeof templates;
    path = malloc(size);
    if (path)
        snprintf(path, size, templates, folder, folder);
    return path;
}

/* Credentials from the environment belong to the URL from the environment. */
static void server_settings(modalua_config *config, const options *o)
{
    config->url = o->url;
    if (o->url || o->no_environment)
        return;
    config->url = getenv("MODALUA_URL");
    config->username = getenv("MODALUA_USERNAME");
    config->password = getenv("MODALUA_PASSWORD");
    config->token = getenv("MODALUA_TOKEN");
}

static modalua_runtime *make_runtime(const options *o, int argc, char **argv)
{
    modalua_config config;
    modalua_runtime *rt = NULL;
    char *path = module_path(o, argc, argv);
    int status;
    modalua_config_init(&config);
    config.write = write_out;
    config.log = o->verbose ? write_log : NULL;
    config.warn = write_warning;
    config.flags = MODALUA_NO_HOOK | (o->no_environment ? 0 : MODALUA_ENVIRONMENT);
    config.memory_limit = o->memory_limit;
    config.run_seconds = o->time_limit;
    config.module_path = path;
    server_settings(&config, o);
    status = modalua_create(&rt, &config);
    if (status == MODALUA_OK)
        status = modalua_set_arg(rt, argc, (const char *const *)argv, o->script < argc ? o->script : 0);
    if (status != MODALUA_OK) {
        fprintf(stderr, "modalua: cannot start: %s%s\n", modalua_strerror(status),
                status == MODALUA_E_INVALID ? " (MODALUA_PASSWORD needs MODALUA_USERNAME)" : "");
        modalua_destroy(rt);
        rt = NULL;
    }
    free(path);
    return rt;
}

/* Says what went wrong. Returns the status. */
static int report(modalua_runtime *rt, int status)
{
    if (status < 0 && status != MODALUA_EXIT)
        fprintf(stderr, "modalua: %s\n", modalua_last_error(rt));
    return status;
}

/* One run, which Ctrl-C ends. */
static int guarded(modalua_runtime *rt, int status)
{
    release_signals();
    return report(rt, status);
}

static int run_text(modalua_runtime *rt, const char *name, const char *text)
{
    catch_signals(rt);
    return guarded(rt, modalua_run_string(rt, name, text, strlen(text)));
}

static int run_library(modalua_runtime *rt, const char *name)
{
    static const char code[] = "_G[ [==[%.*s]==] ] = require [==[%s]==]";
    const char *equals = strchr(name, '='), *module = equals ? equals + 1 : name;
    size_t size = sizeof code + 2 * strlen(name);
    char *text = malloc(size);
    int status = MODALUA_E_NOMEM;
    if (!text)
        return status;
    snprintf(text, size, code, (int)(equals ? equals - name : (long)strlen(name)), name, module);
    status = run_text(rt, "=(command line)", text);
    free(text);
    return status;
}

/* -e and -l in the order in which they stand. */
static int run_options(modalua_runtime *rt, const options *o, char **argv)
{
    int status = o->warnings ? run_text(rt, "=(command line)", "warn '@on'") : MODALUA_OK;
    for (int i = 1; i < o->script && status == MODALUA_OK; i++) {
        const char *word = argv[i];
        const char *value = word[1] && word[2] ? word + 2 : argv[i + 1];
        if (strcmp(word, "--") == 0)
            break;
        if (word[1] == 'e')
            status = run_text(rt, "=(command line)", value);
        else if (word[1] == 'l')
            status = run_library(rt, value);
        if ((strchr("elu", word[1]) && !word[2]) || strcmp(word, "--url") == 0 || strcmp(word, "--memory-limit") == 0 ||
            strcmp(word, "--time-limit") == 0)
            i++;
    }
    return status;
}

static int run_script(modalua_runtime *rt, const char *path, int argc, char **argv)
{
    catch_signals(rt);
    return guarded(rt, modalua_run_file(rt, path && strcmp(path, "-") != 0 ? path : NULL, argc, (const char *const *)argv));
}

static int run(modalua_runtime *rt, const options *o, int argc, char **argv)
{
    int status = run_options(rt, o, argv);
    if (status != MODALUA_OK)
        return status;
    if (o->script < argc)
        status = run_script(rt, argv[o->script], argc - o->script - 1, argv + o->script + 1);
    if (status == MODALUA_EXIT)
        return status;
    if (o->interactive)
        return repl_run(rt, catch_signals, release_signals);
    if (o->script < argc || o->has_code || o->version)
        return status;
    if (!isatty(STDIN_FILENO))
        return run_script(rt, NULL, 0, NULL);
    print_version();
    return repl_run(rt, catch_signals, release_signals);
}

static int exit_status(const modalua_runtime *rt, int status)
{
    switch (status) {
    case MODALUA_OK: return EXIT_SUCCESS;
    case MODALUA_EXIT: return modalua_exit_code(rt);
    case MODALUA_E_CANCELLED: return EXIT_SIGNAL + (last_signal ? last_signal : SIGINT);
    default: return EXIT_FAILURE;
    }
}

int main(int argc, char **argv)
{
    options o;
    modalua_runtime *rt;
    int status;
    if (!parse(&o, argc, argv))
        return usage_error("cannot use the option", argv[o.script]);
    if (o.help) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (o.version)
        print_version();
    rt = make_runtime(&o, argc, argv);
    if (!rt)
        return EXIT_FAILURE;
    if (o.url)
        hide_credentials((char *)o.url);
    status = exit_status(rt, run(rt, &o, argc, argv));
    modalua_destroy(rt);
    return status;
}
