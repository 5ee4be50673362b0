/* server_config.c - the default server in the config: headers, timeout, requests at the same time, proxy
 * and certificates belong to it, and to no other server. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include "runs.h"

static const char headers[] = "X-Token: t0ken\nX-Other: one two\n\nX-Empty:\nX-Mine: host";

static void test_headers(const char *url, unsigned flags)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.headers = headers;
    config.flags = flags;
    config.servers = flags ? url : NULL;
    rt = make(&config);
    pass(rt, "local modalua = require 'modalua'\n"
             "function sent(...)\n"
             "  assert(modalua.connect(...):get '/ok')\n"
             "  local heads = modalua.connect():get '/heads'\n"
             "  return heads[#heads] .. '\\r\\n'\n"
             "end\n"
             "local head = sent()\n"
             "assert(head:find('\\r\\nX-Token: t0ken\\r\\n', 1, true), head)\n"
             "assert(head:find('\\r\\nX-Other: one two\\r\\n', 1, true), head)\n"
             "assert(head:find('\\r\\nX-Empty:\\r\\n', 1, true), head)\n"
             "head = sent { headers = { ['x-mine'] = 'script', ['X-New'] = '1' } }\n"
             "assert(head:find('x-mine: script', 1, true) and not head:find 'X-Mine', head)\n"
             "assert(head:find 'X%-Token' and head:find 'X%-New', head)");
    modalua_destroy(rt);
}

/* The same server, but the script has named it: it gets nothing of the host. */
static void test_named_server(const char *url)
{
    char code[400];
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.headers = headers;
    config.timeout = 0.05;
    config.proxy = "http://127.0.0.1:1";
    config.ca = config.cert = "/nosuch.pem";
    rt = make(&config);
    snprintf(code, sizeof code,
             "local c = require 'modalua'.connect '%s'\n"
             "assert(c:get('/delay', {s = 0.2}))\n"
             "local heads = c:get '/heads' assert(not heads[#heads]:find 'X%%-Token')",
             url);
    pass(rt, code);
    modalua_destroy(rt);
}

static void test_numbers(const char *url)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.timeout = 0.2;
    config.server_max_inflight = 1;
    rt = make(&config);
    pass(rt, "local modalua, task = require 'modalua', require 'modalua.task'\n"
             "local c = modalua.connect { retries = 0 }\n"
             "local none, err = c:get '/hang' assert(none == nil and err.kind == 'timeout', err)\n"
             "c = modalua.connect { timeout = 60 }\n"
             "while c:get '/requests'.open > 1 do end\n" /* the server has seen that one end */
             "c:post '/reset'\n"
             "task.map({1, 2, 3}, function() assert(c:get('/delay', {s = 0.05})) end)\n"
             "assert(c:get '/requests'.peak == 1)\n"
             "c = modalua.connect { timeout = 60, max_inflight = 3 } c:post '/reset'\n"
             "task.map({1, 2, 3}, function() assert(c:get '/barrier?n=3&name=three') end)");
    modalua_destroy(rt);
}

/* The fault server plays the proxy. Its password is in no message. */
static void test_proxy(const char *url)
{
    char proxy[200];
    modalua_config config = watched();
    modalua_runtime *rt;
    snprintf(proxy, sizeof proxy, "http://user:hunter2@%s", url + 7);
    config.url = "http://nosuch.invalid";
    config.proxy = proxy;
    rt = make(&config);
    pass(rt,
         "local modalua = require 'modalua'\n"
         "assert(modalua.connect():get '/echo')\n"
         "local good, err = modalua.connect { proxy = 'http://127.0.0.1:1', retries = 0 }:get "
         "'/ok'\n"
         "assert(not good and err.kind == 'network' and not tostring(err):find 'hunter2', err)");
    modalua_destroy(rt);
}

/* libcurl names the file that it cannot read. */
static void test_certificates(const char *url)
{
    char https[200];
    static const char *const files[] = { "/nosuch-ca.pem", "/nosuch-cert.pem" };
    snprintf(https, sizeof https, "https://%s", url + 7);
    for (int i = 0; i < 2; i++) {
        modalua_config config = watched();
        modalua_runtime *rt;
        config.url = https;
        config.ca = i == 0 ? files[i] : NULL;
        config.cert = i == 1 ? files[i] : NULL;
        rt = make(&config);
        CHECK(run(rt, "assert(require 'modalua'.connect { retries = 0 }:get '/ok')") ==
              MODALUA_E_SCRIPT);
        if (!strstr(modalua_last_error(rt), files[i]))
            fprintf(stderr, "%s\n", modalua_last_error(rt));
        CHECK(strstr(modalua_last_error(rt), files[i]));
        modalua_destroy(rt);
    }
}

/* Certificates need no url: they are then for the server of a profile. The passphrase is a string of the
 * config like the others, and default_ca is for servers that the script has named, too. */
static void test_more_certificates(const char *url)
{
    char https[200], code[400];
    modalua_config config = watched();
    modalua_runtime *rt;
    snprintf(https, sizeof https, "https://%s", url + 7);
    config.ca = config.cert = config.key = "/nosuch.pem";
    config.key_password = "hunter2";
    config.insecure = 1;
    CHECK(!modalua_config_fault(&config));
    config = watched();
    config.default_ca = "/nosuch-default.pem";
    rt = make(&config);
    snprintf(code, sizeof code,
             "assert(require 'modalua'.connect('%s', { retries = 0 }):get '/ok')", https);
    CHECK(run(rt, code) == MODALUA_E_SCRIPT);
    CHECK(strstr(modalua_last_error(rt), "/nosuch-default.pem"));
    modalua_destroy(rt);
}

/* The message of a 401 names what the host has and did not send; that of another server only says that
 * the credentials of the default server are not for it. */
static void test_unsent(const char *url)
{
    static const char ask[] =
        "assert(require 'modalua'.connect(%s%s%s):get '/auth?user=u&password=p')";
    char code[400];
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.unsent = "the badge of the night shift was not sent";
    rt = make(&config);
    snprintf(code, sizeof code, ask, "", "", "");
    CHECK(run(rt, code) == MODALUA_E_SCRIPT);
    CHECK(strstr(modalua_last_error(rt), "(HTTP 401); the badge of the night shift was not sent"));
    modalua_destroy(rt);
    config.unsent = NULL;
    config.username = "me";
    config.password = "hunter2";
    config.url = "http://127.0.0.1:1";
    rt = make(&config);
    snprintf(code, sizeof code, ask, "'", url, "'");
    CHECK(run(rt, code) == MODALUA_E_SCRIPT);
    CHECK(strstr(modalua_last_error(rt), "the credentials of the default server were not sent"));
    CHECK(!strstr(modalua_last_error(rt), "hunter2"));
    modalua_destroy(rt);
}

/* A sandboxed script cannot set what leads elsewhere, and has the host's all the same. */
static void test_sandbox(const char *url)
{
    char proxy[200];
    modalua_config config = watched();
    modalua_runtime *rt;
    snprintf(proxy, sizeof proxy, "http://%s", url + 7);
    config.flags = MODALUA_SANDBOX;
    config.url = "http://nosuch.invalid";
    config.proxy = proxy;
    rt = make(&config);
    pass(rt, "local modalua = require 'modalua'\n"
             "assert(modalua.connect():get '/echo')\n"
             "assert(not pcall(modalua.connect, { proxy = 'http://127.0.0.1:1' }))");
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    test_headers(argv[1], 0);
    test_headers(argv[1], MODALUA_SANDBOX);
    test_named_server(argv[1]);
    test_numbers(argv[1]);
    test_proxy(argv[1]);
    test_certificates(argv[1]);
    test_more_certificates(argv[1]);
    test_unsent(argv[1]);
    test_sandbox(argv[1]);
    return 0;
}
