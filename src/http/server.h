/* http/server.h - what http.c and http/server.c share; nobody else includes it. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/http.h"

struct http_gate {
    http_gate *next;
    char *origin;     /* host:port */
    unsigned users;   /* servers that name it */
    unsigned running; /* transfers let in */
    http_list queue;
};

struct http_server {
    http *h;
    http_gate *gate;
    http_options options; /* its strings are copies; the URLs have no credentials inside */
    const char *proxy_username, *proxy_password;
    struct curl_slist *headers, *last_header;
    bool loopback, authorization;
};

/* libcurl's global initialisation, once in the process. */
bool http_global_init(const http *h);

#endif
