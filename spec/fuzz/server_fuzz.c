/* server_fuzz.c - fuzzes how a server is named: its URL, proxy, credentials and headers. The input has
 * NULs between them. A message about them has no secret; the URL of a server has no
 * credentials left; and the request that libcurl writes has one request line and the headers that it
 * should have, whatever the texts are. libcurl writes it into a pair of sockets: nothing leaves the
 * process, and no name is resolved. Link with --wrap=curl_easy_init. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ascii.h"
#include "fuzz.h"
#include "http/http.h"
#include "http/server.h"

static int remote = -1; /* the end of the server; libcurl has the other one, and closes it */

/* ---- libcurl's socket ---- */

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    int pair[2];
    (void)user;
    (void)purpose;
    (void)address;
    if (remote >= 0)
        return CURL_SOCKET_BAD;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    remote = pair[1];
    return pair[0];
}

static int set_socket(void *user, curl_socket_t socket, curlsocktype purpose)
{
    (void)user;
    (void)socket;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

CURL *__real_curl_easy_init(void);
CURL *__wrap_curl_easy_init(void);

CURL *__wrap_curl_easy_init(void)
{
    static struct curl_slist to = { (char *)"::127.0.0.1:1", NULL };
    CURL *e = __real_curl_easy_init();
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, set_socket);
    curl_easy_setopt(e, CURLOPT_CONNECT_TO, &to);
    return e;
}

/* ---- what is asserted ---- */

static void check_url(const char *url)
{
    const char *host = strstr(url, "://");
    REQUIRE(host && !ascii_has_control(url, strlen(url)) && !strchr(url, ' '));
    host += 3;
    REQUIRE(!memchr(host, '@', strcspn(host, "/?#")));
    REQUIRE(!strpbrk(host, "?#"));
}

static const char *const usual[] = { "Host",   "User-Agent",      "Accept", "Authorization",
                                     "Expect", "Accept-Encoding", NULL };

static bool is_usual(const char *line, size_t name)
{
    for (size_t i = 0; usual[i]; i++)
        if (strlen(usual[i]) == name && strncasecmp(usual[i], line, name) == 0)
            return true;
    return false;
}

/* The head of a request: lines that end with CR LF, the last of them empty, and nothing behind it. */
static void check_head(char *head, const char *extra)
{
    unsigned others = 0;
    char *end = strstr(head, "\r\n"), *line;
    REQUIRE(end != NULL);
    *end = '\0';
    REQUIRE(strncmp(head, "GET /", 5) == 0 && !ascii_has_control(head, strlen(head)));
    REQUIRE(strlen(head) > 16 && strcmp(end - 16, "/system HTTP/1.1") == 0);
    REQUIRE(strchr(head, ' ') + 1 + strcspn(strchr(head, ' ') + 1, " ") == strrchr(head, ' '));
    for (line = end + 2; (end = strstr(line, "\r\n")) != line; line = end + 2) {
        size_t name = strcspn(line, ":");
        REQUIRE(end != NULL);
        *end = '\0';
        REQUIRE(!strpbrk(line, "\r\n"));
        REQUIRE(strncasecmp(line, "Host:", 5) != 0 || !strchr(line, '@') ||
                (extra && strcasecmp(extra, "Host") == 0));
        if (!is_usual(line, name)) {
            REQUIRE(extra && strlen(extra) == name && strncasecmp(extra, line, name) == 0);
            others++;
        }
    }
    REQUIRE(others <= 1 && line[2] == '\0');
}

static void send_request(http *h, http_server *s, const char *extra)
{
    static char head[1 << 20];
    const http_request r = { .method = "GET", .path = "/system", .timeout = 10 };
    http_transfer t = { 0 };
    ssize_t n = 0;
    size_t size = 0;
    REQUIRE(http_begin(&t, h, s, &r));
    for (int i = 0; i < 5; i++) {
        http_perform(h);
        while (remote >= 0 && size < sizeof head - 1 &&
               (n = read(remote, head + size, sizeof head - 1 - size)) > 0)
            size += (size_t)n;
    }
    http_end(&t);
    if (size > 0) {
        head[size] = '\0';
        REQUIRE(strlen(head) == size);
        check_head(head, extra);
    }
    if (remote >= 0)
        close(remote);
    remote = -1;
}

/* ---- one input ---- */

enum { URL, PROXY, USERNAME, PASSWORD, TOKEN, NAME, VALUE, TEXTS };

/* An empty text is an option that is not given. */
static const char *given(char *const *texts, int which)
{
    return texts[which][0] ? texts[which] : NULL;
}

static void try_server(http *h, char *const *texts)
{
    const http_options o = { .url = texts[URL],
                             .proxy = given(texts, PROXY),
                             .username = given(texts, USERNAME),
                             .password = given(texts, PASSWORD),
                             .token = given(texts, TOKEN),
                             .connect_timeout = 1,
                             .max_inflight = 1 };
    char why[200] = "";
    const char *fault = NULL, *extra = given(texts, NAME);
    http_server *s = http_server_new(h, &o, why, sizeof why);
    if (!s) {
        size_t size = strnlen(why, sizeof why);
        REQUIRE(size > 0 && size < sizeof why && !ascii_has_control(why, size));
        for (int i = USERNAME; i <= TOKEN; i++) /* a short text may be in any message */
            REQUIRE(strlen(texts[i]) < 12 || !strstr(why, texts[i]));
        return;
    }
    check_url(http_server_url(s));
    if (s->options.proxy)
        check_url(s->options.proxy);
    REQUIRE(http_server_is_below(s, s));
    if (extra)
        fault = http_server_header(s, extra, texts[VALUE]);
    for (const struct curl_slist *line = s->headers; line; line = line->next)
        REQUIRE(!strpbrk(line->data, "\r\n"));
    if (!s->options.proxy && strncmp(http_server_url(s), "http:", 5) == 0)
        send_request(h, s, fault ? NULL : extra);
    http_server_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = fuzz_begin(data, size);
    char *texts[TEXTS];
    memory m;
    http h;
    host_thread thread = { 0 };
    memory_init(&m, NULL, NULL, 0);
    http_init(&h, &m, &thread);
    for (int i = 0; i < TEXTS; i++)
        texts[i] = fuzz_take(&in, '\0');
    try_server(&h, texts);
    for (int i = 0; i < TEXTS; i++)
        free(texts[i]);
    http_free(&h);
    REQUIRE(m.used == 0);
    return 0;
}
