/* http/bounds.h - bounds for what libcurl takes beside the Lua heap: its memory, which is counted on the
 * runtime's account, the heads of answers, and the threads that look names up; and for the moment at
 * which a request may leave. */
#ifndef HTTP_BOUNDS_H
#define HTTP_BOUNDS_H

#include "http/http.h"

/* Counts what libcurl will take for the transfer, about: its buffers, and its copies of the URL and of
 * credentials. False: not enough memory. bounds_release takes that and the answer's head off again. */
bool bounds_take(http_transfer *t);
void bounds_release(http_transfer *t);

/* A libcurl header callback: counts the lines of the head, and notes its end. */
size_t bounds_on_header(char *line, size_t one, size_t size, void *transfer);

/* libcurl has a thread for each name that it looks up. When the transfer is given up, the thread goes on
 * for as long as the system takes, and libcurl does not tell when it ends. So HTTP_LOOKUPS_MAX of them
 * may go on like that, each for a minute, and then a transfer that needs a name waits for its turn. */
bool bounds_allow_lookup(http *h, const http_server *s);

/* A curl_resolver_start_callback: a lookup begins. */
int bounds_on_lookup(void *state, void *reserved, void *transfer);

/* The transfer ends, and its curl_code is known. Where a socket was made, or no name was found, the lookup
 * has ended too. Idempotent. */
void bounds_end_lookup(http_transfer *t);

/* Lookups that were given up leave threads for others, and the end of the multi handle does not wait for them. */
void bounds_set_threads(CURLM *multi);

/* Whether the request must not leave any more: its `latest` has passed. Then the transfer's failure is set. */
bool bounds_is_late(http_transfer *t);

/* A curl_prereq_callback: the connection is there, and the request is about to leave. */
int bounds_on_request(void *transfer, char *there, char *here, int port_there, int port_here);

#endif
