#include "orthanc/failures.h"

#include <string.h>

#include "base/ascii.h"

enum {
    ANY = -2000,       /* any status; of a body: any that Orthanc wrote, or no body */
    ANY_SENDER = -2001 /* any body, even one that a proxy wrote */
};

/* The first row that fits decides. */
typedef struct row {
    long http;        /* ANY, or a status */
    int orthanc;      /* ANY, ANY_SENDER, ORTHANC_NO_STATUS, or a status */
    const char *path; /* how it begins; with '*': how it begins and ends */
    orthanc_failure failure;
} row;

/* Values of OrthancStatus: -1 internal error, 6 bad sequence of calls, 7 inexistent item, 9 network
 * protocol, 13 inexistent file, 17 unknown resource, 27 unknown tag, 2005 an HTTP status that no REST
 * API has (401 of a peer), 2015 to 2017 and 2045 a DICOM service that the modality refuses. */
/* clang-format off */
static const row rows[] = {
    { 401, ANY_SENDER, "/", { "auth", "bad_credentials", "the server refuses the credentials" } },
    { 403, ANY_SENDER, "/", { "auth", "forbidden", "the server does not allow this" } },
    { 405, ANY_SENDER, "/", { "http", "method_not_allowed", "the server knows this route, but not with this method" } },
    { 429, ANY_SENDER, "/", { "http", "too_many_requests", "the server, or a proxy in front of it, limits the number of requests" } },
    { 413, ANY_SENDER, "/", { "http", "too_large", "the server, or a proxy in front of it, refuses a request of this size (nginx: client_max_body_size)" } },
    { 404, ORTHANC_NO_STATUS, "/modalities/*/store", { "orthanc", "not_found", "the server knows no modality of this name, or has no resource with one of the identifiers (the server gives no reason)" } },
    { 404, 7, "/modalities/", { "orthanc", "unknown_modality", "the server knows no modality of this name" } },
    { 404, ORTHANC_NO_STATUS, "/modalities/", { "orthanc", "unknown_modality", "the server knows no modality of this name" } },
    { 404, 17, "/modalities/*/store", { "orthanc", "not_found", "this Orthanc has no resource with one of the identifiers" } },
    { 500, -1, "/modalities/*/store", { "orthanc", NULL, "internal error of the server (newer versions report one when they have no resource with the identifier)" } },
    { 404, 17, "/modalities/*/storage-commitment", { "orthanc", "not_found", "this Orthanc has no resource with one of the identifiers" } },
    { 500, 27, "/modalities/*/find-worklist", { "orthanc", "unknown_tag", "the server does not know one of the tags" } },
    { 404, 13, "/peers/", { "orthanc", "bad_certificate", "the server cannot open the file of a certificate" } },
    { 404, 17, "/peers/*/store", { "orthanc", "not_found", "the server knows no peer of this name, or has no resource with one of the identifiers" } },
    { 404, ORTHANC_NO_STATUS, "/peers/*/store", { "orthanc", "not_found", "the server knows no peer of this name, or has no resource with one of the identifiers (the server gives no reason)" } },
    { 404, ANY, "/peers/", { "orthanc", "unknown_peer", "the server knows no peer of this name" } },
    { 500, -1, "/peers/*/store", { "orthanc", NULL, "internal error of the server (newer versions report one when they have no resource with the identifier)" } },
    { ANY, 2005, "/peers/", { "orthanc", "peer_failed", "the peer refuses, or is not an Orthanc: Username, Password or Url may be wrong" } },
    { ANY, 9, "/peers/", { "orthanc", "peer_failed", "the exchange with the peer failed" } },
    { 500, ORTHANC_NO_STATUS, "/peers/", { "orthanc", "peer_failed", "the operation failed on the server, or the exchange with the peer failed (the server gives no reason)" } },
    { 404, 17, "/modalities/", { "orthanc", "unsupported", "this version of Orthanc does not have this operation" } },
    { 404, ANY, "/queries/", { "orthanc", "query_gone", "the server no longer knows this query: it removed its oldest queries, or was restarted" } },
    { 404, ANY, "/jobs/", { "orthanc", "job_gone", "the server no longer knows this job: it removed its oldest jobs, or was restarted" } },
    { 404, ANY, "/storage-commitment/", { "orthanc", "commitment_gone", "the server no longer knows this storage commitment: it keeps the last 100, and none after a restart" } },
    { 500, 6, "/storage-commitment/*/remove", { "orthanc", "not_committed", "the modality has not confirmed everything" } },
    { 404, ANY, "/", { "orthanc", "not_found", "the server has nothing at this path" } },
    { ANY, 2015, "/", { "dicom", "unsupported", "the remote modality accepts none of the DICOM services that this operation needs" } },
    { ANY, 2016, "/", { "dicom", "unsupported", "the remote modality does not accept C-FIND" } },
    { ANY, 2017, "/", { "dicom", "unsupported", "the remote modality does not accept C-MOVE" } },
    { ANY, 2045, "/", { "dicom", "unsupported", "the remote modality does not accept C-GET" } },
    { ANY, 9, "/", { "dicom", NULL, "the exchange with the remote modality failed" } },
    { 400, ANY, "/", { "orthanc", "bad_request", "the server refuses the request as invalid" } },
    { 502, ANY_SENDER, "/", { "http", "bad_gateway", "a proxy in front of the server got no valid answer from it (is Orthanc running?)" } },
    { 503, ORTHANC_NO_STATUS, "/modalua/", { "http", "unavailable", "modalua in the server cannot take this request at the moment" } },
    { 504, ORTHANC_NO_STATUS, "/modalua/", { "http", "gateway_timeout", "modalua in the server gives up waiting" } },
    { 503, ANY_SENDER, "/", { "http", "unavailable", "the server cannot take requests at the moment" } },
    { 504, ANY_SENDER, "/", { "http", "gateway_timeout", "a proxy in front of the server gave up waiting for it (its read timeout is shorter than the operation)" } },
    { 500, ORTHANC_NO_STATUS, "/modalities/*/store", { "http", NULL, "the operation failed on the server, or the remote modality refused (the server gives no reason)" } },
    { 422, ORTHANC_NO_STATUS, "/", { "dicom", NULL, "the remote modality refused (the server gives no reason)" } },
    { 500, ORTHANC_NO_STATUS, "/queries/*/retrieve", { "dicom", NULL, "the remote modality refused (the server gives no reason)" } },
    { 500, ORTHANC_NO_STATUS, "/modalities/", { "dicom", NULL, "the remote modality refused (the server gives no reason)" } },
    { ANY, ORTHANC_NO_STATUS, "/", { "http", NULL, NULL } },
    { ANY, ANY, "/", { "orthanc", NULL, NULL } },
    { ANY, ANY_SENDER, "/", { "http", NULL, "this answer does not come from Orthanc" } },
};
/* clang-format on */

/* A pattern is the `path` of a row. */
static bool path_fits(const char *pattern, const char *path)
{
    const char *star = strchr(pattern, '*');
    size_t n = strlen(path), head = star ? (size_t)(star - pattern) : strlen(pattern);
    size_t tail = star ? strlen(star + 1) : 0;
    return strncmp(path, pattern, head) == 0 &&
           (!star || (n >= head + tail && strcmp(path + n - tail, star + 1) == 0));
}

static bool row_fits(const row *r, const char *path, long http_status, int orthanc_status)
{
    bool body = r->orthanc == ANY_SENDER || r->orthanc == orthanc_status ||
                (r->orthanc == ANY && orthanc_status != ORTHANC_FOREIGN);
    return body && (r->http == ANY || r->http == http_status) && path_fits(r->path, path);
}

/* Requests other than GET that change nothing, or nothing that matters: a query that is removed. The
 * method comes first. */
static const struct read_row {
    const char *method, *path;
} reads[] = { { "POST", "/tools/find" },
              { "POST", "/tools/count-resources" },
              { "POST", "/tools/lookup" },
              { "POST", "/tools/bulk-content" },
              { "POST", "/tools/dicom-echo" },
              { "POST", "/tools/create-archive" },
              { "POST", "/tools/create-media*" },
              { "POST", "/modalities/*/echo" },
              { "POST", "/modalities/*/query" },
              { "POST", "/modalities/*/find" },
              { "POST", "/modalities/*/find-patient" },
              { "POST", "/modalities/*/find-study" },
              { "POST", "/modalities/*/find-series" },
              { "POST", "/modalities/*/find-instance" },
              { "POST", "/modalities/*/find-worklist" },
              { "POST", "/queries/*/query-studies" },
              { "POST", "/queries/*/query-series" },
              { "POST", "/queries/*/query-instances" },
              { "POST", "/*/archive" },
              { "POST", "/*/media" },
              { "DELETE", "/queries/*" } };

bool orthanc_has_effects(const char *method, const char *path)
{
    if (strcmp(method, "GET") == 0)
        return false;
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
        if (strcmp(reads[i].method, method) == 0 && path_fits(reads[i].path, path))
            return false;
    return true;
}

/* Whether the server may have carried out a request that was answered by this status: a proxy gave up
 * waiting for it. */
static bool may_be_done(long http_status, int orthanc_status)
{
    bool foreign = orthanc_status == ORTHANC_FOREIGN && http_status >= 500;
    return http_status == 502 || http_status == 504 || (foreign && http_status != 503);
}

orthanc_failure orthanc_classify(const char *path, long http_status, int orthanc_status,
                                 bool effects, bool credentials)
{
    orthanc_failure failure = { "http", NULL, NULL };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (row_fits(&rows[i], path, http_status, orthanc_status)) {
            failure = rows[i].failure;
            break;
        }
    if (http_status == 401 && !credentials) {
        failure.code = "no_credentials";
        failure.message = "the server requires a user name and a password";
    }
    if (http_status >= 300 && http_status < 400) {
        failure.kind = "http";
        failure.code = "redirect";
    }
    if (effects && may_be_done(http_status, orthanc_status)) {
        failure.code = failure.kind;
        failure.kind = "unknown";
    }
    return failure;
}

int orthanc_dimse_status(const char *details)
{
    static const char key[] = "DIMSE status 0x";
    const char *at = details ? strstr(details, key) : NULL;
    int status = 0;
    if (!at)
        return -1;
    at += sizeof key - 1;
    for (size_t i = 0; i < 4; i++) {
        int digit = ascii_hex_value(at[i]);
        if (digit < 0)
            return -1;
        status = status * 16 + digit;
    }
    return status;
}

bool orthanc_is_bad_charset(const char *details)
{
    static const char begin[] = "Unsupported value for the SpecificCharacterSet";
    return details && strncmp(details, begin, sizeof begin - 1) == 0;
}
