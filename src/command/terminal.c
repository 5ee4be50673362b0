#include "command/terminal.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/utf8.h"

/* ---- its size ---- */

static bool terminal_size(int fd, struct winsize *size)
{
    return ioctl(fd, TIOCGWINSZ, size) == 0;
}

size_t terminal_width(int fd)
{
    struct winsize size;
    return terminal_size(fd, &size) && size.ws_col > 0 ? size.ws_col : TERMINAL_DEFAULT_WIDTH;
}

size_t terminal_height(int fd)
{
    struct winsize size;
    return terminal_size(fd, &size) ? size.ws_row : 0;
}

/* ---- what it can do ---- */

static bool terminal_is_dumb(void)
{
    const char *term = getenv("TERM");
    return !term || strcmp(term, "dumb") == 0;
}

bool terminal_is_interactive(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !terminal_is_dumb();
}

/* https://no-color.org */
bool terminal_wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && !terminal_is_dumb();
}

/* ---- how much of a text fits ---- */

/* mbrtowc and wcwidth need a locale whose encoding is UTF-8. The process may have another one, and
 * inside a callback of the library the thread has "C". Made once; 0 when the system has none. */
static locale_t utf8_locale(void)
{
    static locale_t made;
    static bool tried;
    if (!tried)
        made = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    tried = true;
    return made;
}

/* Without such a locale every character counts as one column. */
static size_t measure_without_locale(const char *text, size_t size, size_t *columns)
{
    size_t n = 1;
    while (n < size && utf8_is_continuation(text[n]))
        n++;
    *columns = 1;
    return n;
}

size_t terminal_character(const char *text, size_t size, size_t *columns)
{
    locale_t utf8 = utf8_locale(), before;
    mbstate_t state = { 0 };
    wchar_t character;
    size_t n;
    int width = 1;
    if (!utf8)
        return measure_without_locale(text, size, columns);
    before = uselocale(utf8);
    n = mbrtowc(&character, text, size, &state);
    if (n >= 1 && n <= size)
        width = wcwidth(character);
    uselocale(before);
    *columns = width < 0 ? 1 : (size_t)width;
    return n >= 1 && n <= size ? n : 1;
}

size_t terminal_columns(const char *text, size_t size)
{
    size_t sum = 0;
    for (size_t at = 0, columns; at < size; sum += columns)
        at += terminal_character(text + at, size - at, &columns);
    return sum;
}

size_t terminal_fitting(const char *text, size_t size, size_t columns)
{
    size_t at = 0, sum = 0;
    while (at < size) {
        size_t own, n = terminal_character(text + at, size - at, &own);
        sum += own;
        if (sum > columns)
            break;
        at += n;
    }
    return at;
}
