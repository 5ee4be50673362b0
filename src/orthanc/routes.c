#include "orthanc/routes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- the keys ---- */

#define USER_DATA ORTHANC_VERSION(1, 12, 9)
#define ELSEWHERE \
    ORTHANC_VERSION(1, 11, 3) /* a store to where the configuration does not point \
                               */

/* clang-format off */
static const orthanc_key echo_keys[] = {
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "CheckFind", ORTHANC_BOOLEAN, 0, NULL },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key query_keys[] = {
    { "Level", ORTHANC_STRING, 0, NULL },
    { "Query", ORTHANC_TABLE, 0, NULL },
    { "Normalize", ORTHANC_BOOLEAN, 0, NULL },
    { "LocalAet", ORTHANC_AET, 0, NULL },
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key retrieve_keys[] = {
    { "TargetAet", ORTHANC_AET, 0, NULL },
    { "RetrieveMethod", ORTHANC_METHOD, ORTHANC_C_GET, NULL },
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Permissive", ORTHANC_BOOLEAN, 0, NULL },
    { "Priority", ORTHANC_INTEGER, 0, NULL },
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "Simplify", ORTHANC_BOOLEAN, 0, NULL },
    { "Short", ORTHANC_BOOLEAN, 0, NULL },
    { "Full", ORTHANC_BOOLEAN, 0, NULL },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL },
    { "LocalAet", ORTHANC_AET, 0, "the AE title that calls is that of the query: give LocalAet to find" },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key move_keys[] = {
    { "TargetAet", ORTHANC_AET, 0, NULL },
    { "LocalAet", ORTHANC_AET, 0, NULL },
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Priority", ORTHANC_INTEGER, ORTHANC_MOVE_JOBS, NULL },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL },
    { "Permissive", ORTHANC_BOOLEAN, 0, "each resource has an outcome of its own, and one that fails stops no other" },
    { "RetrieveMethod", ORTHANC_METHOD, 0, "this is C-MOVE; C-GET is get" },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key get_keys[] = {
    { "LocalAet", ORTHANC_AET, 0, NULL },
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Permissive", ORTHANC_BOOLEAN, 0, NULL },
    { "Priority", ORTHANC_INTEGER, 0, NULL },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL },
    { "TargetAet", ORTHANC_AET, 0, "C-GET brings everything to this Orthanc; move_resources sends it elsewhere" },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key store_keys[] = {
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Permissive", ORTHANC_BOOLEAN, 0, NULL },
    { "Priority", ORTHANC_INTEGER, 0, NULL },
    { "LocalAet", ORTHANC_AET, 0, NULL },
    { "CalledAet", ORTHANC_AET, ELSEWHERE, NULL },
    { "Host", ORTHANC_STRING, ELSEWHERE, NULL },
    { "Port", ORTHANC_PORT, ELSEWHERE, NULL },
    { "MoveOriginatorAet", ORTHANC_AET, 0, NULL },
    { "MoveOriginatorID", ORTHANC_INTEGER, 0, NULL },
    { "StorageCommitment", ORTHANC_BOOLEAN, 0, NULL },
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL },
    { "Resources", ORTHANC_ANY, 0, "the identifiers are the first argument" },
    { NULL, ORTHANC_ANY, 0, NULL }
};

/* PUT /modalities/{name}, as GET …/configuration gives it */
static const orthanc_key modality_settings_keys[] = {
    { "AET", ORTHANC_AET, 0, NULL },
    { "Host", ORTHANC_TEXT, 0, NULL },
    { "Port", ORTHANC_PORT, 0, NULL },
    { "Manufacturer", ORTHANC_TEXT, 0, NULL },
    { "AllowEcho", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowFind", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowFindWorklist", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowGet", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowMove", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowStore", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowStorageCommitment", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowNAction", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowEventReport", ORTHANC_BOOLEAN, 0, NULL },
    { "AllowTranscoding", ORTHANC_BOOLEAN, 0, NULL },
    { "UseDicomTls", ORTHANC_BOOLEAN, 0, NULL },
    { "LocalAet", ORTHANC_AET_OR_NONE, 0, NULL },
    { "Timeout", ORTHANC_SECONDS_OR_0, 0, NULL },
    { "RetrieveMethod", ORTHANC_METHOD, ORTHANC_C_GET, NULL },
    { NULL, ORTHANC_ANY, 0, NULL }
};

/* PUT /peers/{name} */
static const orthanc_key peer_settings_keys[] = {
    { "Url", ORTHANC_URL, 0, NULL },
    { "Username", ORTHANC_STRING, 0, NULL },
    { "Password", ORTHANC_SECRET, 0, NULL },
    { "HttpHeaders", ORTHANC_HEADERS, 0, NULL },
    { "CertificateFile", ORTHANC_STRING, 0, NULL },
    { "CertificateKeyFile", ORTHANC_STRING, 0, NULL },
    { "CertificateKeyPassword", ORTHANC_SECRET, 0, NULL },
    { "Pkcs11", ORTHANC_BOOLEAN, 0, NULL },
    { "Timeout", ORTHANC_SECONDS_OR_0, 0, NULL },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key peer_store_keys[] = {
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL },
    { "Priority", ORTHANC_INTEGER, 0, NULL },
    { "Compress", ORTHANC_BOOLEAN, 0, NULL },
    { "Transcode", ORTHANC_TEXT, 0, NULL },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL },
    { "Permissive", ORTHANC_BOOLEAN, 0, "it hides failures, and what has arrived at a peer cannot be asked" },
    { "Timeout", ORTHANC_SECONDS, 0, "the server ignores it here: give it to configure" },
    { "Resources", ORTHANC_ANY, 0, "the identifiers are the first argument" },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key tools_find_keys[] = {
    { "Level", ORTHANC_STRING, 0, NULL },
    { "Query", ORTHANC_TABLE, 0, NULL },
    { "Expand", ORTHANC_BOOLEAN, 0, NULL },
    { "Limit", ORTHANC_INTEGER, 0, NULL },
    { "Since", ORTHANC_INTEGER, 0, NULL },
    { "CaseSensitive", ORTHANC_BOOLEAN, 0, NULL },
    { "Simplify", ORTHANC_BOOLEAN, 0, NULL },
    { "Short", ORTHANC_BOOLEAN, 0, NULL },
    { "Full", ORTHANC_BOOLEAN, 0, NULL },
    { "RequestedTags", ORTHANC_TABLE, ORTHANC_VERSION(1, 11, 0), NULL },
    { "Labels", ORTHANC_TABLE, ORTHANC_VERSION(1, 12, 0), NULL },
    { "LabelsConstraint", ORTHANC_STRING, ORTHANC_VERSION(1, 12, 0), NULL },
    { "OrderBy", ORTHANC_TABLE, ORTHANC_PAGED_FIND, NULL },
    { "ParentPatient", ORTHANC_STRING, ORTHANC_PAGED_FIND, NULL },
    { "ParentStudy", ORTHANC_STRING, ORTHANC_PAGED_FIND, NULL },
    { "ParentSeries", ORTHANC_STRING, ORTHANC_PAGED_FIND, NULL },
    { "MetadataQuery", ORTHANC_TABLE, ORTHANC_PAGED_FIND, NULL },
    { "ResponseContent", ORTHANC_TABLE, ORTHANC_PAGED_FIND, NULL },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key worklist_keys[] = {
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "Query", ORTHANC_ANY, 0, "the tags are the first argument" },
    { "Simplify", ORTHANC_BOOLEAN, 0, "it is simplify = true here, which is the default" },
    { "Short", ORTHANC_BOOLEAN, 0, "it is short = true here" },
    { "Full", ORTHANC_BOOLEAN, 0, "it is simplify = false here" },
    { "LocalAet", ORTHANC_AET, 0, "Orthanc ignores it for worklists: the AE title that calls is its own, or before 1.13.0 the LocalAet of the modality" },
    { NULL, ORTHANC_ANY, 0, NULL }
};

static const orthanc_key commitment_keys[] = {
    { "Timeout", ORTHANC_SECONDS, 0, NULL },
    { "Resources", ORTHANC_ANY, 0, "they are the first argument" },
    { "DicomInstances", ORTHANC_ANY, 0, "they are the first argument" },
    { "LocalAet", ORTHANC_AET, 0, "Orthanc ignores it for storage commitment: the AE title that calls is its own, or before 1.13.0 the LocalAet of the modality" },
    { NULL, ORTHANC_ANY, 0, NULL }
};
/* clang-format on */

const orthanc_route orthanc_echo = { "echo", 0, NULL, echo_keys };
const orthanc_route orthanc_query = { "query", 0, NULL, query_keys };
const orthanc_route orthanc_retrieve = { "retrieve", 0, NULL, retrieve_keys };
const orthanc_route orthanc_move = { "move", 0, NULL, move_keys };
const orthanc_route orthanc_get = { "get", ORTHANC_C_GET,
                                    "C-GET (find and move, by C-MOVE, do the same)", get_keys };
const orthanc_route orthanc_store = { "store", 0, NULL, store_keys };
const orthanc_route orthanc_tools_find = { "find", 0, NULL, tools_find_keys };
const orthanc_route orthanc_modality_settings = { "configure", 0, NULL, modality_settings_keys };
const orthanc_route orthanc_peer_settings = { "configure", 0, NULL, peer_settings_keys };
const orthanc_route orthanc_peer_store = { "store", 0, NULL, peer_store_keys };
const orthanc_route orthanc_worklist = { "find-worklist", 0, NULL, worklist_keys };
const orthanc_route orthanc_commitment = { "storage-commitment", 0, NULL, commitment_keys };

const orthanc_key *orthanc_key_of(const orthanc_route *route, const char *name)
{
    for (const orthanc_key *key = route->keys; key->name; key++)
        if (strcmp(key->name, name) == 0)
            return key;
    return NULL;
}

bool orthanc_type_is_secret(orthanc_type type)
{
    return type == ORTHANC_SECRET || type == ORTHANC_URL || type == ORTHANC_HEADERS;
}

const char *orthanc_type_words(orthanc_type type)
{
    switch (type) {
    case ORTHANC_STRING: return "a string without NUL";
    case ORTHANC_TEXT: return "a string that is not empty, without NUL";
    case ORTHANC_AET:
        return "an AE title, a string of 1 to 16 characters of ASCII without backslash";
    case ORTHANC_AET_OR_NONE:
        return "an AE title, a string of 1 to 16 characters of ASCII without backslash, or \"\"";
    case ORTHANC_BOOLEAN: return "true or false";
    case ORTHANC_INTEGER: return "a whole number";
    case ORTHANC_SECONDS:
        return "a whole number of seconds, 1 or more (0 would mean for ever, and hold a job "
               "worker)";
    case ORTHANC_SECONDS_OR_0:
        return "a whole number of seconds, 0 or more (0: the server's own value)";
    case ORTHANC_PORT: return "a port, 1 to 65534 (Orthanc takes no other)";
    case ORTHANC_TABLE: return "a table";
    case ORTHANC_SECRET: return "a string without NUL";
    case ORTHANC_URL:
        return "an address that begins with http:// or https://, without user name and password";
    case ORTHANC_HEADERS: return "a table from the names of headers to their values, strings";
    case ORTHANC_METHOD: return "\"C-MOVE\", \"C-GET\" or \"SystemDefault\"";
    case ORTHANC_ANY: break;
    }
    return "a value";
}

/* ---- versions ---- */

int orthanc_version_parse(const char *text)
{
    int part[3] = { 0, 0, 0 };
    if (strncmp(text, "mainline", 8) == 0)
        return ORTHANC_NEWEST;
    for (int i = 0; i < 3; i++) {
        char *end;
        long n = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
        if (n < 0 || n > 99)
            return 0;
        part[i] = (int)n;
        text = end;
        if (*text != '.')
            break;
        text++;
    }
    return ORTHANC_VERSION(part[0], part[1], part[2]);
}

bool orthanc_tells_failed_gets(int version)
{
    return version >= ORTHANC_HONEST_C_GET && version != ORTHANC_UNKNOWN;
}

/* ---- identifiers ---- */

static bool consists_of(const char *text, const char *also, int (*kind)(int))
{
    size_t n = strlen(text);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c > 127 || (!kind((unsigned char)*c) && !strchr(also, *c)))
            return false;
    return n > 0 && n < ORTHANC_ID_SIZE;
}

bool orthanc_is_name(const char *text)
{
    return consists_of(text, "-_", isalnum);
}

bool orthanc_is_handle(const char *text)
{
    return consists_of(text, "-", isxdigit);
}

bool orthanc_is_stored_id(const char *text)
{
    for (int i = 0; i < 44; i++)
        if (i % 9 == 8 ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    return text[44] == '\0';
}

enum { AET_MAX = 16 };

bool orthanc_is_aet(const char *text)
{
    size_t n = strlen(text);
    for (const char *c = text; *c; c++)
        if (*c == '\\' || *c < ' ' || *c > '~')
            return false;
    return n <= AET_MAX && strspn(text, " ") < n;
}

bool orthanc_is_peer_url(const char *text)
{
    size_t n = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
    size_t host = n > 0 ? strcspn(text + n, "/?#") : 0;
    return host > 0 && !memchr(text + n, '@', host);
}

bool orthanc_is_uid(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < ORTHANC_UID_SIZE && strspn(text, "0123456789.") == n;
}

bool orthanc_answer_id(const char *json, char id[ORTHANC_ID_SIZE])
{
    const char *at = json ? strstr(json, "\"ID\"") : NULL;
    size_t n;
    if (!at)
        return false;
    at += 4 + strspn(at + 4, " \t\r\n:");
    if (*at++ != '"' || (n = strcspn(at, "\"")) >= ORTHANC_ID_SIZE)
        return false;
    memcpy(id, at, n);
    id[n] = '\0';
    return orthanc_is_handle(id);
}
