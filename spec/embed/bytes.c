/* bytes.c - strings of any bytes between scripts and functions of the host: as arguments, and beside JSON in
 * replies. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdbool.h>

#include "runs.h"

static char arguments_seen[256];

/* echo(…): the bytes of the second argument, which are a string; else their absence is the error. */
static void echo(void *user, const char *arguments, modalua_reply *reply)
{
    size_t size = 7;
    const char *bytes = modalua_argument_bytes(reply, 2, &size);
    (void)user;
    snprintf(arguments_seen, sizeof arguments_seen, "%s", arguments);
    CHECK(!modalua_argument_bytes(reply, 0, NULL) && !modalua_argument_bytes(reply, 99, NULL));
    if (!bytes) {
        CHECK(size == 0);
        CHECK(modalua_reply_error(reply, "no_bytes", "argument 2 is no string") == MODALUA_OK);
        return;
    }
    CHECK(bytes[size] == '\0' && modalua_argument_bytes(reply, 2, NULL) == bytes);
    CHECK(modalua_reply_text(reply, bytes, size) == MODALUA_OK);
}

/* frame(n): what is known about an image, and its pixels. */
static void frame(void *user, const char *arguments, modalua_reply *reply)
{
    static const char pixels[] = { 0, 1, '\x7f', '\x80', '\xff', 0 };
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_json_bytes(reply, "{", pixels, 6) == MODALUA_E_INVALID);
    CHECK(modalua_reply_json_bytes(reply, "1", NULL, 6) == MODALUA_E_INVALID);
    CHECK(modalua_reply_json_bytes(reply, "{\"rows\":2,\"columns\":3}", pixels, sizeof pixels) ==
          MODALUA_OK);
    CHECK(modalua_reply_json_bytes(reply, "1", pixels, 6) == MODALUA_E_INVALID);
}

static void empty(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_json_bytes(reply, "null", NULL, 0) == MODALUA_OK);
}

static modalua_reply *kept;

static void later(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_keep(reply) == MODALUA_OK);
    kept = reply;
}

static void *answer_later(void *user)
{
    (void)user;
    CHECK(!modalua_argument_bytes(kept, 1, NULL));
    CHECK(modalua_reply_json_bytes(kept, "[1]", "a\0b", 3) == MODALUA_OK);
    return NULL;
}

static void test_all(unsigned flags)
{
    modalua_config config = watched();
    pthread_t thread;
    modalua_runtime *rt;
    config.flags = flags;
    rt = make(&config);
    CHECK(modalua_register(rt, "echo", echo, NULL) == MODALUA_OK);
    CHECK(modalua_register(rt, "frame", frame, NULL) == MODALUA_OK);
    CHECK(modalua_register(rt, "empty", empty, NULL) == MODALUA_OK);
    CHECK(modalua_register(rt, "later", later, NULL) == MODALUA_OK);
    pass(rt,
         "local all = {} for i = 0, 255 do all[#all + 1] = string.char(i) end\n"
         "all = table.concat(all)\n"
         "for _, s in ipairs { '', 'text', 'a\\0b', '\\xff\\0', all, all:rep(5000) } do\n"
         "  assert(echo(1, s) == s)\n"
         "end\n"
         "for _, no in ipairs { 5, true, { 'x' } } do\n"
         "  local _, err = echo(1, no) assert(err.code == 'no_bytes', err)\n"
         "end\n"
         "assert(select(2, echo('\\xff')).code == 'no_bytes')\n"
         "assert(select(2, echo(1, { '\\xff' })).kind == 'refused')\n" /* inside a table */
         "local head, pixels = frame(1)\n"
         "assert(head.rows * head.columns == #pixels and pixels == '\\0\\1\\x7f\\x80\\xff\\0')\n"
         "assert(select('#', frame(1)) == 2)\n"
         "local none, bytes = empty() assert(none == nil and bytes == '')");
    pass(rt, "echo(nil, 'caf\\u{e9}', 'caf\\xe9', 'a\\0b', 5)");
    CHECK(strcmp(arguments_seen, "[null,\"caf\xc3\xa9\",null,\"a\\u0000b\",5]") == 0);
    CHECK(start(rt, "local list, bytes = later 'x' assert(list[1] == 1 and bytes == 'a\\0b')") ==
          MODALUA_OK);
    for (kept = NULL; !kept;)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(pthread_create(&thread, NULL, answer_later, NULL) == 0);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    modalua_destroy(rt);
}

int main(void)
{
    CHECK(!modalua_argument_bytes(NULL, 1, NULL));
    CHECK(modalua_reply_json_bytes(NULL, "1", "", 0) == MODALUA_E_INVALID);
    test_all(0);
    test_all(MODALUA_NO_HOOK);
    test_all(MODALUA_SANDBOX);
    return 0;
}
