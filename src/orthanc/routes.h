/* orthanc/routes.h - the keys that each route of modalities and peers takes, and since which
 * version. Orthanc ignores those that it does not know, so what is not here, or not there yet, must
 * not be sent. Knows no Lua. Sources: Orthanc's REST API reference, NEWS and
 * OrthancRestModalities.cpp; observed on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_ROUTES_H
#define ORTHANC_ROUTES_H

#include <stdbool.h>

/* A version as one number that compares. */
#define ORTHANC_VERSION(major, minor, patch) ((major)*10000 + (minor)*100 + (patch))

enum {
    ORTHANC_MOVE_JOBS = ORTHANC_VERSION(1, 11, 1),     /* POST …/move can be a job */
    ORTHANC_PAGED_FIND = ORTHANC_VERSION(1, 12, 5),    /* POST /tools/find gives all when asked */
    ORTHANC_C_GET = ORTHANC_VERSION(1, 12, 6),         /* POST …/get, RetrieveMethod */
    ORTHANC_HONEST_C_GET = ORTHANC_VERSION(1, 12, 10), /* a failed C-GET is told; Details */
    ORTHANC_NEWEST = ORTHANC_VERSION(99, 0, 0),        /* "mainline" */
    ORTHANC_UNKNOWN = ORTHANC_NEWEST + 1               /* taken for new, but not for honest */
};

typedef enum orthanc_type {
    ORTHANC_STRING,
    ORTHANC_TEXT,        /* not empty */
    ORTHANC_AET,         /* 1 to 16 characters */
    ORTHANC_AET_OR_NONE, /* the same, or "" */
    ORTHANC_BOOLEAN,
    ORTHANC_INTEGER,
    ORTHANC_SECONDS,      /* whole, 1 or more: 0 would mean for ever */
    ORTHANC_SECONDS_OR_0, /* whole: 0 is the server's own value */
    ORTHANC_PORT,
    ORTHANC_TABLE,
    /* no error shows one of these */
    ORTHANC_SECRET,  /* a string */
    ORTHANC_URL,     /* http or https, without credentials */
    ORTHANC_HEADERS, /* a table from names to values */
    ORTHANC_METHOD,  /* C-MOVE, C-GET, SystemDefault */
    ORTHANC_ANY
} orthanc_type;

typedef struct orthanc_key {
    const char *name;
    orthanc_type type;
    int since;        /* the first version that knows it; 0 = all of ours */
    const char *no;   /* not NULL: why it cannot be given here */
    const char *help; /* what help() and lua/README.md say about it; NULL when it cannot be given */
} orthanc_key;

typedef struct orthanc_route {
    const char *name;
    int since;               /* the first version that has it; 0 = all of ours */
    const char *what;        /* came with that version, for errors; NULL = since is 0 */
    const orthanc_key *keys; /* ended by one without a name */
} orthanc_route;

extern const orthanc_route orthanc_echo, orthanc_query, orthanc_retrieve, orthanc_move, orthanc_get,
    orthanc_store, orthanc_modality_settings, orthanc_peer_settings, orthanc_peer_store,
    orthanc_tools_find, orthanc_worklist, orthanc_commitment;

/* An AE title as it goes over the wire: DICOM PS3.5 6.2 (AE). */
bool orthanc_is_aet(const char *text);

/* http:// or https:// and a host, and no user name in it. */
bool orthanc_is_peer_url(const char *text);

const orthanc_key *orthanc_key_of(const orthanc_route *route, const char *name);

/* Whether values of this type are nobody's business. */
bool orthanc_type_is_secret(orthanc_type type);

/* What a value of this type has to be, in words. */
const char *orthanc_type_words(orthanc_type type);

/* The type in a word for help; NULL for ORTHANC_ANY. */
const char *orthanc_type_name(orthanc_type type);

/* "1.12.7+dfsg" as a number; ORTHANC_NEWEST for "mainline"; 0 when it cannot be read. */
int orthanc_version_parse(const char *text);

/* Whether a server of that version reports a C-GET that has failed as one. */
bool orthanc_tells_failed_gets(int version);

/* Identifiers as they stand in paths: a modality's name (letters, digits, '-', '_'); the UUID of a
 * query or a job; the identifier that Orthanc gives what it stores (5 groups of 8 hexadecimal
 * digits); DICOM's own (digits and dots, at most 64: PS3.5 9.1). */
enum { ORTHANC_ID_SIZE = 64, ORTHANC_UID_SIZE = 65 };
bool orthanc_is_name(const char *text);
bool orthanc_is_handle(const char *text);
bool orthanc_is_stored_id(const char *text);
bool orthanc_is_uid(const char *text);

/* Copies the "ID" of an answer `{"ID" : "…", …}`, without decoding all of it. False: none. */
bool orthanc_answer_id(const char *json, char id[ORTHANC_ID_SIZE]);

#endif
