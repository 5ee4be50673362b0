/* http/configure.h - the options of libcurl for one transfer. For http.c alone. */
#ifndef HTTP_CONFIGURE_H
#define HTTP_CONFIGURE_H

#include "http/http.h"

/* Sets all options of t->easy from the request and its server. The URL is copied; the request's body must
 * stay valid. False: not enough memory. */
bool configure_transfer(http_transfer *t);

#endif
