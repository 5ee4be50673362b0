/* dicom_fuzz.c - fuzzes the functions that read a query: tags, the names of levels and character sets,
 * values and their ranges, and the comparison of an answer with its filter. The input has two texts, a NUL
 * between them: a key and a value, or a filter and a value. */
#include "base/utf8.h"
#include "fuzz.h"
#include "orthanc/dictionary.h"
#include "orthanc/encodings.h"
#include "orthanc/matching.h"
#include "orthanc/moments.h"
#include "orthanc/tags.h"
#include "orthanc/values.h"

/* A tag that was read is written in one way, and that is read as the same tag. */
static void check_tag(const char *key)
{
    char text[ORTHANC_TAG_TEXT];
    uint32_t tag, again;
    const char *keyword;
    if (!orthanc_tag_parse(key, &tag))
        return;
    orthanc_tag_write(tag, text);
    REQUIRE(orthanc_tag_parse(text, &again) && again == tag);
    for (int level = ORTHANC_PATIENT; level < ORTHANC_NO_LEVEL; level++)
        if (orthanc_tag_kept(tag, (orthanc_level)level))
            REQUIRE(orthanc_tag_row(tag) && !orthanc_tag_forbidden(tag));
    keyword = dictionary_keyword(tag);
    if (keyword)
        REQUIRE(dictionary_find(keyword, &again) && dictionary_vr(again) == dictionary_vr(tag));
}

static void check_names(const char *name)
{
    const orthanc_encoding *e = orthanc_encoding_named(name);
    orthanc_level level = orthanc_level_of(name);
    REQUIRE(level == ORTHANC_NO_LEVEL || orthanc_level_of(orthanc_level_name(level)) == level);
    if (e && e->iconv)
        orthanc_encoding_holds(e, name);
    orthanc_encoding_of_dicom(name);
}

/* A message is a text. A range over midnight becomes two ranges that can be sent. */
static void check_value(dicom_vr vr, const char *value)
{
    char message[VALUES_MESSAGE] = "", first[VALUES_TIMES], second[VALUES_TIMES];
    moments_range range;
    moments m;
    if (!values_check(vr, value, message)) {
        size_t size = strnlen(message, sizeof message);
        REQUIRE(size > 0 && size < sizeof message && utf8_is_valid(message, size));
    }
    if (values_split_midnight(value, first, second)) {
        REQUIRE(values_check(DICOM_TM, value, message));
        REQUIRE(values_check(DICOM_TM, first, message));
        REQUIRE(values_check(DICOM_TM, second, message));
        REQUIRE(!values_split_midnight(first, message, message + VALUES_TIMES));
    }
    if (moments_read(vr, value, strlen(value), &m))
        REQUIRE(m.first <= m.last);
    moments_read_range(vr, value, strlen(value), &range);
}

/* A value without a special character matches itself. */
static void check_matching(dicom_vr vr, const char *filter, const char *value)
{
    matching self = matching_compare(vr, value, value);
    matching_compare(vr, filter, value);
    matching_compare(vr, value, filter);
    matching_is_in_moments(filter, filter, value, value);
    matching_is_in_moments(filter, value, value, filter);
    if (vr == DICOM_LO && !strpbrk(value, "*?\\"))
        REQUIRE(self != MATCHING_NO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = fuzz_begin(data, size);
    char *key = fuzz_take(&in, '\0'), *value = fuzz_take(&in, '\0');
    check_tag(key);
    check_names(key);
    /* The library checks that texts are UTF-8 before it looks at them. */
    if (utf8_is_valid(key, strlen(key)) && utf8_is_valid(value, strlen(value)))
        for (int vr = DICOM_VR_UNKNOWN; vr <= DICOM_OTHER; vr++) {
            check_value((dicom_vr)vr, value);
            check_matching((dicom_vr)vr, key, value);
        }
    free(key);
    free(value);
    return 0;
}
