#include "base/text_width.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>

#include "base/utf8.h"

/* wcwidth needs a locale whose encoding is UTF-8. The process and the thread may have another one,
 * so this is a locale of our own. 0: the system has none, and every character counts as one column.
 */
static locale_t utf8_locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* The width of a character of several bytes; less than 0: the system does not know it. */
static int width_of(const char *character, size_t size)
{
    mbstate_t state = { 0 };
    wchar_t wide;
    locale_t before;
    int width = -1;
    pthread_once(&once, make_locale);
    if (!utf8_locale)
        return -1;
    before = uselocale(utf8_locale);
    if (mbrtowc(&wide, character, size, &state) == size)
        width = wcwidth(wide);
    uselocale(before);
    return width;
}

size_t text_width_character(const char *text, size_t size, size_t *columns)
{
    size_t n = utf8_size(text, text + size);
    int width = n > 1 ? width_of(text, n) : 1;
    *columns = width < 0 ? 1 : (size_t)width;
    return n > 0 ? n : 1;
}

size_t text_width_columns(const char *text, size_t size)
{
    size_t sum = 0;
    for (size_t at = 0, columns; at < size; sum += columns)
        at += text_width_character(text + at, size - at, &columns);
    return sum;
}

size_t text_width_fitting(const char *text, size_t size, size_t columns)
{
    size_t at = 0, sum = 0;
    while (at < size) {
        size_t own, n = text_width_character(text + at, size - at, &own);
        sum += own;
        if (sum > columns)
            break;
        at += n;
    }
    return at;
}
