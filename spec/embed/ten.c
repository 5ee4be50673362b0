/* ten.c - a C program that runs a Lua script: the version of the Orthanc at the URL it is given, or
 * at http://localhost:8042. */
#include <modalua.h>
#include <stdio.h>
#include <string.h>

static void write_out(void *user, const char *text, size_t size)
{
    fwrite(text, 1, size, user);
}

int main(int argc, char **argv)
{
    static const char script[] =
        "local c = require 'modalua'.connect() print(assert(c:system()).Version)";
    modalua_config config;
    modalua_runtime *rt;
    int status;
    modalua_config_init(&config);
    config.write = write_out;
    config.user = stdout;
    config.url = argc > 1 ? argv[1] : NULL;
    if (modalua_create(&rt, &config) != MODALUA_OK)
        return 1;
    status = modalua_run_string(rt, "=host", script, strlen(script));
    if (status < 0)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    modalua_destroy(rt);
    return status < 0;
}
