#include "embed/reply.h"

#include <stdlib.h>
#include <string.h>

#include "embed/host_objects.h"
#include "json/scan.h"

struct modalua_reply {
    pthread_mutex_t lock;
    loop *lp;         /* of the call; NULL = the call does not wait any more */
    unsigned holders; /* 1 or 2: the call, the host */
    bool may_be_kept, kept;
    const reply_arguments *arguments; /* while the function runs, on its thread only */
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
    if (r->answer.object && r->answer.class->destroy)
        r->answer.class->destroy(r->answer.object); /* the script has not got it */
    free((char *)r->answer.text);
    free((char *)r->answer.bytes);
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

void *reply_take_object(modalua_reply *r)
{
    void *object;
    pthread_mutex_lock(&r->lock);
    object = r->answer.object;
    r->answer.object = NULL;
    pthread_mutex_unlock(&r->lock);
    return object;
}

void reply_set_arguments(modalua_reply *r, const reply_arguments *a)
{
    r->arguments = a;
}

/* ---- the host's side ---- */

void *modalua_argument_object(modalua_reply *r, int index, const modalua_class *class)
{
    const reply_arguments *a = r ? r->arguments : NULL;
    if (!a || !class || index < 1 || index > a->count)
        return NULL;
    return host_objects_pointer(a->L, a->skip + index, class);
}

const char *modalua_argument_bytes(modalua_reply *r, int index, size_t *size)
{
    const reply_arguments *a = r ? r->arguments : NULL;
    if (size)
        *size = 0;
    if (!a || index < 1 || index > a->count || lua_type(a->L, a->skip + index) != LUA_TSTRING)
        return NULL;
    return lua_tolstring(a->L, a->skip + index, size);
}

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
static int store(modalua_reply *r, const reply_answer *a)
{
    int status = MODALUA_OK;
    pthread_mutex_lock(&r->lock);
    if (r->answer.kind != REPLY_NONE)
        status = MODALUA_E_INVALID;
    if (status == MODALUA_OK) {
        r->answer = *a;
        if (r->kept && r->lp)
            loop_wake(r->lp);
    }
    if (status == MODALUA_OK && r->kept) {
        unlock_and_release(r);
        return status;
    }
    pthread_mutex_unlock(&r->lock);
    return status;
}

/* Stores copies of the texts. */
static int answer(modalua_reply *r, reply_kind kind, const char *text, size_t size,
                  const char *code)
{
    char *text_copy = copy(text, size), *code_copy = code ? copy(code, strlen(code)) : NULL;
    const reply_answer a = { .kind = kind, .text = text_copy, .size = size, .code = code_copy };
    int status = text_copy && (!code || code_copy) ? store(r, &a) : MODALUA_E_NOMEM;
    if (status != MODALUA_OK) {
        free(text_copy);
        free(code_copy);
    }
    return status;
}

static bool is_json(const char *text)
{
    char message[JSON_MESSAGE_SIZE];
    json_scan_facts facts;
    return text && strlen(text) <= JSON_TEXT_MAX &&
           json_scan(text, strlen(text), &facts, NULL, message);
}

int modalua_reply_json(modalua_reply *r, const char *json)
{
    if (!r || !is_json(json))
        return MODALUA_E_INVALID;
    return answer(r, REPLY_JSON, json, strlen(json), NULL);
}

int modalua_reply_json_bytes(modalua_reply *r, const char *json, const void *bytes, size_t size)
{
    reply_answer a = { .kind = REPLY_JSON, .bytes_size = size };
    int status;
    if (!r || !is_json(json) || (!bytes && size > 0))
        return MODALUA_E_INVALID;
    a.size = strlen(json);
    a.text = copy(json, a.size);
    a.bytes = copy(bytes ? bytes : "", size);
    status = a.text && a.bytes ? store(r, &a) : MODALUA_E_NOMEM;
    if (status != MODALUA_OK) {
        free((char *)a.text);
        free((char *)a.bytes);
    }
    return status;
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

int modalua_reply_object(modalua_reply *r, const modalua_class *class, void *object)
{
    const reply_answer a = { .kind = REPLY_OBJECT, .class = class, .object = object };
    if (!r || !object || !host_objects_class_is_valid(class))
        return MODALUA_E_INVALID;
    return store(r, &a);
}
