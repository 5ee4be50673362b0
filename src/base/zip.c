#include "base/zip.h"

#include <string.h>

bool zip_has_begin(const char begin[ZIP_BEGIN])
{
    return begin[0] == 'P' && begin[1] == 'K';
}

bool zip_has_end(const char *tail, size_t size)
{
    for (size_t end = ZIP_END; end <= size && end <= ZIP_TAIL; end++) {
        const unsigned char *at = (const unsigned char *)tail + size - end;
        size_t comment = at[20] | (size_t)at[21] << 8;
        if (memcmp(at, "PK\5\6", 4) == 0 && comment == end - ZIP_END)
            return true;
    }
    return false;
}
