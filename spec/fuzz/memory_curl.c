#include "memory_curl.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdarg.h>
#include <time.h>

#include "base/ascii.h"
#include "fuzz.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/* ---- time ---- */

static long long now_ns = 1000000000000LL;

static void pass(long long milliseconds)
{
    now_ns += milliseconds > 0 ? milliseconds * 1000000 : 1000;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    (void)clock;
    t->tv_sec = now_ns / 1000000000;
    t->tv_nsec = now_ns % 1000000000;
    return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    (void)fds;
    (void)count;
    pass(timeout);
    return 0;
}

/* ---- answers ---- */

typedef struct answer {
    const char *key, *type, *body;
    size_t key_size, type_size, body_size;
    long status;
    bool used;
} answer;

enum { ANSWERS_MAX = 200 };

static answer answers[ANSWERS_MAX];
static size_t answer_count;

/* Takes the word up to the next blank. */
static const char *take_word(const char **at, const char *end, size_t *size)
{
    const char *word = *at, *blank = memchr(word, ' ', (size_t)(end - word));
    *size = (size_t)((blank ? blank : end) - word);
    *at = blank ? blank + 1 : end;
    return word;
}

void memory_curl_answers(const char *text, size_t size)
{
    const char *end = text + size;
    for (answer_count = 0; text < end && answer_count < ANSWERS_MAX; answer_count++) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text)), *number;
        answer *a = &answers[answer_count];
        size_t digits;
        line_end = line_end ? line_end : end;
        memset(a, 0, sizeof *a);
        a->key = take_word(&text, line_end, &a->key_size);
        number = take_word(&text, line_end, &digits);
        for (size_t i = 0; i < digits && i < 3 && ascii_is_digit(number[i]); i++)
            a->status = a->status * 10 + number[i] - '0';
        a->type = take_word(&text, line_end, &a->type_size);
        a->body = text;
        a->body_size = (size_t)(line_end - text);
        text = line_end + (line_end < end);
    }
}

/* Of the answers that fit, those with the longest key; of these the first unused one, else the last one.
 * NULL: none fits. */
static const answer *answer_to(const char *request)
{
    answer *best = NULL;
    size_t size = strlen(request);
    for (size_t i = 0; i < answer_count; i++) {
        answer *a = &answers[i];
        if (a->key_size <= size && memcmp(request, a->key, a->key_size) == 0 &&
            (!best || a->key_size > best->key_size ||
             (a->key_size == best->key_size && best->used)))
            best = a;
    }
    if (best)
        best->used = true;
    return best;
}

/* ---- easy handles ---- */

typedef struct easy {
    struct easy *next; /* in the list of the multi handle */
    char *url, *error, method[16];
    bool posts, done, told;
    void *user;
    curl_write_callback write, read, header;
    void *write_user, *read_user, *header_user;
    curl_off_t upload;
    long status, retry_after;
    char type[32], *redirect;
    CURLMsg message;
} easy;

static unsigned handles;

unsigned memory_curl_handles(void)
{
    return handles;
}

CURL *curl_easy_init(void)
{
    handles++;
    return calloc(1, sizeof(easy));
}

void curl_easy_cleanup(CURL *handle)
{
    easy *e = handle;
    free(e->url);
    free(e->redirect);
    free(e);
    handles--;
}

static void set_url(easy *e, const char *url)
{
    REQUIRE(!ascii_has_control(url, strlen(url)) && !strchr(url, ' '));
    free(e->url);
    e->url = strdup(url);
}

static void set_method(easy *e, const char *method)
{
    REQUIRE(method[0] && strlen(method) < sizeof e->method);
    for (const char *at = method; *at; at++)
        REQUIRE(*at >= 'A' && *at <= 'Z');
    snprintf(e->method, sizeof e->method, "%s", method);
}

static void check_headers(const struct curl_slist *line)
{
    for (; line; line = line->next)
        REQUIRE(!strpbrk(line->data, "\r\n"));
}

CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
    easy *e = handle;
    va_list args;
    va_start(args, option);
    switch ((int)option) {
    case CURLOPT_URL: set_url(e, va_arg(args, const char *)); break;
    case CURLOPT_CUSTOMREQUEST: set_method(e, va_arg(args, const char *)); break;
    case CURLOPT_HTTPHEADER: check_headers(va_arg(args, const struct curl_slist *)); break;
    case CURLOPT_POST: e->posts = va_arg(args, long) != 0; break;
    case CURLOPT_POSTFIELDSIZE_LARGE: e->upload = va_arg(args, curl_off_t); break;
    case CURLOPT_PRIVATE: e->user = va_arg(args, void *); break;
    case CURLOPT_ERRORBUFFER: e->error = va_arg(args, char *); break;
    case CURLOPT_WRITEFUNCTION: e->write = va_arg(args, curl_write_callback); break;
    case CURLOPT_WRITEDATA: e->write_user = va_arg(args, void *); break;
    case CURLOPT_HEADERFUNCTION: e->header = va_arg(args, curl_write_callback); break;
    case CURLOPT_HEADERDATA: e->header_user = va_arg(args, void *); break;
    case CURLOPT_READFUNCTION: e->read = va_arg(args, curl_write_callback); break;
    case CURLOPT_READDATA: e->read_user = va_arg(args, void *); break;
    default: break;
    }
    va_end(args);
    return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *handle, CURLINFO info, ...)
{
    easy *e = handle;
    va_list args;
    void *to;
    va_start(args, info);
    to = va_arg(args, void *);
    va_end(args);
    switch ((int)info) {
    case CURLINFO_PRIVATE: *(void **)to = e->user; break;
    case CURLINFO_RESPONSE_CODE: *(long *)to = e->status; break;
    case CURLINFO_CONTENT_TYPE: *(char **)to = e->type[0] ? e->type : NULL; break;
    case CURLINFO_REDIRECT_URL: *(char **)to = e->redirect; break;
    case CURLINFO_RETRY_AFTER: *(curl_off_t *)to = e->retry_after; break;
    case CURLINFO_CONTENT_LENGTH_DOWNLOAD_T: *(curl_off_t *)to = -1; break;
    case CURLINFO_SIZE_UPLOAD_T:
    case CURLINFO_SIZE_DOWNLOAD_T: *(curl_off_t *)to = 0; break;
    default: REQUIRE(!"an info that memory_curl has not");
    }
    return CURLE_OK;
}

/* ---- the multi handle ---- */

typedef struct multi {
    easy *first;
    curl_multi_timer_callback timer;
    void *timer_user;
} multi;

CURLM *curl_multi_init(void)
{
    return calloc(1, sizeof(multi));
}

CURLMcode curl_multi_cleanup(CURLM *handle)
{
    REQUIRE(!((multi *)handle)->first);
    free(handle);
    return CURLM_OK;
}

CURLMcode curl_multi_setopt(CURLM *handle, CURLMoption option, ...)
{
    multi *m = handle;
    va_list args;
    va_start(args, option);
    switch ((int)option) {
    case CURLMOPT_TIMERFUNCTION: m->timer = va_arg(args, curl_multi_timer_callback); break;
    case CURLMOPT_TIMERDATA: m->timer_user = va_arg(args, void *); break;
    default: break;
    }
    va_end(args);
    return CURLM_OK;
}

/* The transfer ends when the timer, which is set here, is over: at once. */
CURLMcode curl_multi_add_handle(CURLM *handle, CURL *added)
{
    multi *m = handle;
    easy **link = &m->first;
    while (*link)
        link = &(*link)->next;
    *link = added;
    m->timer(handle, 0, m->timer_user);
    return CURLM_OK;
}

CURLMcode curl_multi_remove_handle(CURLM *handle, CURL *removed)
{
    easy **link = &((multi *)handle)->first;
    while (*link && *link != removed)
        link = &(*link)->next;
    if (*link)
        *link = (*link)->next;
    return CURLM_OK;
}

/* Reads all of a file that is sent. False: the program ended the transfer. */
static bool read_upload(easy *e)
{
    char block[1000];
    curl_off_t left = e->upload;
    while (e->read && left > 0) {
        size_t n = e->read(block, 1, sizeof block, e->read_user);
        if (n == 0 || n > sizeof block)
            return false;
        left -= (curl_off_t)n;
    }
    return true;
}

/* Hands the body over in parts. False: the program ended the transfer. */
static bool write_body(easy *e, const char *body, size_t size)
{
    while (size > 0) {
        size_t n = size < 1000 ? size : 1000;
        char *part = malloc(n); /* of its own, so that ASan sees a read behind its end */
        REQUIRE(part != NULL);
        memcpy(part, body, n);
        if (e->write(part, 1, n, e->write_user) != n) {
            free(part);
            return false;
        }
        free(part);
        body += n;
        size -= n;
    }
    return true;
}

/* Hands over the head, as far as the program looks at it: its first and its last line. */
static void write_head(easy *e)
{
    char first[] = "HTTP/1.1 200 OK\r\n", last[] = "\r\n";
    e->header(first, 1, sizeof first - 1, e->header_user);
    e->header(last, 1, sizeof last - 1, e->header_user);
}

static const char *type_of(const answer *a)
{
    static const char *const types[][2] = { { "json", "application/json" },
                                            { "text", "text/plain" },
                                            { "html", "text/html; charset=utf-8" },
                                            { "zip", "application/zip" },
                                            { "dicom", "application/dicom" } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i][0]) == a->type_size && memcmp(types[i][0], a->type, a->type_size) == 0)
            return types[i][1];
    return "";
}

static CURLcode transfer(easy *e)
{
    static const answer missing = {
        .type = "json", .type_size = 4, .body = "{}", .body_size = 2, .status = 404
    };
    char request[2000];
    const char *path = strstr(e->url, "://") + 3;
    const answer *a;
    path += strcspn(path, "/");
    snprintf(request, sizeof request, "%s:%s",
             e->method[0] ? e->method
             : e->posts   ? "POST"
                          : "GET",
             path);
    a = answer_to(request);
    if (getenv("FUZZ_TRACE"))
        fprintf(stderr, "  %s -> %.*s\n", request, a ? (int)(a->body + a->body_size - a->key) : 4,
                a ? a->key : "none");
    a = a ? a : &missing;
    e->status = a->status >= 100 ? a->status : a->status == CURLE_COULDNT_CONNECT ? 0 : 200;
    e->retry_after = a->status == 503 ? 2 : 0;
    snprintf(e->type, sizeof e->type, "%s", type_of(a));
    free(e->redirect);
    e->redirect = a->status / 100 == 3 ? strdup("http://user:password@elsewhere/") : NULL;
    if (!read_upload(e))
        return CURLE_ABORTED_BY_CALLBACK;
    if (e->status > 0)
        write_head(e);
    if (!write_body(e, a->body, a->body_size))
        return CURLE_WRITE_ERROR;
    if (a->status > 0 && a->status < 100) {
        snprintf(e->error, CURL_ERROR_SIZE, "the answer is a failure");
        return (CURLcode)a->status;
    }
    return CURLE_OK;
}

CURLMcode curl_multi_socket_action(CURLM *handle, curl_socket_t fd, int events, int *running)
{
    (void)fd;
    (void)events;
    pass(0);
    for (easy *e = ((multi *)handle)->first; e; e = e->next) {
        if (!e->done)
            e->message = (CURLMsg){ CURLMSG_DONE, e, { .result = transfer(e) } };
        e->done = true;
    }
    *running = 0;
    return CURLM_OK;
}

CURLMsg *curl_multi_info_read(CURLM *handle, int *left)
{
    *left = 0;
    for (easy *e = ((multi *)handle)->first; e; e = e->next)
        if (e->done && !e->told) {
            e->told = true;
            return &e->message;
        }
    return NULL;
}
