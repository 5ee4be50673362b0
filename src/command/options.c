#include "command/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/own_file.h"
#include "base/utf8.h"
#include "command/console.h"

/* ---- setting a field ---- */

static bool set_flag(command_options *o, void *field, char *argument)
{
    (void)o;
    (void)argument;
    *(bool *)field = true;
    return true;
}

static bool set_string(command_options *o, void *field, char *text)
{
    (void)o;
    *(const char **)field = text;
    return *text != '\0';
}

/* Copies the URL, and overwrites the credentials in the original: other users see the command line
 * in the list of processes. */
static char *take_url(char *url)
{
    char *copy = strdup(url), *start = strstr(url, "://"), *end, *at;
    start = start ? start + 3 : url;
    end = start + strlen(start); /* a password may have a '/', although a URL must not */
    for (at = end; at > start && *at != '@'; at--)
        ;
    for (char *p = start; p < at; p++)
        *p = '*';
    return copy;
}

static bool set_server(command_options *o, void *field, char *url)
{
    free(o->own_url); /* the last one counts */
    o->own_url = take_url(url);
    *(const char **)field = o->own_url;
    return o->own_url != NULL;
}

static bool set_insecure(command_options *o, void *field, char *argument)
{
    (void)o;
    (void)argument;
    *(int *)field = 1;
    return true;
}

static void forget_passphrase(command_options *o)
{
    if (o->own_passphrase)
        explicit_bzero(o->own_passphrase, strlen(o->own_passphrase));
    free(o->own_passphrase);
    o->own_passphrase = NULL;
}

/* What is wrong with the file; NULL: its first line has been read. */
static const char *read_first_line(command_options *o, FILE *file)
{
    const char *fault = file ? own_file_secret_fault(fileno(file)) : strerror(errno);
    size_t room = 0, skipped, end;
    ssize_t size;
    if (fault)
        return fault;
    setvbuf(file, NULL, _IONBF, 0); /* no copy of the secret stays in a buffer */
    size = getline(&o->own_passphrase, &room, file);
    if (size > 0 && memchr(o->own_passphrase, '\0', (size_t)size)) {
        explicit_bzero(o->own_passphrase, (size_t)size); /* strlen does not see what is behind it */
        return "its first line has a NUL";
    }
    if (size > 0) {
        skipped = utf8_mark_size(o->own_passphrase, (size_t)size);
        memmove(o->own_passphrase, o->own_passphrase + skipped, (size_t)size - skipped + 1);
        end = strcspn(o->own_passphrase, "\r\n");
        explicit_bzero(o->own_passphrase + end, (size_t)size + 1 - end);
    }
    return size > 0 && o->own_passphrase[0] ? NULL : "its first line is empty";
}

static bool read_passphrase(command_options *o, void *field, char *name)
{
    static const char none[] = "";
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* without O_NONBLOCK a pipe blocks */
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    const char *fault;
    forget_passphrase(o);
    fault = read_first_line(o, file);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    if (fault)
        console_complain("the passphrase in '%s' cannot be read: %s", name, fault);
    *(const char **)field = o->own_passphrase ? o->own_passphrase : none;
    return !fault;
}

static bool set_bytes(command_options *o, void *field, char *bytes)
{
    char *end;
    unsigned long long n;
    int shift;
    (void)o;
    errno = 0;
    n = strtoull(bytes, &end, 10);
    shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == bytes || bytes[0] == '-' || errno || end[shift ? 1 : 0] || n == 0 ||
        n > (ULLONG_MAX >> shift))
        return false;
    *(size_t *)field = (size_t)(n << shift);
    return true;
}

static bool set_seconds(command_options *o, void *field, char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    (void)o;
    *(double *)field = seconds;
    return end != text && *end == '\0' && seconds > 0 && seconds < 1e9;
}

/* -e and -l. */
static bool add_action(command_options *o, char letter, char *text)
{
    o->has_code = o->has_code || letter == 'e';
    o->actions[o->action_count++] = (command_action){ letter, text };
    return true;
}

static bool add_code(command_options *o, void *field, char *code)
{
    (void)field;
    return add_action(o, 'e', code);
}

static bool add_library(command_options *o, void *field, char *name)
{
    (void)field;
    return add_action(o, 'l', name);
}

/* ---- the table ---- */

/* clang-format off */
#define FIELD(name) offsetof(command_options, name)
const command_option command_option_rows[] = {
    { 'e', NULL, "code", NULL, "run code", false, add_code, FIELD(actions) },
    { 'i', NULL, NULL, NULL, "enter interactive mode after the script", false, set_flag, FIELD(interactive) },
    { 'l', NULL, "[g=]name", NULL, "require the module into the global of its name, or g", false,
      add_library, FIELD(actions) },
    { 'v', "version", NULL, NULL, "show the version", false, set_flag, FIELD(version) },
    { 'W', NULL, NULL, NULL, "turn warnings on", false, set_flag, FIELD(warnings) },
    { 'E', NULL, NULL, NULL, "ignore the environment", false, set_flag, FIELD(no_environment) },
    { 'u', "url", "URL", "MODALUA_URL", "the server of verbs, and of modalua.connect() without a URL",
      true, set_server, FIELD(config.url) },
    { 0, NULL, NULL, "MODALUA_USERNAME", "the user name for the server in MODALUA_URL", false,
      set_string, FIELD(config.username) },
    { 0, NULL, NULL, "MODALUA_PASSWORD", "its password", false, set_string, FIELD(config.password) },
    { 0, NULL, NULL, "MODALUA_TOKEN", "a token for that server, instead of both", false, set_string,
      FIELD(config.token) },
    { 0, "profile", "NAME", NULL, "that server, by its name in the configuration file", true,
      set_string, FIELD(config.profile) },
    { 0, "ca", "FILE", NULL, "the certificate of the authority that has signed the server's", true, set_string,
      FIELD(config.ca) },
    { 0, NULL, NULL, "MODALUA_CA", "the certificate of the authority of all servers without --ca (or SSL_CERT_FILE)",
      false, set_string, FIELD(config.default_ca) },
    { 0, "cert", "FILE", NULL, "a client certificate for the server", true, set_string,
      FIELD(config.cert) },
    { 0, "key", "FILE", NULL, "its private key", true, set_string, FIELD(config.key) },
    { 0, "key-password-file", "FILE", NULL, "a file; its first line is the passphrase of the key",
      true, read_passphrase, FIELD(config.key_password) },
    { 0, NULL, NULL, "MODALUA_KEY_PASSWORD", "the passphrase of the key of --key", false, set_string,
      FIELD(config.key_password) },
    { 0, "insecure", NULL, NULL, "do not check the certificate of the server", true, set_insecure,
      FIELD(config.insecure) },
    { 0, "verbose", NULL, NULL, "a line on standard error for each HTTP request", true, set_flag,
      FIELD(verbose) },
    { 0, "memory-limit", "BYTES", NULL, "end a script that takes more memory; K, M or G may follow",
      true, set_bytes, FIELD(config.memory_limit) },
    { 0, "time-limit", "SECONDS", NULL, "end a script that takes longer", true, set_seconds,
      FIELD(config.run_seconds) },
    { 0, "sandbox", NULL, NULL, "the script reaches no files, no programs, and only its own server",
      false, set_flag, FIELD(sandbox) },
    { 'h', "help", NULL, NULL, "show this", false, set_flag, FIELD(help) },
    { 0, NULL, NULL, NULL, NULL, false, NULL, 0 }
};
#undef FIELD
/* clang-format on */

static void *field_of(command_options *o, const command_option *row)
{
    return (char *)o + row->field;
}

void command_options_label(const command_option *row, char *text, size_t size)
{
    const char letter[] = { '-', row->letter, '\0' };
    snprintf(text, size, "%s%s%s%s%s%s", row->letter ? letter : "",
             row->letter && row->name ? ", " : "", row->name ? "--" : "",
             row->name ? row->name : "", row->argument ? " " : "",
             row->argument ? row->argument : "");
}

void command_options_print(FILE *to)
{
    char label[64];
    for (const command_option *row = command_option_rows; row->help; row++) {
        command_options_label(row, label, sizeof label);
        if (label[0])
            fprintf(to, "  %-22s %s\n", label, row->help);
    }
}

void command_options_print_environment(FILE *to)
{
    for (const command_option *row = command_option_rows; row->help; row++)
        if (row->variable)
            fprintf(to, "  %-22s %s\n", row->variable, row->help);
}

/* ---- reading the command line ---- */

/* Finds the row of an option; NULL: there is none. *argument becomes the argument that stands in
 * the same word ("--url=http://…", "-uhttp://…"), or NULL. */
static const command_option *find_row(char *word, char **argument)
{
    bool is_long = word[1] == '-';
    char *equals = is_long ? strchr(word, '=') : NULL;
    size_t n = equals ? (size_t)(equals - word - 2) : strlen(word + 1) - is_long;
    *argument = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;
    for (const command_option *row = command_option_rows; row->help; row++)
        if (is_long ? row->name && strlen(row->name) == n && strncmp(word + 2, row->name, n) == 0
                    : row->letter && row->letter == word[1])
            return row;
    return NULL;
}

/* Applies an option. Its argument is in the same word, or else it is `next`. After a one-letter
 * option `next` must not begin with '-', as in lua. Returns the number of further words that the
 * option takes, or -1 when it cannot be used. */
static int apply(command_options *o, const command_option *row, const char *word, char *argument,
                 char *next)
{
    bool takes_next = row->argument && !argument;
    if (!row->argument && argument)
        return -1;
    if (takes_next && (!next || (word[1] != '-' && next[0] == '-')))
        return -1;
    return row->set(o, field_of(o, row), takes_next ? next : argument) ? takes_next : -1;
}

bool command_options_parse(command_options *o, int argc, char **argv)
{
    memset(o, 0, sizeof *o);
    modalua_config_init(&o->config);
    o->actions = calloc((size_t)argc + 1, sizeof *o->actions);
    return o->actions && command_options_read(o, 1, argc, argv);
}

bool command_options_read(command_options *o, int first, int argc, char **argv)
{
    int i;
    for (i = first; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        char *argument;
        const command_option *row;
        int taken;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        o->word = i;
        row = find_row(argv[i], &argument);
        taken = row ? apply(o, row, argv[i], argument, i + 1 < argc ? argv[i + 1] : NULL) : -1;
        if (taken < 0)
            return false;
        i += taken;
    }
    o->word = i;
    return true;
}

int command_options_take(command_options *o, int first, int argc, char **argv, int *wrong)
{
    int left = first, i = first;
    while (i < argc && strcmp(argv[i], "--") != 0) {
        bool is_option = argv[i][0] == '-' && argv[i][1];
        char *argument = NULL;
        const command_option *row = is_option ? find_row(argv[i], &argument) : NULL;
        int taken;
        if (!row || !row->anywhere) {
            argv[left++] = argv[i++];
            continue;
        }
        *wrong = i;
        taken = apply(o, row, argv[i], argument, i + 1 < argc ? argv[i + 1] : NULL);
        if (taken < 0)
            return -1;
        i += 1 + taken;
    }
    while (i < argc)
        argv[left++] = argv[i++];
    argv[left] = NULL;
    return left;
}

const char *command_options_nearest(const char *word)
{
    char name[32];
    size_t size = word[0] == '-' && word[1] == '-' ? strcspn(word + 2, "=") : 0;
    nearest n;
    if (size == 0 || size >= sizeof name)
        return NULL;
    memcpy(name, word + 2, size);
    name[size] = '\0';
    n = nearest_for(name);
    for (const command_option *row = command_option_rows; row->help; row++) {
        const char *names[] = { row->name, NULL };
        nearest_search(&n, names, sizeof *names);
    }
    return n.name && strcmp(n.name, name) != 0 ? n.name : NULL;
}

/* The value of a variable of the environment; NULL: it is not set, or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* Names the credentials that the environment has for the server in MODALUA_URL, which is not the server
 * here. NULL: there are none. */
static const char *unsent_credentials(void)
{
    if (variable("MODALUA_TOKEN"))
        return "MODALUA_TOKEN is set, but was not sent: it is for the server in MODALUA_URL";
    if (variable("MODALUA_USERNAME") || variable("MODALUA_PASSWORD"))
        return "MODALUA_USERNAME and MODALUA_PASSWORD are set, but were not sent: they are for the "
               "server in MODALUA_URL";
    return NULL;
}

/* Whether the variable of the row says something of the server in MODALUA_URL. */
static bool is_of_server(const command_option *row)
{
    return row->variable && row->field != offsetof(command_options, config.default_ca) &&
           row->field != offsetof(command_options, config.key_password);
}

void command_options_environment(command_options *o)
{
    modalua_config *config = &o->config;
    bool chosen = config->url || config->profile;
    if (o->no_environment || o->playground)
        return;
    if (!chosen)
        for (const command_option *row = command_option_rows; row->help; row++)
            if (is_of_server(row))
                *(const char **)field_of(o, row) = getenv(row->variable);
    if (chosen || !config->url)
        config->unsent = unsent_credentials();
    config->default_ca = variable("MODALUA_CA"); /* SSL_CERT_FILE is OpenSSL's own */
    if (!config->default_ca)
        config->default_ca = variable("SSL_CERT_FILE");
    if (!config->key_password)
        config->key_password = variable("MODALUA_KEY_PASSWORD");
}

void command_options_free(command_options *o)
{
    free(o->own_url);
    forget_passphrase(o);
    free(o->actions);
}
