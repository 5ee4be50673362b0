#include "base/nearest.h"

#include <ctype.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 48 };

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The number of edits that make one word of the other, whatever the case: a character inserted,
 * removed or replaced, or two neighbours swapped (optimal string alignment distance). */
static unsigned edits(const char *a, const char *b)
{
    /* of the distance matrix: the current row and the two before it */
    unsigned rows[3][NAME_MAX_LENGTH + 1];
    size_t na = strnlen(a, NAME_MAX_LENGTH + 1), nb = strnlen(b, NAME_MAX_LENGTH + 1);
    if (na > NAME_MAX_LENGTH || nb > NAME_MAX_LENGTH)
        return NAME_MAX_LENGTH;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            now[j] = smaller(smaller(one[j], now[j - 1]) + 1, one[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                tolower((unsigned char)a[i - 2]) == cb)
                now[j] = smaller(now[j], two[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

nearest nearest_for(const char *word)
{
    nearest n = { word, NULL, 1 + (unsigned)strnlen(word, NAME_MAX_LENGTH) / 4 };
    return n;
}

void nearest_search(nearest *n, const void *rows, size_t row_size)
{
    const char *name;
    for (const char *row = rows; (name = *(const char *const *)row); row += row_size) {
        unsigned distance = edits(n->word, name);
        if (distance < n->distance || (distance == n->distance && !n->name)) {
            n->distance = distance;
            n->name = name;
        }
    }
}
