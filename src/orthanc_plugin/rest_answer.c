#include "orthanc_plugin/rest_answer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "orthanc_plugin/text.h"

/* ---- headers ---- */

enum { HEADERS = 32 };

#define LENGTH "Content-Length:"

/* Moves *at behind the next JSON string, and copies what it means to `to`, with a NUL. Bytes outside ASCII and
 * control characters have no place in a header, and are dropped. False: there is none. */
static bool next_string(const char **at, const char *end, text *to)
{
    const char *p = *at;
    while (p < end && *p != '"')
        p++;
    if (p >= end)
        return false;
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        if (*p >= ' ')
            text_add(to, p, 1);
    }
    text_add(to, "", 1);
    *at = p < end ? p + 1 : p;
    return true;
}

/* Fills `lines` with "Name: value" of each member of the object; the lines point into `all`. Content-Length is left out: Orthanc 1.13.0 gives
 * an answer with another status than 200 without its body, and with the length of the body. */
static void read_headers(const OrthancPluginMemoryBuffer *json, text *all,
                         const char *lines[HEADERS + 1])
{
    const char *at = json->data, *end = at ? at + json->size : at;
    size_t starts[HEADERS], n = 0;
    while (at && n < HEADERS) {
        starts[n] = all->size;
        if (!next_string(&at, end, all))
            break;
        if (all->size > 0)
            all->size--; /* the NUL */
        text_add(all, ": ", 2);
        if (!next_string(&at, end, all))
            break;
        if (!all->failed && strncasecmp(all->data + starts[n], LENGTH, strlen(LENGTH)) == 0)
            all->size = starts[n];
        else
            n++;
    }
    for (size_t i = 0; i < n; i++)
        lines[i] = all->data + starts[i];
    lines[all->failed ? 0 : n] = NULL;
}

/* ---- errors ---- */

/* The status of HTTP with which Orthanc's HTTP server answers an error. */
static int status_of(OrthancPluginErrorCode error)
{
    switch ((int)error) {
    case OrthancPluginErrorCode_ParameterOutOfRange:
    case OrthancPluginErrorCode_BadParameterType:
    case OrthancPluginErrorCode_BadRequest:
    case OrthancPluginErrorCode_UriSyntax:
    case OrthancPluginErrorCode_BadFileFormat:
    case OrthancPluginErrorCode_BadJson:
    case OrthancPluginErrorCode_CreateDicomNotString:
    case OrthancPluginErrorCode_CreateDicomOverrideTag:
    case OrthancPluginErrorCode_CreateDicomUseContent:
    case OrthancPluginErrorCode_CreateDicomNoPayload:
    case OrthancPluginErrorCode_CreateDicomUseDataUriScheme:
    case OrthancPluginErrorCode_CreateDicomBadParent:
    case OrthancPluginErrorCode_CreateDicomParentIsInstance: return 400;
    case OrthancPluginErrorCode_Unauthorized: return 401;
    case 44: return 403; /* ForbiddenAccess, since Orthanc 1.12.0 */
    case OrthancPluginErrorCode_InexistentItem:
    case OrthancPluginErrorCode_InexistentFile:
    case OrthancPluginErrorCode_UnknownResource:
    case OrthancPluginErrorCode_InexistentTag: return 404;
    case OrthancPluginErrorCode_NotAcceptable: return 406;
    case OrthancPluginErrorCode_Revision:
    case 45: return 409; /* DuplicateResource, since Orthanc 1.12.0 */
    case OrthancPluginErrorCode_UnsupportedMediaType: return 415;
    case OrthancPluginErrorCode_BadRange: return 416;
    case OrthancPluginErrorCode_DatabaseUnavailable:
    case OrthancPluginErrorCode_DatabaseCannotSerialize: return 503;
    default: return 500;
    }
}

static const char *reason_of(int status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 409: return "Conflict";
    case 415: return "Unsupported Media Type";
    case 416: return "Requested Range Not Satisfiable";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

static void add_error(text *t, OrthancPluginContext *context, int status,
                      OrthancPluginErrorCode error, const char *method, const char *uri)
{
    const char *message = OrthancPluginGetErrorDescription(context, error);
    text_add(t, "{", 1);
    text_member_string(t, "HttpError", reason_of(status));
    text_member(t, "HttpStatus");
    text_format(t, "%d", status);
    text_member_string(t, "Message", message ? message : "");
    text_member_string(t, "Method", method);
    text_member(t, "OrthancError");
    text_add_json(t, message ? message : "", message ? strlen(message) : 0);
    text_member(t, "OrthancStatus");
    text_format(t, "%d", (int)error);
    text_member(t, "Uri");
    text_add_json(t, uri, strcspn(uri, "?"));
    text_add(t, "}", 1);
}

/* ---- the answers ---- */

static void end(modalua_response *r, int status, const char *const *headers, const void *body,
                size_t size)
{
    int head = modalua_response_head(r, status, headers);
    if (head == MODALUA_OK && size > 0)
        modalua_response_write(r, body, size);
    if (head == MODALUA_OK || head == MODALUA_E_CANCELLED)
        modalua_response_end(r);
    else
        modalua_response_fail(r, MODALUA_BROKEN, "the answer of the server cannot be taken");
}

static void send_error(OrthancPluginContext *context, modalua_response *r, int status,
                       OrthancPluginErrorCode error, const char *method, const char *uri)
{
    static const char *const json[] = { "Content-Type: application/json", NULL };
    text t = { 0 };
    add_error(&t, context, status, error, method, uri);
    end(r, status, json, t.data, t.failed ? 0 : t.size);
    text_free(&t);
}

void rest_answer_send(OrthancPluginContext *context, modalua_response *response, int status,
                      const OrthancPluginMemoryBuffer *headers,
                      const OrthancPluginMemoryBuffer *body, const char *method, const char *uri)
{
    const char *lines[HEADERS + 1];
    text all = { 0 };
    if (status == 404 && body->size == 0) { /* no route */
        send_error(context, response, status, OrthancPluginErrorCode_UnknownResource, method, uri);
        return;
    }
    read_headers(headers, &all, lines);
    end(response, status, lines, body->data, body->size);
    text_free(&all);
}

void rest_answer_send_error(OrthancPluginContext *context, modalua_response *response,
                            OrthancPluginErrorCode error, const char *method, const char *uri)
{
    send_error(context, response, status_of(error), error, method, uri);
}
