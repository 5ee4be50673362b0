#include "orthanc/dictionary.h"

#include <stddef.h>
#include <string.h>

#include "base/nearest.h"
#include "orthanc/dictionary_rows.h"

/* The dictionary has a repeating group under its first number: overlays are 6000, 6002 and so on,
 * curves 5000. */
static uint32_t first_of_repeating(uint32_t tag)
{
    uint32_t group = tag >> 24;
    return group == 0x50 || group == 0x60 ? tag & 0xff00ffff : tag;
}

static const dictionary_row *find_row(uint32_t tag)
{
    unsigned low = 0, high = dictionary_size;
    if ((tag >> 16) % 2 == 1) /* private */
        return NULL;
    tag = first_of_repeating(tag);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (dictionary_rows[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low < dictionary_size && dictionary_rows[low].tag == tag ? &dictionary_rows[low] : NULL;
}

dicom_vr dictionary_vr(uint32_t tag)
{
    const dictionary_row *row = find_row(tag);
    return row ? (dicom_vr)row->vr : DICOM_VR_UNKNOWN;
}

const char *dictionary_vr_name(dicom_vr vr)
{
    static const char *const names[] = {
        [DICOM_AE] = "AE", [DICOM_AS] = "AS", [DICOM_AT] = "AT", [DICOM_CS] = "CS",
        [DICOM_DA] = "DA", [DICOM_DS] = "DS", [DICOM_DT] = "DT", [DICOM_FD] = "FD",
        [DICOM_FL] = "FL", [DICOM_IS] = "IS", [DICOM_LO] = "LO", [DICOM_LT] = "LT",
        [DICOM_PN] = "PN", [DICOM_SH] = "SH", [DICOM_SL] = "SL", [DICOM_SQ] = "SQ",
        [DICOM_SS] = "SS", [DICOM_ST] = "ST", [DICOM_SV] = "SV", [DICOM_TM] = "TM",
        [DICOM_UC] = "UC", [DICOM_UI] = "UI", [DICOM_UL] = "UL", [DICOM_UR] = "UR",
        [DICOM_US] = "US", [DICOM_UT] = "UT", [DICOM_UV] = "UV",
    };
    return vr < sizeof names / sizeof names[0] ? names[vr] : NULL;
}

const char *dictionary_keyword(uint32_t tag)
{
    const dictionary_row *row = find_row(tag);
    return row ? dictionary_names + row->name : NULL;
}

bool dictionary_find(const char *keyword, uint32_t *tag)
{
    static const char prefix[] = "RETIRED_";
    for (unsigned i = 0; i < dictionary_size; i++)
        if (strcmp(dictionary_names + dictionary_rows[i].name, keyword) == 0) {
            *tag = dictionary_rows[i].tag;
            return true;
        }
    return strncmp(keyword, prefix, sizeof prefix - 1) == 0 &&
           dictionary_find(keyword + sizeof prefix - 1, tag);
}

const char *dictionary_nearest(const char *keyword)
{
    nearest n = nearest_for(keyword);
    for (unsigned i = 0; i < dictionary_size; i++) {
        const char *const names[] = { dictionary_names + dictionary_rows[i].name, NULL };
        nearest_search(&n, names, sizeof names[0]);
    }
    return n.name;
}
