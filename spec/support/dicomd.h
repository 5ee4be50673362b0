/* dicomd.h - what the parts of dicomd share: dicomd.c (behaviours, services, connections) and
 * dicomd_net.c (bytes, element sets, PDUs, messages). dicomd.c says what the program does.
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
    CONTEXTS_MAX = 128, /* their ids are the odd numbers up to 255 */
};

enum { PDU_REQUEST = 1, PDU_ACCEPT, PDU_REJECT, PDU_DATA, PDU_RELEASE, PDU_RELEASED, PDU_ABORT };

enum {
    TAG_AFFECTED_CLASS = 0x00000002,
    TAG_REQUESTED_CLASS = 0x00000003,
    TAG_OPERATION = 0x00000100,
    TAG_MESSAGE_ID = 0x00000110,
    TAG_ANSWERED_ID = 0x00000120,
    TAG_DESTINATION = 0x00000600,
    TAG_DATA_TYPE = 0x00000800,
    TAG_STATUS = 0x00000900,
    TAG_AFFECTED_INSTANCE = 0x00001000,
    TAG_REQUESTED_INSTANCE = 0x00001001,
    TAG_ACTION = 0x00001008,
    TAG_REMAINING = 0x00001020,
    TAG_COMPLETED = 0x00001021,
    TAG_FAILED = 0x00001022,
    TAG_WARNING = 0x00001023,
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
    TAG_STUDY_INSTANCES = 0x00201208, /* and so on */
    TAG_SERIES_INSTANCES = 0x00201209,
};

enum { OPERATION_STORE = 0x0001, OPERATION_GET = 0x0010, OPERATION_MOVE = 0x0021 };

enum { NO_DATA = 0x0101 }; /* the value of TAG_DATA_TYPE that says so; any other: data follow */

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

/* Bytes that grow; all zero is an empty one whose data is NULL. */
typedef struct bytes {
    unsigned char *data;
    size_t size, room;
} bytes;

/* Somebody else's bytes. */
typedef struct view {
    const unsigned char *data;
    size_t size;
} view;

/* One of a set, which is the first of them, in ascending order of tags; NULL is the empty one. */
typedef struct element {
    struct element *next;
    uint32_t tag;
    char vr[3];
    size_t size;
    char value[]; /* as it arrived or was put, with a NUL behind it */
} element;

typedef enum ending { STAYS, ABORTS, DROPS } ending;

typedef struct special special; /* of dicomd.c: answers with unusual contents */

/* What a called AE title stands for. */
typedef struct plan {
    unsigned answers;             /* to a C-FIND */
    unsigned status[SERVICES];    /* in the last answer */
    unsigned refused;             /* services whose contexts are not accepted, a bit each */
    unsigned mute;                /* services that are not answered, a bit each */
    unsigned held;                /* services that are answered when their turn comes, a bit each */
    unsigned rejection;           /* result, source and reason as decimal digits; 0: accepted */
    unsigned failing;             /* the ordinal of the C-MOVE or C-GET that is */
    bool liar;                    /* says that it delivers, and does not */
    bool bare;                    /* its answers tell nothing but UIDs */
    unsigned instances;           /* that a liar has */
    bool deaf;                    /* the association request is not answered */
    ending at_command, after_two; /* of the association: at the first one, after 2 answers */
    double slow, slow_accept, drip; /* seconds */
    const special *special;
} plan;

typedef struct context {
    bool implicit, explicit; /* VR, little endian; or neither */
} context;

typedef struct message {
    unsigned char context; /* its id */
    unsigned operation;
    element *command, *identifier;
} message;

typedef struct association {
    int fd;
    bool over;   /* nothing more is read */
    bool gone;   /* nothing more can be sent */
    bool silent; /* not even the end is answered */
    char calling[TITLE_MAX + 1], called[TITLE_MAX + 1];
    plan plan;
    context contexts[CONTEXTS_MAX]; /* by id / 2 */
    size_t fragment;                /* bytes of a message that the peer takes in one PDU */
    unsigned retrievals;            /* C-MOVE and C-GET so far */
    message arriving;
    bytes command, identifier; /* the parts of it that have */
} association;

/* dicomd_net.c */
void bytes_add(bytes *b, const void *data, size_t size);
void bytes_puts(bytes *b, const char *string);
void bytes_free(bytes *b);

/* Without the padding at its end. */
size_t trimmed(const void *data, size_t size);

/* Replaces what has the tag already. */
void set_put(element **set, uint32_t tag, const char *vr, const void *data, size_t size);
void set_puts(element **set, uint32_t tag, const char *vr, const char *string);
void set_number(element **set, uint32_t tag, const char *vr, unsigned long value, size_t size);
const element *set_find(const element *set, uint32_t tag);
void set_free(element **set);
void set_encode(const element *set, bool explicit, bytes *to);

/* The value without padding, cut at 64 bytes, into a buffer of 65; "" when it is not there. */
char *set_text(const element *set, uint32_t tag, char *buffer);

/* A US; 0 when it is not there. */
unsigned set_us(const element *set, uint32_t tag);

/* Waits; true when the peer has gone meanwhile. */
bool gone_within(association *a, double seconds);

void send_pdu(association *a, unsigned type, const void *body, size_t size);

/* Takes the titles from an A-ASSOCIATE-RQ; false when it is none. */
bool read_titles(association *a, view request);

/* Answers it as the plan says. */
void accept_association(association *a, view request);

/* Takes what a P-DATA-TF holds and hands over each message that is complete. */
void take_data(association *a, view pdu, void (*handle)(association *, const message *));

/* The identifier may be NULL. */
void send_message(association *a, unsigned char id, const element *command,
                  const element *identifier);

int listen_on_loopback(int *port);

/* Accepts until the reader of the standard output or the parent has gone. */
void serve(int listener, pid_t parent);

/* dicomd.c: what a connection does with what it reads. */
void take_pdu(association *a, unsigned type, view body);

#endif
