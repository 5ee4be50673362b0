/* config_faults.c - what is wrong with a config is said when the runtime is made, and which config is right. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "runs.h"

/* Checks that the config is rejected, and that the message contains `part`. */
static void rejected(const modalua_config *config, const char *part)
{
    modalua_runtime *rt;
    const char *fault = modalua_config_fault(config);
    CHECK(fault && strstr(fault, part));
    CHECK(modalua_create(&rt, config) == MODALUA_E_INVALID && !rt);
}

/* A host that was built with a later header: the config has a field that this library does not know.
 * It is rejected unless the field is zero. */
static void test_later_config(void)
{
    struct {
        modalua_config known;
        size_t more;
    } config;
    memset(&config, 0, sizeof config);
    modalua_config_init(&config.known);
    config.known.struct_size = sizeof config;
    modalua_destroy(make(&config.known));
    config.more = 1;
    rejected(&config.known, "later version");
}

/* A host that was built with an older header: the library does not read beyond the host's struct. */
static void test_older_config(void)
{
    modalua_config config;
    modalua_runtime *rt;
    memset(&config, 0xff, sizeof config);
    config.struct_size = sizeof config.struct_size + sizeof config.memory_limit;
    config.memory_limit = 0;
    rt = make(&config);
    CHECK(run(rt, "assert(1 + 1 == 2)") == MODALUA_OK);
    modalua_destroy(rt);
}

/* Without a free descriptor: the failure leaves the host's strings alone, also one in read-only
 * memory. */
static void test_no_descriptors(void)
{
    struct rlimit before, none;
    modalua_config config;
    modalua_runtime *rt;
    int status, error;
    modalua_config_init(&config);
    config.url = "http://127.0.0.1:1";
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    status = modalua_create(&rt, &config);
    error = errno;
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(status == MODALUA_E_SYSTEM && !rt && error == EMFILE);
    CHECK(strcmp(config.url, "http://127.0.0.1:1") == 0);
}

/* Each is no URL of a server: the config is refused, and not only the connect of a script. */
static void test_urls(void)
{
    static const char *const wrong[] = { "nonsense",
                                         "",
                                         " ",
                                         "localhost:8042",
                                         "ftp://host",
                                         "http://",
                                         "http://a b",
                                         "http://host:port",
                                         "http://host:99999",
                                         "http://host/?x",
                                         "http://host/#x",
                                         "http://user@host",
                                         "x@y@z",
                                         "ftp://x@y@z",
                                         "http://u:p@q@a b",
                                         "http://host\n" };
    static const char *const right[] = { "http://u:hun@ter2@localhost", "http://localhost:8042",
                                         "https://user:pass@host/path/", "HTTP://[::1]:8042" };
    modalua_config config;
    modalua_config_init(&config);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config.url = wrong[i];
        rejected(&config, "url must be a URL");
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        config.url = right[i];
        CHECK(!modalua_config_fault(&config));
    }
    config.url = "http://user:pass@host";
    config.token = "t";
    rejected(&config, "url has credentials");
    config.url = config.token = NULL;
    config.flags = MODALUA_SANDBOX;
    config.servers = "http://a http://b/c";
    CHECK(!modalua_config_fault(&config));
    config.servers = " ";
    CHECK(!modalua_config_fault(&config));
    config.servers = "http://a http://b/?x"; /* connect refuses that one alone */
    CHECK(!modalua_config_fault(&config));
    config.servers = "http://a nonsense";
    rejected(&config, "servers must be URLs");
}

static void test_server_config(void)
{
    static const char *const wrong[] = {
        "X", "X y: z", ": v", "X: a\rb", "A: b\nX", "\xC3\xA9: x"
    };
    modalua_config config, with;
    modalua_config_init(&config);
    config.url = "http://host";
    with = config;
    with.timeout = -1;
    rejected(&with, "timeout");
    with.timeout = 0.0 / 0.0;
    rejected(&with, "timeout");
    with = config;
    with.key = "k.pem";
    rejected(&with, "a key needs a cert");
    with.cert = "c.pem";
    CHECK(!modalua_config_fault(&with));
    with = config;
    with.proxy = "gopher://x";
    rejected(&with, "proxy must be a URL");
    with.proxy = "socks5h://user:pass@host:1080";
    CHECK(!modalua_config_fault(&with));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        with = config;
        with.headers = wrong[i];
        rejected(&with, "headers must be lines");
    }
    with.headers = "A: b\n\nEmpty:\nC:d:e\n";
    CHECK(!modalua_config_fault(&with));
    with.url = NULL;
    rejected(&with, "need url");
    with = config;
    with.url = NULL;
    with.server_max_inflight = 1;
    rejected(&with, "need url");
}

static void test_config(void)
{
    modalua_config config, with;
    modalua_config_init(&config);
    CHECK(!modalua_config_fault(&config) && !modalua_config_fault(NULL));
    CHECK(modalua_create(NULL, NULL) == MODALUA_E_INVALID);
    with = config;
    with.password = "secret";
    rejected(&with, "username");
    with = config;
    with.run_seconds = -1;
    rejected(&with, "run_seconds");
    with.run_seconds = 0.0 / 0.0;
    rejected(&with, "run_seconds");
    with = config;
    with.burst_seconds = -1;
    rejected(&with, "burst_seconds");
    with = config;
    with.grace_seconds = -1;
    rejected(&with, "grace_seconds");
    with = config;
    with.url = with.profile = "x";
    rejected(&with, "url or profile");
    with = config;
    with.servers = "http://127.0.0.1"; /* without a sandbox it would have no effect */
    rejected(&with, "MODALUA_SANDBOX");
    with = config;
    with.flags = 1U << 30;
    rejected(&with, "flags");
    with = config;
    with.struct_size = 0;
    rejected(&with, "modalua_config_init");
    test_urls();
    test_server_config();
    test_later_config();
    test_older_config();
    test_no_descriptors();
}

int main(void)
{
    test_config();
    return 0;
}
