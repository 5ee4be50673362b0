/* embed/reply.h - the reply to a call of a function of the host. The host answers it while its
 * function runs; or keeps it, and answers later, from any thread. Knows no Lua
 * but where the arguments are.
 *
 * A reply has up to two holders. The call holds it until the answer has been read, or is not wanted
 * any more. A host that keeps it holds it until it has answered. The last holder frees it.
 */
#ifndef EMBED_REPLY_H
#define EMBED_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/loop.h"
#include "modalua.h"

typedef enum reply_kind {
    REPLY_NONE,
    REPLY_JSON,
    REPLY_TEXT,
    REPLY_ERROR,
    REPLY_OBJECT
} reply_kind;

/* An answer. Its strings live as long as the reply. */
typedef struct reply_answer {
    reply_kind kind;
    const char *text; /* JSON, bytes, or an error's message: `size` bytes and a NUL */
    size_t size;
    const char *bytes; /* beside JSON: a second result, of bytes_size bytes; NULL = none */
    size_t bytes_size;
    const char *code;           /* of an error; NULL = none */
    const modalua_class *class; /* of an object */
    void *object;               /* which the reply owns until reply_take_object */
} reply_answer;

/* Where the arguments of the call are, while the host's function runs. */
typedef struct reply_arguments {
    struct lua_State *L;
    int skip, count; /* they are at the indexes skip + 1 to skip + count */
} reply_arguments;

/* Makes a reply, which the call holds. When the host has kept it, its answer wakes the loop. NULL:
 * out of memory. */
modalua_reply *reply_new(loop *lp, bool may_be_kept);

/* The call holds the reply no longer. NULL is fine. */
void reply_drop(modalua_reply *r);

/* Whether the host has kept the reply. */
bool reply_is_kept(modalua_reply *r);

/* The answer; REPLY_NONE as long as there is none. */
reply_answer reply_look(modalua_reply *r);

/* The object of the answer, which the caller owns from now on. */
void *reply_take_object(modalua_reply *r);

/* The host's function begins or, with NULL, has ended. */
void reply_set_arguments(modalua_reply *r, const reply_arguments *a);

#endif
