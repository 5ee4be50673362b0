#include "command/verbs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/json_text.h"
#include "command/options.h"
#include "command/terminal.h"

static const struct verb {
    const char *name, *words, *help;
} verbs[] = {
    { "echo", "[NAME…]", "which modalities answer" },
    { "find", "NAME [-L LEVEL] [Tag=Value…]", "what a modality has" },
    { "move", "NAME --to NAME [-L LEVEL] Tag=Value…", "have a modality send what it has" },
    { "modalities", "", "the modalities that the server knows" },
    { "jobs", "", "the server's jobs" },
    { "queries", "", "the queries whose answers the server keeps" },
    { "manual", "", "the manual page: modalua manual | man -l -" },
};

enum { VERBS = sizeof verbs / sizeof verbs[0], WORDS_WIDTH = 46 };

bool verbs_has(const char *word)
{
    for (size_t i = 0; word && i < VERBS; i++)
        if (strcmp(word, verbs[i].name) == 0)
            return true;
    return false;
}

void verbs_print(FILE *to)
{
    for (size_t i = 0; i < VERBS; i++) {
        const struct verb *v = &verbs[i];
        size_t width = strlen(v->name) + 1 + terminal_columns(v->words, strlen(v->words));
        int padding = width < WORDS_WIDTH ? (int)(WORDS_WIDTH - width) : 0;
        fprintf(to, "  %s %s%*s %s\n", v->name, v->words, padding, "", v->help);
    }
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

static void write_names(json_writer *w)
{
    json_text_open(w, '[');
    for (size_t i = 0; i < VERBS; i++)
        json_text_string(w, verbs[i].name);
    json_text_close(w, ']');
}

/* The command's own options, for the manual page. */
static void write_options(json_writer *w)
{
    char label[64];
    json_text_open(w, '[');
    for (const command_option *row = command_option_rows; row->help; row++) {
        command_options_label(row, label, sizeof label);
        if (!label[0])
            continue;
        json_text_open(w, '{');
        json_text_add_string(w, "name", label);
        json_text_add_string(w, "help", row->help);
        json_text_add_boolean(w, "anywhere", row->anywhere);
        json_text_close(w, '}');
    }
    json_text_close(w, ']');
}

int verbs_run(modalua_runtime *rt)
{
    json_writer w = { 0 };
    char *json;
    int status = MODALUA_E_NOMEM;
    json_text_open(&w, '{');
    write_terminal(&w);
    json_text_key(&w, "options");
    write_options(&w);
    json_text_key(&w, "verbs");
    write_names(&w);
    json_text_close(&w, '}');
    json = json_text_take(&w);
    if (json)
        status = modalua_call(rt, "modalua.verbs.main", json, NULL);
    free(json);
    return status;
}

/* ---- did you mean ---- */

/* Names of verbs have only small letters. */
static bool may_be_verb(const char *word)
{
    while (islower((unsigned char)*word))
        word++;
    return *word == '\0';
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
        fprintf(stderr, "modalua: did you mean %s?\n", nearest);
    found = nearest != NULL;
    free(nearest);
    free(json);
    return found;
}
