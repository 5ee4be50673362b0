/* json/placeholder.h - a copy of a JSON text with placeholders for what lua-cjson cannot decode:
 * empty arrays, which it cannot tell from empty objects, and integers beyond 2^53, which it rounds.
 * Knows no Lua. */
#ifndef JSON_PLACEHOLDER_H
#define JSON_PLACEHOLDER_H

#include <stddef.h>

#include "json/scan.h"

/* Copies a text that json_scan accepted. Every empty array becomes `["TOKEN"]`, every wide integer
 * `"TOKENdigits"`. The token has JSON_TOKEN_SIZE characters that need no escape. Returns the size
 * of the copy; `out` must have json_placeholder_room bytes. */
size_t json_placeholder_copy(const char *text, size_t size, const char *token, char *out);
size_t json_placeholder_room(const json_scan_facts *facts, size_t size);

#endif
