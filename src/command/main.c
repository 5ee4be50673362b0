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

#include "command/console.h"
#include "command/options.h"
#include "command/playground.h"
#include "command/repl.h"
#include "command/signals.h"
#include "command/verbs.h"
#include "modalua.h"

enum { EXIT_USAGE = 2, EXIT_SIGNAL = 128 };

/* ---- usage ---- */

static void print_version(void)
{
    printf("modalua %s\n", modalua_version());
    fflush(stdout);
}

static void print_usage(FILE *to)
{
    fputs("usage: modalua [options] [script [args]]\n"
          "       modalua [options] verb [words]               see modalua verb --help\n"
          "       modalua [options] playground [script [args]] among real servers with sample "
          "studies: see playground --help\n"
          "Options:\n",
          to);
    options_print(to);
    fputs("  --                     stop handling options\n"
          "  -                      run standard input\n"
          "Verbs:\n",
          to);
    verbs_print(to);
    fputs("Without a script, standard input is run, or, if it is a terminal, interactive mode is "
          "entered.\n"
          "Environment: MODALUA_URL, with MODALUA_USERNAME and MODALUA_PASSWORD, or MODALUA_TOKEN, "
          "for that server alone. Without\n"
          "any of these, the default server of the configuration file, "
          "$XDG_CONFIG_HOME/modalua/config.lua (~/.config/modalua/config.lua):\n"
          "  return { default = \"pacs\", servers = { pacs = { url = \"https://…\", username = "
          "\"…\", password = \"…\" } } }\n",
          to);
}

/* Only the option's name: its value may be a URL with a password. */
static int usage_error(const char *word)
{
    int length = word[1] == '-' ? (int)strcspn(word, "=") : 2;
    fprintf(stderr, "modalua: cannot use the option '%.*s', or its argument\n", length, word);
    print_usage(stderr);
    return EXIT_USAGE;
}

/* ---- the runtime ---- */

/* Modules beside the script load, as they do in Python; without a script, those of the working
 * directory; for a verb, none. */
static char *module_path(const options *o, int argc, char **argv)
{
    static const char templates[] = "%s/?.lua;%s/?/init.lua";
    char folder[PATH_MAX] = "", *slash, *path;
    bool from_script = o->script < argc && strcmp(argv[o->script], "-") != 0;
    size_t size;
    if (o->verb ||
        (from_script ? !realpath(argv[o->script], folder) : !getcwd(folder, sizeof folder)))
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

/* The file in which the user's servers have names; NULL: there is no place for one. */
static char *config_file(const options *o)
{
    static const char name[] = "modalua/config.lua";
    const char *folder = getenv("XDG_CONFIG_HOME"), *below = "";
    char *path;
    size_t size;
    if (!folder || folder[0] != '/') {
        folder = getenv("HOME");
        below = ".config/";
    }
    if (o->no_environment || !folder || folder[0] != '/')
        return NULL;
    size = strlen(folder) + strlen(below) + sizeof name + 1;
    path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s%s", folder, below, name);
    return path;
}

/* Credentials from the environment belong to the URL from the environment. */
static void server_settings(modalua_config *config, const options *o)
{
    config->url = o->url;
    if (o->ground)
        playground_configure(o->ground, config);
    else if (!o->url)
        config->profile = o->profile;
    if (o->ground || o->url || o->profile || o->no_environment)
        return;
    config->url = getenv("MODALUA_URL");
    config->username = getenv("MODALUA_USERNAME");
    config->password = getenv("MODALUA_PASSWORD");
    config->token = getenv("MODALUA_TOKEN");
}

/* In a sandbox, too, connect() means localhost when nobody names a server. */
static void shut_in(modalua_config *config)
{
    config->flags |= MODALUA_SANDBOX;
    if (!config->url && !config->profile)
        config->servers = "http://localhost:8042";
}

static modalua_runtime *make_runtime(const options *o, int argc, char **argv)
{
    modalua_config config;
    modalua_runtime *rt = NULL;
    char *path = module_path(o, argc, argv), *file = config_file(o);
    int status;
    modalua_config_init(&config);
    config.write = console_write;
    config.log = o->verbose ? console_log : NULL;
    config.warn = console_warn;
    config.progress = console_bar;
    config.flags = MODALUA_NO_HOOK | (o->no_environment ? 0 : MODALUA_ENVIRONMENT);
    config.memory_limit = o->memory_limit;
    config.run_seconds = o->time_limit;
    config.module_path = path;
    config.config_file = file;
    server_settings(&config, o);
    if (o->sandbox)
        shut_in(&config);
    status = modalua_create(&rt, &config);
    if (status == MODALUA_OK)
        status =
            modalua_set_arg(rt, argc, (const char *const *)argv, o->script < argc ? o->script : 0);
    if (status != MODALUA_OK) {
        const char *fault = modalua_config_fault(&config);
        fprintf(stderr, "modalua: cannot start: %s\n", fault ? fault : modalua_strerror(status));
        modalua_destroy(rt);
        rt = NULL;
    }
    free(path);
    free(file);
    return rt;
}

/* Says what went wrong. Returns the status. */
static int report(modalua_runtime *rt, int status)
{
    console_clear();
    if (status < 0 && status != MODALUA_EXIT)
        fprintf(stderr, "modalua: %s\n", modalua_last_error(rt));
    return status;
}

/* After one run, which Ctrl-C could end. */
static int end_run(modalua_runtime *rt, int status)
{
    signals_release();
    return report(rt, status);
}

static int run_text(modalua_runtime *rt, const char *name, const char *text)
{
    signals_catch(rt);
    return end_run(rt, modalua_run_string(rt, name, text, strlen(text)));
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

static int run_actions(modalua_runtime *rt, const options *o)
{
    int status = o->warnings ? run_text(rt, "=(command line)", "warn '@on'") : MODALUA_OK;
    for (int i = 0; i < o->action_count && status == MODALUA_OK; i++)
        status = o->actions[i].kind == 'e' ? run_text(rt, "=(command line)", o->actions[i].text)
                                           : run_library(rt, o->actions[i].text);
    return status;
}

static int run_script(modalua_runtime *rt, const char *path, int argc, char **argv)
{
    signals_catch(rt);
    return end_run(rt, modalua_run_file(rt, path && strcmp(path, "-") != 0 ? path : NULL, argc,
                                        (const char *const *)argv));
}

static int run_verb(modalua_runtime *rt)
{
    signals_catch(rt);
    return end_run(rt, verbs_run(rt));
}

/* A word that is no file may be a misspelt verb, which is wrong usage. */
static int run_word(modalua_runtime *rt, const options *o, int argc, char **argv)
{
    int status = run_script(rt, argv[o->script], argc - o->script - 1, argv + o->script + 1);
    if (status == MODALUA_E_FILE && verbs_suggest(rt, argv[o->script]))
        status = MODALUA_E_INVALID;
    return status;
}

static int interact(modalua_runtime *rt, const options *o)
{
    if (o->ground)
        playground_greet(o->ground);
    return repl_run(rt, !o->no_environment);
}

static int run(modalua_runtime *rt, const options *o, int argc, char **argv)
{
    int status = o->ground ? report(rt, playground_enter(o->ground, rt)) : MODALUA_OK;
    if (status == MODALUA_OK)
        status = run_actions(rt, o);
    if (status == MODALUA_OK && o->script < argc)
        status = o->verb ? run_verb(rt) : run_word(rt, o, argc, argv);
    if (status != MODALUA_OK)
        return status;
    if (o->interactive)
        return interact(rt, o);
    if (o->script < argc || o->has_code || o->version)
        return status;
    if (!isatty(STDIN_FILENO))
        return run_script(rt, NULL, 0, NULL);
    return interact(rt, o);
}

static int exit_status(const modalua_runtime *rt, int status)
{
    switch (status) {
    case MODALUA_OK: return EXIT_SUCCESS;
    case MODALUA_EXIT: return modalua_exit_code(rt);
    case MODALUA_E_INVALID: return EXIT_USAGE;
    case MODALUA_E_CANCELLED: return EXIT_SIGNAL + (signals_last() ? signals_last() : SIGINT);
    default: return EXIT_FAILURE;
    }
}

/* A pipe or a disk that took not everything is a failure: somebody waits for that output. */
static int close_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "modalua: standard output cannot be written: %s\n", strerror(errno));
    return status == EXIT_SUCCESS ? EXIT_FAILURE : status;
}

/* Runs what the options name: code, script, interactive mode. */
static int run_command(const options *o, int argc, char **argv)
{
    modalua_runtime *rt;
    int status;
    if (o->version || (o->interactive && !repl_on_terminal()))
        print_version();
    rt = make_runtime(o, argc, argv);
    if (!rt)
        return EXIT_FAILURE;
    signals_set_limit(o->time_limit);
    status = exit_status(rt, run(rt, o, argc, argv));
    modalua_destroy(rt);
    return status;
}

/* ---- the playground, and verbs ---- */

static const char playground_help[] =
    "usage: modalua [options] playground [script [args] | verb [words]]\n"
    "Starts three Orthanc servers in a temporary folder, runs the script or verb among them "
    "(without one: "
    "standard input, or interactive mode),\n"
    "and removes them when it has ended. Nobody else can talk to them.\n"
    "  local    the one that modalua.connect() talks to; AET MODALUA\n"
    "  pacs     a modality that local knows, with sample studies; AET PACS\n"
    "  archive  another one, empty; AET ARCHIVE\n"
    "require \"modalua.playground\".servers() gives a client for each: {pacs = …, archive = …, "
    "[\"local\"] = …}. Programs that the script\n"
    "starts find local in MODALUA_URL, MODALUA_USERNAME and MODALUA_PASSWORD.\n"
    "Environment: MODALUA_ORTHANC, the program (else Orthanc in PATH, else /usr/sbin/Orthanc); "
    "TMPDIR, where the folder is made.\n";

static int run_playground(options *o, int argc, char **argv)
{
    const char *orthanc = o->no_environment ? NULL : getenv("MODALUA_ORTHANC");
    playground *p;
    int status;
    if (o->url || o->profile) {
        fputs("modalua: --url and --profile cannot be used with playground, which has servers of "
              "its own\n",
              stderr);
        return EXIT_USAGE;
    }
    if (playground_start(&p, orthanc && orthanc[0] ? orthanc : NULL) != MODALUA_OK)
        return EXIT_FAILURE;
    o->ground = p;
    status = run_command(o, argc, argv);
    o->ground = NULL;
    playground_stop(p);
    return status;
}

/* Options may stand behind a verb's words, too. Returns the number of words that are left, or -1:
 * usage_error has been called. */
static int take_verb(options *o, int argc, char **argv)
{
    int wrong = 0, left;
    o->verb = verbs_has(argv[o->script]);
    if (!o->verb)
        return argc;
    left = options_take(o, o->script + 1, argc, argv, &wrong);
    if (left < 0)
        usage_error(argv[wrong]);
    return left;
}

/* What stands behind `playground` is a verb or a script, too. */
static int run_playground_word(options *o, int argc, char **argv)
{
    const char *word = argv[++o->script];
    if (word && (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)) {
        fputs(playground_help, stdout);
        return EXIT_SUCCESS;
    }
    if (word && strcmp(word, "--") == 0)
        o->script++;
    else if (word && word[0] == '-' && word[1])
        return usage_error(word);
    argc = take_verb(o, argc, argv);
    return argc < 0 ? EXIT_USAGE : run_playground(o, argc, argv);
}

static int dispatch(options *o, int argc, char **argv)
{
    const char *word = argv[o->script];
    bool ground = word && strcmp(word, "playground") == 0;
    if (o->help) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (!ground)
        argc = take_verb(o, argc, argv);
    if (argc < 0)
        return EXIT_USAGE;
    if (o->verb && o->sandbox) {
        fputs("modalua: --sandbox is for scripts, and a verb runs none of yours\n", stderr);
        return EXIT_USAGE;
    }
    if (o->url && o->profile) {
        fputs("modalua: give --url or --profile, not both: a profile's credentials are for its own "
              "URL\n",
              stderr);
        return EXIT_USAGE;
    }
    return ground ? run_playground_word(o, argc, argv) : run_command(o, argc, argv);
}

int main(int argc, char **argv)
{
    options o;
    int status =
        options_parse(&o, argc, argv) ? dispatch(&o, argc, argv) : usage_error(argv[o.script]);
    options_free(&o);
    return close_output(status);
}
