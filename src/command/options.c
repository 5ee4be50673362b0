#include "command/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- what they do ---- */

static bool set_code(options *o, char *value)
{
    o->has_code = true;
    o->actions[o->action_count++] = (action){ 'e', value };
    return true;
}

static bool set_library(options *o, char *value)
{
    o->actions[o->action_count++] = (action){ 'l', value };
    return true;
}

/* Takes the URL out of the command line, where a password would show in the process list. */
static char *take_url(char *url)
{
    char *copy = strdup(url), *start = strstr(url, "://"), *end, *at;
    start = start ? start + 3 : url;
    end = start + strcspn(start, "/?#");
    for (at = end; at > start && *at != '@'; at--)
        ;
    for (char *p = start; p < at; p++)
        *p = '*';
    return copy;
}

static bool set_url(options *o, char *value)
{
    free(o->url); /* the last one counts */
    o->url = take_url(value);
    return o->url != NULL;
}

static bool set_profile(options *o, char *value)
{
    o->profile = value;
    return *value != '\0';
}

static bool set_memory_limit(options *o, char *value)
{
    char *end;
    unsigned long long n;
    int shift;
    errno = 0;
    n = strtoull(value, &end, 10);
    shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == value || value[0] == '-' || errno || end[shift ? 1 : 0] || n == 0 ||
        n > (ULLONG_MAX >> shift))
        return false;
    o->memory_limit = (size_t)(n << shift);
    return true;
}

static bool set_time_limit(options *o, char *value)
{
    char *end;
    o->time_limit = strtod(value, &end);
    return end != value && *end == '\0' && o->time_limit > 0 && o->time_limit < 1e9;
}

/* ---- the table ---- */

/* clang-format off */
#define FLAG(field) NULL, offsetof(options, field)
const option_row option_rows[] = {
    { 'e', NULL, "code", "run code", false, set_code, 0 },
    { 'i', NULL, NULL, "interactive mode after the script", false, FLAG(interactive) },
    { 'l', NULL, "[g=]name", "require the module into the global of its name, or g", false,
      set_library, 0 },
    { 'v', "version", NULL, "show the version", false, FLAG(version) },
    { 'W', NULL, NULL, "turn warnings on", false, FLAG(warnings) },
    { 'E', NULL, NULL, "ignore the environment", false, FLAG(no_environment) },
    { 'u', "url", "URL", "the server of verbs, and of modalua.connect() without a URL", true,
      set_url, 0 },
    { 0, "profile", "NAME", "the same, by its name in the configuration file", true, set_profile, 0 },
    { 0, "verbose", NULL, "a line on standard error for each HTTP request", true, FLAG(verbose) },
    { 0, "memory-limit", "BYTES", "end what takes more memory; K, M and G may follow", true,
      set_memory_limit, 0 },
    { 0, "time-limit", "SECONDS", "end what takes longer", true, set_time_limit, 0 },
    { 0, "sandbox", NULL, "the script has no files, no programs, and no server but its own", false,
      FLAG(sandbox) },
    { 'h', "help", NULL, "show this", false, FLAG(help) },
    { 0, NULL, NULL, NULL, false, NULL, 0 }
};
#undef FLAG
/* clang-format on */

void options_write(const option_row *row, char *text, size_t size)
{
    const char letter[] = { '-', row->letter, '\0' };
    snprintf(text, size, "%s%s%s%s%s%s", row->letter ? letter : "",
             row->letter && row->name ? ", " : "", row->name ? "--" : "",
             row->name ? row->name : "", row->argument ? " " : "",
             row->argument ? row->argument : "");
}

void options_print(FILE *to)
{
    char text[64];
    for (const option_row *row = option_rows; row->help; row++) {
        options_write(row, text, sizeof text);
        fprintf(to, "  %-22s %s\n", text, row->help);
    }
}

/* ---- reading them ---- */

/* The row of the word's option; NULL: there is none. *value: where its value stands in the word, or
 * NULL. */
static const option_row *find_row(char *word, char **value)
{
    bool is_long = word[1] == '-';
    char *equals = is_long ? strchr(word, '=') : NULL;
    size_t n = equals ? (size_t)(equals - word - 2) : strlen(word + 1) - is_long;
    *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;
    for (const option_row *row = option_rows; row->help; row++)
        if (is_long ? row->name && strlen(row->name) == n && strncmp(word + 2, row->name, n) == 0
                    : row->letter && row->letter == word[1])
            return row;
    return NULL;
}

/* An option, whose value stands in its word or in the next one, which as in lua must not look like
 * an option behind a letter. Returns how many words it takes beside itself, or -1. */
static int take(options *o, const option_row *row, const char *word, char *value, char *next)
{
    bool apart = row->argument && !value;
    if (!row->argument && value)
        return -1;
    if (apart && (!next || (word[1] != '-' && next[0] == '-')))
        return -1;
    if (row->set)
        return row->set(o, apart ? next : value) ? apart : -1;
    *(bool *)((char *)o + row->flag) = true;
    return 0;
}

bool options_parse(options *o, int argc, char **argv)
{
    int i;
    memset(o, 0, sizeof *o);
    o->actions = calloc((size_t)argc + 1, sizeof *o->actions);
    for (i = 1; o->actions && i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        char *value;
        const option_row *row;
        int taken;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        o->script = i;
        row = find_row(argv[i], &value);
        taken = row ? take(o, row, argv[i], value, i + 1 < argc ? argv[i + 1] : NULL) : -1;
        if (taken < 0)
            return false;
        i += taken;
    }
    o->script = i;
    return o->actions != NULL;
}

int options_take(options *o, int first, int argc, char **argv, int *wrong)
{
    int left = first, i = first;
    while (i < argc && strcmp(argv[i], "--") != 0) {
        char *value = NULL;
        const option_row *row = argv[i][0] == '-' && argv[i][1] ? find_row(argv[i], &value) : NULL;
        int taken;
        if (!row || !row->anywhere) {
            argv[left++] = argv[i++];
            continue;
        }
        *wrong = i;
        taken = take(o, row, argv[i], value, i + 1 < argc ? argv[i + 1] : NULL);
        if (taken < 0)
            return -1;
        i += 1 + taken;
    }
    while (i < argc)
        argv[left++] = argv[i++];
    argv[left] = NULL;
    return left;
}

void options_free(options *o)
{
    free(o->url);
    free(o->actions);
}
