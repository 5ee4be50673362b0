#include "orthanc/dimse.h"

#include <stddef.h>
#include <string.h>

/* ---- services ---- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool has_part(const char *path, const char *part)
{
    size_t n = strlen(part);
    const char *at = strstr(path, part);
    return at && (at[n] == '\0' || at[n] == '?');
}

dimse_service dimse_service_of_path(const char *path)
{
    if (begins(path, "/queries/"))
        return has_part(path, "/retrieve") ? DIMSE_MOVE : DIMSE_FIND;
    if (!begins(path, "/modalities/"))
        return DIMSE_OTHER;
    return has_part(path, "/query")            ? DIMSE_FIND
           : strstr(path, "/find")             ? DIMSE_FIND
           : has_part(path, "/move")           ? DIMSE_MOVE
           : has_part(path, "/get")            ? DIMSE_GET
           : has_part(path, "/store")          ? DIMSE_STORE
           : has_part(path, "/store-straight") ? DIMSE_STORE
                                               : DIMSE_OTHER;
}

dimse_service dimse_service_of_job(const char *type)
{
    return strcmp(type, "DicomMoveScu") == 0         ? DIMSE_MOVE
           : strcmp(type, "DicomGetScu") == 0        ? DIMSE_GET
           : strcmp(type, "DicomModalityStore") == 0 ? DIMSE_STORE
                                                     : DIMSE_OTHER;
}

/* ---- statuses ---- */

enum {
    ALL = DIMSE_OTHER | DIMSE_FIND | DIMSE_MOVE | DIMSE_GET | DIMSE_STORE,
    RETRIEVE = DIMSE_MOVE | DIMSE_GET
};

typedef struct status_row {
    int first, last; /* statuses */
    unsigned services;
    const char *words;
} status_row;

/* The first row that fits decides. */
/* clang-format off */
static const status_row status_rows[] = {
    { 0xA700, 0xA700, DIMSE_FIND, "the modality is out of resources: narrow the query, by date for instance, or try again later" },
    { 0xA700, 0xA700, DIMSE_STORE, "the modality is out of resources: check the free space of its disk and database, or try again later" },
    { 0xA700, 0xA700, ALL, "the modality is out of resources: try again later, or ask for less at a time" },
    { 0xA701, 0xA701, ALL, "the modality is out of resources and could not count what is to be sent: try again later, or ask for less at a time" },
    { 0xA702, 0xA702, DIMSE_GET, "the modality could not send the images: check that this server has free space and takes images of their kind, and the modality's log" },
    { 0xA702, 0xA702, ALL, "the modality could not send the images: check that the destination is running, has free space, and accepts the AE title of the modality" },
    { 0xA801, 0xA801, ALL, "the modality does not know the destination: check that its own list has the AE title of the destination, with host and port" },
    { 0xA900, 0xA9FF, DIMSE_FIND, "the query does not fit the service: check its Level, and that it has the identifiers of the levels above" },
    { 0xA900, 0xA9FF, RETRIEVE, "the identifiers do not fit the service: check the level, and that the identifiers of the levels above are given" },
    { 0xA900, 0xA9FF, ALL, "the data set does not match its SOP class: check whether the images are damaged" },
    { 0xAA00, 0xAAFF, ALL, "the modality refuses the request: its log says why" },
    { 0xB000, 0xB000, RETRIEVE, "some of the images were not sent, or the destination changed values in them: check what has arrived at the destination, and its log" },
    { 0xB000, 0xB000, ALL, "the modality took the data and changed values in it (coercion): compare what it has" },
    { 0xB006, 0xB006, ALL, "the modality took the data without some of its elements: compare what it has" },
    { 0xB007, 0xB007, ALL, "the modality took the data, which does not match its SOP class: check whether the images are damaged" },
    { 0xC000, 0xCFFF, DIMSE_FIND, "the modality cannot process the query: check Level and filters, and the modality's log" },
    { 0xC000, 0xCFFF, DIMSE_MOVE, "the modality cannot process the move; an Orthanc says so when it no longer has the resource, does not know the AE title of the destination, or cannot reach the destination: check these, and the modality's log" },
    { 0xC000, 0xCFFF, DIMSE_GET, "the modality cannot process the request; an Orthanc says so when it no longer has the resource: check that, and the modality's log" },
    { 0xC000, 0xCFFF, DIMSE_STORE, "the modality cannot understand or keep the images: check its log, its free space, and whether the images are damaged" },
    { 0xC000, 0xCFFF, ALL, "the modality cannot process the request: its log says why" },
    { 0xFE00, 0xFE00, DIMSE_FIND, "the modality ended the search before it was complete; an Orthanc does so at its LimitFindResults: narrow the query, by date for instance" },
    { 0xFE00, 0xFE00, ALL, "the modality ended the request before it was complete: a part may have been sent; check who cancelled it there" },
    { 0x0105, 0x0105, ALL, "the modality does not know an attribute of the request: its log says which" },
    { 0x0106, 0x0106, ALL, "the modality finds a value of the request invalid: its log says which" },
    { 0x0107, 0x0107, ALL, "the modality did not use some of the attributes of the request" },
    { 0x0110, 0x0110, ALL, "the modality failed inside: its log says why" },
    { 0x0111, 0x0111, ALL, "the modality has an image with this SOPInstanceUID already" },
    { 0x0112, 0x0112, ALL, "the modality does not have what was asked for: check the identifiers" },
    { 0x0117, 0x0117, ALL, "the modality finds a SOPInstanceUID invalid: check the identifiers" },
    { 0x0118, 0x0118, ALL, "the modality does not know the SOP class: check its conformance statement" },
    { 0x0120, 0x0121, ALL, "the modality misses an attribute, or its value, in the request: check that the identifiers of the levels above are given" },
    { 0x0122, 0x0122, DIMSE_FIND, "the modality does not support this kind of query: check in its conformance statement which Levels it can be asked" },
    { 0x0122, 0x0122, DIMSE_MOVE, "the modality does not support this kind of move: check in its conformance statement which Levels it can move, and whether it supports C-MOVE at all (C-GET may work)" },
    { 0x0122, 0x0122, DIMSE_GET, "the modality does not support C-GET of this kind: check its conformance statement (C-MOVE may work)" },
    { 0x0122, 0x0122, ALL, "the modality does not support the SOP class: check in its conformance statement which kinds of images it takes" },
    { 0x0124, 0x0124, ALL, "the modality does not allow this: check there which rights it gives to the AE title of this server" },
    { 0x0210, 0x0210, ALL, "the modality takes the request for a repeated one: try again" },
    { 0x0211, 0x0211, ALL, "the modality does not know this operation: check in its conformance statement whether it supports the service as a provider (SCP)" },
    { 0x0212, 0x0212, ALL, "the modality finds the request malformed: its log says why" },
    { 0x0213, 0x0213, ALL, "the modality has reached a limit of its resources: try again later, or ask for less at a time" },
};
/* clang-format on */

const char *dimse_words(int status, dimse_service service)
{
    for (size_t i = 0; i < sizeof status_rows / sizeof status_rows[0]; i++) {
        const status_row *r = &status_rows[i];
        if (status >= r->first && status <= r->last && r->services & (unsigned)service)
            return r->words;
    }
    return NULL;
}

bool dimse_blames_destination(int status)
{
    return status == 0xA801 || status == 0xA702 || (status >= 0xC000 && status <= 0xCFFF);
}

/* ---- failures without a status ---- */

/* The first text that occurs decides. DCMTK 3.7 says "Operation now in progress" of a closed port, and
 * adds "(Timeout)" when nothing answered. */
/* clang-format off */
static const struct network_row {
    const char *text, *words;
} network_rows[] = {
    { "Association Rejected", "the modality rejects the association: check that it knows the AE title of this server (DicomAet, or the modality's LocalAet), that AET in this server's entry is its own AE title, and whether it has reached its limit of associations" },
    { "unknown host", "the host name of the modality cannot be resolved: check Host in this server's entry of it" },
    { "(Timeout)", "the modality cannot be reached in time: check Host and Port in this server's entry of it, the firewall, and whether it is running" },
    { "read timeout", "the modality took the connection and does not answer: check that Port is its DICOM port and that it is not overloaded, or give it more time (Timeout)" },
    { "No data available", "the modality stopped answering: check its log and load, or give it more time (Timeout)" },
    { "TCP Initialization Error", "no connection to the modality: check Host and Port in this server's entry of it, the firewall, and whether it is running" },
    { "Peer aborted", "the modality ended the association: check its log, and that it knows the AE title of this server (an Orthanc ends it so when it does not)" },
    { "No presentation context", "the modality does not offer the service, or not to this server: check its conformance statement, and which rights it gives to the AE title of this server" },
};
/* clang-format on */

const char *dimse_network_words(const char *details)
{
    for (size_t i = 0; details && i < sizeof network_rows / sizeof network_rows[0]; i++)
        if (strstr(details, network_rows[i].text))
            return network_rows[i].words;
    return NULL;
}
