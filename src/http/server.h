/* http/server.h - a server as the files of this folder see it; no other folder includes it. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/http.h"

/* How a proxy is written, for messages. */
#define HTTP_PROXY_FORM "http://host:3128 or socks5://host:1080"

/* Stands for a proxy that cannot be used. libcurl refuses it, and quotes it in its message. */
#define HTTP_BAD_PROXY "http://["

/* One host and port, shared by all servers that name it: it limits their transfers. */
struct http_origin {
    http_origin *next;
    char *name;        /* host:port; an IPv6 zone is part of the host */
    unsigned users;    /* servers that name it */
    unsigned running;  /* transfers that have started and not ended, without those apart */
    unsigned apart;    /* such cleanup requests, beside max_inflight */
    http_list waiting; /* transfers that have not started */
};

struct http_server {
    http *h;
    http_origin *origin;
    http_options options; /* its strings are copies; its URLs have no credentials inside */
    const char *proxy_username, *proxy_password;
    /* the variable of the environment that names an unusable proxy, or NULL */
    const char *bad_proxy;
    struct curl_slist *headers, *last_header;
    size_t root; /* the length of the URL up to the root that http_server_set_root has set */
    size_t header_bytes; /* on the account, for the headers: libcurl's memory */
    bool numeric;        /* no name is looked up to reach it */
    bool loopback;
    bool of_host;       /* the host's transport carries out its requests */
    bool authorization; /* there is an Authorization header among the headers */
};

/* Initialises libcurl, once in the process. */
bool http_global_init(const http *h);

#endif
