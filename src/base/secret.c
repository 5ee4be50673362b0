#include "base/secret.h"

#include <string.h>

void secret_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
}

void secret_free(memory *m, char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    if (!text)
        return;
    explicit_bzero(text, size);
    memory_realloc(m, text, size, 0);
}
