#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "orthanc/moments.h"
#include "orthanc/value_checks.h"

enum { TEXT = 32 };

static const char *const words[] = {
    [DICOM_DA] = "date", [DICOM_TM] = "time", [DICOM_DT] = "datetime"
};

/* ---- the right form ---- */

/* Whether the text has exactly one date, time or datetime in DICOM's form. */
static bool is_strict(dicom_vr vr, const char *text, size_t size)
{
    moments m;
    const char *point = memchr(text, '.', size);
    if (vr == DICOM_DA)
        return size == 8 && moments_read(vr, text, size, &m);
    if (size == 0 || text[0] == ' ' || text[size - 1] == ' ' || memchr(text, ':', size))
        return false;
    if (point && point + 7 < text + size && ascii_is_digit(point[7])) /* up to six decimals */
        return false;
    return moments_read(vr, text, size, &m);
}

/* Copies digits. False: there are not that many. */
static bool take_digits(const char **at, size_t n, char **to)
{
    for (size_t i = 0; i < n; i++) {
        if (!ascii_is_digit(**at))
            return false;
        *(*to)++ = *(*at)++;
    }
    return true;
}

/* Reads YYYYMMDD, or YYYY-MM-DD with other separators. */
static bool take_date(const char **at, char **to)
{
    char separator;
    if (!take_digits(at, 4, to))
        return false;
    separator = strchr("-./", **at) ? **at : '\0';
    *at += separator != '\0';
    if (!take_digits(at, 2, to) || (separator && *(*at)++ != separator))
        return false;
    return take_digits(at, 2, to) && !ascii_is_digit(**at);
}

/* Reads HH, HHMM, HHMMSS, HHMMSS.F, with or without colons. */
static bool take_time(const char **at, char **to)
{
    bool colon;
    size_t decimals = 0;
    if (!take_digits(at, 2, to))
        return false;
    colon = **at == ':';
    for (int i = 0; i < 2 && (colon ? **at == ':' : ascii_is_digit(**at)); i++) {
        *at += colon;
        if (!take_digits(at, 2, to))
            return false;
    }
    if (**at == '.' || **at == ',') {
        *(*to)++ = '.';
        for (++*at; ascii_is_digit(**at); ++*at)
            if (decimals++ < 6)
                *(*to)++ = **at;
    }
    return !ascii_is_digit(**at) && **at != ':';
}

/* Reads a date with a time, as in ISO 8601. */
static bool take_datetime(const char **at, char **to)
{
    if (!take_date(at, to))
        return false;
    if (**at != 'T' && (**at != ' ' || !ascii_is_digit((*at)[1])) && !ascii_is_digit(**at))
        return true;
    *at += !ascii_is_digit(**at);
    if (!take_time(at, to))
        return false;
    if (**at == 'Z') {
        ++*at;
        memcpy(*to, "+0000", 5);
        *to += 5;
    } else if ((**at == '+' || **at == '-') && ascii_is_digit((*at)[1])) {
        *(*to)++ = *(*at)++;
        if (!take_digits(at, 2, to))
            return false;
        *at += **at == ':';
        if (!take_digits(at, 2, to))
            return false;
    }
    return true;
}

static bool take_one(dicom_vr vr, const char **at, char **to)
{
    if (vr == DICOM_DA)
        return take_date(at, to);
    return vr == DICOM_TM ? take_time(at, to) : take_datetime(at, to);
}

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " ");
}

/* Writes what a person may have meant: a single value or a range, in DICOM's form. False: that cannot be
 * told. */
static bool suggest(dicom_vr vr, const char *value, char form[2 * TEXT + 2])
{
    char *to = form;
    const char *at = value;
    if (strlen(value) > TEXT + 8)
        return false;
    skip_blanks(&at);
    if (*at != '-' && !take_one(vr, &at, &to))
        return false;
    skip_blanks(&at);
    if (*at == '-' || strncmp(at, "..", 2) == 0) {
        at += *at == '-' ? 1 : 2;
        *to++ = '-';
        skip_blanks(&at);
        if (*at && !take_one(vr, &at, &to))
            return false;
        skip_blanks(&at);
    }
    *to = '\0';
    return !*at && strcmp(form, value) != 0;
}

/* "2023" and "202308", also with a '*' behind: a range of dates. */
static bool suggest_period(const char *value, char form[2 * TEXT + 2])
{
    size_t digits = strspn(value, "0123456789");
    moments m;
    if ((digits != 4 && digits != 6) || value[digits + strspn(value + digits, "*? ")] ||
        !moments_read(DICOM_DA, value, digits, &m))
        return false;
    if (digits == 4)
        snprintf(form, 2 * TEXT, "%.4s0101-%.4s1231", value, value);
    else
        for (int day = 31; day >= 28; day--) { /* the last day of the month */
            char last[TEXT];
            snprintf(last, sizeof last, "%.6s%02d", value, day);
            if (!moments_read(DICOM_DA, last, 8, &m))
                continue;
            snprintf(form, 2 * TEXT, "%.6s01-%s", value, last);
            break;
        }
    return true;
}

/* ---- the check ---- */

/* Whether the ends of a range are in order, or are times over midnight. */
static bool is_in_order(dicom_vr vr, const moments_range *r)
{
    return vr == DICOM_TM || !r->has_first || !r->has_last || r->first.first <= r->last.last;
}

static bool refuse(dicom_vr vr, const char *value, char message[VALUES_MESSAGE])
{
    static const char *const forms[] = {
        [DICOM_DA] = "YYYYMMDD, or a range YYYYMMDD-YYYYMMDD",
        [DICOM_TM] = "HHMMSS, or a range HHMMSS-HHMMSS",
        [DICOM_DT] = "YYYYMMDDHHMMSS, or a range YYYYMMDDHHMMSS-YYYYMMDDHHMMSS"
    };
    char form[2 * TEXT + 2];
    moments_range r;
    if ((suggest(vr, value, form) || (vr == DICOM_DA && suggest_period(value, form))) &&
        moments_read_range(vr, form, strlen(form), &r) && is_in_order(vr, &r))
        return value_refuse(message, "is not a DICOM %s: write %s", words[vr], form);
    if (vr == DICOM_DA && strlen(value) == 8 && strspn(value, "0123456789") == 8)
        return value_refuse(message, "is not a DICOM date: there is no such day");
    if (strchr(value, '\\'))
        return value_refuse(message, "is a list, which a %s cannot be: search once for each value",
                            words[vr]);
    return value_refuse(message, "is not a DICOM %s (%s)", words[vr], forms[vr]);
}

bool value_times_check(dicom_vr vr, const char *value, char message[VALUES_MESSAGE])
{
    size_t size = strlen(value), before, behind;
    const char *separator;
    moments_range r;
    separator = moments_separator(vr, value, size);
    if (!separator)
        return is_strict(vr, value, size) || refuse(vr, value, message);
    before = (size_t)(separator - value);
    behind = size - before - 1;
    if ((before > 0 && !is_strict(vr, value, before)) ||
        (behind > 0 && !is_strict(vr, separator + 1, behind)) ||
        !moments_read_range(vr, value, size, &r))
        return refuse(vr, value, message);
    if (!is_in_order(vr, &r))
        return value_refuse(message, "is a range that ends before it begins; write %.*s-%.*s",
                            (int)behind, separator + 1, (int)before, value);
    return true;
}
