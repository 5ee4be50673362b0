#include "orthanc/encodings.h"

#include <iconv.h>
#include <stddef.h>
#include <string.h>

/* clang-format off */
static const orthanc_encoding encodings[] = {
    { "Utf8", "ISO_IR 192", "UTF-8" },
    { "Ascii", "ISO_IR 6", "ASCII" },
    { "Latin1", "ISO_IR 100", "ISO-8859-1" },
    { "Latin2", "ISO_IR 101", "ISO-8859-2" },
    { "Latin3", "ISO_IR 109", "ISO-8859-3" },
    { "Latin4", "ISO_IR 110", "ISO-8859-4" },
    { "Latin5", "ISO_IR 148", "ISO-8859-9" },
    { "Latin9", "ISO_IR 203", "ISO-8859-15" },
    { "Cyrillic", "ISO_IR 144", "ISO-8859-5" },
    { "Windows1251", NULL, "CP1251" },
    { "Arabic", "ISO_IR 127", "ISO-8859-6" },
    { "Greek", "ISO_IR 126", "ISO-8859-7" },
    { "Hebrew", "ISO_IR 138", "ISO-8859-8" },
    { "Thai", "ISO_IR 166", "TIS-620" },
    { "Japanese", "ISO_IR 13", "SHIFT_JIS" },
    { "Chinese", "GB18030", "GB18030" },
    { "JapaneseKanji", "ISO 2022 IR 87", NULL },
    { "Korean", "ISO 2022 IR 149", NULL },
    { "SimplifiedChinese", "ISO 2022 IR 58", NULL },
};
/* clang-format on */

enum { COUNT = sizeof encodings / sizeof encodings[0] };

const orthanc_encoding *orthanc_encoding_named(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(encodings[i].name, name) == 0)
            return &encodings[i];
    return NULL;
}

/* Without code extensions "ISO 2022 IR 100" is the same set as "ISO_IR 100". An empty value is ASCII. */
const orthanc_encoding *orthanc_encoding_of_dicom(const char *value)
{
    static const char extended[] = "ISO 2022 IR ";
    const size_t prefix = sizeof extended - 1;
    if (!*value)
        value = "ISO_IR 6";
    for (size_t i = 0; i < COUNT; i++) {
        const char *dicom = encodings[i].dicom;
        if (dicom && (strcmp(dicom, value) == 0 ||
                      (strncmp(value, extended, prefix) == 0 && strncmp(dicom, "ISO_IR ", 7) == 0 &&
                       strcmp(dicom + 7, value + prefix) == 0)))
            return &encodings[i];
    }
    return NULL;
}

bool orthanc_encoding_is_complete(const orthanc_encoding *e)
{
    return strcmp(e->name, "Utf8") == 0 || strcmp(e->name, "Chinese") == 0;
}

/* GCC's analyzer takes the result of iconv_open for memory, which the value (iconv_t)-1 of a failure would
 * leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

bool orthanc_encoding_holds(const orthanc_encoding *e, const char *text)
{
    char out[256], *in = (char *)text; /* iconv does not write to it */
    size_t left = strlen(text);
    bool holds = true;
    iconv_t to = e->iconv ? iconv_open(e->iconv, "UTF-8") : (iconv_t)-1;
    if (to == (iconv_t)-1)
        return false;
    while (left > 0 && holds) {
        char *at = out;
        size_t room = sizeof out, before = left, n = iconv(to, &in, &left, &at, &room);
        /* iconv stops at a character that the set does not have, or replaces it (n counts that). */
        if ((n == (size_t)-1 && left == before) || (n != (size_t)-1 && n > 0))
            holds = false;
    }
    iconv_close(to);
    return holds;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
