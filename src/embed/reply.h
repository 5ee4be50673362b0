/* embed/reply.h - the answer to a call of a function of the host's: given while that runs, or, once it
 * has been kept, later and from any thread. Knows no Lua.
 *
 * The call holds its reply until somebody has looked at the answer or nobody wants it any more; the
 * host, which keeps it, until it has answered. Each may be the last.
 */
#ifndef EMBED_REPLY_H
#define EMBED_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/loop.h"
#include "modalua.h"

typedef enum reply_kind { REPLY_NONE, REPLY_JSON, REPLY_TEXT, REPLY_ERROR } reply_kind;

/* What was answered. The strings are the reply's. */
typedef struct reply_answer {
    reply_kind kind;
    const char *text; /* size bytes and a NUL: JSON, a text, or an error's message */
    size_t size;
    const char *code; /* of an error; NULL = none */
} reply_answer;

/* The call's hold on a new one; NULL: out of memory. An answer that comes once it has been kept
 * wakes the loop. */
modalua_reply *reply_new(loop *lp, bool may_be_kept);

/* Gives the call's hold up. NULL is fine. */
void reply_drop(modalua_reply *r);

/* Whether the host has kept it. */
bool reply_is_kept(modalua_reply *r);

/* The answer so far. */
reply_answer reply_look(modalua_reply *r);

#endif
