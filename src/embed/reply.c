#include "embed/reply.h"

#include <stdlib.h>
#include <string.h>

#include "json/scan.h"

struct modalua_reply {
    pthread_mutex_t lock;
    loop *lp;         /* of the call; NULL = the call does not wait any more */
    unsigned holders; /* 1 or 2: the call, the host */
    bool may_be_kept, kept;
    reply_answer answer;
};

/* ---- life ---- */

/* Allocates from the C library: the runtime's memory account is for one thread, and the host may
 * answer from another. */
modalua_reply *reply_new(loop *lp, bool may_be_kept)
{
    modalua_reply *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return NULL;
    }
    r->lp = lp;
    r->holders = 1;
    r->may_be_kept = may_be_kept;
    return r;
}

/* Ends the hold of the caller, who has locked the reply. */
static void unlock_and_release(modalua_reply *r)
{
    bool last = --r->holders == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&r->lock);
    free((char *)r->answer.text);
    free((char *)r->answer.code);
    free(r);
}

void reply_drop(modalua_reply *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->lp = NULL;
    unlock_and_release(r);
}

bool reply_is_kept(modalua_reply *r)
{
    bool kept;
    pthread_mutex_lock(&r->lock);
    kept = r->kept;
    pthread_mutex_unlock(&r->lock);
    return kept;
}

reply_answer reply_look(modalua_reply *r)
{
    reply_answer answer;
    pthread_mutex_lock(&r->lock);
    answer = r->answer;
    pthread_mutex_unlock(&r->lock);
    return answer;
}

/* ---- the host's side ---- */

int modalua_reply_keep(modalua_reply *r)
{
    bool can;
    if (!r)
        return MODALUA_E_INVALID;
    pthread_mutex_lock(&r->lock);
    can = r->may_be_kept && !r->kept && r->answer.kind == REPLY_NONE;
    if (can) {
        r->kept = true;
        r->holders++;
    }
    pthread_mutex_unlock(&r->lock);
    return can ? MODALUA_OK : MODALUA_E_INVALID;
}

static char *copy(const char *text, size_t size)
{
    char *c = malloc(size + 1);
    if (c) {
        memcpy(c, text, size);
        c[size] = '\0';
    }
    return c;
}

/* Stores the answer. The first one counts. When the reply was kept, this ends the hold of the host;
 * after a failure the host still holds it, and may answer again. */
static int answer(modalua_reply *r, reply_kind kind, const char *text, size_t size,
                  const char *code)
{
    char *text_copy = copy(text, size), *code_copy = code ? copy(code, strlen(code)) : NULL;
    int status = text_copy && (!code || code_copy) ? MODALUA_OK : MODALUA_E_NOMEM;
    pthread_mutex_lock(&r->lock);
    if (r->answer.kind != REPLY_NONE)
        status = MODALUA_E_INVALID;
    if (status == MODALUA_OK) {
        r->answer = (reply_answer){ kind, text_copy, size, code_copy };
        if (r->kept && r->lp)
            loop_wake(r->lp);
    } else {
        free(text_copy);
        free(code_copy);
    }
    if (status == MODALUA_OK && r->kept) {
        unlock_and_release(r);
        return status;
    }
    pthread_mutex_unlock(&r->lock);
    return status;
}

int modalua_reply_json(modalua_reply *r, const char *json)
{
    char message[JSON_MESSAGE_SIZE];
    json_scan_facts facts;
    if (!r || !json || strlen(json) > JSON_TEXT_MAX ||
        !json_scan(json, strlen(json), &facts, NULL, message))
        return MODALUA_E_INVALID;
    return answer(r, REPLY_JSON, json, strlen(json), NULL);
}

int modalua_reply_text(modalua_reply *r, const char *text, size_t size)
{
    if (!r || (!text && size > 0))
        return MODALUA_E_INVALID;
    return answer(r, REPLY_TEXT, text ? text : "", size, NULL);
}

int modalua_reply_error(modalua_reply *r, const char *code, const char *message)
{
    if (!r || !message)
        return MODALUA_E_INVALID;
    return answer(r, REPLY_ERROR, message, strlen(message), code);
}
