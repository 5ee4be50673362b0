/* secrets.c - a password or a token of the host is overwritten before its memory is freed. The
 * program is the allocator of the runtime, and looks at each block that comes back; and it stands
 * before the functions of libcurl that free what modalua has got from them. Its argument is the URL
 * of the fault server. */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdbool.h>

#include "runs.h"

#define SECRET "correct-horse-battery"

/* How many blocks had the secret in them when they came back, and how many when the runtime lived. */
typedef struct watcher {
    int freed_with_secret, kept_with_secret;
} watcher;

static bool holds_secret(const char *block, size_t size)
{
    const size_t length = sizeof SECRET - 1;
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(block + i, SECRET, length) == 0)
            return true;
    return false;
}

/* Each block moves when it grows or shrinks, so that what it leaves behind is looked at as well. */
static void *allocate(void *user, void *block, size_t old_size, size_t new_size)
{
    watcher *w = user;
    void *moved = new_size > 0 ? malloc(new_size) : NULL;
    if (new_size > 0 && !moved)
        return NULL;
    if (!block)
        return moved;
    if (moved)
        memcpy(moved, block, old_size < new_size ? old_size : new_size);
    if (holds_secret(block, old_size)) {
        w->kept_with_secret += new_size > 0;
        w->freed_with_secret += new_size == 0;
    }
    free(block);
    return moved;
}

static int curl_with_secret, curl_freed;

static void look_at(const char *text)
{
    curl_freed++;
    curl_with_secret += text && holds_secret(text, strlen(text));
}

/* These two are called in the place of libcurl's own. */
void curl_free(void *text)
{
    void (*real)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "curl_free");
    look_at(text);
    real(text);
}

void curl_slist_free_all(struct curl_slist *list)
{
    void (*real)(struct curl_slist *) =
        (void (*)(struct curl_slist *))dlsym(RTLD_NEXT, "curl_slist_free_all");
    for (const struct curl_slist *line = list; line; line = line->next)
        look_at(line->data);
    real(list);
}

/* The secret has been used, by two clients, when the runtime ends. */
static void try_config(modalua_config config)
{
    watcher w = { 0, 0 };
    modalua_runtime *rt;
    config.alloc = allocate;
    config.alloc_user = &w;
    rt = make(&config);
    pass(rt, "local modalua = require 'modalua'\n"
             "assert(modalua.connect():get '/ok' and modalua.connect():post('/ok', {}))\n"
             "assert(modalua.connect():get '/nosuch' == nil)");
    modalua_destroy(rt);
    if (w.freed_with_secret + w.kept_with_secret > 0)
        fprintf(stderr, "%d blocks were freed with the secret in them, and %d moved\n",
                w.freed_with_secret, w.kept_with_secret);
    CHECK(w.freed_with_secret == 0 && w.kept_with_secret == 0 && curl_with_secret == 0);
    CHECK(curl_freed > 0);
}

/* A header that the script gives is in libcurl's memory too. */
static void test_header(const char *url)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    rt = make(&config);
    pass(rt, "local headers = { Authorization = 'Bearer " SECRET "' }\n"
             "assert(require 'modalua'.connect { headers = headers }:get '/ok')");
    curl_freed = 0;
    modalua_destroy(rt);
    CHECK(curl_freed > 0 && curl_with_secret == 0);
}

/* The secret is found where it is not overwritten: a script's own string. */
static void test_watcher(void)
{
    watcher w = { 0, 0 };
    modalua_config config = watched();
    modalua_runtime *rt;
    config.alloc = allocate;
    config.alloc_user = &w;
    rt = make(&config);
    pass(rt, "text = 'correct-horse' .. '-battery' .. ('x'):rep(100)");
    modalua_destroy(rt);
    CHECK(w.freed_with_secret > 0);
}

int main(int argc, char **argv)
{
    modalua_config config = watched();
    char url[200];
    CHECK(argc == 2 && strncmp(argv[1], "http://", 7) == 0);
    test_watcher();
    config.url = argv[1];
    config.username = "user";
    config.password = SECRET;
    try_config(config);
    config.username = config.password = NULL;
    config.token = SECRET;
    try_config(config);
    config.token = NULL;
    snprintf(url, sizeof url, "http://user:" SECRET "@%s", argv[1] + 7);
    config.url = url;
    try_config(config);
    test_header(argv[1]);
    return 0;
}
