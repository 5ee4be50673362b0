#define _XOPEN_SOURCE 700 /* realpath */

#include "command/playground.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/process.h"

#define USER "modalua"

enum {
    SERVERS = 3,
    LOCAL = 0,
    PACS = 1,
    SECRET_BYTES = 24,
    ATTEMPTS = 3,
    PATIENCE = 30,
    CONFIG_SIZE = 2048,
    ADDRESSES_SIZE = 1024
};

/* local keeps Orthanc's default encoding, as most installations do: letters beyond Latin-1 get lost
 * on their way through it, here as there, and a script that copes with this server copes with
 * those. The other two have Utf8, so that whatever is lost was lost by local, and comes back when
 * local's DefaultEncoding is changed. */
static const struct identity {
    const char *name, *aet, *encoding;
} identities[SERVERS] = { { "local", "MODALUA", "Latin1" },
                          { "pacs", "PACS", "Utf8" },
                          { "archive", "ARCHIVE", "Utf8" } };

typedef struct server {
    int http_port, dicom_port;
    char url[32];
    char password[2 * SECRET_BYTES + 1];
    char config[CONFIG_SIZE]; /* Orthanc's configuration, and its name and path */
    char config_name[16], config_path[PATH_MAX];
} server;

struct playground {
    server servers[SERVERS];
    char orthanc[PATH_MAX], folder[PATH_MAX];
    process_keeper keeper;
    long studies; /* how many pacs holds */
};

static int complain(const char *what)
{
    fprintf(stderr, "modalua: the playground does not start: %s\n", what);
    return MODALUA_E_SYSTEM;
}

/* ---- what it is made from ---- */

/* Hexadecimal digits that nobody can guess. */
static bool random_text(char *text, size_t bytes)
{
    unsigned char random[SECRET_BYTES];
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

/* A program by its name, as a shell finds it, or by its path. Writes an absolute path. */
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
    if (chosen) {
        fprintf(
            stderr,
            "modalua: the playground does not start: there is no program '%s' (MODALUA_ORTHANC)\n",
            chosen);
        return MODALUA_E_SYSTEM;
    }
    if (find_program(p->orthanc, "Orthanc") || find_program(p->orthanc, "/usr/sbin/Orthanc"))
        return MODALUA_OK;
    return complain("there is no Orthanc in PATH, and no /usr/sbin/Orthanc. Install it (Debian: "
                    "apt install orthanc), "
                    "or name the program in MODALUA_ORTHANC");
}

static int choose_folder(playground *p)
{
    const char *base = getenv("TMPDIR");
    char random[2 * 8 + 1], real[PATH_MAX];
    if (!base || !*base)
        base = "/tmp";
    if (!realpath(base, real)) {
        fprintf(stderr, "modalua: the playground does not start: %s: %s\n", base, strerror(errno));
        return MODALUA_E_SYSTEM;
    }
    if (!random_text(random, 8))
        return complain("the system gives no random numbers");
    if (snprintf(p->folder, sizeof p->folder, "%s/modalua-playground-%s", real, random) >=
        PATH_MAX - 32)
        return complain("the path of the temporary folder is too long");
    return MODALUA_OK;
}

/* Strangers are refused where they knock: Orthanc's DICOM port listens on all interfaces, and so
 * does, before 1.12.10, its HTTP port. Relative paths are relative to the configuration's folder.
 * Files that go away soon need not reach the disk. */
static void write_config(playground *p, size_t own)
{
    server *s = &p->servers[own];
    const struct identity *me = &identities[own];
    const size_t a = (own + 1) % SERVERS, b = (own + 2) % SERVERS;
    snprintf(s->config, sizeof s->config,
             "{\n"
             "  \"Name\": \"modalua playground: %s\", \"DicomAet\": \"%s\", \"HttpPort\": %d, "
             "\"DicomPort\": %d,\n"
             "  \"StorageDirectory\": \"%s\", \"IndexDirectory\": \"%s\", \"SyncStorageArea\": "
             "false, \"Plugins\": [],\n"
             "  \"HttpBindAddresses\": [\"127.0.0.1\"], \"RemoteAccessAllowed\": false,\n"
             "  \"AuthenticationEnabled\": true, \"RegisteredUsers\": { \"" USER "\": \"%s\" },\n"
             "  \"DicomCheckCalledAet\": true, \"DicomCheckModalityHost\": true,\n"
             "  \"DicomAlwaysAllowEcho\": false, \"DicomAlwaysAllowStore\": false, "
             "\"DicomAlwaysAllowFind\": false,\n"
             "  \"DicomAlwaysAllowFindWorklist\": false, \"DicomAlwaysAllowGet\": false, "
             "\"DicomAlwaysAllowMove\": false,\n"
             "  \"DefaultEncoding\": \"%s\",\n"
             "  \"DicomModalities\": { \"%s\": [\"%s\", \"127.0.0.1\", %d], \"%s\": [\"%s\", "
             "\"127.0.0.1\", %d] }\n"
             "}\n",
             me->name, me->aet, s->http_port, s->dicom_port, me->name, me->name, s->password,
             me->encoding, identities[a].name, identities[a].aet, p->servers[a].dicom_port,
             identities[b].name, identities[b].aet, p->servers[b].dicom_port);
}

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
                          .patience = PATIENCE };
    for (size_t i = 0; i < SERVERS; i++) {
        server *s = &p->servers[i];
        int room = (int)(sizeof s->config_path - sizeof s->config_name - 1);
        write_config(p, i);
        snprintf(s->config_name, sizeof s->config_name, "%s.json", identities[i].name);
        snprintf(s->config_path, sizeof s->config_path, "%.*s/%s", room, p->folder, s->config_name);
        argv[i][0] = p->orthanc;
        argv[i][1] = s->config_path;
        argv[i][2] = NULL;
        files[i] = (process_file){ .name = s->config_name, .text = s->config };
        programs[i] =
            (process_program){ .name = identities[i].name, .argv = argv[i], .port = s->http_port };
    }
    return process_keep(&p->keeper, &plan, why);
}

/* The servers' addresses and credentials, for the Lua half. */
static void write_addresses(const playground *p, char json[ADDRESSES_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < SERVERS; i++) {
        const server *s = &p->servers[i];
        used += (size_t)snprintf(json + used, ADDRESSES_SIZE - used,
                                 "%c\"%s\":{\"url\":\"%s\",\"username\":\"" USER
                                 "\",\"password\":\"%s\"}",
                                 i == 0 ? '{' : ',', identities[i].name, s->url, s->password);
    }
    snprintf(json + used, ADDRESSES_SIZE - used, "}");
}

/* In a runtime of its own: no limit of the user's ends it, and no log shows it. */
static bool fill(playground *p, char *why)
{
    char addresses[ADDRESSES_SIZE];
    const char *studies = NULL, *error;
    modalua_runtime *rt;
    int status = modalua_create(&rt, NULL);
    write_addresses(p, addresses);
    if (status == MODALUA_OK)
        status = modalua_call(rt, "modalua.playground.fill", addresses, &studies);
    error = rt ? modalua_last_error(rt) : modalua_strerror(status);
    if (status == MODALUA_OK)
        p->studies = strtol(studies, NULL, 10);
    else
        snprintf(why, PROCESS_WHY, "%.*s", (int)strcspn(error, "\n"),
                 error); /* without the traceback */
    modalua_destroy(rt);
    return status == MODALUA_OK;
}

static bool start_and_fill(playground *p, char *why)
{
    if (!start_servers(p, why))
        return false;
    if (fill(p, why))
        return true;
    process_release(&p->keeper);
    return false;
}

/* A port can be taken between its choice and its use, and whoever took it may even answer; then
 * there are others. */
static int try_ports(playground *p)
{
    char why[PROCESS_WHY] = "there are no free ports";
    for (size_t i = 0; i < SERVERS; i++)
        if (!random_text(p->servers[i].password, SECRET_BYTES))
            return complain("the system gives no random numbers");
    for (int attempt = 0; attempt < ATTEMPTS && choose_ports(p); attempt++) {
        if (start_and_fill(p, why))
            return MODALUA_OK;
        if (!ports_taken(p))
            break;
    }
    return complain(why);
}

static void export(const playground *p)
{
    setenv("MODALUA_URL", p->servers[LOCAL].url, 1);
    setenv("MODALUA_USERNAME", USER, 1);
    setenv("MODALUA_PASSWORD", p->servers[LOCAL].password, 1);
    unsetenv("MODALUA_TOKEN"); /* that of another server */
}

/* ---- what the command calls ---- */

int playground_start(playground **out, const char *orthanc)
{
    playground *p = calloc(1, sizeof *p);
    int status;
    *out = NULL;
    if (!p)
        return complain("not enough memory"), MODALUA_E_NOMEM;
    status = find_orthanc(p, orthanc);
    if (status == MODALUA_OK)
        status = choose_folder(p);
    if (status == MODALUA_OK)
        status = try_ports(p);
    if (status != MODALUA_OK) {
        free(p);
        return status;
    }
    export(p);
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
    char json[ADDRESSES_SIZE];
    write_addresses(p, json);
    return modalua_call(rt, "modalua.playground.enter", json, NULL);
}

void playground_greet(const playground *p)
{
    printf("playground: modalua.connect() is `local`, %s, AET %s. It knows\n",
           p->servers[LOCAL].url, identities[LOCAL].aet);
    for (size_t i = LOCAL + 1; i < SERVERS; i++)
        printf("  %-8s AET %-8s 127.0.0.1:%d, %ld studies\n", identities[i].name, identities[i].aet,
               p->servers[i].dicom_port, i == PACS ? p->studies : 0L);
}
