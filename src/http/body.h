/* http/body.h - the body of an answer, in memory or on its way to the sink. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/http.h"

/* The most bytes that a body in memory may have, when the account itself has no limit. */
size_t body_max(const memory *m);

/* libcurl's CURLOPT_WRITEFUNCTION; `user` is the transfer. Returns 0 when the piece cannot be kept: t->fault
 * is set. */
size_t body_on_data(char *data, size_t size, size_t count, void *user);

/* Frees the body of a transfer that is done: an error about its size needs memory. Idempotent. */
void body_drop(http_transfer *t);

#endif
