#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "orthanc/value_checks.h"

/* How a character misleads. */
typedef enum trap {
    TRAP_NONE,
    TRAP_BLANK,      /* looks like a blank */
    TRAP_EAST_ASIAN, /* the same, or a letter, in the width of an ideograph: right beside ideographs */
    TRAP_HIDDEN,     /* looks like nothing */
    TRAP_JOINER,     /* the same, but some writing systems need it */
    TRAP_SEPARATE, /* part of a character that has a number of its own */
    TRAP_HYPHEN,   /* looks like a hyphen */
    TRAP_DASH,     /* the same, but may be meant in a text */
    TRAP_CONTROL,
    TRAP_LOST
} trap;

static const struct trap_row {
    uint32_t first, last;
    trap trap;
    const char *name;
} trap_rows[] = {
    { 0x0080, 0x009F, TRAP_CONTROL, "control character" },
    { 0x00A0, 0x00A0, TRAP_BLANK, "no-break space" },
    { 0x00AD, 0x00AD, TRAP_HIDDEN, "soft hyphen" },
    { 0x0300, 0x036F, TRAP_SEPARATE, "combining accent" },
    { 0x034F, 0x034F, TRAP_HIDDEN, "combining grapheme joiner" },
    { 0x061C, 0x061C, TRAP_HIDDEN, "direction mark" },
    { 0x1100, 0x11FF, TRAP_SEPARATE, "separate part of a Korean syllable" },
    { 0x1680, 0x1680, TRAP_BLANK, "Ogham space" },
    { 0x180E, 0x180E, TRAP_HIDDEN, "vowel separator" },
    { 0x1AB0, 0x1AFF, TRAP_SEPARATE, "combining accent" },
    { 0x1DC0, 0x1DFF, TRAP_SEPARATE, "combining accent" },
    { 0x2000, 0x200A, TRAP_BLANK, "space of another width" },
    { 0x200B, 0x200B, TRAP_HIDDEN, "zero-width space" },
    { 0x200C, 0x200D, TRAP_JOINER, "zero-width joiner" },
    { 0x200E, 0x200F, TRAP_HIDDEN, "direction mark" },
    { 0x2010, 0x2010, TRAP_HYPHEN, "Unicode hyphen" },
    { 0x2011, 0x2011, TRAP_HYPHEN, "no-break hyphen" },
    { 0x2012, 0x2012, TRAP_DASH, "figure dash" },
    { 0x2013, 0x2013, TRAP_DASH, "en dash" },
    { 0x2014, 0x2014, TRAP_DASH, "em dash" },
    { 0x2015, 0x2015, TRAP_DASH, "horizontal bar" },
    { 0x2028, 0x2029, TRAP_CONTROL, "line separator" },
    { 0x202A, 0x202E, TRAP_HIDDEN, "direction mark" },
    { 0x202F, 0x202F, TRAP_BLANK, "narrow no-break space" },
    { 0x205F, 0x205F, TRAP_BLANK, "mathematical space" },
    { 0x2060, 0x2064, TRAP_HIDDEN, "word joiner" },
    { 0x2066, 0x2069, TRAP_HIDDEN, "direction mark" },
    { 0x20D0, 0x20FF, TRAP_SEPARATE, "combining mark" },
    { 0x2212, 0x2212, TRAP_HYPHEN, "minus sign" },
    { 0x3000, 0x3000, TRAP_EAST_ASIAN, "ideographic space" },
    { 0x3099, 0x309A, TRAP_SEPARATE, "combining voiced sound mark" },
    { 0xA960, 0xA97F, TRAP_SEPARATE, "separate part of a Korean syllable" },
    { 0xD7B0, 0xD7FF, TRAP_SEPARATE, "separate part of a Korean syllable" },
    { 0xFE58, 0xFE58, TRAP_DASH, "small dash" },
    { 0xFE63, 0xFE63, TRAP_HYPHEN, "small hyphen" },
    { 0xFEFF, 0xFEFF, TRAP_HIDDEN, "byte order mark" },
    { 0xFF01, 0xFF5E, TRAP_EAST_ASIAN, "full-width character" },
    { 0xFFFD, 0xFFFD, TRAP_LOST, "replacement character" },
    { 0xE0000, 0xE007F, TRAP_HIDDEN, "tag character" },
};

/* The last row that has the character, or NULL: a later row may be more precise. */
static const struct trap_row *row_of(uint32_t code)
{
    const struct trap_row *found = NULL;
    for (size_t i = 0; i < sizeof trap_rows / sizeof trap_rows[0]; i++)
        if (code >= trap_rows[i].first && code <= trap_rows[i].last)
            found = &trap_rows[i];
    return found;
}

/* ---- where a character stands ---- */

/* A character of a value, and what is around it. */
typedef struct place {
    const char *begin, *end; /* the value; of a name, the component group */
    bool ideographs;         /* it has some */
    const char *at, *behind;
    uint32_t code, before; /* before: the character in front; 0 = none */
} place;

static bool is_ideographic(uint32_t code)
{
    return (code >= 0x2E80 && code <= 0x9FFF && code != 0x3000) ||
           (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
           (code >= 0xFF65 && code <= 0xFFDC) || (code >= 0x20000 && code <= 0x3FFFF);
}

static bool has_ideographs(const char *at, const char *end)
{
    uint32_t code;
    while (at < end) {
        size_t size = utf8_decode(at, end, &code);
        if (is_ideographic(code))
            return true;
        at += size > 0 ? size : 1;
    }
    return false;
}

/* Whether a dash stands as one does in a text, with a blank beside it. */
static bool is_beside_blank(const place *p)
{
    return p->before == ' ' || (p->behind < p->end && *p->behind == ' ');
}

/* Writings from Hebrew on join letters. */
static bool is_joined(const place *p)
{
    return p->before >= 0x0590 && !row_of(p->before);
}

/* ---- value representations ---- */

/* Those whose values are ASCII. */
static bool is_ascii_only(dicom_vr vr)
{
    switch (vr) {
    case DICOM_LO:
    case DICOM_LT:
    case DICOM_PN:
    case DICOM_SH:
    case DICOM_ST:
    case DICOM_UC:
    case DICOM_UT:
    case DICOM_OTHER:
    case DICOM_SQ:
    case DICOM_VR_UNKNOWN: return false;
    default: return true;
    }
}

static bool is_text(dicom_vr vr)
{
    return vr == DICOM_LT || vr == DICOM_ST || vr == DICOM_UT;
}

/* Whether the value is right although it has the character. */
static bool may_stand(dicom_vr vr, trap how, const place *p)
{
    if (is_ascii_only(vr))
        return false;
    switch (how) {
    case TRAP_NONE: return true;
    case TRAP_EAST_ASIAN: return p->ideographs;
    case TRAP_JOINER: return is_joined(p);
    case TRAP_DASH: return is_text(vr) || (vr != DICOM_SH && vr != DICOM_PN && is_beside_blank(p));
    default: return false;
    }
}

/* ---- messages ---- */

/* The ASCII character that a full-width one looks like. */
static char narrow(uint32_t code)
{
    return code == 0x3000 ? ' ' : (char)(code - 0xFF01 + '!');
}

static bool refuse(const struct trap_row *row, const place *p, char message[VALUES_MESSAGE])
{
    unsigned code = (unsigned)p->code;
    switch (row ? row->trap : TRAP_NONE) {
    case TRAP_BLANK:
        return value_refuse(message,
                            "has a character that looks like a blank (U+%04X, %s): write ' '", code,
                            row->name);
    case TRAP_EAST_ASIAN:
        return value_refuse(message, "has a character of double width (U+%04X, %s): write '%c'",
                            code, row->name, narrow(p->code));
    case TRAP_HIDDEN:
    case TRAP_JOINER:
        return value_refuse(message, "has an invisible character (U+%04X, %s): remove it", code,
                            row->name);
    case TRAP_SEPARATE:
        return value_refuse(message,
                            "has a character in two parts, of which one is U+%04X (%s): write the "
                            "composed character, as in Unicode's form NFC",
                            code, row->name);
    case TRAP_HYPHEN:
    case TRAP_DASH:
        return value_refuse(message, "has a character that looks like '-' (U+%04X, %s): write '-'",
                            code, row->name);
    case TRAP_CONTROL: return value_refuse(message, "has a %s (U+%04X)", row->name, code);
    case TRAP_LOST:
        return value_refuse(message,
                            "has U+FFFD, which stands for a character that was lost: write "
                            "'?' or '*' there, which match any character");
    default:
        return value_refuse(message, "has the character '%.*s' (U+%04X): only ASCII is possible",
                            (int)(p->behind - p->at), p->at, code);
    }
}

/* ---- the check ---- */

/* Checks the part of the value that ends at p->end. */
static bool check_part(dicom_vr vr, place *p, char message[VALUES_MESSAGE])
{
    for (p->at = p->begin; p->at < p->end; p->at = p->behind, p->before = p->code) {
        size_t size = utf8_decode(p->at, p->end, &p->code);
        const struct trap_row *row;
        p->behind = p->at + (size > 0 ? size : 1);
        if (size == 0 && is_ascii_only(vr))
            return value_refuse(message, "is not UTF-8");
        if (size <= 1) /* where ASCII is not needed, the choice of a character set refuses it */
            continue;
        row = row_of(p->code);
        if (!may_stand(vr, row ? row->trap : TRAP_NONE, p))
            return refuse(row, p, message);
    }
    return true;
}

bool value_characters_check(dicom_vr vr, const char *value, char message[VALUES_MESSAGE])
{
    const char *begin = value;
    for (;;) {
        size_t size = vr == DICOM_PN ? strcspn(begin, "=") : strlen(begin);
        place p = { .begin = begin, .end = begin + size };
        p.ideographs = has_ideographs(begin, p.end);
        if (!check_part(vr, &p, message))
            return false;
        if (!begin[size])
            return true;
        begin += size + 1;
    }
}
