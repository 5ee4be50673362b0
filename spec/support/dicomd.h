/* dicomd.h - the types and functions that dicomd and qrd share: dicomd_set.c (bytes, element sets),
 * dicomd_net.c (PDUs, messages, connections), dicomd_log.c (the log). The comments at the top of
 * dicomd.c and qrd.c describe the programs.
 */
#ifndef DICOMD_H
#define DICOMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TITLE_MAX = 16,
    UID_MAX = 64,
    CONTEXTS_MAX = 128, /* presentation contexts: their ids are the odd numbers up to 255 */
};

enum { PDU_MAX = 16384, PDV_HEAD = 6 };

enum { PDU_REQUEST = 1, PDU_ACCEPT, PDU_REJECT, PDU_DATA, PDU_RELEASE, PDU_RELEASED, PDU_ABORT };

#define IMPLICIT_LITTLE "1.2.840.10008.1.2"
#define EXPLICIT_LITTLE "1.2.840.10008.1.2.1"

enum {
    ITEM_APPLICATION = 0x10,
    ITEM_CONTEXT = 0x20,
    ITEM_CONTEXT_ANSWER = 0x21,
    ITEM_ABSTRACT = 0x30,
    ITEM_TRANSFER = 0x40,
    ITEM_USER = 0x50,
    ITEM_MAX_LENGTH = 0x51,
    ITEM_IMPLEMENTATION = 0x52,
    ITEM_ROLE = 0x54,
};

/* Offsets in an A-ASSOCIATE-RQ (PS3.8, table 9-11), without the PDU head. */
enum { CALLED_AT = 4, CALLING_AT = 20, RESERVED_AT = 36, ITEMS_AT = 68 };

enum {
    TAG_AFFECTED_CLASS = 0x00000002,
    TAG_REQUESTED_CLASS = 0x00000003,
    TAG_OPERATION = 0x00000100,
    TAG_MESSAGE_ID = 0x00000110,
    TAG_ANSWERED_ID = 0x00000120,
    TAG_DESTINATION = 0x00000600,
    TAG_PRIORITY = 0x00000700,
    TAG_DATA_TYPE = 0x00000800,
    TAG_STATUS = 0x00000900,
    TAG_AFFECTED_INSTANCE = 0x00001000,
    TAG_REQUESTED_INSTANCE = 0x00001001,
    TAG_ACTION = 0x00001008,
    TAG_REMAINING = 0x00001020,
    TAG_COMPLETED = 0x00001021,
    TAG_FAILED = 0x00001022,
    TAG_WARNING = 0x00001023,
    TAG_ORIGINATOR = 0x00001030,
    TAG_ORIGINATOR_ID = 0x00001031,
    TAG_CHARSET = 0x00080005,
    TAG_SOP_CLASS = 0x00080016,
    TAG_SOP_INSTANCE = 0x00080018,
    TAG_STUDY_DATE = 0x00080020,
    TAG_ACCESSION = 0x00080050,
    TAG_LEVEL = 0x00080052,
    TAG_DESCRIPTION = 0x00081030,
    TAG_PATIENT_NAME = 0x00100010,
    TAG_PATIENT_ID = 0x00100020,
    TAG_STUDY = 0x0020000D,
    TAG_SERIES = 0x0020000E,
    TAG_STUDY_SERIES = 0x00201206,    /* NumberOfStudyRelatedSeries */
    TAG_STUDY_INSTANCES = 0x00201208, /* NumberOfStudyRelatedInstances */
    TAG_SERIES_INSTANCES = 0x00201209,
};

enum { OPERATION_STORE = 0x0001, OPERATION_GET = 0x0010, OPERATION_MOVE = 0x0021 };

enum { PENDING = 0xFF00, DESTINATION_UNKNOWN = 0xA801 }; /* statuses */

enum { PATIENT, STUDY, SERIES, IMAGE }; /* levels of a query */

enum { NO_DATA = 0x0101 }; /* value of TAG_DATA_TYPE: no data set follows. Any other: one follows */

typedef enum service {
    SERVICE_ECHO,
    SERVICE_FIND,
    SERVICE_MOVE,
    SERVICE_GET,
    SERVICE_STORE,
    SERVICE_ACTION,
    SERVICE_OTHER,
    SERVICES
} service;

/* A growing byte buffer. A struct of zeros is an empty buffer; its data is NULL. */
typedef struct bytes {
    unsigned char *data;
    size_t size, room;
} bytes;

/* Bytes in memory that the view does not own. */
typedef struct view {
    const unsigned char *data;
    size_t size;
} view;

/* An element of a data set. A set is a linked list in ascending order of tags; a pointer to its
 * first element stands for the set, NULL for the empty set. */
typedef struct element {
    struct element *next;
    uint32_t tag;
    char vr[3];
    size_t size;
    char value[]; /* the bytes as received or set, with a NUL added after them */
} element;

/* How a behaviour ends the association early: not at all, with A-ABORT, or by closing the
 * connection. */
typedef enum ending { STAYS, ABORTS, DROPS } ending;

typedef struct special special; /* defined in dicomd.c: answers with unusual contents */

/* The behaviour that a called AE title selects. */
typedef struct plan {
    unsigned answers;               /* number of answers to a C-FIND */
    unsigned status[SERVICES];      /* the status of the final response, for each service */
    unsigned refused;               /* bit mask of services: their contexts are not accepted */
    unsigned mute;                  /* bit mask of services: their commands are not answered */
    unsigned held;                  /* bit mask of services: they are answered when released */
    unsigned rejection;             /* result, source and reason as decimal digits; 0: accepted */
    unsigned failing;               /* the ordinal of the C-MOVE or C-GET that fails */
    bool liar;                      /* reports that it delivered the instances, but does not */
    bool bare;                      /* the answers contain only UIDs */
    unsigned instances;             /* number of instances that a liar reports */
    bool deaf;                      /* the association request is not answered */
    ending at_command, after_two;   /* at the first command; after 2 answers to a C-FIND */
    double slow, slow_accept, drip; /* delays in seconds */
    const special *special;
} plan;

typedef struct context {
    bool implicit, explicit;  /* the accepted VR encoding, little endian; both false: another one */
    char syntax[UID_MAX + 1]; /* the accepted transfer syntax */
} context;

typedef struct message {
    unsigned char context; /* id of the presentation context */
    unsigned operation;
    element *command, *identifier;
} message;

typedef struct association {
    int fd;
    bool over;   /* read no more PDUs, close the connection */
    bool gone;   /* the peer has closed the connection: sending fails */
    bool silent; /* answer nothing, not even a release or an abort */
    char calling[TITLE_MAX + 1], called[TITLE_MAX + 1];
    plan plan;
    context contexts[CONTEXTS_MAX]; /* indexed by id / 2 */
    size_t fragment;                /* most bytes of a message that the peer accepts in one PDU */
    unsigned retrievals;            /* number of C-MOVE and C-GET commands so far */
    message arriving;
    bytes command, identifier; /* the fragments of `arriving` received so far */
} association;

/* dicomd_set.c */
void bytes_add(bytes *b, const void *data, size_t size);
void bytes_puts(bytes *b, const char *string);
void bytes_add_byte(bytes *b, unsigned value);
void bytes_add_little(bytes *b, unsigned long value, size_t size);
void bytes_add_big(bytes *b, unsigned long value, size_t size);
void bytes_free(bytes *b);
unsigned long little_endian(const void *from, size_t size);
unsigned long big_endian(const unsigned char *p, size_t size);

/* The size without the padding at the end. */
size_t trimmed(const void *data, size_t size);

/* Adds an element. Replaces an element that already has this tag. */
void set_put(element **set, uint32_t tag, const char *vr, const void *data, size_t size);
void set_puts(element **set, uint32_t tag, const char *vr, const char *string);
void set_number(element **set, uint32_t tag, const char *vr, unsigned long value, size_t size);
const element *set_find(const element *set, uint32_t tag);
void set_free(element **set);
void set_encode(const element *set, bool explicit, bytes *to);

/* Adds the elements that the bytes encode. Does not parse sequences: their value stays bytes. A length
 * beyond the end is taken as the rest of the data. */
void set_decode(element **set, const bytes *from, bool explicit);

/* Copies the value without its padding into a buffer of 65 bytes; a longer value is cut at 64 bytes.
 * Gives "" if the element is missing. Returns the buffer. */
char *set_text(const element *set, uint32_t tag, char *buffer);

/* The QueryRetrieveLevel: PATIENT to IMAGE; -1 if it is missing or another text. */
int set_level(const element *identifier);

/* The value of an element of VR US; 0 if it is missing. */
unsigned set_us(const element *set, uint32_t tag);

/* dicomd_net.c */

/* Waits for `seconds`. Returns true at once when the peer closes the connection. */
bool gone_within(association *a, double seconds);

/* Reads a PDU into `body`, whose former contents are freed. False if the connection ends. */
bool read_pdu(association *a, unsigned *type, bytes *body);

/* Items of the PDUs of the negotiation. next_item returns false at the end. */
bool next_item(view *rest, unsigned *type, view *item);
void add_item(bytes *to, unsigned type, const void *data, size_t size);

void send_pdu(association *a, unsigned type, const void *body, size_t size);

/* Reads the AE titles of an A-ASSOCIATE-RQ. False if the PDU is malformed. */
bool read_titles(association *a, view request);

/* Sends an A-ASSOCIATE-AC that accepts the contexts that the plan does not refuse. */
void accept_association(association *a, view request);

/* Reads the fragments in a P-DATA-TF, and calls `handle` for each message that is complete. */
void take_data(association *a, view pdu, void (*handle)(association *, const message *));

/* `identifier` may be NULL: a message without a data set. */
void send_message(association *a, unsigned char id, const element *command,
                  const element *identifier);

/* The same with a data set that is encoded already; NULL: without one. */
void send_raw(association *a, unsigned char id, const element *command, const bytes *data);

/* A new response to the message, without its status. */
element *response_to(const message *m);

/* Sends the response and frees it. */
void respond(association *a, const message *m, element *response, unsigned status,
             const element *identifier);

/* Frees the message that is arriving. */
void forget_message(association *a);

/* Opens the file that an environment variable names. Returns -1 if the variable is not set. */
int open_named(const char *variable, int flags);

/* Listens on a free port of 127.0.0.1, prints the port number, and accepts connections until the
 * reader of standard output closes it or the parent process ends. */
void serve(pid_t parent);

/* dicomd_log.c: a line of the log for each event; nothing before log_to. */
void log_to(int file);
void log_event(const char *event);
void log_association(const association *a);
void log_message(const char *name, service s, const message *m);

/* The program's own: handles a PDU that a connection received. */
void take_pdu(association *a, unsigned type, view body);

#endif
