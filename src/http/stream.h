/* http/stream.h - bodies that come from files and go to files, whatever their size, and how far a
 * transfer has come. For http.c alone. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/http.h"

/* The sink of a transfer that begins, perhaps for the second time, is emptied. False: it cannot be,
 * and the transfer has its fault. */
bool http_stream_begin(http_transfer *t);

/* Sets what a request with a source, a sink or a time of silence needs. */
bool http_stream_configure(http_transfer *t);

/* Writes a part of the body to the sink. False: the transfer has its fault. */
bool http_stream_write(http_transfer *t, const char *data, size_t size);

#endif
