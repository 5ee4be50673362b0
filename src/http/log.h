/* http/log.h - the log of transfers, a line and its facts for each, and the counts of all of them. */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H

#include "http/http.h"

/* The transfer has ended: it is counted, with the bytes that it has moved, before its body and libcurl's
 * handle are gone. Also when it is aborted. */
void http_log_count(http_transfer *t);

/* The outcome of the transfer is known. */
void http_log_outcome(const http_transfer *t);

/* It is sent again after a pause of so many seconds, as one of `all` tries. */
void http_log_retry(const http_transfer *t, double pause, unsigned all);

#endif
