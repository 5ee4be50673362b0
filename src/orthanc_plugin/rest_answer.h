/* orthanc_plugin/rest_answer.h - the answer of Orthanc's REST API from inside, as its HTTP server would give it. */
#ifndef ORTHANC_PLUGIN_REST_ANSWER_H
#define ORTHANC_PLUGIN_REST_ANSWER_H

#include <orthanc/OrthancCPlugin.h>

#include "modalua.h"

/* Ends the response with this answer. headers: a JSON object of strings. 404 without a body gets the
 * body that Orthanc's HTTP server writes. */
void rest_answer_send(OrthancPluginContext *context, modalua_response *response, int status,
                      const OrthancPluginMemoryBuffer *headers,
                      const OrthancPluginMemoryBuffer *body, const char *method, const char *uri);

/* Ends the response with an error of Orthanc: its status of HTTP, and the body that its HTTP server writes. The
 * field Details, which some errors have there, is not known inside. */
void rest_answer_send_error(OrthancPluginContext *context, modalua_response *response,
                            OrthancPluginErrorCode error, const char *method, const char *uri);

#endif
