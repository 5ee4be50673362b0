#include "orthanc/routes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- the keys ---- */

#define USER_DATA ORTHANC_VERSION(1, 12, 9)

/* A store to another host than the one in the server's configuration. */
#define ELSEWHERE ORTHANC_VERSION(1, 11, 3)

/* clang-format off */
#define LEVEL       "\"Patient\", \"Study\", \"Series\" or \"Instance\""
#define LOCAL_AET   "AE title with which Orthanc calls the modality (default: the server's own)"
#define TIMEOUT     "how long Orthanc waits for each answer of the modality (default: the server's DicomScuTimeout)"
#define TARGET      "AE title that receives. `to` takes the name of a modality instead; without both, this Orthanc receives"
#define SYNCHRONOUS "true: one request that lasts until the end; false: returns the job's { ID =, Path = } at once. Without it, modalua starts a job and waits for it"
#define PERMISSIVE  "true: the server goes on after a failure. modalua then compares what has arrived"
#define PRIORITY    "of the job: jobs with a higher number run first (default: 0)"
#define KEPT        "any value that the job keeps, for you to recognize the job"

static const orthanc_key echo_keys[] = {
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "CheckFind", ORTHANC_BOOLEAN, 0, NULL, "true: also tries a C-FIND, and fails when the modality refuses it" },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key query_keys[] = {
    { "Level", ORTHANC_STRING, 0, NULL, LEVEL },
    { "Query", ORTHANC_TABLE, 0, NULL, "tags to filter by; a tag with the value \"\" is returned and filters nothing" },
    { "Normalize", ORTHANC_BOOLEAN, 0, NULL, "false: also sends tags that do not belong to the level (default: true)" },
    { "LocalAet", ORTHANC_AET, 0, NULL, LOCAL_AET },
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key retrieve_keys[] = {
    { "TargetAet", ORTHANC_AET, 0, NULL, TARGET },
    { "RetrieveMethod", ORTHANC_METHOD, ORTHANC_C_GET, NULL, "\"C-MOVE\" (default), \"C-GET\" (brings everything to this Orthanc) or \"SystemDefault\"" },
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL, SYNCHRONOUS },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL, "the opposite of Synchronous" },
    { "Permissive", ORTHANC_BOOLEAN, 0, NULL, PERMISSIVE },
    { "Priority", ORTHANC_INTEGER, 0, NULL, PRIORITY },
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "Simplify", ORTHANC_BOOLEAN, 0, NULL, "true: the result has the query with the names of tags" },
    { "Short", ORTHANC_BOOLEAN, 0, NULL, "true: the result has the query with tags as gggg,eeee (default)" },
    { "Full", ORTHANC_BOOLEAN, 0, NULL, "true: the result has the query with name, type and value of each tag" },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL, KEPT },
    { "LocalAet", ORTHANC_AET, 0, "a move uses the AE title of its query; give LocalAet to find", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key move_keys[] = {
    { "TargetAet", ORTHANC_AET, 0, NULL, TARGET },
    { "LocalAet", ORTHANC_AET, 0, NULL, LOCAL_AET },
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL, SYNCHRONOUS },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL, "the opposite of Synchronous" },
    { "Priority", ORTHANC_INTEGER, ORTHANC_MOVE_JOBS, NULL, PRIORITY },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL, KEPT },
    { "Permissive", ORTHANC_BOOLEAN, 0, "each resource is moved by itself, so a failure does not stop the others", NULL },
    { "RetrieveMethod", ORTHANC_METHOD, 0, "move_resources uses C-MOVE; get uses C-GET", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key get_keys[] = {
    { "LocalAet", ORTHANC_AET, 0, NULL, LOCAL_AET },
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL, SYNCHRONOUS },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL, "the opposite of Synchronous" },
    { "Permissive", ORTHANC_BOOLEAN, 0, NULL, PERMISSIVE },
    { "Priority", ORTHANC_INTEGER, 0, NULL, PRIORITY },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL, KEPT },
    { "TargetAet", ORTHANC_AET, 0, "C-GET brings everything to this Orthanc; move_resources sends it elsewhere", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key store_keys[] = {
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL, SYNCHRONOUS },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL, "the opposite of Synchronous" },
    { "Permissive", ORTHANC_BOOLEAN, 0, NULL, PERMISSIVE },
    { "Priority", ORTHANC_INTEGER, 0, NULL, PRIORITY },
    { "LocalAet", ORTHANC_AET, 0, NULL, LOCAL_AET },
    { "CalledAet", ORTHANC_AET, ELSEWHERE, NULL, "AE title of the receiver, in place of the one in the server's list" },
    { "Host", ORTHANC_STRING, ELSEWHERE, NULL, "host of the receiver, in place of the one in the server's list" },
    { "Port", ORTHANC_PORT, ELSEWHERE, NULL, "port of the receiver, in place of the one in the server's list" },
    { "MoveOriginatorAet", ORTHANC_AET, 0, NULL, "AE title of the device that asked for this transfer with a C-MOVE" },
    { "MoveOriginatorID", ORTHANC_INTEGER, 0, NULL, "message ID of that C-MOVE" },
    { "StorageCommitment", ORTHANC_BOOLEAN, 0, NULL, "true: then asks for storage commitment; the result has StorageCommitmentTransactionUID" },
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL, KEPT },
    { "Resources", ORTHANC_ANY, 0, "the identifiers are the first argument", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

/* PUT /modalities/{name}, as GET …/configuration gives it */
static const orthanc_key modality_settings_keys[] = {
    { "AET", ORTHANC_AET, 0, NULL, "AE title of the modality" },
    { "Host", ORTHANC_TEXT, 0, NULL, "its host name or address" },
    { "Port", ORTHANC_PORT, 0, NULL, "its DICOM port" },
    { "Manufacturer", ORTHANC_TEXT, 0, NULL, "product that needs a workaround of Orthanc, such as \"GE\" (default: \"Generic\")" },
    { "AllowEcho", ORTHANC_BOOLEAN, 0, NULL, "the modality may send C-ECHO to Orthanc" },
    { "AllowFind", ORTHANC_BOOLEAN, 0, NULL, "the modality may send C-FIND to Orthanc" },
    { "AllowFindWorklist", ORTHANC_BOOLEAN, 0, NULL, "the modality may ask Orthanc for worklists" },
    { "AllowGet", ORTHANC_BOOLEAN, 0, NULL, "the modality may send C-GET to Orthanc" },
    { "AllowMove", ORTHANC_BOOLEAN, 0, NULL, "the modality may send C-MOVE to Orthanc" },
    { "AllowStore", ORTHANC_BOOLEAN, 0, NULL, "the modality may send C-STORE to Orthanc" },
    { "AllowStorageCommitment", ORTHANC_BOOLEAN, 0, NULL, "sets AllowNAction and AllowEventReport" },
    { "AllowNAction", ORTHANC_BOOLEAN, 0, NULL, "the modality may ask Orthanc for storage commitment" },
    { "AllowEventReport", ORTHANC_BOOLEAN, 0, NULL, "the modality may report to Orthanc what it commits to" },
    { "AllowTranscoding", ORTHANC_BOOLEAN, 0, NULL, "Orthanc may convert images to a transfer syntax that the modality accepts" },
    { "UseDicomTls", ORTHANC_BOOLEAN, 0, NULL, "Orthanc calls the modality over TLS" },
    { "LocalAet", ORTHANC_AET_OR_NONE, 0, NULL, "AE title with which Orthanc calls the modality; \"\": Orthanc's own" },
    { "Timeout", ORTHANC_SECONDS_OR_0, 0, NULL, "how long Orthanc waits for the modality; 0: the server's DicomScuTimeout" },
    { "RetrieveMethod", ORTHANC_METHOD, ORTHANC_C_GET, NULL, "\"C-MOVE\", \"C-GET\" or \"SystemDefault\"" },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

/* PUT /peers/{name} */
static const orthanc_key peer_settings_keys[] = {
    { "Url", ORTHANC_URL, 0, NULL, "address of the other Orthanc, without user name and password" },
    { "Username", ORTHANC_STRING, 0, NULL, "user name that Orthanc sends there" },
    { "Password", ORTHANC_SECRET, 0, NULL, "its password" },
    { "HttpHeaders", ORTHANC_HEADERS, 0, NULL, "headers of each request, from name to value" },
    { "CertificateFile", ORTHANC_STRING, 0, NULL, "file with a client certificate, on the server" },
    { "CertificateKeyFile", ORTHANC_STRING, 0, NULL, "file with its private key, on the server" },
    { "CertificateKeyPassword", ORTHANC_SECRET, 0, NULL, "password of the private key" },
    { "Pkcs11", ORTHANC_BOOLEAN, 0, NULL, "true: the client certificate is on a PKCS #11 device" },
    { "Timeout", ORTHANC_SECONDS_OR_0, 0, NULL, "how long Orthanc waits for the peer; 0: the server's HttpTimeout" },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key peer_store_keys[] = {
    { "Synchronous", ORTHANC_BOOLEAN, 0, NULL, SYNCHRONOUS },
    { "Asynchronous", ORTHANC_BOOLEAN, 0, NULL, "the opposite of Synchronous" },
    { "Priority", ORTHANC_INTEGER, 0, NULL, PRIORITY },
    { "Compress", ORTHANC_BOOLEAN, 0, NULL, "true: compresses the data on its way" },
    { "Transcode", ORTHANC_TEXT, 0, NULL, "UID of a transfer syntax: Orthanc converts the images to it" },
    { "UserData", ORTHANC_ANY, USER_DATA, NULL, KEPT },
    { "Permissive", ORTHANC_BOOLEAN, 0, "it hides failures, and modalua cannot see what has arrived at a peer", NULL },
    { "Timeout", ORTHANC_SECONDS, 0, "the server ignores it here; set it with configure", NULL },
    { "Resources", ORTHANC_ANY, 0, "the identifiers are the first argument", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key tools_find_keys[] = {
    { "Level", ORTHANC_STRING, 0, NULL, LEVEL },
    { "Query", ORTHANC_TABLE, 0, NULL, "tags to filter by; \"*\" and \"?\" are wildcards, {} finds everything" },
    { "Expand", ORTHANC_BOOLEAN, 0, NULL, "true: returns a table for each result, not its identifier alone" },
    { "Limit", ORTHANC_INTEGER, 0, NULL, "returns at most so many" },
    { "Since", ORTHANC_INTEGER, 0, NULL, "leaves out so many at the beginning" },
    { "CaseSensitive", ORTHANC_BOOLEAN, 0, NULL, "true: upper and lower case differ in names of persons (default: the server's CaseSensitivePN)" },
    { "Simplify", ORTHANC_BOOLEAN, 0, NULL, "true: tags by their names (default), with Expand" },
    { "Short", ORTHANC_BOOLEAN, 0, NULL, "true: tags as gggg,eeee, with Expand" },
    { "Full", ORTHANC_BOOLEAN, 0, NULL, "true: name, type and value of each tag, with Expand" },
    { "RequestedTags", ORTHANC_TABLE, ORTHANC_VERSION(1, 11, 0), NULL, "list of more tags to return, with Expand" },
    { "Labels", ORTHANC_TABLE, ORTHANC_VERSION(1, 12, 0), NULL, "list of labels to filter by" },
    { "LabelsConstraint", ORTHANC_STRING, ORTHANC_VERSION(1, 12, 0), NULL, "\"All\" (default), \"Any\" or \"None\" of the labels" },
    { "OrderBy", ORTHANC_TABLE, ORTHANC_PAGED_FIND, NULL, "list of { Type =, Key =, Direction = } to sort by" },
    { "ParentPatient", ORTHANC_STRING, ORTHANC_PAGED_FIND, NULL, "only below the patient with this identifier of Orthanc" },
    { "ParentStudy", ORTHANC_STRING, ORTHANC_PAGED_FIND, NULL, "only below the study with this identifier of Orthanc" },
    { "ParentSeries", ORTHANC_STRING, ORTHANC_PAGED_FIND, NULL, "only below the series with this identifier of Orthanc" },
    { "MetadataQuery", ORTHANC_TABLE, ORTHANC_PAGED_FIND, NULL, "metadata to filter by, from name to value" },
    { "ResponseContent", ORTHANC_TABLE, ORTHANC_PAGED_FIND, NULL, "list of what to return, such as \"MainDicomTags\", with Expand" },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key worklist_keys[] = {
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "Query", ORTHANC_ANY, 0, "the tags are the first argument", NULL },
    { "Simplify", ORTHANC_BOOLEAN, 0, "use simplify = true, which is the default", NULL },
    { "Short", ORTHANC_BOOLEAN, 0, "use short = true", NULL },
    { "Full", ORTHANC_BOOLEAN, 0, "use simplify = false", NULL },
    { "LocalAet", ORTHANC_AET, 0, "Orthanc ignores it for worklists. It calls with its own AE title, or before 1.13.0 with the LocalAet of the modality", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};

static const orthanc_key commitment_keys[] = {
    { "Timeout", ORTHANC_SECONDS, 0, NULL, TIMEOUT },
    { "Resources", ORTHANC_ANY, 0, "the resources are the first argument", NULL },
    { "DicomInstances", ORTHANC_ANY, 0, "the resources are the first argument", NULL },
    { "LocalAet", ORTHANC_AET, 0, "Orthanc ignores it for storage commitment. It calls with its own AE title, or before 1.13.0 with the LocalAet of the modality", NULL },
    { NULL, ORTHANC_ANY, 0, NULL, NULL }
};
/* clang-format on */

const orthanc_route orthanc_echo = { "echo", 0, NULL, echo_keys };
const orthanc_route orthanc_query = { "query", 0, NULL, query_keys };
const orthanc_route orthanc_retrieve = { "retrieve", 0, NULL, retrieve_keys };
const orthanc_route orthanc_move = { "move", 0, NULL, move_keys };
const orthanc_route orthanc_get = { "get", ORTHANC_C_GET,
                                    "C-GET (find and move do the same with C-MOVE)", get_keys };
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

const char *orthanc_type_text(orthanc_type type)
{
    switch (type) {
    case ORTHANC_STRING: return "a string without NUL";
    case ORTHANC_TEXT: return "a string that is not empty, without NUL";
    case ORTHANC_AET: return "an AE title, a string of 1 to 16 ASCII characters without backslash";
    case ORTHANC_AET_OR_NONE:
        return "an AE title, a string of 1 to 16 ASCII characters without backslash, or \"\"";
    case ORTHANC_BOOLEAN: return "true or false";
    case ORTHANC_INTEGER: return "a whole number";
    case ORTHANC_SECONDS:
        return "a whole number of seconds, 1 or more (with 0 a job of the server could wait for "
               "ever)";
    case ORTHANC_SECONDS_OR_0:
        return "a whole number of seconds, 0 or more (0: the server's default)";
    case ORTHANC_PORT: return "a port, 1 to 65534 (Orthanc accepts no other)";
    case ORTHANC_TABLE: return "a table";
    case ORTHANC_SECRET: return "a string without NUL";
    case ORTHANC_URL:
        return "an address that begins with http:// or https://, without user name and password";
    case ORTHANC_HEADERS: return "a table from names of headers to values, all strings";
    case ORTHANC_METHOD: return "\"C-MOVE\", \"C-GET\" or \"SystemDefault\"";
    case ORTHANC_ANY: break;
    }
    return "a value";
}

const char *orthanc_type_name(orthanc_type type)
{
    switch (type) {
    case ORTHANC_STRING:
    case ORTHANC_TEXT:
    case ORTHANC_SECRET:
    case ORTHANC_METHOD: return "string";
    case ORTHANC_AET:
    case ORTHANC_AET_OR_NONE: return "AE title";
    case ORTHANC_BOOLEAN: return "boolean";
    case ORTHANC_INTEGER:
    case ORTHANC_PORT: return "integer";
    case ORTHANC_SECONDS:
    case ORTHANC_SECONDS_OR_0: return "whole seconds";
    case ORTHANC_TABLE:
    case ORTHANC_HEADERS: return "table";
    case ORTHANC_URL: return "URL";
    case ORTHANC_ANY: break;
    }
    return NULL;
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

/* Whether the text has only ASCII characters of that kind (a function of ctype.h) or of `also`, and fits
 * into ORTHANC_ID_SIZE. */
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
    return n < ORTHANC_UID_SIZE && isdigit((unsigned char)text[0]) &&
           strspn(text, "0123456789.") == n;
}

bool orthanc_answer_id(const char *json, char id[ORTHANC_ID_SIZE])
{
    const char *at = json ? strstr(json, "\"ID\"") : NULL;
    char found[ORTHANC_ID_SIZE];
    size_t n;
    if (!at)
        return false;
    at += 4 + strspn(at + 4, " \t\r\n:");
    if (*at++ != '"' || (n = strcspn(at, "\"")) >= sizeof found)
        return false;
    memcpy(found, at, n);
    found[n] = '\0';
    if (!orthanc_is_handle(found))
        return false;
    memcpy(id, found, n + 1);
    return true;
}
