/* http/stream.h - bodies of any size that come from files or streams of the host and go to them, and the
 * progress of a transfer. For http.c and exchange.c alone. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/http.h"

/* Empties the sink when a transfer starts or is retried. False: that failed, and t->fault is set.
 */
bool http_stream_begin(http_transfer *t);

/* Sets the options of libcurl for a source, a sink and a stall_timeout. False: not enough memory.
 */
bool http_stream_configure(http_transfer *t);

/* Calls the functions of a stream of the host: give returns 0 or errno, take the number of bytes or
 * -errno. */
int http_stream_give(http_file *f, const char *data, size_t size);
long http_stream_take(http_file *f, char *into, size_t size, curl_off_t offset);

/* Writes a part of the body to the sink. False: that failed, and t->fault is set. */
bool http_stream_write(http_transfer *t, const char *data, size_t size);

#endif
