#include "command/verbs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/console.h"
#include "command/options.h"

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

enum { VERBS = sizeof verbs / sizeof verbs[0] };

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
        int length = fprintf(to, "  %s %s", verbs[i].name, verbs[i].words);
        for (const char *p = verbs[i].words; *p; p++)
            length -= ((unsigned char)*p & 0xC0) == 0x80; /* the rest of a letter */
        fprintf(to, "%*s %s\n", length < 48 ? 48 - length : 0, "", verbs[i].help);
    }
}

/* ---- what they are told ---- */

/* https://no-color.org */
static bool wants_colour(void)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(none && *none) && term && strcmp(term, "dumb") != 0;
}

static const char *boolean(bool value)
{
    return value ? "true" : "false";
}

static void write_terminal(FILE *to)
{
    bool output = isatty(STDOUT_FILENO), errors = isatty(STDERR_FILENO);
    fprintf(to, "{\"output\":%s,\"colour\":%s,\"errors\":%s,\"input\":%s", boolean(output),
            boolean(output && wants_colour()), boolean(errors), boolean(isatty(STDIN_FILENO)));
    if (output)
        fprintf(to, ",\"width\":%zu", console_width());
}

/* The text of the tables here has nothing in it that JSON would want escaped. */
static void write_verbs(FILE *to)
{
    fputc('[', to);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(to, "%s\"%s\"", i > 0 ? "," : "", verbs[i].name);
    fputc(']', to);
}

static void write_options(FILE *to)
{
    char text[64];
    fputc('[', to);
    for (const option_row *row = option_rows; row->help; row++) {
        options_write(row, text, sizeof text);
        fprintf(to, "%s{\"name\":\"%s\",\"help\":\"%s\",\"anywhere\":%s}",
                row == option_rows ? "" : ",", text, row->help, boolean(row->anywhere));
    }
    fputc(']', to);
}

int verbs_run(modalua_runtime *rt)
{
    char *json = NULL;
    size_t size;
    FILE *to = open_memstream(&json, &size);
    int status = MODALUA_E_NOMEM;
    if (!to)
        return status;
    write_terminal(to);
    fputs(",\"options\":", to);
    write_options(to);
    fputs(",\"verbs\":", to);
    write_verbs(to);
    fputc('}', to);
    if (fclose(to) == 0)
        status = modalua_call(rt, "modalua.verbs.main", json, NULL);
    free(json);
    return status;
}

/* ---- did you mean ---- */

/* Asks the Lua half which verb the word means: *name is JSON. Returns as modalua_call. */
static int ask_nearest(modalua_runtime *rt, const char *word, const char **name)
{
    char *json = NULL;
    size_t size;
    FILE *to = open_memstream(&json, &size);
    int status = MODALUA_E_NOMEM;
    if (!to)
        return status;
    fprintf(to, "{\"word\":\"%s\",\"names\":", word);
    write_verbs(to);
    fputc('}', to);
    if (fclose(to) == 0)
        status = modalua_call(rt, "modalua.verbs.nearest", json, name);
    free(json);
    return status;
}

bool verbs_suggest(modalua_runtime *rt, const char *word)
{
    const char *name = NULL;
    for (const char *p = word; *p; p++)
        if (!islower((unsigned char)*p)) /* a verb has nothing else */
            return false;
    if (ask_nearest(rt, word, &name) != MODALUA_OK || !name || name[0] != '"')
        return false;
    fprintf(stderr, "modalua: did you mean %.*s?\n", (int)strlen(name) - 2, name + 1);
    return true;
}
