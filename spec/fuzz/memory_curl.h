/* memory_curl.h - a libcurl for fuzz targets: its answers come from a text in memory. There is no socket,
 * and time passes only when somebody waits for it, so that a wait of a minute takes none. A program that
 * links memory_curl.c has its transfers; curl_url, curl_slist and the others remain libcurl's own. Link
 * with --wrap=clock_gettime and --wrap=poll.
 *
 * A line of the text is the answer to some requests:
 *
 *     GET:/system 200 json {"Version":"1.12.7"}
 *     POST:/modalities 500 html <html>busy</html>
 *     GET:/jobs 28 json {}
 *
 * It answers the requests whose method and path begin so; the longest beginning wins. The first of several
 * equal ones answers the first request, and so on; the last one answers all further requests. A number below 100 is a code of
 * libcurl: the body arrives, and then the transfer fails. A request without a line gets 404. The types:
 * json, text, html, zip, dicom; another word is no type. With FUZZ_TRACE in the environment, each request
 * and its answer are written to standard error. */
#ifndef MEMORY_CURL_H
#define MEMORY_CURL_H

#include <stddef.h>

/* Sets the answers. The text must live until the next call. */
void memory_curl_answers(const char *text, size_t size);

/* The number of easy handles that have not been freed. */
unsigned memory_curl_handles(void);

#endif
