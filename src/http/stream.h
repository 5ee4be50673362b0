/* http/stream.h - bodies of any size that come from files and go to files, and the progress of a
 * transfer. For http.c alone. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/http.h"

/* Truncates the sink when a transfer starts or is retried. False: that failed, and t->fault is set.
 */
bool http_stream_begin(http_transfer *t);

/* Sets the options of libcurl for a source, a sink and a stall_timeout. False: not enough memory.
 */
bool http_stream_configure(http_transfer *t);

/* Writes a part of the body to the sink. False: that failed, and t->fault is set. */
bool http_stream_write(http_transfer *t, const char *data, size_t size);

#endif
