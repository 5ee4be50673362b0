/* http/explain.h - why a transfer has failed, where libcurl's code and text say too little. */
#ifndef HTTP_EXPLAIN_H
#define HTTP_EXPLAIN_H

#include "http/http.h"

/* A curl_opensocket_callback: makes a socket, and notes in the transfer why that failed. */
curl_socket_t explain_on_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *a);

/* A curl_closesocket_callback: closes a socket of the http. */
int explain_on_close(void *whole, curl_socket_t fd);

/* Sets curl_code and the error text of a transfer that has failed. */
void explain_failure(http_transfer *t);

/* Sets certificate_end of a transfer that has ended, when the request wants it. */
void explain_certificate(http_transfer *t);

#endif
