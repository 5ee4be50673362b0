/* orthanc/body_keys.h - finds keys in the JSON of a request by which a script, even a sandboxed one,
 * would end the server. Knows no Lua. */
#ifndef ORTHANC_BODY_KEYS_H
#define ORTHANC_BODY_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum { BODY_KEY = 32 };

#define BODY_KEYS_MESSAGE \
    "the key '%s' is a mark between the items of a sequence, which ends the server"

/* Whether the body of a request to that path has, at any depth, the key of a mark between the items of a
 * sequence (fffe,e000 and others, also by name): every version of Orthanc ends when it gets a value for
 * one. key = the key. Paths of plugins are not looked at, nor are bodies that are not JSON. */
bool body_keys_find(const char *path, const char *body, size_t size, char key[BODY_KEY]);

#endif
