/* mutate.h - what the three parts of mutate share: mutate.c (connections, control), mutate_places.c
 * (places in a JSON text and their changes) and mutate_answers.c (changes of whole answers). The
 * comment at the top of mutate.c describes the program.
 */
#ifndef MUTATE_H
#define MUTATE_H

#include "faultd.h"

/* How an answer is sent. */
typedef enum framing {
    WITH_LENGTH,
    CHUNKED,
    CHUNKS_WRONG,   /* the second chunk has no size */
    CHUNKS_CUT,     /* the last chunk is missing */
    TOO_SHORT,      /* the Content-Length promises more than is sent */
    TOO_LONG,       /* more is sent than the Content-Length says */
    WITHOUT_LENGTH, /* the end of the connection ends the body */
    HALF_WITHOUT_LENGTH,
    LENGTH_IS_WORD, /* the Content-Length is no number */
    NOTHING,        /* the connection is closed without an answer */
    HALF_OF_HEAD,   /* it is closed within the head */
    RESET,          /* it is reset within the body */
    NOT_HTTP        /* the answer is a text that is not HTTP */
} framing;

/* An answer of the server, taken apart. */
typedef struct reply {
    int status;
    text type; /* Content-Type; empty: none */
    text more; /* other headers, each with its CRLF */
    text body;
    framing framing;
} reply;

/* mutate_places.c */

/* Adds a JSON list of the paths of all places to t, and nothing when the body is not JSON. The path
 * of a place is the keys that lead to it, each with a '/' before it; of a list, only the first and
 * the last element are places: 0 and -1. The path of the whole text is "". */
bool places_add(text *t, const text *body);

/* Changes one place of the body. False when the body has no such place, or nothing changes. */
bool places_change(text *body, const char *path, const char *change);

/* Calls f with the name of each change of a place. */
void places_each_change(void (*f)(void *context, const char *name), void *context);

/* mutate_answers.c */

/* Changes a whole answer. False when nothing changes. */
bool answers_change(reply *r, const char *change);
void answers_each_change(void (*f)(void *context, const char *name), void *context);

#endif
