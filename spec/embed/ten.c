/* ten.c - a C program that runs a Lua script. It prints the version of an Orthanc. The argument is
 * the URL of the Orthanc, by default http://localhost:8042. */
#include <modalua.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static const char script[] = "version = assert(require 'modalua'.connect():system()).Version";
    const char *version = NULL;
    modalua_config config;
    modalua_runtime *rt;
    int status;
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL;
    status = modalua_create(&rt, &config);
    if (status != MODALUA_OK) {
        const char *fault = modalua_config_fault(&config);
        puts(fault ? fault : modalua_strerror(status));
        return 1;
    }
    if (modalua_run_string(rt, "=ten", script, strlen(script)) == MODALUA_OK)
        modalua_get_global(rt, "version", &version); /* as JSON */
    puts(version ? version : modalua_last_error(rt));
    modalua_destroy(rt);
    return version ? 0 : 1;
}
