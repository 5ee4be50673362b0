/* qrd_match.c - the keys of qrd, matching by PS3.4 C.2.2.2, and answers. */
#include "qrd.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TAG_MODALITY = 0x00080060, TAG_STUDY_MODALITIES = 0x00080061, TEXT_MAX = 4096 };

typedef struct key {
    const char *name;
    uint32_t tag;
    char vr[3];
    int level;
    bool matched;
} key;

/* The default of `matched` is that of pynetdicom's qrscp. */
static key keys[] = {
    { "PatientID", TAG_PATIENT_ID, "LO", PATIENT, true },
    { "PatientName", TAG_PATIENT_NAME, "PN", PATIENT, true },
    { "PatientBirthDate", 0x00100030, "DA", PATIENT, false },
    { "PatientSex", 0x00100040, "CS", PATIENT, false },
    { "IssuerOfPatientID", 0x00100021, "LO", PATIENT, false },
    { "PatientComments", 0x00104000, "LT", PATIENT, false },
    { "StudyInstanceUID", TAG_STUDY, "UI", STUDY, true },
    { "StudyDate", TAG_STUDY_DATE, "DA", STUDY, true },
    { "StudyTime", 0x00080030, "TM", STUDY, true },
    { "AccessionNumber", TAG_ACCESSION, "SH", STUDY, true },
    { "StudyID", 0x00200010, "SH", STUDY, true },
    { "StudyDescription", TAG_DESCRIPTION, "LO", STUDY, false },
    { "ReferringPhysicianName", 0x00080090, "PN", STUDY, false },
    { "ModalitiesInStudy", TAG_STUDY_MODALITIES, "CS", STUDY, false },
    { "NumberOfStudyRelatedSeries", TAG_STUDY_SERIES, "IS", STUDY, false },
    { "NumberOfStudyRelatedInstances", TAG_STUDY_INSTANCES, "IS", STUDY, false },
    { "SeriesInstanceUID", TAG_SERIES, "UI", SERIES, true },
    { "Modality", TAG_MODALITY, "CS", SERIES, true },
    { "SeriesNumber", 0x00200011, "IS", SERIES, true },
    { "SeriesDescription", 0x0008103E, "LO", SERIES, false },
    { "SeriesDate", 0x00080021, "DA", SERIES, false },
    { "SeriesTime", 0x00080031, "TM", SERIES, false },
    { "BodyPartExamined", 0x00180015, "CS", SERIES, false },
    { "ProtocolName", 0x00181030, "LO", SERIES, false },
    { "NumberOfSeriesRelatedInstances", TAG_SERIES_INSTANCES, "IS", SERIES, false },
    { "SOPInstanceUID", TAG_SOP_INSTANCE, "UI", IMAGE, true },
    { "InstanceNumber", 0x00200013, "IS", IMAGE, true },
    { "SOPClassUID", TAG_SOP_CLASS, "UI", IMAGE, false },
};

static const size_t key_count = sizeof keys / sizeof *keys;

uint32_t unique_tag(int level)
{
    static const uint32_t tags[] = { TAG_PATIENT_ID, TAG_STUDY, TAG_SERIES, TAG_SOP_INSTANCE };
    return tags[level];
}

static const key *key_of(uint32_t tag)
{
    for (size_t i = 0; i < key_count; i++)
        if (keys[i].tag == tag)
            return &keys[i];
    return NULL;
}

bool select_keys(const char *list)
{
    for (size_t i = 0; i < key_count; i++)
        keys[i].matched = strcmp(list, "all") == 0;
    if (strcmp(list, "all") == 0)
        return true;
    for (const char *p = list; *p;) {
        const size_t size = strcspn(p, ",");
        size_t i = 0;
        while (i < key_count &&
               (strlen(keys[i].name) != size || memcmp(keys[i].name, p, size) != 0))
            i++;
        if (i == key_count)
            return false;
        keys[i].matched = true;
        p += size + (p[size] == ',');
    }
    return true;
}

/* ---- values ---- */

static bool same(const image *x, const image *y, uint32_t tag)
{
    char a[UID_MAX + 1], b[UID_MAX + 1];
    return strcmp(set_text(x->set, tag, a), set_text(y->set, tag, b)) == 0;
}

/* Is the value in the text, which has values with backslashes between them? */
static bool contains(const char *text, const char *value)
{
    const size_t size = strlen(value);
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, "\\");
        if (n == size && memcmp(p, value, n) == 0)
            return true;
        p += n + (p[n] == '\\');
    }
    return false;
}

/* The distinct values of a tag in all instances of the study or series, with backslashes between
 * them, and their number. The text is cut when there are too many. */
static unsigned distinct(const images *all, const image *one, uint32_t parent, uint32_t tag,
                         char text[TEXT_MAX])
{
    unsigned n = 0;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < all->count; i++) {
        char value[UID_MAX + 1];
        if (!same(all->at[i], one, parent))
            continue;
        if (!*set_text(all->at[i]->set, tag, value) || contains(text, value))
            continue;
        if (used < TEXT_MAX - sizeof value - 1)
            used += (size_t)sprintf(text + used, "%s%s", n > 0 ? "\\" : "", value);
        n++;
    }
    return n;
}

/* The value of a key for an instance, without padding. */
static const char *value_of(const images *all, const image *one, const key *k, char text[TEXT_MAX])
{
    static const struct {
        uint32_t tag, parent, counted;
    } counts[] = {
        { TAG_STUDY_SERIES, TAG_STUDY, TAG_SERIES },
        { TAG_STUDY_INSTANCES, TAG_STUDY, TAG_SOP_INSTANCE },
        { TAG_SERIES_INSTANCES, TAG_SERIES, TAG_SOP_INSTANCE },
    };
    const element *e;
    size_t size = 0;
    if (k->tag == TAG_STUDY_MODALITIES) {
        distinct(all, one, TAG_STUDY, TAG_MODALITY, text);
        return text;
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].tag == k->tag) {
            const unsigned n = distinct(all, one, counts[i].parent, counts[i].counted, text);
            sprintf(text, "%u", n);
            return text;
        }
    if ((e = set_find(one->set, k->tag)))
        size = trimmed(e->value, e->size);
    if (size >= TEXT_MAX)
        size = TEXT_MAX - 1;
    if (size)
        memcpy(text, e->value, size);
    text[size] = '\0';
    return text;
}

/* ---- matching: `asked` and `has` are not empty and have no padding ---- */

static bool fits(const char *asked, const char *has, bool folded)
{
    for (; *asked; asked++, has++) {
        if (*asked == '*') {
            do
                if (fits(asked + 1, has, folded))
                    return true;
            while (*has++);
            return false;
        }
        if (!*has)
            return false;
        if (*asked != '?' && *asked != *has &&
            !(folded && tolower((unsigned char)*asked) == tolower((unsigned char)*has)))
            return false;
    }
    return !*has;
}

/* Makes a date or a time comparable: the digits, without the dot of a fraction, and `fill` where the
 * value is less precise. */
static void comparable(const char *from, size_t size, char fill, char to[15])
{
    size_t n = 0;
    for (size_t i = 0; i < size && n < 14; i++)
        if (isdigit((unsigned char)from[i]))
            to[n++] = from[i];
    memset(to + n, fill, 14 - n);
    to[14] = '\0';
}

/* A date, a time, or a range of them. An end that is less precise includes all that it begins. */
static bool in_range(const char *asked, const char *has)
{
    const char *dash = strchr(asked, '-');
    const char *last = dash ? dash + 1 : asked;
    const size_t first = dash ? (size_t)(dash - asked) : strlen(asked);
    char low[15], high[15], value[15];
    comparable(asked, first, '0', low);
    comparable(last, strlen(last), '9', high);
    comparable(has, strlen(has), '0', value);
    return (first == 0 || strcmp(value, low) >= 0) && (!*last || strcmp(value, high) <= 0);
}

static bool one_matches(const char *vr, const char *asked, const char *has)
{
    if (strcmp(vr, "UI") == 0)
        return strcmp(asked, has) == 0;
    if (strcmp(vr, "DA") == 0 || strcmp(vr, "TM") == 0)
        return in_range(asked, has);
    if (strcmp(vr, "IS") == 0)
        return strtol(asked, NULL, 10) == strtol(has, NULL, 10);
    return fits(asked + strspn(asked, " "), has + strspn(has, " "), strcmp(vr, "PN") == 0);
}

/* Does one of the values in `has`, between backslashes, match? */
static bool any_matches(const char *vr, const char *asked, const char *has)
{
    char one[TEXT_MAX];
    for (;;) {
        const size_t size = strcspn(has, "\\");
        memcpy(one, has, size);
        one[trimmed(one, size)] = '\0';
        if (one_matches(vr, asked, one))
            return true;
        if (!has[size])
            return false;
        has += size + 1;
    }
}

/* Does a value match one of the list of UIDs, or the single value? */
static bool value_matches(const char *vr, const element *e, const char *has)
{
    char asked[TEXT_MAX];
    size_t size = trimmed(e->value, e->size);
    const char *list = memchr(e->value, '\\', size);
    const bool text = strchr("SLPC", vr[0]) != NULL; /* SH, LO, LT, PN, CS */
    if (list && opt.first_of_list)
        size = (size_t)(list - e->value);
    if (size == 0 || (text && size == 1 && e->value[0] == '*'))
        return true; /* universal matching */
    if (!*has)
        return false;
    if (size >= TEXT_MAX && strcmp(vr, "UI") != 0)
        size = TEXT_MAX - 1;
    if (strcmp(vr, "UI") != 0 || !memchr(e->value, '\\', size)) {
        memcpy(asked, e->value, size);
        asked[size] = '\0';
        return any_matches(vr, asked, has);
    }
    for (const char *p = e->value; !opt.no_lists; p++) {
        const size_t n = strcspn(p, "\\");
        if (trimmed(p, n) == strlen(has) && memcmp(p, has, strlen(has)) == 0)
            return true;
        if (!*(p += n))
            break;
    }
    return false;
}

bool find_matches(const images *all, const image *one, const element *identifier, int level)
{
    char has[TEXT_MAX];
    for (const element *e = identifier; e; e = e->next) {
        const key *k = key_of(e->tag);
        if (k && k->matched && k->level <= level && e->size > 0 &&
            !value_matches(k->vr, e, value_of(all, one, k, has)))
            return false;
    }
    return true;
}

bool move_matches(const image *one, const element *identifier, int level)
{
    char has[TEXT_MAX];
    for (int i = PATIENT; i <= level; i++) {
        const element *e = set_find(identifier, unique_tag(i));
        const key *k = key_of(unique_tag(i));
        if (e && !value_matches(k->vr, e, value_of(NULL, one, k, has)))
            return false;
    }
    return true;
}

bool has_unique_keys(const element *identifier, int from, int to)
{
    char text[UID_MAX + 1];
    for (int i = from; i <= to; i++)
        if (!*set_text(identifier, unique_tag(i), text))
            return false;
    return true;
}

/* ---- answers ---- */

static void put_value(element **answer, const images *all, const image *one, const key *k)
{
    char text[TEXT_MAX];
    value_of(all, one, k, text);
    if (opt.upper && strchr("SLPC", k->vr[0]))
        for (char *p = text; *p; p++)
            *p = (char)toupper((unsigned char)*p);
    set_puts(answer, k->tag, k->vr, text);
}

element *answer_for(const images *all, const image *one, const element *identifier, int level)
{
    const element *charset = set_find(one->set, TAG_CHARSET), *asked_level;
    element *answer = NULL;
    for (const element *e = identifier; e; e = e->next) {
        const key *k = key_of(e->tag);
        if (e->tag == TAG_LEVEL || e->tag == TAG_CHARSET)
            continue;
        if (k && k->level <= level && (k->matched || opt.unmatched == IS_VALUE))
            put_value(&answer, all, one, k);
        else if (opt.unmatched != IS_ABSENT)
            set_puts(&answer, e->tag, k ? k->vr : e->vr, "");
    }
    if (opt.label && charset)
        set_put(&answer, TAG_CHARSET, "CS", charset->value, charset->size);
    asked_level = set_find(identifier, TAG_LEVEL);
    if (opt.answer_level)
        set_puts(&answer, TAG_LEVEL, "CS", opt.answer_level);
    else
        set_put(&answer, TAG_LEVEL, "CS", asked_level->value, asked_level->size);
    return answer;
}
