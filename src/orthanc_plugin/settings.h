/* orthanc_plugin/settings.h - the section "Modalua" of the server's configuration. settings.lua checks it. */
#ifndef ORTHANC_PLUGIN_SETTINGS_H
#define ORTHANC_PLUGIN_SETTINGS_H

#include <orthanc/OrthancCPlugin.h>
#include <stdbool.h>
#include <stddef.h>

#include "modalua.h"

/* Filters of the server. */
enum { FILTER_INSTANCE = 1, FILTER_HTTP = 2, FILTER_C_STORE = 4, FILTER_FIND = 8 };

enum { SETTINGS_FILTERS = 4 };

/* Their names, in the order of their bits. */
extern const char *const settings_filter_names[SETTINGS_FILTERS];

typedef struct script_settings {
    char *name, *path;
    char **arguments;
    size_t argument_count;
    double every;    /* seconds from one start to the next; 0 = it is started once */
    int at;          /* minutes after midnight; -1 = none */
    char *time_zone; /* of `at`: such as Europe/Vienna; NULL = the server's */
    unsigned days;   /* bit 0 is Sunday; 0 = all days */
    bool sandbox;
    size_t memory_limit; /* bytes; 0 = none */
    double time_limit;   /* seconds of one run; 0 = none */
    double burst_limit;  /* seconds between two waits; 0 = none */
    double grace;        /* seconds to end in; 0 = the default */
    unsigned threads;    /* for its requests to this server; 0 = the default */
    unsigned filters;    /* that it decides: FILTER_… */
} script_settings;

typedef struct settings {
    char *module_path;
    bool allow_execute, strict;
    double route_time_limit;  /* seconds for an answer of a script's route; 0 = the default */
    double filter_time_limit; /* seconds for the answer of a filter; 0 = the default */
    double dicom_timeout; /* the server's DicomScuTimeout: seconds for a modality; 0 = no limit */
    unsigned filters;     /* that a script is to decide, also one that has a fault */
    bool filter_accepts;  /* what a filter is without an answer */
    script_settings *scripts; /* without those that have a fault */
    size_t count;
    unsigned faults; /* each of them is in the log of the server */
} settings;

/* False: the configuration cannot be read, or there is not enough memory; the log of the server says which. What is
 * wrong in the configuration is in s->faults. */
bool settings_read(settings *s, OrthancPluginContext *context);

void settings_free(settings *s);

/* Sets a global of the runtime to the list of the names of these filters. Returns a status of modalua.h. */
int settings_set_filter_names(modalua_runtime *rt, const char *global, unsigned filters);

#endif
