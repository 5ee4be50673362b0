#include "command/user_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *user_file_path(const char *variable, const char *folder_in_home, const char *name)
{
    const char *folder = getenv(variable), *below = "", *slash = "";
    char *path;
    size_t size;
    if (!folder || folder[0] != '/') {
        folder = getenv("HOME");
        below = folder_in_home;
        slash = "/";
    }
    if (!folder || folder[0] != '/')
        return NULL;
    size = strlen(folder) + strlen(below) + strlen(name) + sizeof "//";
    path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s%s%s", folder, below, slash, name);
    return path;
}
