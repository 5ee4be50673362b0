/* objects.c - what a host gives to scripts and gets back: the `user` of a function that is destroyed, and
 * objects with methods and a finalizer. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdbool.h>

#include "runs.h"

/* ---- a study of a viewer ---- */

typedef struct study {
    int number, opened;
    bool *destroyed;
} study;

static int alive; /* studies and users that have not been destroyed */

static void study_open(void *object, const char *arguments, modalua_reply *reply)
{
    study *s = object;
    char json[100];
    s->opened++;
    snprintf(json, sizeof json, "{\"number\":%d,\"arguments\":%s}", s->number, arguments);
    CHECK(modalua_reply_json(reply, json) == MODALUA_OK);
}

static void study_fail(void *object, const char *arguments, modalua_reply *reply)
{
    (void)object;
    (void)arguments;
    CHECK(modalua_reply_error(reply, "locked", "the study is locked") == MODALUA_OK);
}

static modalua_reply *kept;

static void study_later(void *object, const char *arguments, modalua_reply *reply)
{
    (void)object;
    (void)arguments;
    CHECK(modalua_reply_keep(reply) == MODALUA_OK);
    kept = reply;
}

static void study_compare(void *object, const char *arguments, modalua_reply *reply);

static void study_free(void *object)
{
    study *s = object;
    alive--;
    if (s->destroyed)
        *s->destroyed = true;
    free(s);
}

static const modalua_method methods[] = { { "open", study_open },
                                          { "fail", study_fail },
                                          { "later", study_later },
                                          { "compare", study_compare },
                                          { NULL, NULL } };
static const modalua_class study_class = { sizeof study_class, "viewer.Study", methods,
                                           study_free };
static const modalua_class other_class = { sizeof other_class, "viewer.Other", NULL, study_free };

/* compare(other): the number of the other study, which is an argument; 0 when it is none. */
static void study_compare(void *object, const char *arguments, modalua_reply *reply)
{
    const study *other = modalua_argument_object(reply, 1, &study_class);
    char json[20];
    (void)object;
    CHECK(!modalua_argument_object(reply, 0, &study_class));
    CHECK(!modalua_argument_object(reply, 3, &study_class));
    CHECK(!modalua_argument_object(reply, 1, NULL));
    CHECK(!other || strncmp(arguments, "[null", 5) == 0);
    snprintf(json, sizeof json, "%d", other ? other->number : 0);
    CHECK(modalua_reply_json(reply, json) == MODALUA_OK);
}

static study *make_study(int number, bool *destroyed)
{
    study *s = calloc(1, sizeof *s);
    CHECK(s);
    s->number = number;
    s->destroyed = destroyed;
    alive++;
    return s;
}

/* find(n): a study, or with n = 0 an object of another class. */
static void find(void *user, const char *arguments, modalua_reply *reply)
{
    int number = atoi(arguments + 1);
    study *s = make_study(number, user);
    CHECK(modalua_reply_object(reply, number ? &study_class : &other_class, s) == MODALUA_OK);
    CHECK(modalua_reply_object(reply, &study_class, s) == MODALUA_E_INVALID);
}

static modalua_runtime *with_find(unsigned flags)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.flags = flags;
    rt = make(&config);
    CHECK(modalua_register(rt, "find", find, NULL) == MODALUA_OK);
    return rt;
}

static void test_methods(unsigned flags)
{
    modalua_runtime *rt = with_find(flags);
    CHECK(modalua_set_object(rt, "viewer.current", &study_class, make_study(7, NULL)) ==
          MODALUA_OK);
    pass(rt, "local s = viewer.current\n"
             "local r = s:open(1, nil, {a = 2}) assert(r.number == 7 and r.arguments[3].a == 2)\n"
             "local none, err = s:fail() assert(none == nil and err.code == 'locked' and err.op == "
             "'fail')\n"
             "assert(tostring(s):find '^viewer.Study: ' and type(s) == 'userdata')\n"
             "assert(getmetatable(s) == false and s.nosuch == nil and not pcall(function() s.x = 1 "
             "end))\n"
             "local a, b = find(1), find(2)\n"
             "assert(a ~= b and a:compare(b) == 2 and b:compare(a, 5) == 1 and a:compare(a) == 1)\n"
             "assert(a:compare(find(0)) == 0 and a:compare({}) == 0 and a:compare() == 0)\n"
             "assert(not pcall(a.compare, a, {b}))"); /* an object inside of a table */
    pass(rt, "local s = find(1)\n"
             "local function fails(text, f, ...)\n"
             "  local good, err = pcall(f, ...)\n"
             "  assert(not good and tostring(err):find(text, 1, true), tostring(err))\n"
             "end\n"
             "fails('open: argument 1 must be an object of viewer.Study (a no value was given)', "
             "s.open)\n"
             "fails('(a nil was given)', s.open, nil)\n"
             "fails('(a number was given)', s.open, 5)\n"
             "fails('object of viewer.Study', s.open, find(0))\n"
             "fails('object of viewer.Study', s.open, io and io.stdout or {})");
    modalua_destroy(rt);
    CHECK(alive == 0);
}

/* The result of a function, and a value of JSON, cannot be an object. */
static void test_no_json(void)
{
    modalua_runtime *rt = with_find(0);
    const char *json;
    CHECK(modalua_call(rt, "find", "1", &json) == MODALUA_E_SCRIPT && !json);
    CHECK(strstr(modalua_last_error(rt), "cannot encode a"));
    modalua_destroy(rt);
    CHECK(alive == 0);
}

/* ---- the finalizer ---- */

static void test_finalizer(void)
{
    bool destroyed = false;
    modalua_config config = watched();
    modalua_runtime *rt;
    config.flags = MODALUA_NO_HOOK;
    rt = make(&config);
    CHECK(modalua_register(rt, "find", find, &destroyed) == MODALUA_OK);
    pass(rt, "find(1) collectgarbage()");
    CHECK(destroyed && alive == 0);
    destroyed = false;
    pass(rt, "local outside\n"
             "do local s <close> = find(1) assert(s:open().number == 1) outside = s end\n"
             "assert(tostring(outside) == 'viewer.Study (closed)')\n"
             "local good, err = pcall(outside.open, outside)\n"
             "assert(not good and err:find 'is closed', err)\n"
             "assert(find(2):compare(outside) == 0)");
    CHECK(destroyed);
    pass(rt, "collectgarbage()");
    CHECK(alive == 0);
    destroyed = false;
    pass(rt, "kept = find(3) collectgarbage()");
    CHECK(!destroyed && alive == 1);
    modalua_destroy(rt);
    CHECK(destroyed && alive == 0);
}

/* ---- replies that were kept ---- */

static void *answer_object(void *object)
{
    CHECK(modalua_reply_object(kept, &study_class, object) == MODALUA_OK);
    return NULL;
}

static void test_kept(void)
{
    bool destroyed = false;
    modalua_runtime *rt = with_find(0);
    pthread_t thread;
    study *s = make_study(5, NULL);
    kept = NULL;
    CHECK(start(rt, "assert(find(1):later():open().number == 5)") == MODALUA_OK);
    while (!kept)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_reply_object(kept, &study_class, NULL) == MODALUA_E_INVALID);
    CHECK(modalua_reply_object(kept, NULL, s) == MODALUA_E_INVALID);
    CHECK(!modalua_argument_object(kept, 1, &study_class));
    CHECK(pthread_create(&thread, NULL, answer_object, s) == 0);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    kept = NULL;
    CHECK(start(rt, "find(1):later()") == MODALUA_OK);
    while (!kept)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    modalua_cancel(rt);
    CHECK(finish(rt) == MODALUA_E_CANCELLED);
    s = make_study(6, &destroyed);
    CHECK(modalua_reply_object(kept, &study_class, s) == MODALUA_OK && destroyed); /* too late */
    modalua_destroy(rt);
    CHECK(alive == 0);
}

/* Answered, and cancelled before the script goes on. */
static void test_answered_and_cancelled(void)
{
    modalua_runtime *rt = with_find(0);
    kept = NULL;
    CHECK(start(rt, "find(1):later()") == MODALUA_OK);
    while (!kept)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_reply_object(kept, &study_class, make_study(6, NULL)) == MODALUA_OK);
    modalua_cancel(rt);
    CHECK(finish(rt) == MODALUA_E_CANCELLED);
    modalua_destroy(rt);
    CHECK(alive == 0);
}

/* ---- the `user` of a function ---- */

static void use(void *user, const char *arguments, modalua_reply *reply)
{
    char json[20];
    (void)arguments;
    snprintf(json, sizeof json, "%d", ((study *)user)->number);
    CHECK(modalua_reply_json(reply, json) == MODALUA_OK);
}

static int register_study(modalua_runtime *rt, const char *name, modalua_function f,
                          bool *destroyed)
{
    *destroyed = false;
    return modalua_register_owned(rt, name, f, make_study(1, destroyed), study_free);
}

static void test_users(void)
{
    bool first, second, wrong;
    modalua_config config = watched();
    modalua_runtime *rt;
    config.flags = MODALUA_NO_HOOK;
    rt = make(&config);
    CHECK(register_study(rt, "f", use, &first) == MODALUA_OK);
    pass(rt, "old = f assert(f() == 1) collectgarbage()");
    CHECK(register_study(rt, "f", use, &second) == MODALUA_OK);
    pass(rt, "collectgarbage() assert(old() == 1)");
    CHECK(!first); /* the script has the old function */
    pass(rt, "old = nil collectgarbage()");
    CHECK(first && !second);
    CHECK(register_study(rt, "no name", use, &wrong) == MODALUA_E_INVALID && wrong);
    CHECK(register_study(NULL, "f", use, &wrong) == MODALUA_E_INVALID && wrong);
    CHECK(register_study(rt, "g", NULL, &wrong) == MODALUA_OK && wrong);
    pass(rt, "number = 1");
    CHECK(register_study(rt, "number.f", use, &wrong) == MODALUA_E_INVALID);
    CHECK(modalua_set_object(rt, "number.f", &study_class, make_study(1, NULL)) ==
          MODALUA_E_INVALID);
    CHECK(modalua_set_object(rt, "o", &study_class, NULL) == MODALUA_E_INVALID);
    pass(rt, "collectgarbage()");
    CHECK(wrong && alive == 1);
    CHECK(modalua_register_owned(rt, "h", use, NULL, NULL) == MODALUA_OK);
    modalua_destroy(rt);
    CHECK(second && alive == 0);
}

static void test_wrong_classes(void)
{
    static const modalua_method hole[] = { { "f", NULL }, { NULL, NULL } };
    static const modalua_class wrong[] = { { 0, "x", NULL, NULL },
                                           { sizeof(modalua_class), NULL, NULL, NULL },
                                           { sizeof(modalua_class), "x", hole, NULL } };
    modalua_runtime *rt = make(NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(modalua_set_object(rt, "x", &wrong[i], rt) == MODALUA_E_INVALID);
    CHECK(modalua_set_object(rt, "x", NULL, rt) == MODALUA_E_INVALID);
    CHECK(!modalua_argument_object(NULL, 1, &study_class));
    CHECK(modalua_reply_object(NULL, &study_class, rt) == MODALUA_E_INVALID);
    modalua_destroy(rt);
}

int main(void)
{
    test_methods(0);
    test_methods(MODALUA_NO_HOOK);
    test_methods(MODALUA_SANDBOX);
    test_no_json();
    test_finalizer();
    test_kept();
    test_answered_and_cancelled();
    test_users();
    test_wrong_classes();
    return 0;
}
