/* qrd.h - the types and functions that the parts of qrd share: qrd.c (options, services), qrd_match.c
 * (keys, matching, answers) and qrd_send.c (C-STORE to a destination). The comment at the top of qrd.c
 * describes the program. dicomd.h has the functions for DICOM messages.
 */
#ifndef QRD_H
#define QRD_H

#include "dicomd.h"

/* A stored instance. It never changes and is never freed. */
typedef struct image {
    element *set; /* the elements of `data` */
    bytes data;   /* the data set as received */
    char class[UID_MAX + 1], uid[UID_MAX + 1];
    char syntax[UID_MAX + 1]; /* the transfer syntax of `data` */
} image;

/* A list of stored instances, in the order in which they arrived. */
typedef struct images {
    const image **at;
    size_t count;
} images;

/* What answers contain for a key that is not matched. */
typedef enum unmatched { IS_ABSENT, IS_EMPTY, IS_VALUE } unmatched;

/* What a C-MOVE does; see qrd.c. */
typedef enum moving { HONEST, CLAIMS, SILENT, PART, DROPPED, WARNS, BREAKS } moving;

/* The options of the command line. They do not change after the start. */
typedef struct options {
    unmatched unmatched;
    moving moving;
    bool once, hierarchical, no_lists, first_of_list, label, upper, two_patients;
    const char *answer_level; /* NULL: the level of the request */
    const char *unique; /* unique key of the first answer; "absent": none; NULL: the right one */
} options;

extern options opt;

/* qrd_match.c */

/* Selects the keys that are matched, by a list of keywords with commas, or "all". False if a keyword
 * is unknown. Without a call, the keys of pynetdicom's qrscp are matched. */
bool select_keys(const char *list);

/* Does the instance match the identifier of a C-FIND of this level? */
bool find_matches(const images *all, const image *one, const element *identifier, int level);

/* Does the instance match the unique keys of the identifier of a C-MOVE of this level? */
bool move_matches(const image *one, const element *identifier, int level);

/* Are the unique keys of the levels from..to in the identifier? */
bool has_unique_keys(const element *identifier, int from, int to);

uint32_t unique_tag(int level);

/* The answer for this instance. */
element *answer_for(const images *all, const image *one, const element *identifier, int level);

/* qrd_send.c */

/* Sends the instances to a destination over one association, and calls `sent` with the status of each
 * (0: success). False if the association cannot be opened; then `sent` is not called. */
bool send_images(const char *host, int port, const char *calling, const char *called,
                 unsigned message_id, const images *list, void (*sent)(void *with, unsigned status),
                 void *with);

#endif
