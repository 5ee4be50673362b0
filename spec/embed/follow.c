/* follow.c - a host that tells changes { follow = true } when there are new changes, and where to begin; and a
 * transport for one server, beside which libcurl reaches another one. */
#include <stdbool.h>
#include <stdlib.h>

#include "runs.h"

typedef struct log_host {
    char told[1000];      /* the arguments of all calls of `follow` */
    char place[20];       /* the answer to the first one */
    modalua_reply *reply; /* that is kept */
    int last;             /* the Seq of the last change in the log */
    unsigned pages;       /* requests for changes */
} log_host;

/* The log: the changes behind `since`. */
static void send_request(void *user, const modalua_request *q, modalua_response *r)
{
    static const char *const json[] = { "Content-Type: application/json", NULL };
    log_host *h = user;
    char body[2000] = "{\"Changes\":[";
    const char *since = strstr(q->url, "since=");
    int first = since ? atoi(since + 6) : h->last;
    size_t size = strlen(body);
    CHECK(strncmp(q->url, "http://inside.invalid/changes", 29) == 0);
    h->pages += since != NULL;
    for (int i = first + 1; i <= h->last; i++)
        size += (size_t)snprintf(body + size, sizeof body - size,
                                 "%s{\"Seq\":%d,\"ChangeType\":\"%s\",\"ID\":\"a\"}",
                                 i == first + 1 ? "" : ",", i, i % 2 ? "NewStudy" : "StableStudy");
    snprintf(body + size, sizeof body - size, "],\"Last\":%d,\"Done\":true}", h->last);
    CHECK(modalua_response_head(r, 200, json) == MODALUA_OK);
    CHECK(modalua_response_write(r, body, strlen(body)) == MODALUA_OK);
    CHECK(modalua_response_end(r) == MODALUA_OK);
}

static void follow(void *user, const char *arguments, modalua_reply *reply)
{
    log_host *h = user;
    CHECK(strlen(h->told) + strlen(arguments) < sizeof h->told);
    strcat(h->told, arguments);
    if (strstr(arguments, ",null,")) {
        CHECK(modalua_reply_json(reply, h->place) == MODALUA_OK);
    } else if (strstr(arguments, ",true,")) {
        CHECK(!h->reply && modalua_reply_keep(reply) == MODALUA_OK);
        h->reply = reply;
    }
}

static modalua_runtime *make_follower(log_host *h, const char *place, int last)
{
    modalua_config config = watched();
    memset(h, 0, sizeof *h);
    strcpy(h->place, place);
    h->last = last;
    config.url = config.transport_url = "http://inside.invalid";
    config.user = h;
    config.transport = send_request;
    config.follow = follow;
    return make(&config);
}

/* Steps until the loop waits for a change, at its n-th request for changes. */
static void until_waiting(modalua_runtime *rt, const log_host *h, unsigned n)
{
    while (!(h->reply && h->pages >= n))
        CHECK(modalua_step(rt, 10) == MODALUA_WORKING);
}

static void tell(log_host *h, int last)
{
    char seen[20];
    modalua_reply *r = h->reply;
    h->reply = NULL;
    h->last = last;
    snprintf(seen, sizeof seen, "%d", last);
    CHECK(modalua_reply_json(r, seen) == MODALUA_OK);
}

static void check_seen(modalua_runtime *rt, const char *seen)
{
    const char *json;
    CHECK(modalua_get_global(rt, "seen", &json) == MODALUA_OK);
    if (strcmp(json, seen) != 0)
        fprintf(stderr, "%s\n", json);
    CHECK(strcmp(json, seen) == 0);
}

#define LOOP(options)                                                 \
    "seen = '' for c in require 'modalua'.connect():changes " options \
    " do seen = seen .. c.Seq .. ' ' end"

static void new_loop(void)
{
    log_host h;
    modalua_runtime *rt = make_follower(&h, "null", 5);
    CHECK(start(rt, LOOP("{ follow = true, interval = 1000 }")) == MODALUA_OK);
    until_waiting(rt, &h, 1);
    check_seen(rt, "\"\"");
    tell(&h, 7);
    until_waiting(rt, &h, 2);
    check_seen(rt, "\"6 7 \"");
    CHECK(strcmp(h.told,
                 "[\"\",null,true,null][\"\",5,false,null][\"\",5,true,null][\"\",6,false,7]"
                 "[\"\",7,false,7][\"\",7,true,7]") == 0);
    CHECK(modalua_reply_error(h.reply, NULL, "the host ends") == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_E_SCRIPT);
    CHECK(strstr(modalua_last_error(rt), "the host ends"));
    modalua_destroy(rt);
}

static void loop_that_goes_on(void)
{
    log_host h;
    modalua_runtime *rt = make_follower(&h, "2", 5);
    CHECK(start(rt, LOOP("{ follow = true, type = { 'StableStudy', 'NewSeries' } }")) ==
          MODALUA_OK);
    until_waiting(rt, &h, 1);
    check_seen(rt, "\"4 \"");
    CHECK(strstr(h.told, "[\"NewSeries,StableStudy\",null,true,null]") == h.told);
    CHECK(strstr(h.told, ",4,false,null]") && strstr(h.told, ",5,true,null]"));
    modalua_reply_error(h.reply, NULL, "");
    modalua_destroy(rt);
}

static void loop_with_a_place_of_its_own(void)
{
    log_host h;
    modalua_runtime *rt = make_follower(&h, "2", 5);
    CHECK(start(rt, LOOP("{ follow = true, since = 4 }")) == MODALUA_OK);
    until_waiting(rt, &h, 1);
    check_seen(rt, "\"5 \"");
    CHECK(strcmp(h.told, "[null,5,false,null][null,5,true,null]") == 0);
    modalua_reply_error(h.reply, NULL, "");
    modalua_destroy(rt);
}

/* libcurl sends the requests to other servers, also to one with a similar URL. */
static void other_server(const char *url)
{
    log_host h;
    char code[1000];
    modalua_runtime *rt = make_follower(&h, "null", 0);
    snprintf(code, sizeof code,
             "local m = require 'modalua'\n"
             "assert(m.connect('%s'):get '/ok')\n"
             "assert(m.connect():get('/changes', { since = 0 }).Last == 0)\n"
             "local _, e = m.connect('http://inside.invalid.x', { retries = 0 }):get '/changes'\n"
             "assert(e.kind == 'network', e)\n"
             "assert(m.connect('http://inside.invalid/'):get '/changes')",
             url);
    pass(rt, code);
    modalua_destroy(rt);
}

static void faults(void)
{
    modalua_config config;
    modalua_config_init(&config);
    config.transport_url = "http://a";
    CHECK(strstr(modalua_config_fault(&config), "need transport"));
    config.transport = send_request;
    CHECK(!modalua_config_fault(&config));
    config.transport_url = "a b";
    CHECK(strstr(modalua_config_fault(&config), "transport_url must be a URL"));
}

int main(int argc, char **argv)
{
    const char *url = server_url(argc, argv);
    new_loop();
    loop_that_goes_on();
    loop_with_a_place_of_its_own();
    other_server(url);
    faults();
    return 0;
}
