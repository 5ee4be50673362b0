#include "orthanc/moments.h"

#include <string.h>

#include "base/ascii.h"

/* ---- numbers ---- */

/* Reads exactly n digits. */
static bool read_number(const char *text, size_t n, int *number)
{
    *number = 0;
    for (size_t i = 0; i < n; i++) {
        if (!ascii_is_digit(text[i]))
            return false;
        *number = *number * 10 + (text[i] - '0');
    }
    return true;
}

/* Removes blanks at both ends. */
static void trim(const char **text, size_t *size)
{
    while (*size > 0 && **text == ' ')
        ++*text, --*size;
    while (*size > 0 && ((*text)[*size - 1] == ' '))
        --*size;
}

/* ---- dates ---- */

/* Days from 1970-01-01, in the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* years that begin in March */
    int64_t shifted = month <= 2 ? month + 9 : month - 3;
    int64_t leaps = y >= 0 ? y / 4 - y / 100 + y / 400 : -1; /* y is -1 in January of year 0 */
    return y * 365 + leaps + (153 * shifted + 2) / 5 + day - 1 - 719468;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Reads YYYY, YYYYMM or YYYYMMDD. */
static bool read_digits_of_date(const char *text, size_t size, moments *m)
{
    int year, month = 1, day = 1, last_month = 12, last_day;
    if ((size != 4 && size != 6 && size != 8) || !read_number(text, 4, &year))
        return false;
    if (size >= 6) {
        if (!read_number(text + 4, 2, &month) || month < 1 || month > 12)
            return false;
        last_month = month;
    }
    last_day = days_in(year, last_month);
    if (size == 8) {
        if (!read_number(text + 6, 2, &day) || day < 1 || day > last_day)
            return false;
        last_day = day;
    }
    m->first = days_of(year, month, day) * MOMENTS_DAY;
    m->last = (days_of(year, last_month, last_day) + 1) * MOMENTS_DAY - 1;
    return true;
}

static bool read_date(const char *text, size_t size, moments *m)
{
    char digits[8];
    if (size != 10)
        return read_digits_of_date(text, size, m);
    if ((text[4] != '.' && text[4] != '-') || text[7] != text[4])
        return false;
    memcpy(digits, text, 4);
    memcpy(digits + 4, text + 5, 2);
    memcpy(digits + 6, text + 8, 2);
    return read_digits_of_date(digits, sizeof digits, m);
}

/* ---- times ---- */

/* Reads the digits behind the point as microseconds; digits after the sixth are ignored. `unit` becomes
 * what the last digit counts. */
static bool read_fraction(const char *text, size_t size, int64_t *fraction, int64_t *unit)
{
    *fraction = 0;
    *unit = MOMENTS_SECOND;
    for (size_t i = 0; i < size; i++) {
        if (!ascii_is_digit(text[i]))
            return false;
        if (*unit == 1)
            continue;
        *unit /= 10;
        *fraction += (text[i] - '0') * *unit;
    }
    return size > 0;
}

/* Reads HH, HHMM, HHMMSS or HHMMSS.F. */
static bool read_digits_of_time(const char *text, size_t size, moments *m)
{
    const char *point = memchr(text, '.', size);
    size_t whole = point ? (size_t)(point - text) : size;
    int hour, minute = 0, second = 0;
    int64_t fraction = 0, unit = MOMENTS_HOUR;
    if ((whole != 2 && whole != 4 && whole != 6) || (point && whole != 6) ||
        !read_number(text, 2, &hour) || hour > 23)
        return false;
    if (whole >= 4) {
        if (!read_number(text + 2, 2, &minute) || minute > 59)
            return false;
        unit = (int64_t)60 * MOMENTS_SECOND;
    }
    if (whole == 6) {
        if (!read_number(text + 4, 2, &second) || second > 60)
            return false;
        unit = MOMENTS_SECOND;
    }
    if (point && !read_fraction(point + 1, size - whole - 1, &fraction, &unit))
        return false;
    m->first = ((hour * 60 + minute) * 60 + (int64_t)second) * MOMENTS_SECOND + fraction;
    m->last = m->first + unit - 1;
    if (second == 60) /* a leap second may be counted as the one before it */
        m->first -= MOMENTS_SECOND;
    return true;
}

static bool read_time(const char *text, size_t size, moments *m)
{
    char digits[32];
    size_t n = 2;
    if (size < 3 || text[2] != ':')
        return read_digits_of_time(text, size, m);
    if (size > sizeof digits)
        return false;
    memcpy(digits, text, n);
    for (size_t i = n; i < size; i++)
        if (text[i] != ':')
            digits[n++] = text[i];
        else if (i != 2 && i != 5)
            return false;
    return read_digits_of_time(digits, n, m);
}

/* ---- a date with a time ---- */

/* Reads +HHMM or -HHMM. */
static bool read_offset(const char *text, size_t size, int64_t *offset)
{
    int hours, minutes;
    if (size != 5 || !read_number(text + 1, 2, &hours) || !read_number(text + 3, 2, &minutes) ||
        hours > 14 || minutes > 59)
        return false;
    *offset = (int64_t)(hours * 60 + minutes) * 60 * MOMENTS_SECOND;
    if (text[0] == '-')
        *offset = -*offset;
    return true;
}

static bool read_datetime(const char *text, size_t size, moments *m)
{
    size_t whole = 0;
    int64_t offset = 0;
    moments time;
    while (whole < size && text[whole] != '+' && text[whole] != '-')
        whole++;
    m->in_utc = whole < size;
    if (m->in_utc && !read_offset(text + whole, size - whole, &offset))
        return false;
    if (!read_digits_of_date(text, whole < 8 ? whole : 8, m))
        return false;
    if (whole > 8) {
        if (!read_digits_of_time(text + 8, whole - 8, &time))
            return false;
        m->last = m->first + time.last;
        m->first += time.first;
    }
    m->first -= offset;
    m->last -= offset;
    return true;
}

bool moments_read(dicom_vr vr, const char *text, size_t size, moments *m)
{
    trim(&text, &size);
    m->in_utc = false;
    if (vr == DICOM_DA)
        return read_date(text, size, m);
    return vr == DICOM_TM ? read_time(text, size, m) : read_datetime(text, size, m);
}

/* ---- ranges ---- */

/* Whether the '-' begins the offset of a DT: four digits up to 1400 follow, and then nothing or a '-'. */
static bool begins_offset(const char *at, const char *text, const char *end)
{
    int number;
    return at > text && end - at >= 5 && read_number(at + 1, 4, &number) && number <= 1400 &&
           (end - at == 5 || at[5] == '-' || at[5] == ' ');
}

const char *moments_separator(dicom_vr vr, const char *text, size_t size)
{
    const char *end = text + size, *found = NULL;
    for (const char *at = text; at < end; at++) {
        if (*at != '-' || (vr == DICOM_DT && begins_offset(at, text, end)))
            continue;
        if (found)
            return NULL;
        found = at;
    }
    return found;
}

bool moments_read_range(dicom_vr vr, const char *text, size_t size, moments_range *r)
{
    const char *separator = moments_separator(vr, text, size), *end = text + size, *from, *to;
    size_t before, behind;
    memset(r, 0, sizeof *r);
    if (!separator) {
        r->has_first = r->has_last = moments_read(vr, text, size, &r->first);
        r->last = r->first;
        return r->has_first;
    }
    r->is_range = true;
    from = text;
    before = (size_t)(separator - text);
    to = separator + 1;
    behind = (size_t)(end - to);
    trim(&from, &before);
    trim(&to, &behind);
    r->has_first = before > 0;
    r->has_last = behind > 0;
    return (!r->has_first || moments_read(vr, from, before, &r->first)) &&
           (!r->has_last || moments_read(vr, to, behind, &r->last));
}
