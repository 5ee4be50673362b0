#include "command/playground.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/console.h"
#include "command/json_text.h"
#include "command/process.h"

#define USER "modalua"

enum {
    SERVERS = 3,
    LOCAL = 0,
    PACS = 1,
    PASSWORD_BYTES = 24,
    FOLDER_BYTES = 8,
    ATTEMPTS = 3,
    PATIENCE_SECONDS = 30
};

/* local has Orthanc's default encoding, as most installations do: it loses characters that are not
 * in Latin-1, and a script that copes with local copes with those installations. The other two have
 * Utf8, so that every loss is local's, and ends when its DefaultEncoding is changed. */
static const struct identity {
    const char *name, *aet, *encoding;
} identities[SERVERS] = { { "local", "MODALUA", "Latin1" },
                          { "pacs", "PACS", "Utf8" },
                          { "archive", "ARCHIVE", "Utf8" } };

typedef struct server {
    int http_port, dicom_port;
    char url[32];
    char password[2 * PASSWORD_BYTES + 1];
    char *config; /* Orthanc's configuration, as JSON */
    char config_name[16], config_path[PATH_MAX];
} server;

struct playground {
    server servers[SERVERS];
    char orthanc[PATH_MAX], folder[PATH_MAX];
    process_keeper keeper;
    long studies; /* the number of studies in pacs */
};

/* Says on standard error why the playground does not start. Returns MODALUA_E_SYSTEM. */
__attribute__((format(printf, 1, 2))) static int complain(const char *reason, ...)
{
    va_list arguments;
    char text[PATH_MAX + 200];
    va_start(arguments, reason);
    vsnprintf(text, sizeof text, reason, arguments);
    va_end(arguments);
    console_complain("the playground does not start: %s", text);
    return MODALUA_E_SYSTEM;
}

/* The same for a reason that may have the end of a log, with its lines. */
static int complain_at_length(const char *why)
{
    fputs("modalua: the playground does not start: ", stderr);
    console_show(stderr, why, strlen(why), SHOWN_LINES);
    fputc('\n', stderr);
    return MODALUA_E_SYSTEM;
}

/* ---- the program and the folder ---- */

/* Writes that many random bytes as hexadecimal digits. */
static bool random_text(char *text, size_t bytes)
{
    unsigned char random[PASSWORD_BYTES];
    if (bytes > sizeof random || getrandom(random, bytes, 0) != (ssize_t)bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    return true;
}

static bool is_program(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

/* Finds a program by its path, or, as a shell does, by its name. Writes its absolute path. */
static bool find_program(char *path, const char *name)
{
    const char *at = strchr(name, '/') ? NULL : getenv("PATH");
    char candidate[PATH_MAX];
    if (!at)
        return is_program(name) && realpath(name, path);
    while (*at) {
        size_t n = strcspn(at, ":");
        int size = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)n, at, name);
        if (n > 0 && size < PATH_MAX && is_program(candidate) && realpath(candidate, path))
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static int find_orthanc(playground *p, const char *chosen)
{
    if (chosen && find_program(p->orthanc, chosen))
        return MODALUA_OK;
    if (chosen)
        return complain("there is no program '%s' (MODALUA_ORTHANC)", chosen);
    if (find_program(p->orthanc, "Orthanc") || find_program(p->orthanc, "/usr/sbin/Orthanc"))
        return MODALUA_OK;
    return complain("there is no Orthanc in PATH, and no /usr/sbin/Orthanc. Install it (Debian: "
                    "apt install orthanc), or name the program in MODALUA_ORTHANC");
}

static int choose_folder(playground *p)
{
    enum { ROOM_FOR_FILES = 32 };
    const char *base = getenv("TMPDIR");
    char random[2 * FOLDER_BYTES + 1], real[PATH_MAX];
    int size;
    if (!base || !*base)
        base = "/tmp";
    if (!realpath(base, real))
        return complain("%s: %s", base, strerror(errno));
    if (!random_text(random, FOLDER_BYTES))
        return complain("the system has no random numbers");
    size = snprintf(p->folder, sizeof p->folder, "%s/modalua-playground-%s", real, random);
    if (size >= PATH_MAX - ROOM_FOR_FILES)
        return complain("the path of the temporary folder is too long");
    return MODALUA_OK;
}

/* ---- the servers' configuration ---- */

/* Other programs on this machine and in the network are refused: Orthanc's DICOM port listens on
 * all interfaces, and so does its HTTP port before 1.12.10. */
static void write_protection(json_writer *w, const server *s)
{
    static const char *const open_to_all[] = { "Echo",         "Store", "Find",
                                               "FindWorklist", "Get",   "Move" };
    json_text_key(w, "HttpBindAddresses");
    json_text_open(w, '[');
    json_text_string(w, "127.0.0.1");
    json_text_close(w, ']');
    json_text_add_boolean(w, "RemoteAccessAllowed", false);
    json_text_add_boolean(w, "AuthenticationEnabled", true);
    json_text_key(w, "RegisteredUsers");
    json_text_open(w, '{');
    json_text_add_string(w, USER, s->password);
    json_text_close(w, '}');
    json_text_add_boolean(w, "DicomCheckCalledAet", true);
    json_text_add_boolean(w, "DicomCheckModalityHost", true);
    for (size_t i = 0; i < sizeof open_to_all / sizeof open_to_all[0]; i++) {
        char key[40];
        snprintf(key, sizeof key, "DicomAlwaysAllow%s", open_to_all[i]);
        json_text_add_boolean(w, key, false);
    }
}

/* Each server knows the other two as modalities. */
static void write_modalities(json_writer *w, const playground *p, size_t own)
{
    json_text_key(w, "DicomModalities");
    json_text_open(w, '{');
    for (size_t i = 0; i < SERVERS; i++) {
        if (i == own)
            continue;
        json_text_key(w, identities[i].name);
        json_text_open(w, '[');
        json_text_string(w, identities[i].aet);
        json_text_string(w, "127.0.0.1");
        json_text_number(w, p->servers[i].dicom_port);
        json_text_close(w, ']');
    }
    json_text_close(w, '}');
}

/* The plugin with which an Orthanc serves a worklist: beside that Orthanc, as it is installed, or
 * as spec/support/fetch_orthanc.sh unpacks it. */
static bool find_worklist_plugin(const playground *p, char path[PATH_MAX])
{
    static const char *const roots[] = { "..", "root/usr" };
    const char *slash = strrchr(p->orthanc, '/');
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        int size = snprintf(path, PATH_MAX, "%.*s/%s/share/orthanc/plugins/libModalityWorklists.so",
                            (int)(slash - p->orthanc), p->orthanc, roots[i]);
        if (size < PATH_MAX && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* The plugins of a server. pacs has a worklist where the plugin is installed; the plugin reads its
 * files from the playground's folder (modalua.playground.fill). */
static void write_plugins(json_writer *w, const playground *p, size_t own)
{
    char path[PATH_MAX];
    bool has_worklist = own == PACS && find_worklist_plugin(p, path);
    json_text_key(w, "Plugins");
    json_text_open(w, '[');
    if (has_worklist)
        json_text_string(w, path);
    json_text_close(w, ']');
    if (!has_worklist)
        return;
    json_text_key(w, "Worklists");
    json_text_open(w, '{');
    json_text_add_boolean(w, "Enable", true);
    json_text_add_string(w, "Database", p->folder);
    json_text_close(w, '}');
}

/* Relative paths are relative to the folder of the configuration file. Without SyncStorageArea the
 * files may never reach the disk: they live only for a moment. NULL: no memory. */
static char *config_of(const playground *p, size_t own)
{
    const server *s = &p->servers[own];
    const struct identity *me = &identities[own];
    json_writer w = { 0 };
    char title[40];
    snprintf(title, sizeof title, "modalua playground: %s", me->name);
    json_text_open(&w, '{');
    json_text_add_string(&w, "Name", title);
    json_text_add_string(&w, "DicomAet", me->aet);
    json_text_add_number(&w, "HttpPort", s->http_port);
    json_text_add_number(&w, "DicomPort", s->dicom_port);
    json_text_add_string(&w, "StorageDirectory", me->name);
    json_text_add_string(&w, "IndexDirectory", me->name);
    json_text_add_boolean(&w, "SyncStorageArea", false);
    write_plugins(&w, p, own);
    write_protection(&w, s);
    json_text_add_string(&w, "DefaultEncoding", me->encoding);
    write_modalities(&w, p, own);
    json_text_close(&w, '}');
    return json_text_take(&w);
}

static void free_configs(playground *p)
{
    for (size_t i = 0; i < SERVERS; i++) {
        free(p->servers[i].config);
        p->servers[i].config = NULL;
    }
}

/* ---- ports ---- */

static bool choose_ports(playground *p)
{
    int ports[2 * SERVERS];
    if (!process_free_ports(ports, 2 * SERVERS))
        return false;
    for (size_t i = 0; i < SERVERS; i++) {
        server *s = &p->servers[i];
        s->http_port = ports[2 * i];
        s->dicom_port = ports[2 * i + 1];
        snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", s->http_port);
    }
    return true;
}

static bool ports_taken(const playground *p)
{
    bool taken = false;
    for (size_t i = 0; i < SERVERS; i++)
        taken = taken || process_port_taken(p->servers[i].http_port) ||
                process_port_taken(p->servers[i].dicom_port);
    return taken;
}

/* ---- the servers ---- */

/* Writes the configuration of a server, and names it in the plan. False: no memory. */
static bool plan_server(playground *p, size_t i, const char *argv[3], process_file *file,
                        process_program *program)
{
    server *s = &p->servers[i];
    int room = (int)(sizeof s->config_path - sizeof s->config_name - 1);
    s->config = config_of(p, i);
    snprintf(s->config_name, sizeof s->config_name, "%s.json", identities[i].name);
    snprintf(s->config_path, sizeof s->config_path, "%.*s/%s.json", room, p->folder,
             identities[i].name);
    argv[0] = p->orthanc;
    argv[1] = s->config_path;
    argv[2] = NULL;
    *file = (process_file){ .name = s->config_name, .text = s->config };
    *program = (process_program){ .name = identities[i].name, .argv = argv, .port = s->http_port };
    return s->config != NULL;
}

static bool start_servers(playground *p, char *why)
{
    const char *argv[SERVERS][3];
    process_program programs[SERVERS];
    process_file files[SERVERS];
    process_plan plan = { .folder = p->folder,
                          .files = files,
                          .file_count = SERVERS,
                          .programs = programs,
                          .program_count = SERVERS,
                          .patience = PATIENCE_SECONDS };
    bool ok = true;
    for (size_t i = 0; i < SERVERS; i++)
        ok = plan_server(p, i, argv[i], &files[i], &programs[i]) && ok;
    if (ok)
        ok = process_keep(&p->keeper, &plan, why);
    else
        snprintf(why, PROCESS_WHY, "not enough memory");
    free_configs(p);
    return ok;
}

/* The servers' addresses and credentials, for modalua.playground. The caller frees the JSON text.
 * NULL: no memory. */
static char *addresses_of(const playground *p)
{
    json_writer w = { 0 };
    json_text_open(&w, '{');
    for (size_t i = 0; i < SERVERS; i++) {
        json_text_key(&w, identities[i].name);
        json_text_open(&w, '{');
        json_text_add_string(&w, "url", p->servers[i].url);
        json_text_add_string(&w, "username", USER);
        json_text_add_string(&w, "password", p->servers[i].password);
        json_text_add_string(&w, "folder", p->folder);
        json_text_close(&w, '}');
    }
    json_text_close(&w, '}');
    return json_text_take(&w);
}

/* Calls a function of modalua.playground with the addresses. Returns as modalua_call does. */
static int call_with_addresses(const playground *p, modalua_runtime *rt, const char *function,
                               const char **json_out)
{
    char *addresses = addresses_of(p);
    int status = addresses ? modalua_call(rt, function, addresses, json_out) : MODALUA_E_NOMEM;
    free(addresses);
    return status;
}

/* Stores the sample studies in pacs. Its runtime is not the user's: the limits of --time-limit and
 * --memory-limit do not hold, and --verbose does not log it. */
static bool fill_pacs(playground *p, char *why)
{
    const char *studies = NULL, *error;
    modalua_runtime *rt;
    int status = modalua_create(&rt, NULL);
    if (status == MODALUA_OK)
        status = call_with_addresses(p, rt, "modalua.playground.fill", &studies);
    error = rt ? modalua_last_error(rt) : modalua_strerror(status);
    if (status == MODALUA_OK)
        p->studies = strtol(studies, NULL, 10);
    else
        snprintf(why, PROCESS_WHY, "%.*s", (int)strcspn(error, "\n"), error); /* no traceback */
    modalua_destroy(rt);
    return status == MODALUA_OK;
}

static bool start_and_fill(playground *p, char *why)
{
    if (!start_servers(p, why))
        return false;
    if (fill_pacs(p, why))
        return true;
    process_release(&p->keeper);
    return false;
}

/* Another program can take a port between its choice and its use, and may even answer there. Other
 * ports are tried then. */
static int try_ports(playground *p)
{
    char why[PROCESS_WHY] = "there are no free ports";
    for (size_t i = 0; i < SERVERS; i++)
        if (!random_text(p->servers[i].password, PASSWORD_BYTES))
            return complain("the system has no random numbers");
    for (int attempt = 0; attempt < ATTEMPTS && choose_ports(p); attempt++) {
        if (start_and_fill(p, why))
            return MODALUA_OK;
        if (!ports_taken(p))
            break;
    }
    return complain_at_length(why);
}

static void set_environment(const playground *p)
{
    setenv("MODALUA_URL", p->servers[LOCAL].url, 1);
    setenv("MODALUA_USERNAME", USER, 1);
    setenv("MODALUA_PASSWORD", p->servers[LOCAL].password, 1);
    unsetenv("MODALUA_TOKEN"); /* it belongs to another server */
}

/* ---- the public functions ---- */

int playground_start(playground **out, const char *orthanc)
{
    playground *p = calloc(1, sizeof *p);
    int status;
    *out = NULL;
    if (!p)
        return complain("not enough memory");
    status = find_orthanc(p, orthanc);
    if (status == MODALUA_OK)
        status = choose_folder(p);
    if (status == MODALUA_OK)
        status = try_ports(p);
    if (status != MODALUA_OK) {
        free(p);
        return status;
    }
    set_environment(p);
    *out = p;
    return MODALUA_OK;
}

void playground_stop(playground *p)
{
    process_release(&p->keeper);
    free(p);
}

void playground_configure(const playground *p, modalua_config *config)
{
    config->url = p->servers[LOCAL].url;
    config->username = USER;
    config->password = p->servers[LOCAL].password;
    config->token = NULL;
}

int playground_enter(const playground *p, modalua_runtime *rt)
{
    return call_with_addresses(p, rt, "modalua.playground.enter", NULL);
}

/* Prints a line on standard output. */
static void greet(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    console_show_wrapped(stdout, line, strlen(line));
}

void playground_greet(const playground *p)
{
    greet("playground: modalua.connect() is `local`, %s, AET %s", p->servers[LOCAL].url,
          identities[LOCAL].aet);
    greet("It knows");
    for (size_t i = LOCAL + 1; i < SERVERS; i++)
        greet("  %-8s AET %-8s 127.0.0.1:%d, %ld studies", identities[i].name, identities[i].aet,
              p->servers[i].dicom_port, i == PACS ? p->studies : 0L);
}
