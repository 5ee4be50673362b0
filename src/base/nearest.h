/* base/nearest.h - "did you mean": the nearest of several known names. Knows no Lua. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

typedef struct nearest {
    const char *word;  /* what was written */
    const char *name;  /* the nearest so far; NULL = nothing is near */
    unsigned distance; /* its */
} nearest;

nearest nearest_for(const char *word);

/* Looks through rows whose first member is a name; a NULL name ends them. */
void nearest_look(nearest *h, const void *rows, size_t row_size);

#endif
