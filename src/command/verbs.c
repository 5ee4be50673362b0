#include "command/verbs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/terminal.h"
#include "base/text_width.h"
#include "command/buffer.h"
#include "command/console.h"
#include "command/json_text.h"
#include "command/options.h"
#include "command/pager.h"
#include "command/signals.h"
#include "command/user_file.h"

enum {
    USAGE_WIDTH = 46,
    STEP_MS = 200,       /* the longest delay after which a verb is told of a signal */
    PAGED_MAX = 10000000 /* bytes; when more is held for the pager, it is printed without it */
};

bool verbs_has(const char *word)
{
    for (const char *const *name = verb_names; word && *name; name++)
        if (strcmp(word, *name) == 0)
            return true;
    return false;
}

static void write_names(json_writer *w)
{
    json_text_open(w, '[');
    for (const char *const *name = verb_names; *name; name++)
        json_text_string(w, *name);
    json_text_close(w, ']');
}

/* ---- the lines of --help ---- */

/* Reads the next three strings, and prints them as a line. False: there are no more. */
static bool print_summary(FILE *to, const char **at)
{
    char *name = json_text_next_string(at);
    char *usage = name ? json_text_next_string(at) : NULL;
    char *summary = usage ? json_text_next_string(at) : NULL;
    bool found = summary != NULL;
    if (found) {
        size_t width = strlen(name) + 1 + text_width_columns(usage, strlen(usage));
        int padding = width < USAGE_WIDTH ? (int)(USAGE_WIDTH - width) : 0;
        fprintf(to, "  %s %s%*s %s\n", name, usage, padding, "", summary);
    }
    free(name);
    free(usage);
    free(summary);
    return found;
}

/* Asks the files of the verbs, in a runtime made for that. */
void verbs_print(FILE *to)
{
    json_writer w = { 0 };
    char *names;
    const char *summaries = NULL;
    modalua_runtime *rt = NULL;
    write_names(&w);
    names = json_text_take(&w);
    if (names && modalua_create(&rt, NULL) == MODALUA_OK)
        modalua_call(rt, "modalua.verbs.summaries", names, &summaries);
    while (summaries && print_summary(to, &summaries))
        ;
    modalua_destroy(rt);
    free(names);
}

/* ---- the argument of modalua.verbs.main ---- */

/* What there is of a terminal. */
static void write_terminal(json_writer *w)
{
    bool output = isatty(STDOUT_FILENO);
    json_text_add_boolean(w, "output", output);
    json_text_add_boolean(w, "colour", output && terminal_wants_colour());
    json_text_add_boolean(w, "errors", isatty(STDERR_FILENO));
    json_text_add_boolean(w, "input", isatty(STDIN_FILENO));
    if (output)
        json_text_add_number(w, "width", (long)terminal_width(STDOUT_FILENO));
}

/* The command's own options, or its environment variables, for the manual page and for completion. */
static void write_options(json_writer *w, bool variables)
{
    char label[64];
    json_text_open(w, '[');
    for (const command_option *row = command_option_rows; row->help; row++) {
        command_options_label(row, label, sizeof label);
        if (variables ? !row->variable : !label[0])
            continue;
        json_text_open(w, '{');
        json_text_add_string(w, "name", variables ? row->variable : label);
        json_text_add_string(w, "help", row->help);
        if (row->letter)
            json_text_add_string(w, "letter", (const char[]){ row->letter, '\0' });
        if (row->name)
            json_text_add_string(w, "long", row->name);
        if (row->argument)
            json_text_add_string(w, "argument", row->argument);
        json_text_add_boolean(w, "anywhere", row->anywhere);
        json_text_close(w, '}');
    }
    json_text_close(w, ']');
}

/* What a verb prints through the pager. */
typedef struct paged_text {
    bool environment; /* whether $PAGER counts */
    bool is_direct;   /* the text is too large for the pager, and is printed as it comes */
    buffer held;      /* the pieces so far of a text that is not complete */
} paged_text;

static void show_held(paged_text *paged, bool with_pager)
{
    if (with_pager)
        pager_show(paged->held.data, paged->held.size, paged->environment);
    else
        console_print(paged->held.data, paged->held.size);
    free(paged->held.data);
    paged->held = (buffer){ 0 };
}

/* Keeps the text for the pager. When there are more than `most` bytes, or is no memory, prints it. */
static void add_paged(paged_text *paged, const char *text, size_t most)
{
    size_t size = strlen(text);
    paged->is_direct =
        paged->is_direct || paged->held.size > most || !buffer_add(&paged->held, text, size);
    if (!paged->is_direct)
        return;
    if (paged->held.size > 0)
        show_held(paged, false);
    console_print(text, size);
}

/* hold_paged(text): keeps a piece of a text for show_paged. */
static void hold_paged(void *user, const char *arguments, modalua_reply *reply)
{
    char *text = json_text_next_string(&arguments);
    if (text)
        add_paged(user, text, PAGED_MAX);
    free(text);
    modalua_reply_json(reply, "null");
}

/* show_paged(text): prints what hold_paged has kept, and the text; where it does not fit the terminal,
 * through the pager. */
static void show_paged(void *user, const char *arguments, modalua_reply *reply)
{
    paged_text *paged = user;
    char *text = json_text_next_string(&arguments);
    if (text)
        add_paged(paged, text, SIZE_MAX);
    free(text);
    if (paged->held.size > 0)
        show_held(paged, true);
    paged->is_direct = false;
    modalua_reply_json(reply, "null");
}

/* Runs the verb in steps, so that it can be told of signals between them. Returns as modalua_call. */
static int run_steps(modalua_runtime *rt, const char *json, paged_text *paged)
{
    int status = modalua_register(rt, "next_signal", signals_next, NULL);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "hold_paged", hold_paged, paged);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "show_paged", show_paged, paged);
    if (status == MODALUA_OK)
        status = modalua_start_call(rt, "modalua.verbs.main", json, NULL, NULL);
    if (status != MODALUA_OK)
        return status;
    do {
        status = modalua_step(rt, STEP_MS);
        signals_tell();
    } while (status == MODALUA_WORKING);
    return status;
}

static int run_main(modalua_runtime *rt, const char *json, bool environment)
{
    paged_text paged = { .environment = environment };
    int status = run_steps(rt, json, &paged);
    if (paged.held.size >
        0) /* of a verb that failed, or was cancelled, in the middle of its output */
        show_held(&paged, status != MODALUA_E_CANCELLED);
    return status;
}

int verbs_run(modalua_runtime *rt, bool environment)
{
    json_writer w = { 0 };
    char *json, *file = !environment
                            ? NULL
                            : user_file_path("XDG_CONFIG_HOME", ".config", "modalua/config.lua");
    int status = MODALUA_E_NOMEM;
    json_text_open(&w, '{');
    write_terminal(&w);
    if (file)
        json_text_add_string(&w, "config_file", file);
    free(file);
    json_text_key(&w, "options");
    write_options(&w, false);
    json_text_key(&w, "environment");
    write_options(&w, true);
    json_text_key(&w, "verbs");
    write_names(&w);
    json_text_close(&w, '}');
    json = json_text_take(&w);
    if (json)
        status = run_main(rt, json, environment);
    free(json);
    return status;
}

/* ---- did you mean ---- */

/* Whether the user may have meant a verb: the word is no path, and does not end as a script does. */
static bool may_be_verb(const char *word)
{
    while (ascii_is_letter(*word) || ascii_is_digit(*word) || *word == '-' || *word == '_')
        word++;
    return *word == '\0';
}

static void complain_of_verb(const char *word)
{
    buffer names = { 0 };
    bool ok = true;
    for (const char *const *name = verb_names; ok && *name; name++)
        ok = buffer_add(&names, *name, strlen(*name)) && buffer_add(&names, ", ", name[1] ? 2 : 0);
    if (ok)
        console_complain("%s is no verb either; the verbs are %s", word, names.data);
    free(names.data);
}

bool verbs_suggest(modalua_runtime *rt, const char *word)
{
    json_writer w = { 0 };
    char *json, *nearest = NULL;
    const char *answer = NULL;
    bool found;
    if (!may_be_verb(word))
        return false;
    json_text_open(&w, '{');
    json_text_add_string(&w, "word", word);
    json_text_key(&w, "names");
    write_names(&w);
    json_text_close(&w, '}');
    json = json_text_take(&w);
    if (json && modalua_call(rt, "modalua.verbs.nearest", json, &answer) == MODALUA_OK && answer)
        nearest = json_text_next_string(&answer);
    if (nearest)
        console_complain("did you mean %s?", nearest);
    else if (access(word, F_OK) != 0)
        complain_of_verb(word);
    found = nearest != NULL;
    free(nearest);
    free(json);
    return found;
}
