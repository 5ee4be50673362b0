#include "orthanc/values.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "orthanc/moments.h"
#include "orthanc/value_checks.h"

bool value_refuse(char message[VALUES_MESSAGE], const char *format, ...)
{
    va_list arguments;
    size_t size;
    va_start(arguments, format);
    vsnprintf(message, VALUES_MESSAGE, format, arguments);
    va_end(arguments);
    size = strlen(message);
    if (size == VALUES_MESSAGE - 1) /* it may have been cut inside of a character */
        while (size > 0 && !utf8_is_valid(message, size))
            message[--size] = '\0';
    return false;
}

/* ---- what a value representation allows ---- */

enum { LIST = 1, WILDCARD = 2, LEADING_BLANK = 4 };

static const struct vr_row {
    const char *name;
    unsigned char allows;
    unsigned short length; /* characters of a value, of a component group in names; 0 = no limit */
} vr_rows[] = {
    [DICOM_AE] = { "an AE title", LIST | WILDCARD, 16 },
    [DICOM_AS] = { "an age", LIST, 4 },
    [DICOM_AT] = { "a tag", LIST, 0 },
    [DICOM_CS] = { "a code string", LIST | WILDCARD, 16 },
    [DICOM_DA] = { "a date", 0, 0 },
    [DICOM_DS] = { "a decimal number", LIST, 16 },
    [DICOM_DT] = { "a datetime", 0, 0 },
    [DICOM_FD] = { "a number", LIST, 0 },
    [DICOM_FL] = { "a number", LIST, 0 },
    [DICOM_IS] = { "a whole number", LIST, 12 },
    [DICOM_LO] = { "a text (LO)", LIST | WILDCARD, 64 },
    [DICOM_LT] = { "a text (LT)", WILDCARD | LEADING_BLANK, 10240 },
    [DICOM_PN] = { "a name", WILDCARD, 64 },
    [DICOM_SH] = { "a short text (SH)", LIST | WILDCARD, 16 },
    [DICOM_SL] = { "a whole number", LIST, 0 },
    [DICOM_SQ] = { "a sequence", LIST | WILDCARD | LEADING_BLANK, 0 },
    [DICOM_SS] = { "a whole number", LIST, 0 },
    [DICOM_ST] = { "a text (ST)", WILDCARD | LEADING_BLANK, 1024 },
    [DICOM_SV] = { "a whole number", LIST, 0 },
    [DICOM_TM] = { "a time", 0, 0 },
    [DICOM_UC] = { "a text (UC)", LIST | WILDCARD, 0 },
    [DICOM_UI] = { "a UID", LIST, 64 },
    [DICOM_UL] = { "a whole number", LIST, 0 },
    [DICOM_UR] = { "a URL", WILDCARD, 0 },
    [DICOM_US] = { "a whole number", LIST, 0 },
    [DICOM_UT] = { "a text (UT)", WILDCARD | LEADING_BLANK, 0 },
    [DICOM_UV] = { "a whole number", LIST, 0 },
    [DICOM_OTHER] = { "bytes", LIST | WILDCARD | LEADING_BLANK, 0 },
    [DICOM_VR_UNKNOWN] = { "a value", LIST | WILDCARD, 0 },
};

static bool has_only(const char *value, const char *characters)
{
    return value[strspn(value, characters)] == '\0';
}

/* The characters of the text; '*' may stand for none. */
static size_t length_of(const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += !utf8_is_continuation(text[i]) && text[i] != '*';
    return n;
}

/* ---- one element of a list ---- */

/* Digits and dots, without an empty component. */
static bool check_uid(const char *text, size_t size, char message[VALUES_MESSAGE])
{
    for (size_t i = 0; i < size; i++) {
        bool dot = text[i] == '.';
        if (dot && (i == 0 || i + 1 == size || text[i - 1] == '.'))
            return value_refuse(message,
                                "is not a UID: a number belongs on both sides of each '.'");
        if (!dot && !ascii_is_digit(text[i]))
            return value_refuse(message,
                                "is not a UID: '%c' is in it, but UIDs have only digits and "
                                "dots",
                                text[i]);
    }
    return true;
}

/* Whether an element of a code string shows that a list was meant. Writes it as DICOM writes lists. */
static bool suggest_list(const char *text, size_t size, char list[80])
{
    size_t n = 0;
    bool separated = false;
    for (size_t i = 0; i < size && n < 72; i++)
        if (strchr(",;|/+", text[i])) {
            while (n > 0 && list[n - 1] == ' ')
                n--;
            list[n++] = '\\';
            separated = true;
        } else if (text[i] != ' ' || (n > 0 && list[n - 1] != '\\')) {
            list[n++] = text[i];
        }
    list[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (list[i] >= 'a' && list[i] <= 'z')
            list[i] = (char)(list[i] - 0x20);
    return separated && n < 72 && list[0] != '\\' && list[n - 1] != '\\' && !strstr(list, "\\\\");
}

static bool check_code(const char *text, size_t size, char message[VALUES_MESSAGE])
{
    char list[80];
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if ((c >= 'A' && c <= 'Z') || ascii_is_digit(c) || strchr("_ *?", c))
            continue;
        if (suggest_list(text, size, list))
            return value_refuse(message,
                                "is not a DICOM list: write %s (the separator is one "
                                "backslash; a Lua string has \"\\\\\" for it)",
                                list);
        if (c < 'a' || c > 'z')
            return value_refuse(message,
                                "is not a code string: '%c' is in it, but codes have only "
                                "A-Z, 0-9, '_' and blanks",
                                c);
    }
    for (size_t i = 0; i < size && size <= 16; i++)
        if (text[i] >= 'a' && text[i] <= 'z') {
            char upper[17] = "";
            for (size_t j = 0; j < size && j < 16; j++)
                upper[j] = ascii_lower(text[j]) >= 'a' ? (char)(text[j] & ~0x20) : text[j];
            return value_refuse(message,
                                "has lower case, but code strings have only upper case, and "
                                "servers differ in what they find: write %s",
                                upper);
        }
    return true;
}

/* A decimal number with an exponent, or a whole one. */
static bool is_number(const char *text, size_t size, bool whole)
{
    size_t i = size > 0 && (text[0] == '-' || text[0] == '+'), digits = 0;
    bool point = false;
    for (; i < size && (ascii_is_digit(text[i]) || (text[i] == '.' && !point && !whole)); i++) {
        point = point || text[i] == '.';
        digits += text[i] != '.';
    }
    if (digits > 0 && i < size && (text[i] == 'e' || text[i] == 'E') && !whole)
        return is_number(text + i + 1, size - i - 1, true);
    return digits > 0 && i == size;
}

static bool check_number(const char *name, const char *text, size_t size, bool whole,
                         char message[VALUES_MESSAGE])
{
    const char *comma = memchr(text, ',', size);
    if (is_number(text, size, whole))
        return true;
    if (!whole && comma && size < 32) {
        char point[32];
        memcpy(point, text, size);
        point[comma - text] = '.';
        if (is_number(point, size, false))
            return value_refuse(message, "is not %s: write %.*s", name, (int)size, point);
    }
    return value_refuse(message, "is not %s%s", name, whole ? "" : ", such as 1.5");
}

static bool check_age(const char *text, size_t size, char message[VALUES_MESSAGE])
{
    size_t digits = 0;
    int age = 0;
    while (digits < size && digits < 3 && ascii_is_digit(text[digits]))
        age = age * 10 + (text[digits++] - '0');
    if (digits == 3 && size == 4 && strchr("DWMY", text[3]))
        return true;
    if (digits > 0 && digits + 1 == size && strchr("DWMYdwmy", text[digits]))
        return value_refuse(message, "is not a DICOM age: write %03d%c", age, text[digits] & ~0x20);
    return value_refuse(message, "is not a DICOM age: three digits and D, W, M or Y, such as 045Y");
}

/* Checks what is special in a value representation. The element is neither empty nor universal. */
static bool check_form(dicom_vr vr, const char *text, size_t size, char message[VALUES_MESSAGE])
{
    switch (vr) {
    case DICOM_UI: return check_uid(text, size, message);
    case DICOM_CS: return check_code(text, size, message);
    case DICOM_AS: return check_age(text, size, message);
    case DICOM_DS:
    case DICOM_FD:
    case DICOM_FL: return check_number(vr_rows[vr].name, text, size, false, message);
    case DICOM_IS:
    case DICOM_SL:
    case DICOM_SS:
    case DICOM_SV:
    case DICOM_UL:
    case DICOM_US:
    case DICOM_UV: return check_number(vr_rows[vr].name, text, size, true, message);
    default: return true;
    }
}

static bool check_length(const struct vr_row *row, const char *text, size_t size,
                         char message[VALUES_MESSAGE])
{
    size_t length = length_of(text, size);
    return row->length == 0 || length <= row->length ||
           value_refuse(message, "has %zu characters, but %s has at most %u", length, row->name,
                        (unsigned)row->length);
}

/* Three component groups of five components each. */
static bool check_name(const char *value, char message[VALUES_MESSAGE])
{
    const char *group = value;
    if (has_only(value, " ^="))
        return value_refuse(message, "has only delimiters, which servers look for as they stand: "
                                     "leave the filter out, or write '' to have the name in the "
                                     "answers");
    for (int groups = 1;; groups++) {
        size_t size = strcspn(group, "="), carets = 0;
        if (groups > 3)
            return value_refuse(message, "has more than three groups: names have two '=' at most");
        for (size_t i = 0; i < size; i++) /* a '*' may also stand for a '=' */
            carets = group[i] == '*' ? 0 : carets + (group[i] == '^');
        if (carets > 4)
            return value_refuse(message,
                                "has more than five components: names have four '^' at most");
        if (!check_length(&vr_rows[DICOM_PN], group, size, message))
            return false;
        if (!group[size])
            return true;
        group += size + 1;
    }
}

/* ---- the whole value ---- */

#define BLANK_IN_FRONT "begins with a blank, which servers may take as part of the value: remove it"

/* Checks each element of a list, or the only one. Blanks at the end of the value are padding. */
static bool check_elements(dicom_vr vr, const char *value, char message[VALUES_MESSAGE])
{
    const struct vr_row *row = &vr_rows[vr];
    for (const char *text = value;;) {
        size_t size = row->allows & LIST ? strcspn(text, "\\") : strlen(text), left = size;
        bool last = !text[size];
        while (left > 0 && text[left - 1] == ' ')
            left--;
        if (left < size && vr == DICOM_UI && left < 70)
            return value_refuse(message, "has a blank behind the UID: %.*s", (int)left, text);
        if (left < size && !last)
            return value_refuse(message, "has a blank behind one of its values: remove it");
        if (left > 0 && text[0] == ' ' && !(row->allows & LEADING_BLANK))
            return value_refuse(message, BLANK_IN_FRONT);
        if (left > 0 &&
            (!check_form(vr, text, left, message) || !check_length(row, text, left, message)))
            return false;
        if (last)
            return true;
        text += size + 1;
    }
}

bool values_check(dicom_vr vr, const char *value, char message[VALUES_MESSAGE])
{
    const struct vr_row *row = &vr_rows[vr];
    bool time = vr == DICOM_DA || vr == DICOM_TM || vr == DICOM_DT;
    bool wildcard = strpbrk(value, "*?") != NULL;
    if (has_only(value, " ") || (row->allows & WILDCARD && has_only(value, " *")))
        return true;
    if (has_only(value, time ? " *-" : " *"))
        return value_refuse(message,
                            "is no value for %s: leave the filter out, or write '' to "
                            "have the value in the answers",
                            row->name);
    if (!value_characters_check(vr, value, message))
        return false;
    if (time)
        return value_times_check(vr, value, message);
    if (wildcard && !(row->allows & WILDCARD))
        return value_refuse(message,
                            "has a wildcard, but %s is matched as a whole: write the whole "
                            "value",
                            row->name);
    if (strchr(value, '\\') && !(row->allows & LIST))
        return value_refuse(message,
                            "has a backslash, but %s cannot be a list: search once for each "
                            "value",
                            row->name);
    if (strchr(value, '\\') && wildcard && vr != DICOM_OTHER && vr != DICOM_SQ)
        return value_refuse(message,
                            "is a list with a wildcard, which servers take as it stands: ask "
                            "for its elements one by one");
    if (vr == DICOM_PN)
        return value[0] == ' ' ? value_refuse(message, BLANK_IN_FRONT) : check_name(value, message);
    return check_elements(vr, value, message);
}

/* ---- times over midnight ---- */

bool values_split_midnight(const char *value, char first[VALUES_TIMES], char second[VALUES_TIMES])
{
    size_t size = strlen(value);
    const char *separator = moments_separator(DICOM_TM, value, size);
    char message[VALUES_MESSAGE];
    moments_range r;
    if (!separator || !moments_read_range(DICOM_TM, value, size, &r) || !r.has_first ||
        !r.has_last || r.first.first <= r.last.last || !value_times_check(DICOM_TM, value, message))
        return false;
    snprintf(first, VALUES_TIMES, "%.*s-235959.999999", (int)(separator - value), value);
    snprintf(second, VALUES_TIMES, "000000-%.*s", (int)(value + size - separator - 1),
             separator + 1);
    return true;
}
