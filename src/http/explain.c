#include "http/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/bounds.h"
#include "http/server.h"

/* ---- descriptors ---- */

/* Whether this process, or the system, has no descriptor or no memory left for a socket. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

curl_socket_t explain_on_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *a)
{
    http_transfer *t = transfer;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    (void)purpose;
    t->looks_up = false;
    if (fd < 0 && is_shortage(errno))
        t->socket_error = errno;
    t->h->counts.sockets += fd >= 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

int explain_on_close(void *whole, curl_socket_t fd)
{
    http *h = whole;
    h->counts.sockets--;
    return close(fd);
}

/* What the system says when the descriptors that a resolver needs are opened; 0: it gives them. */
static int resolver_error(void)
{
    enum { NEEDED = 4 };
    int fds[NEEDED], count = 0, error = 0;
    while (count < NEEDED && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    if (count < NEEDED)
        error = errno;
    while (count > 0)
        close(fds[--count]);
    return is_shortage(error) ? error : 0;
}

static int shortage_behind(const http_transfer *t)
{
    switch (t->curl_code) {
    case CURLE_COULDNT_CONNECT: return t->socket_error;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return resolver_error();
    default: return 0;
    }
}

/* ---- certificates ---- */

/* Whether the server has refused our certificate, or asked for one. By TLS 1.3 it says so after the
 * handshake, and libcurl takes that for a lost connection. OpenSSL's texts contain the names of RFC 8446
 * 6.2. */
static bool is_tls_refusal(const http_transfer *t)
{
    static const char *const alerts[] = { "certificate", "unknown ca", "access denied",
                                          "handshake failure", "decrypt error" };
    const char *alert = strstr(t->error, " alert ");
    if (!alert || (t->curl_code != CURLE_RECV_ERROR && t->curl_code != CURLE_SEND_ERROR))
        return false;
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++)
        if (strstr(alert, alerts[i]))
            return true;
    return false;
}

/* Whether the file is a private key, in PEM's form, that is encrypted. */
static bool is_encrypted_key(const char *file)
{
    char text[4096];
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "-----BEGIN ENCRYPTED PRIVATE KEY") ||
           strstr(text, "Proc-Type: 4,ENCRYPTED");
}

/* Whether the certificate or the key of the client is the wrong argument that libcurl complains about. */
static bool is_fault_of_key(const http_transfer *t, const char *file)
{
    return access(file, R_OK) != 0 || is_encrypted_key(file) || strstr(t->error, "private key") ||
           strstr(t->error, "client certificate");
}

/* The key of the client's certificate cannot be used: OpenSSL does not say that a passphrase is lacking. From 8.16 on
 * libcurl takes a key that cannot be read for a wrong argument. */
static void explain_key(http_transfer *t)
{
    const http_options *o = &t->server->options;
    const char *file = o->key ? o->key : o->cert;
    if (t->curl_code == CURLE_BAD_FUNCTION_ARGUMENT && file && is_fault_of_key(t, file))
        t->curl_code = CURLE_SSL_CERTPROBLEM;
    if (t->curl_code != CURLE_SSL_CERTPROBLEM || !file || !is_encrypted_key(file))
        return;
    if (o->key_password)
        snprintf(t->error, sizeof t->error, "the passphrase does not fit the private key %.100s",
                 file);
    else
        snprintf(t->error, sizeof t->error,
                 "the private key %.100s needs a passphrase: option key_password; at the shell "
                 "--key-password-file or MODALUA_KEY_PASSWORD",
                 file);
}

/* The first certificate is that of the server; those that signed it follow. Some versions of libcurl tell it also when
 * it could not be verified, others do not. */
void explain_certificate(http_transfer *t)
{
    static const char key[] = "Expire date:";
    struct curl_certinfo *info = NULL;
    if (!t->request.certificate || t->curl_code == CURLE_PEER_FAILED_VERIFICATION ||
        curl_easy_getinfo(t->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info->num_of_certs < 1)
        return;
    for (const struct curl_slist *line = info->certinfo[0]; line; line = line->next)
        if (strncmp(line->data, key, sizeof key - 1) == 0)
            snprintf(t->certificate_end, sizeof t->certificate_end, "%.60s",
                     line->data + sizeof key - 1);
}

/* ---- all of it ---- */

void explain_failure(http_transfer *t)
{
    int shortage;
    if (t->fault == HTTP_REFUSED)
        bounds_is_late(t); /* libcurl has written a text of its own since */
    if (t->fault != HTTP_CURL)
        return;
    shortage = shortage_behind(t);
    if (shortage)
        snprintf(t->error, sizeof t->error, "%s", strerror(shortage));
    explain_key(t);
    if (is_tls_refusal(t))
        t->curl_code = CURLE_SSL_CLIENTCERT;
    if (t->server->bad_proxy && strstr(t->error, HTTP_BAD_PROXY)) {
        t->curl_code = CURLE_URL_MALFORMAT;
        snprintf(t->error, sizeof t->error, "%s is not a valid URL; write it as " HTTP_PROXY_FORM,
                 t->server->bad_proxy);
    }
}
