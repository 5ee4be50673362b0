/* orthanc/routes.h - the keys that each route takes, and since which version of Orthanc. Orthanc
 * ignores keys that it does not know, so a key that is not listed here, or came with a later version
 * than the server's, must not be sent. Knows no Lua. Sources: Orthanc's REST API reference, NEWS and
 * OrthancRestModalities.cpp; observed on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_ROUTES_H
#define ORTHANC_ROUTES_H

#include <stdbool.h>

/* A version as one number, so that versions can be compared. */
#define ORTHANC_VERSION(major, minor, patch) ((major)*10000 + (minor)*100 + (patch))

enum {
    ORTHANC_MOVE_JOBS = ORTHANC_VERSION(1, 11, 1),     /* POST …/move can run as a job */
    ORTHANC_PAGED_FIND = ORTHANC_VERSION(1, 12, 5),    /* POST /tools/find can give all results */
    ORTHANC_C_GET = ORTHANC_VERSION(1, 12, 6),         /* POST …/get; the key RetrieveMethod */
    ORTHANC_HONEST_C_GET = ORTHANC_VERSION(1, 12, 10), /* reports a failed C-GET; Details */
    ORTHANC_NEWEST = ORTHANC_VERSION(99, 0, 0),        /* "mainline" */
    ORTHANC_UNKNOWN = ORTHANC_NEWEST + 1 /* not readable: has every key, but a C-GET is verified */
};

typedef enum orthanc_type {
    ORTHANC_STRING,
    ORTHANC_TEXT,        /* not empty */
    ORTHANC_AET,         /* 1 to 16 characters */
    ORTHANC_AET_OR_NONE, /* the same, or "" */
    ORTHANC_BOOLEAN,
    ORTHANC_INTEGER,
    ORTHANC_SECONDS,      /* whole, 1 or more: Orthanc takes 0 for no limit */
    ORTHANC_SECONDS_OR_0, /* whole; 0 = the server's default */
    ORTHANC_PORT,
    ORTHANC_TABLE,
    ORTHANC_SECRET,  /* a string; errors do not show it */
    ORTHANC_URL,     /* http or https, without credentials; errors do not show it */
    ORTHANC_HEADERS, /* a table from names to values; errors do not show it */
    ORTHANC_METHOD,  /* C-MOVE, C-GET, SystemDefault */
    ORTHANC_ANY
} orthanc_type;

typedef struct orthanc_key {
    const char *name;
    orthanc_type type;
    int since;        /* the first version that knows it; 0 = all that modalua supports */
    const char *no;   /* why this operation does not take it; NULL = it does */
    const char *help; /* what help() and lua/README.md say about it; NULL when it cannot be given */
} orthanc_key;

typedef struct orthanc_route {
    const char *name;
    int since;               /* the first version that has it; 0 = all that modalua supports */
    const char *what;        /* for errors: what needs that version; NULL = since is 0 */
    const orthanc_key *keys; /* ended by a row without a name */
} orthanc_route;

extern const orthanc_route orthanc_echo, orthanc_query, orthanc_retrieve, orthanc_move, orthanc_get,
    orthanc_store, orthanc_modality_settings, orthanc_peer_settings, orthanc_peer_store,
    orthanc_tools_find, orthanc_worklist, orthanc_commitment;

/* Whether the text is a valid AE title: DICOM PS3.5 6.2 (AE). */
bool orthanc_is_aet(const char *text);

/* Whether the text is http:// or https:// with a host and without a user name. */
bool orthanc_is_peer_url(const char *text);

/* The row of that name, or NULL. */
const orthanc_key *orthanc_key_of(const orthanc_route *route, const char *name);

/* Whether errors must not show values of this type. */
bool orthanc_type_is_secret(orthanc_type type);

/* What a value of this type must be, for errors: "a whole number". */
const char *orthanc_type_text(orthanc_type type);

/* The type in a word for help; NULL for ORTHANC_ANY. */
const char *orthanc_type_name(orthanc_type type);

/* "1.12.7+dfsg" as a number; ORTHANC_NEWEST for "mainline"; 0 for a text that is no version. */
int orthanc_version_parse(const char *text);

/* Whether a server of that version reports a failed C-GET as a failure. Older ones report success. */
bool orthanc_tells_failed_gets(int version);

/* Sizes of identifiers, with the NUL. */
enum { ORTHANC_ID_SIZE = 64, ORTHANC_UID_SIZE = 65 };

bool orthanc_is_name(const char *text);      /* of a modality or peer: letters, digits, '-', '_' */
bool orthanc_is_handle(const char *text);    /* the UUID of a query or job */
bool orthanc_is_stored_id(const char *text); /* of a stored resource: 5 groups of 8 hex digits */
bool orthanc_is_uid(const char *text);       /* a DICOM UID: digits and dots; first a digit */

/* Copies the "ID" of the JSON text `{"ID" : "…", …}` without decoding it. False: it has none that is a
 * handle, and `id` stays as it is. */
bool orthanc_answer_id(const char *json, char id[ORTHANC_ID_SIZE]);

#endif
