/* base/secret.h - memory that holds passwords and tokens is overwritten before it is freed, so that
 * no later owner of that memory can read them. Knows no Lua. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/memory.h"

/* Overwrites the string; the compiler cannot optimise that away. NULL is fine. */
void secret_wipe(char *text);

/* Overwrites and frees a string that memory_string made. NULL is fine. */
void secret_free(memory *m, char *text);

#endif
