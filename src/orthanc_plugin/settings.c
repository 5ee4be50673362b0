#include "orthanc_plugin/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orthanc_plugin/parts.h"
#include "orthanc_plugin/text.h"

const char *const settings_filter_names[SETTINGS_FILTERS] = {
    "ReceivedInstance", "IncomingHttpRequest", "ReceivedCStoreInstance", "IncomingFindRequest"
};

enum { DICOM_TIMEOUT = 10 }; /* what Orthanc's DicomScuTimeout is by default */

typedef struct reader {
    settings *s;
    OrthancPluginContext *context;
    bool failed; /* not enough memory */
} reader;

/* ---- values ---- */

static void set_text(reader *r, char **field, const char *value)
{
    free(*field);
    *field = strdup(value);
    r->failed = r->failed || !*field;
}

static void add_argument(reader *r, script_settings *s, const char *value)
{
    char **grown = realloc(s->arguments, (s->argument_count + 1) * sizeof *grown);
    if (!grown) {
        r->failed = true;
        return;
    }
    s->arguments = grown;
    grown[s->argument_count] = NULL;
    set_text(r, &grown[s->argument_count], value);
    s->argument_count += grown[s->argument_count] != NULL;
}

/* The settings of the script with that name, which are made when it has none. NULL: not enough memory. */
static script_settings *script_of(reader *r, const char *name)
{
    settings *s = r->s;
    script_settings *grown;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->scripts[i].name, name) == 0)
            return &s->scripts[i];
    grown = realloc(s->scripts, (s->count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    s->scripts = grown;
    grown[s->count] = (script_settings){ .name = strdup(name), .at = -1 };
    return grown[s->count].name ? &grown[s->count++] : NULL;
}

static void set_of_script(reader *r, script_settings *s, const char *key, const char *value)
{
    double number = strtod(value, NULL);
    if (strcmp(key, "Path") == 0)
        set_text(r, &s->path, value);
    else if (strcmp(key, "Argument") == 0)
        add_argument(r, s, value);
    else if (strcmp(key, "Every") == 0)
        s->every = number;
    else if (strcmp(key, "At") == 0)
        s->at = (int)number;
    else if (strcmp(key, "TimeZone") == 0)
        set_text(r, &s->time_zone, value);
    else if (strcmp(key, "Days") == 0)
        s->days = (unsigned)number;
    else if (strcmp(key, "Sandbox") == 0)
        s->sandbox = number > 0;
    else if (strcmp(key, "MemoryLimit") == 0)
        s->memory_limit = (size_t)number;
    else if (strcmp(key, "TimeLimit") == 0)
        s->time_limit = number;
    else if (strcmp(key, "BurstLimit") == 0)
        s->burst_limit = number;
    else if (strcmp(key, "Grace") == 0)
        s->grace = number;
    else if (strcmp(key, "Filters") == 0)
        s->filters = (unsigned)number;
    else if (strcmp(key, "Threads") == 0)
        s->threads = (unsigned)number;
}

static void set_general(reader *r, const char *key, const char *value)
{
    if (strcmp(key, "ModulePath") == 0)
        set_text(r, &r->s->module_path, value);
    else if (strcmp(key, "AllowExecute") == 0)
        r->s->allow_execute = value[0] == '1';
    else if (strcmp(key, "Strict") == 0)
        r->s->strict = value[0] == '1';
    else if (strcmp(key, "Filters") == 0)
        r->s->filters |= (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(key, "FilterDefault") == 0)
        r->s->filter_accepts = strcmp(value, "accept") == 0;
    else if (strcmp(key, "DicomScuTimeout") == 0)
        r->s->dicom_timeout = strtod(value, NULL);
    else if (strcmp(key, "FilterTimeLimit") == 0)
        r->s->filter_time_limit = strtod(value, NULL);
    else if (strcmp(key, "RouteTimeLimit") == 0)
        r->s->route_time_limit = strtod(value, NULL);
}

/* ---- what settings.lua calls: modalua_functions ---- */

static void on_set(void *user, const char *arguments, modalua_reply *reply)
{
    reader *r = user;
    const char *script = modalua_argument_bytes(reply, 1, NULL);
    const char *key = modalua_argument_bytes(reply, 2, NULL);
    const char *value = modalua_argument_bytes(reply, 3, NULL);
    script_settings *s;
    (void)arguments;
    if (!script[0]) {
        set_general(r, key, value);
        return;
    }
    s = script_of(r, script);
    if (s)
        set_of_script(r, s, key, value);
    else
        r->failed = true;
}

static void on_fault(void *user, const char *arguments, modalua_reply *reply)
{
    reader *r = user;
    const char *script = modalua_argument_bytes(reply, 1, NULL);
    size_t size;
    const char *what = modalua_argument_bytes(reply, 2, &size);
    bool is_ended = size > 0 && strchr(".?", what[size - 1]);
    text t = { 0 };
    (void)arguments;
    text_format(&t, "modalua: in the configuration: ");
    text_add_line(&t, what);
    if (script[0])
        text_format(&t, "%s This script is not started", is_ended ? "" : ".");
    OrthancPluginLogError(r->context, t.failed ? "modalua: not enough memory" : t.data);
    text_free(&t);
    r->s->faults++;
}

static void on_file_fault(void *user, const char *arguments, modalua_reply *reply)
{
    const char *path = modalua_argument_bytes(reply, 1, NULL);
    struct stat facts;
    text t = { 0 };
    (void)user;
    (void)arguments;
    if (stat(path, &facts) != 0)
        text_format(&t, "cannot open %s: %s", path, strerror(errno));
    else if (!S_ISREG(facts.st_mode))
        text_format(&t, "%s is not a regular file", path);
    if (t.size > 0)
        modalua_reply_text(reply, t.data, t.size);
    text_free(&t);
}

/* ---- the whole ---- */

int settings_set_filter_names(modalua_runtime *rt, const char *global, unsigned filters)
{
    text t = { 0 };
    int status;
    text_add(&t, "[", 1);
    for (unsigned i = 0; i < SETTINGS_FILTERS; i++)
        if (filters & 1u << i)
            text_format(&t, "%s\"%s\"", t.size > 1 ? "," : "", settings_filter_names[i]);
    text_add(&t, "]", 1);
    status = t.failed ? MODALUA_E_NOMEM : modalua_set_global(rt, global, t.data);
    text_free(&t);
    return status;
}

static int settings_run(reader *r, modalua_runtime *rt, const char *configuration)
{
    int status = modalua_register(rt, "set", on_set, r);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "fault_of", on_fault, r);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "file_fault", on_file_fault, r);
    if (status == MODALUA_OK)
        status = modalua_set_global(rt, "configuration", configuration);
    if (status == MODALUA_OK)
        status = settings_set_filter_names(rt, "filter_names", ~0u);
    if (status == MODALUA_OK)
        status = modalua_run_string(rt, "=settings.lua", part_settings, part_settings_size);
    return status;
}

bool settings_read(settings *s, OrthancPluginContext *context)
{
    reader r = { s, context, false };
    char *configuration = OrthancPluginGetConfiguration(context);
    modalua_runtime *rt = NULL;
    int status = configuration ? modalua_create(&rt, NULL) : MODALUA_E_NOMEM;
    *s = (settings){ .dicom_timeout = DICOM_TIMEOUT };
    if (status == MODALUA_OK)
        status = settings_run(&r, rt, configuration);
    if (status != MODALUA_OK) {
        OrthancPluginLogError(context, "modalua: the configuration cannot be read:");
        OrthancPluginLogError(context, rt ? modalua_last_error(rt) : modalua_strerror(status));
    }
    if (status == MODALUA_OK && r.failed)
        OrthancPluginLogError(context, "modalua: there is not enough memory to start");
    modalua_destroy(rt);
    if (configuration)
        OrthancPluginFreeString(context, configuration);
    return status == MODALUA_OK && !r.failed;
}

void settings_free(settings *s)
{
    for (size_t i = 0; i < s->count; i++) {
        script_settings *one = &s->scripts[i];
        for (size_t k = 0; k < one->argument_count; k++)
            free(one->arguments[k]);
        free(one->arguments);
        free(one->name);
        free(one->path);
        free(one->time_zone);
    }
    free(s->scripts);
    free(s->module_path);
    *s = (settings){ 0 };
}
