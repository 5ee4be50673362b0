/* base/nearest.h - "did you mean": finds the known name that is nearest to a misspelt word. Knows
 * no Lua. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

typedef struct nearest {
    const char *word;  /* the misspelt word */
    const char *name;  /* the nearest name so far; NULL = no name is near enough */
    unsigned distance; /* the number of edits between them; while name is NULL, the most allowed */
} nearest;

/* Starts a search. */
nearest nearest_for(const char *word);

/* Searches an array of structs whose first member is a name; the last one has the name NULL. */
void nearest_search(nearest *n, const void *rows, size_t row_size);

#endif
