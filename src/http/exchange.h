/* http/exchange.h - transfers that the host's transport carries out, instead of libcurl (modalua_transport_fn).
 *
 * The host answers a modalua_response from any thread. It has two holders: the transfer until http_end, and
 * the host until it has ended the response. The last one frees it. All that both use is behind its lock.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "http/http.h"

/* Gives the request of the transfer to the host's transport. False: t->fault is set. */
bool http_exchange_begin(http_transfer *t);

/* Takes what the host has answered so far. True: the outcome of the transfer is known. */
bool http_exchange_collect(http_transfer *t, double now);

/* Shortens *milliseconds to the time until http_exchange_collect has something to do even without an answer. */
void http_exchange_shorten(const http_transfer *t, double now, int *milliseconds);

/* The transfer is not interested any more. Idempotent. */
void http_exchange_end(http_transfer *t);

#endif
