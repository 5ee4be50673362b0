#include "orthanc/matching.h"

#include <stddef.h>
#include <string.h>

#include "base/ascii.h"
#include "orthanc/moments.h"
#include "orthanc/pattern.h"

/* One comparison. A hostile server could make it long: when `steps` are used up, it is in doubt. */
typedef struct comparison {
    dicom_vr vr;
    long steps;
} comparison;

enum { STEPS_MAX = 1 << 21 };

/* ---- slices ---- */

static slice slice_of(const char *text)
{
    return (slice){ text, strlen(text) };
}

/* Without the padding: blanks, NULs and line ends around it. */
static slice trimmed(slice s)
{
    while (s.size > 0 && ascii_is_blank(s.text[0]))
        s.text++, s.size--;
    while (s.size > 0 && ascii_is_blank(s.text[s.size - 1]))
        s.size--;
    return s;
}

/* Takes the part in front of the first separator off the rest. False: nothing is left. The rest ends
 * with text NULL. */
static bool next_part(slice *rest, char separator, slice *part)
{
    const char *at;
    if (!rest->text)
        return false;
    at = memchr(rest->text, separator, rest->size);
    *part = *rest;
    if (at) {
        part->size = (size_t)(at - rest->text);
        rest->text = at + 1;
        rest->size -= part->size + 1;
    } else {
        rest->text = NULL;
    }
    return true;
}

static bool has_only(slice s, const char *characters)
{
    for (size_t i = 0; i < s.size; i++)
        if (!s.text[i] || !strchr(characters, s.text[i]))
            return false;
    return true;
}

static bool has_wildcard(slice s)
{
    return memchr(s.text, '*', s.size) || memchr(s.text, '?', s.size);
}

/* ---- value representations ---- */

static bool is_number(dicom_vr vr)
{
    switch (vr) {
    case DICOM_DS:
    case DICOM_FD:
    case DICOM_FL:
    case DICOM_IS:
    case DICOM_SL:
    case DICOM_SS:
    case DICOM_SV:
    case DICOM_UL:
    case DICOM_US:
    case DICOM_UV: return true;
    default: return false;
    }
}

/* Whether a '\\' is a character of the text, and does not separate values. */
static bool is_one_text(dicom_vr vr)
{
    return vr == DICOM_LT || vr == DICOM_ST || vr == DICOM_UR || vr == DICOM_UT;
}

/* Whether there is a blank between two '*', which must then be in the value. */
static bool has_inner_blank(slice s)
{
    char before = '\0';
    bool blank = false;
    for (size_t i = 0; i < s.size; i++) {
        if (ascii_is_blank(s.text[i])) {
            blank = true;
            continue;
        }
        if (blank && before == '*' && s.text[i] == '*')
            return true;
        before = s.text[i];
        blank = false;
    }
    return false;
}

static bool is_universal(dicom_vr vr, slice filter)
{
    return has_only(filter, dicom_vr_is_moment(vr) ? " *-"
                            : vr == DICOM_PN       ? " *^="
                                                   : " *") &&
           !has_inner_blank(filter);
}

static matching compare_pattern(comparison *c, slice filter, slice value)
{
    switch (pattern_compare(filter, value, c->vr == DICOM_PN, &c->steps)) {
    case PATTERN_YES: return MATCHING_YES;
    case PATTERN_DOUBT: return MATCHING_DOUBT;
    default: return MATCHING_NO;
    }
}

static matching yes_if(bool matches)
{
    return matches ? MATCHING_YES : MATCHING_NO;
}

static matching best(matching a, matching b)
{
    return a > b ? a : b;
}

/* ---- names ---- */

/* Without blanks, '^' and '=' at the end. */
static slice trimmed_name(slice s)
{
    s = trimmed(s);
    while (s.size > 0 &&
           (ascii_is_blank(s.text[s.size - 1]) || pattern_ends_component(s.text[s.size - 1])))
        s.size--;
    return s;
}

/* Whether nothing is left of a text that loses its characters beyond ASCII. */
static bool may_be_lost(slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (ascii_is_digit(s.text[i]) ||
            (ascii_lower(s.text[i]) >= 'a' && ascii_lower(s.text[i]) <= 'z'))
            return false;
    return !ascii_is_all(s.text, s.size);
}

/* Whether a pattern can also match components that a value leaves out. */
static bool reaches_components(slice filter)
{
    char last = filter.size > 0 ? filter.text[filter.size - 1] : '\0';
    return (last == '*' || last == '?') &&
           (memchr(filter.text, '^', filter.size) || memchr(filter.text, '?', filter.size));
}

/* Components at the end of a group may be left out (PS3.5 6.2): "Li" is also "Li^", and "Li^^^^". */
static matching compare_components(comparison *c, slice filter, slice value)
{
    enum { CARETS = 4, GROUP_SIZE = 5 * 64 * 4 };
    char whole[GROUP_SIZE + CARETS];
    matching result = compare_pattern(c, filter, value);
    int carets = 0;
    if (result == MATCHING_YES || !reaches_components(filter))
        return result;
    if (value.size > GROUP_SIZE)
        return MATCHING_DOUBT;
    memcpy(whole, value.text, value.size);
    for (size_t i = 0; i < value.size; i++)
        carets += value.text[i] == '^';
    for (; carets < CARETS && result != MATCHING_YES; carets++) {
        whole[value.size++] = '^';
        result = best(result, compare_pattern(c, filter, (slice){ whole, value.size }));
    }
    return result;
}

/* One component group of a filter. A server may have lost a group that is beyond ASCII. */
static matching compare_group(comparison *c, slice filter, slice value)
{
    filter = trimmed_name(filter);
    value = trimmed_name(value);
    if (is_universal(DICOM_PN, filter))
        return MATCHING_YES;
    if (value.size == 0)
        return may_be_lost(filter) ? MATCHING_DOUBT : MATCHING_NO;
    return compare_components(c, filter, value);
}

/* The whole name matches, or each component group that is asked for, or the only one matches any group
 * of the value. */
static matching compare_name(comparison *c, slice filter, slice value)
{
    slice one, other;
    matching result;
    filter = trimmed_name(filter);
    value = trimmed_name(value);
    result = compare_pattern(c, filter, value);
    if (result == MATCHING_YES)
        return result;
    if (!memchr(filter.text, '=', filter.size)) {
        while (next_part(&value, '=', &other))
            result = best(result, compare_group(c, filter, other));
        return result;
    }
    result = MATCHING_YES;
    while (next_part(&filter, '=', &one)) {
        matching group;
        if (!next_part(&value, '=', &other))
            other = (slice){ "", 0 };
        group = compare_group(c, one, other);
        result = group < result ? group : result;
    }
    return result;
}

/* ---- dates and times ---- */

/* Of two times, one with an offset from UTC and one without, the second is local time anywhere. */
static int64_t zone_doubt(const moments *a, const moments *b)
{
    return a->in_utc != b->in_utc ? 26 * MOMENTS_HOUR : 0;
}

static bool is_in_range(dicom_vr vr, const moments_range *r, const moments *m)
{
    bool too_early = r->has_first && m->last < r->first.first - zone_doubt(&r->first, m);
    bool too_late = r->has_last && m->first > r->last.last + zone_doubt(&r->last, m);
    if (r->has_first && r->has_last && r->first.first > r->last.last) /* in the wrong order */
        return vr != DICOM_TM || !too_early || !too_late;             /* over midnight */
    return !too_early && !too_late;
}

/* Whether the text is a date that every month has. */
static bool is_plain_date(const char *text)
{
    for (int i = 0; i < 8; i++)
        if (!ascii_is_digit(text[i]))
            return false;
    return memcmp(text + 4, "01", 2) >= 0 && memcmp(text + 4, "12", 2) <= 0 &&
           memcmp(text + 6, "01", 2) >= 0 && memcmp(text + 6, "28", 2) <= 0;
}

static matching compare_time(comparison *c, slice filter, slice value)
{
    moments_range range;
    moments m;
    if (c->vr == DICOM_DA && value.size == 8 && filter.size == 17 && filter.text[8] == '-' &&
        is_plain_date(value.text) && is_plain_date(filter.text) && is_plain_date(filter.text + 9) &&
        memcmp(filter.text, filter.text + 9, 8) <= 0) /* nearly all that is compared */
        return yes_if(memcmp(value.text, filter.text, 8) >= 0 &&
                      memcmp(value.text, filter.text + 9, 8) <= 0);
    if (!moments_read(c->vr, value.text, value.size, &m))
        return MATCHING_DOUBT;
    if (has_wildcard(filter))
        return compare_pattern(c, filter, value);
    if (!moments_read_range(c->vr, filter.text, filter.size, &range))
        return MATCHING_DOUBT;
    return yes_if(is_in_range(c->vr, &range, &m));
}

/* ---- numbers ---- */

/* Reads up to 9 digits of an exponent. */
static bool read_exponent(slice s, int *exponent)
{
    bool negative = s.size > 0 && s.text[0] == '-';
    size_t i = s.size > 0 && (s.text[0] == '-' || s.text[0] == '+');
    *exponent = 0;
    if (i == s.size || s.size - i > 9)
        return false;
    for (; i < s.size; i++) {
        if (!ascii_is_digit(s.text[i]))
            return false;
        *exponent = *exponent * 10 + (s.text[i] - '0');
    }
    *exponent = negative ? -*exponent : *exponent;
    return true;
}

/* Reads a decimal number, in any locale. False: it is none, or too large or small for a double. */
static bool read_decimal(slice s, double *number)
{
    size_t i = s.size > 0 && (s.text[0] == '-' || s.text[0] == '+');
    bool negative = s.size > 0 && s.text[0] == '-', point = false, digits = false;
    int decimals = 0, exponent = 0;
    double factor = 1;
    *number = 0;
    for (; i < s.size && (ascii_is_digit(s.text[i]) || (s.text[i] == '.' && !point)); i++) {
        point = point || s.text[i] == '.';
        if (s.text[i] == '.')
            continue;
        *number = *number * 10 + (s.text[i] - '0');
        decimals += point;
        digits = true;
    }
    if (!digits || s.size > 300)
        return false;
    if (i < s.size && ((s.text[i] != 'e' && s.text[i] != 'E') ||
                       !read_exponent((slice){ s.text + i + 1, s.size - i - 1 }, &exponent)))
        return false;
    exponent -= decimals;
    if (exponent < -300 || exponent > 300)
        return false;
    for (int e = exponent < 0 ? -exponent : exponent; e > 0; e--)
        factor *= 10;
    *number = exponent < 0 ? *number / factor : *number * factor;
    *number = negative ? -*number : *number;
    return true;
}

/* Whether two texts are the same number: "1", "01", "1.0", "10e-1". FL has 7 digits. */
static bool number_matches(dicom_vr vr, slice a, slice b)
{
    double x, y, difference, size;
    if (!read_decimal(a, &x) || !read_decimal(b, &y))
        return false;
    difference = x > y ? x - y : y - x;
    size = x < 0 ? -x : x;
    return difference <= size * (vr == DICOM_FL ? 1e-6 : 1e-12);
}

/* ---- other kinds ---- */

static slice without_zeros(slice s)
{
    while (s.size > 1 && s.text[0] == '0')
        s.text++, s.size--;
    return s;
}

/* A tag has several spellings: "0020,000D", "(0020,000d)", "0020000d". */
static bool tag_matches(slice a, slice b)
{
    size_t i = 0, j = 0;
    for (;; i++, j++) {
        while (i < a.size && ascii_hex_value(a.text[i]) < 0)
            i++;
        while (j < b.size && ascii_hex_value(b.text[j]) < 0)
            j++;
        if (i == a.size || j == b.size)
            return i == a.size && j == b.size;
        if (ascii_hex_value(a.text[i]) != ascii_hex_value(b.text[j]))
            return false;
    }
}

/* The server may know the tag as one of a date or time. */
static bool may_be_in_range(slice filter, slice value)
{
    static const dicom_vr vrs[] = { DICOM_DA, DICOM_TM, DICOM_DT };
    for (size_t i = 0; i < sizeof vrs / sizeof vrs[0]; i++) {
        moments_range range;
        moments m;
        if (moments_read_range(vrs[i], filter.text, filter.size, &range) && range.is_range &&
            moments_read(vrs[i], value.text, value.size, &m) && is_in_range(vrs[i], &range, &m))
            return true;
    }
    return false;
}

/* Compares one value with one element of the filter. Wildcards count in every value representation:
 * Orthanc matches by them even where the standard has none. */
static matching compare_one(comparison *c, slice filter, slice value)
{
    if (c->vr == DICOM_PN)
        return compare_name(c, filter, value);
    if (dicom_vr_is_moment(c->vr))
        return compare_time(c, filter, value);
    if (is_number(c->vr) && number_matches(c->vr, filter, value))
        return MATCHING_YES;
    if (c->vr == DICOM_AT && tag_matches(filter, value))
        return MATCHING_YES;
    if (c->vr == DICOM_AS) {
        filter = without_zeros(filter);
        value = without_zeros(value);
    }
    if (c->vr == DICOM_VR_UNKNOWN &&
        (number_matches(c->vr, filter, value) || may_be_in_range(filter, value)))
        return MATCHING_YES;
    return compare_pattern(c, filter, value);
}

/* Compares the element of the filter with the values: one that matches is enough. */
static matching compare_all(comparison *c, slice filter, slice values)
{
    slice rest = values, value;
    matching result = MATCHING_NO;
    filter = trimmed(filter);
    if (is_universal(c->vr, filter))
        return MATCHING_YES;
    if (is_one_text(c->vr))
        return compare_one(c, filter, trimmed(values));
    while (result != MATCHING_YES && next_part(&rest, '\\', &value)) {
        value = trimmed(value);
        if (--c->steps < 0)
            return MATCHING_DOUBT;
        if (value.size > 0)
            result = best(result, compare_one(c, filter, value));
    }
    return result;
}

/* Whether the value is an element of the list, character by character: nearly all lists are of UIDs. */
static bool is_listed(slice list, slice value)
{
    slice element;
    while (next_part(&list, '\\', &element))
        if (element.size == value.size && memcmp(element.text, value.text, value.size) == 0)
            return true;
    return false;
}

/* ---- the functions of the header ---- */

matching matching_compare(dicom_vr vr, const char *filter, const char *value)
{
    comparison c = { vr, STEPS_MAX };
    slice whole = slice_of(filter), values = slice_of(value), rest = whole, element;
    matching result = MATCHING_NO;
    if (is_universal(vr, whole) || vr == DICOM_SQ || vr == DICOM_OTHER)
        return MATCHING_YES;
    if (has_only(values, is_one_text(vr) ? " \t\r\n" : vr == DICOM_PN ? " \\^=" : " \t\r\n\\"))
        return MATCHING_UNSHOWN;
    if (vr == DICOM_UI && is_listed(whole, values))
        return MATCHING_YES;
    while (result != MATCHING_YES && next_part(&rest, '\\', &element))
        result = best(result, compare_all(&c, element, values));
    if (result != MATCHING_YES && !dicom_vr_is_moment(vr) &&
        (memchr(filter, '\\', whole.size) || memchr(value, '\\', values.size)))
        result = best(result, compare_pattern(&c, trimmed(whole), trimmed(values)));
    return result;
}

/* Whether a date and a time are inside of the combined range; the date is known. */
static bool is_combined(const moments_range *dates, const moments_range *times, const moments *date,
                        const char *time)
{
    moments m, within;
    int64_t first = dates->first.first, last = dates->last.last + 1 - MOMENTS_DAY;
    bool in_order;
    if (times->has_first)
        first += times->first.first;
    last += times->has_last ? times->last.last : MOMENTS_DAY - 1;
    in_order = !dates->has_first || !dates->has_last || first <= last;
    m = *date;
    if (moments_read(DICOM_TM, time, strlen(time), &within) &&
        date->last - date->first < MOMENTS_DAY) {
        m.last = m.first + within.last;
        m.first += within.first;
    }
    return !in_order ||
           ((!dates->has_first || m.last >= first) && (!dates->has_last || m.first <= last));
}

bool matching_is_in_moments(const char *date_filter, const char *time_filter, const char *date,
                            const char *time)
{
    moments_range dates, times;
    moments m;
    if (is_universal(DICOM_DA, slice_of(date_filter)))
        return matching_compare(DICOM_TM, time_filter, time) != MATCHING_NO;
    if (is_universal(DICOM_TM, slice_of(time_filter)))
        return matching_compare(DICOM_DA, date_filter, date) != MATCHING_NO;
    if (!moments_read_range(DICOM_DA, date_filter, strlen(date_filter), &dates) ||
        !moments_read_range(DICOM_TM, time_filter, strlen(time_filter), &times) ||
        !moments_read(DICOM_DA, date, strlen(date), &m))
        return true;
    return is_combined(&dates, &times, &m, time);
}
