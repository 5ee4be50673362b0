/* helpers.c - tests the internal functions of src/base: waking a poll, UTF-8, ASCII, and overwriting
 * secrets before their memory is freed. */
#define _POSIX_C_SOURCE 200809L

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "check.h"
#include "base/ascii.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "base/wakeup.h"
#include "http/http.h"

#define SECRET "hunter2"

/* ---- secrets ---- */

/* Number of blocks that were freed while they still held the secret: our blocks, libcurl's blocks. */
static unsigned in_account, in_libcurl;

static bool holds_secret(const char *block, size_t size)
{
    for (size_t i = 0; i + sizeof SECRET - 1 <= size; i++)
        if (memcmp(block + i, SECRET, sizeof SECRET - 1) == 0)
            return true;
    return false;
}

static void *watched_realloc(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    if (new_size > 0)
        return realloc(block, new_size);
    in_account += block && holds_secret(block, old_size);
    free(block);
    return NULL;
}

/* libcurl's free function is not told the size of the block, so a header before each block has it. */
typedef union header {
    size_t size;
    max_align_t align;
} header;

static void *curl_malloc(size_t size)
{
    header *h = malloc(sizeof *h + size);
    if (!h)
        return NULL;
    h->size = size;
    return h + 1;
}

static void curl_release(void *block)
{
    header *h = block ? (header *)block - 1 : NULL;
    in_libcurl += h && holds_secret(block, h->size);
    free(h);
}

static void *curl_resize(void *block, size_t size)
{
    header *h = block ? (header *)block - 1 : NULL, *moved = realloc(h, sizeof *h + size);
    if (!moved)
        return NULL;
    moved->size = size;
    return moved + 1;
}

static char *curl_copy(const char *text)
{
    char *copy = curl_malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static void *curl_zeroed(size_t count, size_t size)
{
    void *block = curl_malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}

static void secrets_are_overwritten(void)
{
    memory account;
    http h;
    host_thread thread = { 0 };
    http_server *s;
    char why[200], *text;
    const http_options by_password = { .url = "http://127.0.0.1:8042",
                                       .username = "u",
                                       .password = SECRET,
                                       .proxy = "http://v:" SECRET "@127.0.0.1:3128" };
    const http_options by_token = { .url = "http://127.0.0.1:8042", .token = SECRET };
    const http_options by_url = { .url = "http://u:" SECRET "@127.0.0.1:8042" };
    const http_options *const all[] = { &by_password, &by_token, &by_url };

    memory_init(&account, watched_realloc, NULL, 0);
    http_init(&h, &account, &thread);
    text = memory_string(&account, SECRET);
    CHECK(text && strcmp(text, SECRET) == 0);
    secret_free(&account, text);
    secret_free(&account, NULL);
    secret_wipe(NULL);
    CHECK(in_account == 0);
    memory_free_string(&account, memory_string(&account, SECRET));
    CHECK(in_account == 1); /* so this test finds a secret that is not overwritten */

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        s = http_server_new(&h, all[i], why, sizeof why);
        CHECK(s);
        in_libcurl = 0; /* libcurl's URL parser frees copies of its own without overwriting them */
        CHECK(!http_server_header(s, "Authorization", "Bearer " SECRET));
        http_server_free(s);
        CHECK(in_account == 1 && in_libcurl == 0);
    }
    http_free(&h);
    CHECK(account.used == 0);
}

/* ---- waking a poll ---- */

static bool is_readable(const wakeup *w)
{
    struct pollfd fd = { .fd = w->reader, .events = POLLIN };
    return poll(&fd, 1, 0) == 1;
}

static void polls_are_woken(void)
{
    wakeup w;
    wakeup_clear(&w);
    wakeup_close(&w);
    CHECK(wakeup_open(&w) == 0 && !is_readable(&w));
    CHECK(fcntl(w.reader, F_GETFD) & FD_CLOEXEC && fcntl(w.writer, F_GETFD) & FD_CLOEXEC);
    for (int i = 0; i < 100000; i++)
        wakeup_send(&w); /* more than the pipe can hold: a blocking write would hang */
    CHECK(is_readable(&w));
    wakeup_drain(&w);
    CHECK(!is_readable(&w));
    wakeup_drain(&w); /* the pipe is empty: a blocking read would hang */
    wakeup_close(&w);
    CHECK(w.reader == -1 && w.writer == -1);
}

/* ---- characters ---- */

static void utf8_is_checked(void)
{
    static const char *const good[] = { "",
                                        "a",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "x\xc3\xa4y" };
    static const char *const bad[] = { "\x80",
                                       "\xc0\x80", /* overlong */
                                       "\xc1\xbf",
                                       "\xe0\x9f\xbf",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xed\xa0\x80", /* a surrogate */
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "\xc3", /* cut off */
                                       "\xe2\x82",
                                       "\xf0\x9f\x98",
                                       "\xc3z",
                                       "\xe2\x82z",
                                       "\xf0\x9f\x98z" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(utf8_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!utf8_is_valid(bad[i], strlen(bad[i])));
        CHECK(utf8_size(bad[i], bad[i] + strlen(bad[i])) == 0);
    }
    CHECK(!utf8_is_valid("a\xff"
                         "b",
                         3) &&
          utf8_is_valid("a\0b", 3));
}

static void text_is_truncated(void)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac";
    static const size_t sizes[] = { 0, 1, 1, 3, 3, 3, 6, 6 };
    for (size_t limit = 0; limit < sizeof sizes / sizeof sizes[0]; limit++)
        CHECK(utf8_truncate(text, sizeof text - 1, limit) == sizes[limit]);
}

static void ascii_is_recognized(void)
{
    CHECK(ascii_has_control("a\tb", 3) && ascii_has_control("\x7f", 1) && ascii_has_control("", 1));
    CHECK(!ascii_has_control("a b~\xc3\xa4", 6) && !ascii_has_control("\n", 0));
    CHECK(ascii_is_all("a\x7f", 2) && !ascii_is_all("a\x80", 2));
    for (int c = 0; c < 256; c++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
        CHECK(ascii_hex_value((char)c) == (at ? (int)(at - digits) % 16 : -1));
    }
}

int main(void)
{
    CHECK(curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_release, curl_resize,
                               curl_copy, curl_zeroed) == CURLE_OK);
    polls_are_woken();
    utf8_is_checked();
    text_is_truncated();
    ascii_is_recognized();
    secrets_are_overwritten();
    return 0;
}
