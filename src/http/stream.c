#include "http/stream.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/partial_file.h"

enum { CHUNK = 256 * 1024 };

#define ABSENCE 1.5 /* seconds between two looks; it looks once a second */

/* Sets the fault of the transfer. Returns false. */
static bool stream_fail(http_transfer *t, http_file *f, int error)
{
    f->error = error;
    t->fault = HTTP_FILE;
    return false;
}

/* ---- to a file ---- */

bool http_stream_begin(http_transfer *t)
{
    http_file *sink = t->request.sink;
    if (t->request.source)
        t->request.source->done = 0;
    if (!sink)
        return true;
    sink->done = 0;
    sink->error = 0;
    if (sink->stream) {
        stream_ends_clear(sink->ends);
        return true;
    }
    return ftruncate(sink->fd, 0) == 0 || stream_fail(t, sink, errno);
}

int http_stream_give(http_file *f, const char *data, size_t size)
{
    int error = size > 0 ? f->stream->write(f->object, data, size) : 0;
    if (error == 0)
        stream_ends_add(f->ends, data, size);
    return error;
}

long http_stream_take(http_file *f, char *into, size_t size, curl_off_t offset)
{
    long n = f->stream->read(f->object, into, size, (long)offset);
    return n > 0 && (size_t)n > size ? -EIO : n;
}

/* The host's function has the locale and the signals of its own. */
static bool lend_and_give(http_transfer *t, const char *data, size_t size)
{
    http_file *sink = t->request.sink;
    int error;
    host_thread_lend(t->h->thread);
    error = http_stream_give(sink, data, size);
    host_thread_take_back(t->h->thread);
    sink->done += error ? 0 : (curl_off_t)size;
    return error == 0 || stream_fail(t, sink, error);
}

bool http_stream_write(http_transfer *t, const char *data, size_t size)
{
    http_file *sink = t->request.sink;
    int error;
    if (sink->stream)
        return lend_and_give(t, data, size);
    error = partial_file_write(sink->fd, data, size, &sink->done);
    return error == 0 || stream_fail(t, sink, error);
}

/* ---- from a file ---- */

/* As pread does: less than 0 and errno for a failure. */
static ssize_t read_source(const http_transfer *t, char *into, size_t size)
{
    http_file *source = t->request.source;
    ssize_t n;
    if (!source->stream)
        return pread(source->fd, into, size, source->done);
    host_thread_lend(t->h->thread);
    n = http_stream_take(source, into, size, source->done);
    host_thread_take_back(t->h->thread);
    if (n < 0) {
        errno = n == -EINTR ? EIO : (int)-n;
        return -1;
    }
    return n;
}

static size_t http_on_read(char *into, size_t size, size_t count, void *user)
{
    http_transfer *t = user;
    http_file *source = t->request.source;
    curl_off_t left = source->size - source->done;
    size_t room = size * count;
    ssize_t n;
    if (left < (curl_off_t)room)
        room = (size_t)left;
    if (room == 0)
        return 0;
    do
        n = read_source(t, into, room);
    while (n < 0 && errno == EINTR);
    if (n <= 0) { /* 0: the file has become shorter than the length that was announced */
        stream_fail(t, source, n < 0 ? errno : 0);
        return CURL_READFUNC_ABORT;
    }
    source->done += n;
    return (size_t)n;
}

/* ---- progress ---- */

/* A long time during which libcurl did not run is no silence of the server: a script computed, or the
 * process was stopped. Short ones count, so that a host that seldom lets it run sees a silence too. */
static void skip_absence(http_transfer *t, double now)
{
    double absent = now - t->last_look;
    if (absent > ABSENCE && absent > t->request.stall_timeout / 2)
        t->last_moved += absent;
    t->last_look = now;
}

/* libcurl calls this at least once a second, because of CURLOPT_LOW_SPEED_LIMIT. */
static int http_on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                            curl_off_t up)
{
    http_transfer *t = user;
    const http_request *r = &t->request;
    curl_off_t moved = r->sink ? down : up, total = r->sink ? down_total : up_total;
    double now = clock_now();
    skip_absence(t, now);
    if (moved != t->moved) {
        t->moved = moved;
        t->last_moved = now;
    }
    t->total = total;
    if (r->stall_timeout > 0 && moved > 0 && moved != total &&
        now - t->last_moved > r->stall_timeout) {
        t->fault = HTTP_STALLED;
        return 1;
    }
    return 0;
}

bool http_stream_configure(http_transfer *t)
{
    const http_request *r = &t->request;
    CURL *e = t->easy;
    if (!r->source && !r->sink && r->stall_timeout == 0)
        return true;
    t->last_moved = t->last_look = clock_now();
    if (r->source &&
        (curl_easy_setopt(e, CURLOPT_READFUNCTION, http_on_read) != CURLE_OK ||
         curl_easy_setopt(e, CURLOPT_READDATA, t) != CURLE_OK ||
         curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, r->source->size) != CURLE_OK))
        return false;
    return curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)CHUNK) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)CHUNK) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, http_on_progress) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_XFERINFODATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}
