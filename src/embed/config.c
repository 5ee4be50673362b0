#include "embed/config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/http.h"

enum { FLAGS = MODALUA_NO_GLOBAL_INIT | MODALUA_NO_HOOK | MODALUA_ENVIRONMENT | MODALUA_SANDBOX };

void modalua_config_init(modalua_config *config)
{
    if (!config)
        return;
    memset(config, 0, sizeof *config);
    config->struct_size = sizeof *config;
}

/* Whether a field is set that only a later version of the library knows: it may be a limit that the
 * host relies on. */
static bool has_unknown_field(const modalua_config *c)
{
    size_t i = sizeof *c;
    while (i < c->struct_size && ((const unsigned char *)c)[i] == 0)
        i++;
    return i < c->struct_size;
}

/* Where the host of the URL begins when its password has an '@' that is not encoded; NULL: it has none.
 * connect says what is wrong with that. */
static const char *host_behind_password(const char *url)
{
    const char *scheme_end = strstr(url, "://"), *first = NULL, *last = NULL;
    for (const char *at = scheme_end ? scheme_end + 3 : ""; *at && !strchr("/?#", *at); at++)
        if (*at == '@') {
            first = first ? first : at;
            last = at;
        }
    return last != first ? last + 1 : NULL;
}

static bool is_url(const char *url)
{
    const char *host = host_behind_password(url);
    char *bare;
    bool good;
    if (!host)
        return !http_server_fault(&(http_options){ .url = url });
    bare = strdup(url);
    if (!bare)
        return true;
    strcpy(strstr(bare, "://") + 3, host);
    good = !http_server_fault(&(http_options){ .url = bare });
    explicit_bzero(bare, strlen(url));
    free(bare);
    return good;
}

/* Whether all words of the text are URLs, which may have a query: connect refuses that one alone. False
 * when there is not enough memory to know it. */
static bool are_urls(const char *text)
{
    char *copy = strdup(text), *rest = NULL;
    bool good = copy != NULL;
    for (char *url = good ? strtok_r(copy, " \t\n", &rest) : NULL; url && good;
         url = strtok_r(NULL, " \t\n", &rest)) {
        url[strcspn(url, "?#")] = '\0';
        good = is_url(url);
    }
    free(copy);
    return good;
}

static const char *fault_of_server(const modalua_config *c)
{
    if (c->url && !is_url(c->url))
        return "url must be a URL such as http://host:8042 or https://host/path, without '?' and "
               "'#'";
    if (c->url && (c->username || c->token) &&
        http_server_fault(
            &(http_options){ .url = c->url, .username = c->username, .token = c->token }))
        return "url has credentials, and username or token are given too; or token has control "
               "characters";
    if (c->proxy && http_server_fault(&(http_options){ .url = "http://host", .proxy = c->proxy }))
        return "proxy must be a URL such as http://host:3128 or socks5://host:1080";
    if (c->headers && http_header_lines_fault(c->headers))
        return "headers must be lines such as \"Name: value\", without control characters";
    if (c->servers && !are_urls(c->servers))
        return "servers must be URLs such as http://host:8042, with blanks between them";
    return NULL;
}

/* !(x >= 0) instead of x < 0, so that NaN is refused too. */
static const char *fault_of(const modalua_config *c)
{
    if (c->flags & ~(unsigned)FLAGS)
        return "flags has a bit that this version of the library does not know";
    if (!(c->run_seconds >= 0))
        return "run_seconds must be 0 or more";
    if (!(c->burst_seconds >= 0))
        return "burst_seconds must be 0 or more";
    if (!(c->grace_seconds >= 0))
        return "grace_seconds must be 0 or more";
    if (c->password && !c->username)
        return "a password needs a username";
    if (c->profile && c->url)
        return "give url or profile, not both: a profile has its own URL";
    if (c->log_level < MODALUA_LOG_DEBUG || c->log_level > MODALUA_LOG_ERROR)
        return "log_level must be a value of enum modalua_log_level";
    if (c->servers && !(c->flags & MODALUA_SANDBOX))
        return "servers needs MODALUA_SANDBOX in flags: it has no effect outside a sandbox";
    if (!(c->timeout >= 0))
        return "timeout must be 0 or more";
    if (c->key && !c->cert)
        return "a key needs a cert";
    if (!c->url && (c->proxy || c->headers || c->timeout > 0 || c->server_max_inflight))
        return "proxy, headers, timeout and server_max_inflight need url: they belong to that "
               "server";
    if ((c->transport_url || c->follow) && !c->transport)
        return "transport_url and follow need transport";
    if (c->transport_url && !is_url(c->transport_url))
        return "transport_url must be a URL such as http://host:8042, without '?' and '#'";
    return fault_of_server(c);
}

const char *config_read(modalua_config *full, const modalua_config *given)
{
    modalua_config_init(full);
    if (!given)
        return NULL;
    if (given->struct_size < sizeof given->struct_size)
        return "struct_size is not set: call modalua_config_init first";
    if (has_unknown_field(given))
        return "a field is set that only a later version of the library knows";
    memcpy(full, given, given->struct_size < sizeof *full ? given->struct_size : sizeof *full);
    full->struct_size = sizeof *full;
    return fault_of(full);
}

const char *modalua_config_fault(const modalua_config *config)
{
    modalua_config full;
    return config_read(&full, config);
}
