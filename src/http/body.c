#include "http/body.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "http/stream.h"

enum { BODY_FIRST = 4096 }; /* bytes of room, when the server announces no length */

static bool is_success(const http_transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status <= 299;
}

/* The account's limit holds for bodies too. Without one, an endless body must not take all memory of the
 * machine: half of it is the limit then. */
size_t body_max(const memory *m)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (m->limit > 0 || pages <= 0 || page <= 0)
        return SIZE_MAX;
    return (size_t)pages / 2 * (size_t)page;
}

/* The room for a body of `need` bytes: what the server announces, when it does, else half as much again
 * as there was. */
static size_t body_room_for(const http_transfer *t, size_t need)
{
    curl_off_t announced = -1;
    size_t room = t->body_room ? t->body_room + t->body_room / 2 : BODY_FIRST;
    if (t->body_room == 0)
        curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    if (announced > 0 && (size_t)announced < memory_left(t->h->memory) &&
        (size_t)announced < body_max(t->h->memory))
        room = (size_t)announced + 1;
    return room > need ? room : need;
}

void body_drop(http_transfer *t)
{
    if (t->body)
        memory_realloc(t->h->memory, t->body, t->body_room, 0);
    t->body = NULL;
    t->body_size = t->body_room = 0;
}

/* Makes room for `bytes` more and a NUL. False: t->fault is set. */
static bool grow_body(http_transfer *t, size_t bytes)
{
    size_t need = t->body_size + bytes + 1, room = t->body_room;
    char *grown;
    if (need > body_max(t->h->memory)) {
        t->fault = HTTP_TOO_LARGE;
        return false;
    }
    if (need <= room)
        return true;
    room = body_room_for(t, need);
    grown = memory_realloc(t->h->memory, t->body, t->body_room, room);
    if (!grown && room > need) { /* half of what is left, so that the steps stay few */
        size_t left = memory_left(t->h->memory);
        room = left < SIZE_MAX && t->body_room + left / 2 > need ? t->body_room + left / 2 : need;
        grown = memory_realloc(t->h->memory, t->body, t->body_room, room);
    }
    if (!grown) {
        t->fault = HTTP_NO_MEMORY;
        return false;
    }
    t->body = grown;
    t->body_room = room;
    return true;
}

size_t body_on_data(char *data, size_t size, size_t count, void *user)
{
    http_transfer *t = user;
    size_t bytes = size * count;
    if (t->request.sink && is_success(t))
        return http_stream_write(t, data, bytes) ? bytes : 0;
    if (!grow_body(t, bytes))
        return 0;
    memcpy(t->body + t->body_size, data, bytes);
    t->body_size += bytes;
    t->body[t->body_size] = '\0';
    return bytes;
}
