/* command/main.c - the command: reads the command line, and runs code, a script, a verb, or the
 * prompt. It uses the library as any other host does: through modalua.h. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"
#include "command/console.h"
#include "command/options.h"
#include "command/playground.h"
#include "command/repl.h"
#include "command/signals.h"
#include "command/user_file.h"
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
          "       modalua [options] verb [args]                    see modalua verb --help\n"
          "       modalua [options] playground [script [args] | verb [args]]\n"
          "                                                        see modalua playground --help\n"
          "Without a script or a verb, runs standard input; interactively, if that is a terminal.\n"
          "Options:\n",
          to);
    command_options_print(to);
    fputs("  --                     stop handling options\n"
          "  -                      run standard input\n"
          "Verbs:\n",
          to);
    verbs_print(to);
    fputs("Environment:\n", to);
    command_options_print_environment(to);
    fputs("Configuration file: $XDG_CONFIG_HOME/modalua/config.lua, or else "
          "~/.config/modalua/config.lua. It gives servers names;\n"
          "without --url, --profile and MODALUA_URL its `default`, or its only server, is taken:\n"
          "  return { default = \"pacs\", servers = { pacs = { url = \"https://…\", username = "
          "\"…\", password = \"…\" } } }\n",
          to);
    fputs("Exit status: 0 success, 1 an operation or a script failed, 2 wrong usage, 130 "
          "interrupted (Ctrl-C), 141 the reader of a pipe has gone.\n",
          to);
}

/* Does not print the argument of the option: it may be a URL with a password. */
static int usage_error(const char *word)
{
    int length = word[1] == '-' ? (int)strcspn(word, "=") : 2;
    const char *nearest = command_options_nearest(word);
    console_complain("cannot use the option '%.*s', or its argument%s%s%s", length, word,
                     nearest ? "; did you mean --" : "", nearest ? nearest : "",
                     nearest ? "?" : "");
    fputs("`modalua --help` explains the options\n", stderr);
    return EXIT_USAGE;
}

/* ---- the runtime ---- */

/* The folder in which `require` looks for modules: that of the script, as in Python; without a
 * script, the working directory; none for a verb. The caller frees the templates. NULL: none, or no
 * memory. */
static char *module_path(const command_options *o, int argc, char **argv)
{
    static const char templates[] = "%s/?.lua;%s/?/init.lua";
    char folder[PATH_MAX] = "", *slash, *path;
    bool has_script = o->word < argc && strcmp(argv[o->word], "-") != 0;
    size_t size;
    if (o->verb || !(has_script ? realpath(argv[o->word], folder) : getcwd(folder, sizeof folder)))
        return NULL;
    slash = strrchr(folder, '/');
    if (has_script && slash)
        *slash = '\0';
    if (strpbrk(folder, ";?"))
        return NULL; /* a template cannot hold these characters */
    size = 2 * strlen(folder) + sizeof templates;
    path = malloc(size);
    if (path)
        snprintf(path, size, templates, folder, folder);
    return path;
}

/* In the sandbox connect() still means localhost, unless the user has named another server. */
static void enter_sandbox(modalua_config *config)
{
    config->flags |= MODALUA_SANDBOX;
    if (!config->url && !config->profile)
        config->servers = "http://localhost:8042";
}

static void complete_config(modalua_config *config, command_options *o)
{
    config->write = console_write;
    config->log = o->verbose ? console_log : NULL;
    config->warn = console_warn;
    config->progress = console_bar;
    config->flags = MODALUA_NO_HOOK | (o->no_environment ? 0 : MODALUA_ENVIRONMENT);
    if (o->playground)
        playground_configure(o->playground, config);
    command_options_environment(o);
    if (o->sandbox)
        enter_sandbox(config);
}

/* Whether the text, which is no URL, can be shown: it has no place where a password could be, such as the one in
 * "user:password@host", or in "http://user:password". */
static bool can_show_url(const char *url)
{
    if (strchr(url, '@'))
        return false;
    for (const char *at = url; (at = strchr(at, ':')) != NULL; at++)
        if (strncmp(at, "://", 3) != 0 && at[1 + strspn(at + 1, "0123456789")] != '\0' &&
            at[1 + strspn(at + 1, "0123456789")] != '/')
            return false;
    return true;
}

/* Prints why modalua_create has failed; of a wrong URL also where it comes from. */
static void complain_of_start(const command_options *o, const char *why)
{
    const modalua_config *config = &o->config;
    const char *source = config->url && config->url == o->own_url ? "--url" : "MODALUA_URL";
    if (!config->url || strncmp(why, "url ", 4) != 0)
        console_complain("cannot start: %s", why);
    else if (can_show_url(config->url))
        console_complain("cannot start: %s is '%s': %s", source, config->url, why);
    else
        console_complain("cannot start: %s: %s", source, why);
}

/* Makes *rt. After a failure *rt is NULL, and standard error says why. Returns as modalua_create. */
static int make_runtime(modalua_runtime **rt, command_options *o, int argc, char **argv)
{
    modalua_config *config = &o->config;
    char *modules = module_path(o, argc, argv);
    char *file = o->no_environment
                     ? NULL
                     : user_file_path("XDG_CONFIG_HOME", ".config", "modalua/config.lua");
    int status;
    complete_config(config, o);
    config->module_path = modules;
    config->config_file = file;
    *rt = NULL;
    status = modalua_create(rt, config);
    if (status == MODALUA_OK)
        status =
            modalua_set_arg(*rt, argc, (const char *const *)argv, o->word < argc ? o->word : 0);
    if (status != MODALUA_OK) {
        const char *why =
            status == MODALUA_E_SYSTEM ? strerror(errno) : modalua_config_fault(config);
        complain_of_start(o, why ? why : modalua_strerror(status));
        modalua_destroy(*rt);
        *rt = NULL;
    }
    config->module_path = config->config_file = NULL;
    free(modules);
    free(file);
    return status;
}

/* ---- runs ---- */

/* Prints what went wrong. A traceback has several lines, and so may the text of a script's own error.
 * Returns the status. A run that has ended because the reader of its output has gone says nothing, as
 * other programs in a pipe. */
static int report_status(modalua_runtime *rt, int status)
{
    const char *error = modalua_last_error(rt);
    bool left = status == MODALUA_E_CANCELLED && signals_last() == SIGPIPE;
    console_clear();
    if (status == MODALUA_E_SCRIPT)
        console_print_error(error, strlen(error), SHOWN_LINES);
    else if (status < 0 && status != MODALUA_EXIT && !left)
        console_complain("%s", error);
    return status;
}

/* The end of a run during which Ctrl-C was caught. */
static int end_caught_run(modalua_runtime *rt, int status)
{
    signals_release();
    return report_status(rt, status);
}

static int run_code(modalua_runtime *rt, const char *text)
{
    signals_catch(rt);
    return end_caught_run(rt, modalua_run_string(rt, "=(command line)", text, strlen(text)));
}

/* -l name, -l global=name */
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
    status = run_code(rt, text);
    free(text);
    return status;
}

/* path NULL: standard input. */
static int run_script(modalua_runtime *rt, const char *path, int argc, char **argv)
{
    signals_catch(rt);
    return end_caught_run(rt, modalua_run_file(rt, path, argc, (const char *const *)argv));
}

/* LUA_INIT, as lua takes it: code, or a file behind '@'. It is for scripts that the user trusts, and
 * not for verbs. */
static int run_lua_init(modalua_runtime *rt, const command_options *o)
{
    const char *code = getenv("LUA_INIT_5_4");
    code = code ? code : getenv("LUA_INIT");
    if (!code || o->no_environment || o->sandbox || o->verb)
        return MODALUA_OK;
    if (code[0] == '@')
        return run_script(rt, code + 1, 0, NULL);
    signals_catch(rt);
    return end_caught_run(rt, modalua_run_string(rt, "=LUA_INIT", code, strlen(code)));
}

static int run_actions(modalua_runtime *rt, const command_options *o)
{
    int status = o->warnings ? run_code(rt, "warn '@on'") : MODALUA_OK;
    if (status == MODALUA_OK)
        status = run_lua_init(rt, o);
    for (int i = 0; i < o->action_count && status == MODALUA_OK; i++)
        status = o->actions[i].letter == 'e' ? run_code(rt, o->actions[i].text)
                                             : run_library(rt, o->actions[i].text);
    return status;
}

static int run_verb(modalua_runtime *rt, const command_options *o)
{
    signals_catch(rt);
    return end_caught_run(rt, verbs_run(rt, !o->no_environment));
}

/* Runs the script that a word names. A word that names no file may be a misspelt verb: that is
 * wrong usage. */
static int run_word(modalua_runtime *rt, const command_options *o, int argc, char **argv)
{
    const char *word = argv[o->word];
    int status = o->sandbox ? MODALUA_OK
                            : modalua_register(rt, "package.loaded.modalua_signals", signals_poll,
                                               NULL); /* for transfer.run, and no global */
    if (status != MODALUA_OK)
        return report_status(rt, status);
    status = run_script(rt, strcmp(word, "-") == 0 ? NULL : word, argc - o->word - 1,
                        argv + o->word + 1);
    if (status == MODALUA_E_FILE && verbs_suggest(rt, word))
        status = MODALUA_E_INVALID;
    return status;
}

static int interact(modalua_runtime *rt, const command_options *o)
{
    if (o->playground)
        playground_greet(o->playground);
    return repl_run(rt, !o->no_environment);
}

/* Whether -i opens a prompt: also after a failure, which the user wants to look at. */
static bool stays_after(int status)
{
    return status != MODALUA_EXIT && status != MODALUA_E_FILE && status != MODALUA_E_INVALID &&
           !signals_end_session();
}

/* Runs everything that the command line asks for, in its order; stops at a failure, but for -i. */
static int run_all(modalua_runtime *rt, const command_options *o, int argc, char **argv)
{
    bool has_word = o->word < argc;
    int status =
        o->playground ? report_status(rt, playground_enter(o->playground, rt)) : MODALUA_OK;
    if (status != MODALUA_OK)
        return status;
    status = run_actions(rt, o);
    if (status == MODALUA_OK && has_word)
        status = o->verb ? run_verb(rt, o) : run_word(rt, o, argc, argv);
    if (o->interactive && stays_after(status))
        return interact(rt, o);
    if (status != MODALUA_OK)
        return status;
    if (has_word || o->has_code || o->version)
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

static int run_command(command_options *o, int argc, char **argv)
{
    modalua_runtime *rt;
    int status;
    if (o->version || (o->interactive && !terminal_has_user()))
        print_version();
    status = make_runtime(&rt, o, argc, argv);
    if (status != MODALUA_OK)
        return status == MODALUA_E_INVALID ? EXIT_USAGE : EXIT_FAILURE;
    signals_set_limit(o->config.run_seconds);
    status = exit_status(rt, run_all(rt, o, argc, argv));
    modalua_destroy(rt);
    return status;
}

/* ---- verbs, and the playground ---- */

static const char playground_help[] =
    "usage: modalua [options] playground [options] [script [args] | verb [args]]\n"
    "Starts three Orthanc servers in a temporary folder, and runs the script or the verb with "
    "them; "
    "without one, standard input,\n"
    "interactively if that is a terminal. -e CODE runs code, -i opens a prompt afterwards "
    "(`modalua --help` has all options).\n"
    "Removes the servers afterwards. No other program can use them.\n"
    "  local    the server of modalua.connect(); AE title MODALUA\n"
    "  pacs     a modality that local knows, with sample studies; AE title PACS\n"
    "  archive  a modality that local knows, empty; AE title ARCHIVE\n"
    "require \"modalua.playground\".servers() returns a client for each: {pacs = …, archive = …, "
    "[\"local\"] = …}. Programs that the script\n"
    "starts find local in MODALUA_URL, MODALUA_USERNAME and MODALUA_PASSWORD.\n"
    "Environment:\n"
    "  MODALUA_ORTHANC        the Orthanc program; by default Orthanc in PATH, or else "
    "/usr/sbin/Orthanc\n"
    "  TMPDIR                 where the temporary folder is made\n";

static int run_in_playground(command_options *o, int argc, char **argv)
{
    const char *orthanc = o->no_environment ? NULL : getenv("MODALUA_ORTHANC");
    playground *p;
    int status;
    if (o->config.url || o->config.profile) {
        fputs("modalua: --url and --profile cannot be used with playground, which has its own "
              "servers\n",
              stderr);
        return EXIT_USAGE;
    }
    if (playground_start(&p, orthanc && orthanc[0] ? orthanc : NULL) != MODALUA_OK)
        return EXIT_FAILURE;
    o->playground = p;
    status = run_command(o, argc, argv);
    o->playground = NULL;
    playground_stop(p);
    return status;
}

/* When the word is a verb, reads the options that stand behind its words. Returns the number of
 * words that are left in argv, or -1 after a usage_error. */
static int take_verb(command_options *o, int argc, char **argv)
{
    int wrong = 0, left;
    o->verb = verbs_has(argv[o->word]);
    if (!o->verb)
        return argc;
    left = command_options_take(o, o->word + 1, argc, argv, &wrong);
    if (left < 0)
        usage_error(argv[wrong]);
    return left;
}

/* Whether the command line says what the command cannot do; then standard error says why. */
static bool is_refused(const command_options *o)
{
    const char *why = NULL;
    if (o->verb && o->sandbox)
        why = "--sandbox is for scripts: a verb runs no script";
    else if (o->config.url && o->config.profile)
        why = "give --url or --profile, not both: the credentials of a profile are for its own URL";
    if (why)
        console_complain("%s", why);
    return why != NULL;
}

/* The verbs explain themselves; playground is none. */
static bool asks_about_playground(const command_options *o, char **argv)
{
    char **words = argv + o->word;
    return words[0] && strcmp(words[0], "help") == 0 && words[1] &&
           strcmp(words[1], "playground") == 0 && !words[2];
}

static int dispatch(command_options *o, int argc, char **argv)
{
    const char *word = argv[o->word];
    bool in_playground = word && strcmp(word, "playground") == 0;
    if (in_playground && !command_options_read(o, o->word + 1, argc, argv))
        return usage_error(argv[o->word]);
    if (asks_about_playground(o, argv)) {
        fputs(playground_help, stdout);
        return EXIT_SUCCESS;
    }
    if (o->help && in_playground)
        fputs(playground_help, stdout);
    else if (o->help)
        print_usage(stdout);
    if (o->help)
        return EXIT_SUCCESS;
    argc = take_verb(o, argc, argv);
    if (argc < 0 || is_refused(o))
        return EXIT_USAGE;
    return in_playground ? run_in_playground(o, argc, argv) : run_command(o, argc, argv);
}

/* Output that could not be written makes the command fail: a program may be waiting for it. When the
 * reader of a pipe has gone, the command ends without a word, as other programs do. */
static int close_output(int status)
{
    int error = console_close();
    bool left = error == EPIPE || status == EXIT_SIGNAL + SIGPIPE;
    if (error == 0)
        return status;
    if (!left)
        console_complain("standard output cannot be written: %s",
                         error > 0 ? strerror(error) : "a part of it is lost");
    if (status != EXIT_SUCCESS)
        return status;
    return left ? EXIT_SIGNAL + SIGPIPE : EXIT_FAILURE;
}

/* A file or a socket would otherwise get one of these numbers, and what is printed would go there. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
    command_options o;
    int status;
    open_standard_descriptors();
    signals_ignore_file_limit();
    status = command_options_parse(&o, argc, argv) ? dispatch(&o, argc, argv)
                                                   : usage_error(argv[o.word]);
    command_options_free(&o);
    return close_output(status);
}
