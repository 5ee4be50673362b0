/* matching.c - tests the matcher, the dictionary and the dates of src/orthanc: a table of filters, values
 * and what comes of them. */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "orthanc/dictionary.h"
#include "orthanc/matching.h"
#include "orthanc/moments.h"

typedef struct row {
    dicom_vr vr;
    const char *filter, *value;
    matching expected;
} row;

#define YES     MATCHING_YES
#define DOUBT   MATCHING_DOUBT
#define NO      MATCHING_NO
#define UNSHOWN MATCHING_UNSHOWN

/* UTF-8 of characters that the tables use. */
#define A_UMLAUT    "\xc3\xa4"
#define U_UMLAUT    "\xc3\xbc"
#define SHARP_S     "\xc3\x9f"
#define DIAERESIS   "\xcc\x88" /* combining */
#define LOST        "\xef\xbf\xbd"
#define CJK         "\xe5\xb1\xb1\xe7\x94\xb0"
#define CYRILLIC    "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd"
#define HALF_LETTER "\xc3"

static void check_all(const row *rows, size_t n)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++) {
        matching got = matching_compare(rows[i].vr, rows[i].filter, rows[i].value);
        if (got == rows[i].expected)
            continue;
        fprintf(stderr, "VR %d, filter '%s', value '%s': %d, expected %d\n", (int)rows[i].vr,
                rows[i].filter, rows[i].value, (int)got, (int)rows[i].expected);
        wrong++;
    }
    CHECK(wrong == 0);
}

#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof(rows)[0])

/* ---- texts ---- */

/* clang-format off */
static const row texts[] = {
    { DICOM_LO, "Chest", "Chest", YES },
    { DICOM_LO, "Chest", "Chests", NO },
    { DICOM_LO, "Chest", "Ches", NO },
    { DICOM_LO, "Chest", "CHEST", YES },
    { DICOM_LO, "Chest", "  chest ", YES },
    { DICOM_LO, " Chest  ", "Chest", YES },
    { DICOM_LO, "Chest CT", "Chest  CT", NO },
    { DICOM_LO, "", "Chest", YES },
    { DICOM_LO, "*", "Chest", YES },
    { DICOM_LO, " ** ", "", YES },
    { DICOM_LO, "* *", "Mammography", NO },
    { DICOM_LO, "* *", "CT Chest", YES },
    { DICOM_PN, "* *", "Doe^John", NO },
    { DICOM_PN, "* ^ *", "Doe^John", YES },
    { DICOM_LO, "Chest", "", UNSHOWN },
    { DICOM_LO, "Chest", "   ", UNSHOWN },
    { DICOM_LO, "Chest", "\\", UNSHOWN },
    { DICOM_LO, "?", "", UNSHOWN },
    /* wildcards */
    { DICOM_LO, "*chest*", "CT Chest 1", YES },
    { DICOM_LO, "*chest*", "CT Head", NO },
    { DICOM_LO, "chest*", "CT Chest", NO },
    { DICOM_LO, "*chest", "CT Chest", YES },
    { DICOM_LO, "*chest", "CT Chest 1", NO },
    { DICOM_LO, "c*t*1", "ctct11", YES },
    { DICOM_LO, "c*t*1", "ctct12", NO },
    { DICOM_LO, "ch?st", "chest", YES },
    { DICOM_LO, "ch?st", "chst", NO },
    { DICOM_LO, "ch?st", "cheest", NO },
    { DICOM_LO, "ch??t*", "chest", YES },
    { DICOM_LO, "?*", "a", YES },
    { DICOM_LO, "a?*?b", "axyb", YES },
    { DICOM_LO, "a?*?b", "axb", NO },
    { DICOM_LO, "a*", "a", YES },
    { DICOM_LO, "a[b]", "a[b]", YES },
    { DICOM_LO, "a[b]", "ab", NO },
    /* lists, of the filter and of the value */
    { DICOM_LO, "A\\B", "b", YES },
    { DICOM_LO, "A\\B", "C", NO },
    { DICOM_LO, "A\\B", "C\\D", NO },
    { DICOM_LO, "A", "C\\A\\D", YES },
    { DICOM_LO, "A", "C\\AB\\D", NO },
    { DICOM_LO, "C*D", "C\\AB\\D", YES }, /* a server may take the value as one text */
    { DICOM_LO, "A\\B*", "BC", YES },
    { DICOM_LO, "A\\\\B", "C", YES }, /* an empty element: modalities disagree */
    { DICOM_CS, "CT\\MR", "MR", YES },
    { DICOM_CS, "CT\\MR", "US", NO },
    { DICOM_CS, "MR", "CT\\MR\\SR", YES },
    { DICOM_CS, "MR", "CT\\SR", NO },
    { DICOM_CS, "ct", "CT", YES },
    { DICOM_SH, "A1", "A1", YES },
    { DICOM_SH, "A1", "A10", NO },
    { DICOM_SH, "A1*", "A10", YES },
    { DICOM_AE, "STATION1", "STATION1 ", YES },
    { DICOM_AE, "STATION1", "STATION2", NO },
    { DICOM_ST, "a\\b", "a\\b", YES },
    { DICOM_ST, "b", "a\\b", NO }, /* here a backslash is a character */
    { DICOM_LT, "*b", "a\\b", YES },
    { DICOM_LT, "b", "a\\b", NO },
    { DICOM_UR, "b", "a\\b", NO },
    { DICOM_UT, "b", "a\\b", NO },
    { DICOM_UT, "one*two", "one\r\ntwo", YES },
    { DICOM_UC, "b", "a\\b", YES },
    { DICOM_UC, "c", "a\\b", NO },
    { DICOM_AS, "45Y", "045Y", YES },
    { DICOM_AS, "045Y", "45Y", YES },
    { DICOM_AS, "045Y", "046Y", NO },
    { DICOM_OTHER, "x", "y", YES },
    { DICOM_SQ, "x", "y", YES },
};

static const row beyond_ascii[] = {
    /* in the filter: a server may have lost or replaced the characters */
    { DICOM_LO, "M" U_UMLAUT "ller", "M" U_UMLAUT "ller", YES },
    { DICOM_LO, "M" U_UMLAUT "ller", "Muller", YES },
    { DICOM_LO, "M" U_UMLAUT "ller", "Mueller", YES },
    { DICOM_LO, "M" U_UMLAUT "ller", "Mller", DOUBT },
    { DICOM_LO, "M" U_UMLAUT "ller", "M?ller", DOUBT },
    { DICOM_LO, "M" U_UMLAUT "ller", "Maier", NO },
    { DICOM_LO, "M" U_UMLAUT "ller", "Smith", NO },
    { DICOM_LO, CYRILLIC, "anything", NO },
    { DICOM_LO, CYRILLIC, "???", DOUBT },
    { DICOM_LO, CYRILLIC "*", "anything", DOUBT },
    { DICOM_LO, "CT " CYRILLIC, "CT", NO },
    /* in the value */
    { DICOM_LO, "Muller", "M" U_UMLAUT "ller", YES },
    { DICOM_LO, "Mueller", "M" U_UMLAUT "ller", YES },
    { DICOM_LO, "Mller", "M" U_UMLAUT "ller", NO },
    { DICOM_LO, "Meier", "M" U_UMLAUT "ller", NO },
    { DICOM_LO, "Muuuller", "M" U_UMLAUT "ller", NO },
    { DICOM_LO, "M?ller", "M" U_UMLAUT "ller", YES },
    { DICOM_LO, "M*r", "M" U_UMLAUT "ller", YES },
    { DICOM_LO, "M*x", "M" U_UMLAUT "ller", NO },
    { DICOM_LO, "Strasse", "Stra" SHARP_S "e", YES },
    { DICOM_LO, "Stresse", "Stra" SHARP_S "e", NO },
    { DICOM_LO, "Muller", "Mu" DIAERESIS "ller", YES },
    { DICOM_LO, "Muller", "M" LOST "ller", DOUBT },
    { DICOM_LO, "Muller", "M?ller", DOUBT },
    { DICOM_LO, "Muller", "M??ller", DOUBT },
    { DICOM_LO, "Meier", "M?ller", NO },
    { DICOM_LO, "Muller", "M" HALF_LETTER "ller", DOUBT },
    { DICOM_LO, "Meier", "M" HALF_LETTER "ller", NO },
    { DICOM_LO, "*ae*", A_UMLAUT, YES },
    { DICOM_LO, "*x*", A_UMLAUT, NO },
    { DICOM_LO, "*xyz*", A_UMLAUT, NO },
};

static const row names[] = {
    { DICOM_PN, "Doe^John", "Doe^John", YES },
    { DICOM_PN, "doe^john", "DOE^JOHN", YES },
    { DICOM_PN, "Doe^John", "Doe^John^^^", YES },
    { DICOM_PN, "Doe^John^^", "Doe^John", YES },
    { DICOM_PN, "Doe^John", "Doe ^ John ", YES },
    { DICOM_PN, "Doe ^John", "Doe^John", YES },
    { DICOM_PN, "van Doe^John", "van Doe^John", YES },
    { DICOM_PN, "van Doe^John", "vanDoe^John", NO },
    { DICOM_PN, "Doe^John", "Doe^Jane", NO },
    { DICOM_PN, "Doe^John", "Doe", NO },
    { DICOM_PN, "Doe", "Doe^John", NO },
    { DICOM_PN, "Doe*", "Doe^John", YES },
    { DICOM_PN, "Doe^*", "Doe^John", YES },
    { DICOM_PN, "*^John", "Doe^John", YES },
    { DICOM_PN, "*^John", "Doe^Jane", NO },
    { DICOM_PN, "*^*", "Doe", YES },
    { DICOM_PN, "^^", "Doe", YES },
    { DICOM_PN, "Li^*", "Li", YES }, /* "Li^^^^" says the same */
    { DICOM_PN, "Li^^*", "Li", YES },
    { DICOM_PN, "Li^?", "Li", YES },
    { DICOM_PN, "Li?", "Li", YES },
    { DICOM_PN, "Li^*", "Li=x^y", YES },
    { DICOM_PN, "Li^*=x^*", "Li=x", YES },
    { DICOM_PN, "*de la Cruz^*", "de la Cruz", YES },
    { DICOM_PN, "L" U_UMLAUT "^*", "L" U_UMLAUT, YES },
    { DICOM_PN, "Li^*", "Lin", NO },
    { DICOM_PN, "Li^?n*", "Li", NO },
    { DICOM_PN, "Li^^^^^*", "Li", NO },
    { DICOM_PN, "Li^Na^^^^*", "Li^Na", NO },
    { DICOM_LO, "Li^*", "Li", NO }, /* only names have components */
    { DICOM_PN, "Doe^?ohn", "Doe^John", YES },
    /* component groups */
    { DICOM_PN, "Yamada^Tarou", "Yamada^Tarou=" CJK "^" CJK, YES },
    { DICOM_PN, "Yamada^Tarou", "Sato^Tarou=" CJK "^" CJK, NO },
    { DICOM_PN, "Yamada^Tarou=x^y", "Yamada^Tarou=x^y=z", YES },
    { DICOM_PN, "Yamada^Tarou=x^y", "Yamada^Tarou=x^z", NO },
    { DICOM_PN, "Yamada^Tarou=" CJK, "Yamada^Tarou", DOUBT }, /* the group may have been lost */
    { DICOM_PN, "Yamada^Tarou=" CJK, "Sato^Tarou", NO },
    { DICOM_PN, "M" U_UMLAUT "ller", "Doe^Ann==Yi", NO }, /* nobody lost "Mller" */
    { DICOM_PN, CJK, "Doe^Ann=", NO }, /* a trailing "=" is no group */
    { DICOM_PN, CJK, "Doe^Ann==Yi", DOUBT },
    { DICOM_PN, "=x^y", "Yamada^Tarou=x^y", YES },
    { DICOM_PN, "=x^y", "Yamada^Tarou=x^z", NO },
    { DICOM_PN, "=x^y", "Yamada^Tarou", NO },
    { DICOM_PN, "x^y", "Yamada^Tarou=x^y", YES },
    { DICOM_PN, "Yamada*=*", "Yamada^Tarou", YES },
    { DICOM_PN, "Yamada^Tarou==", "Yamada^Tarou", YES },
    { DICOM_PN, CJK "^" CJK, "Yamada^Tarou=" CJK "^" CJK, YES },
    { DICOM_PN, "M" U_UMLAUT "ller^J*", "Muller^John", YES },
    { DICOM_PN, "M" U_UMLAUT "ller^J*", "Muller^Mary", NO },
    { DICOM_PN, "Doe^John", "Roe^Jane\\Doe^John", YES }, /* OtherPatientNames */
    { DICOM_PN, "Doe^John", "Roe^Jane\\Roe^John", NO },
    { DICOM_PN, "Doe^John", "=^", UNSHOWN },
    { DICOM_PN, "Doe^John", " ", UNSHOWN },
};

/* ---- identifiers and numbers ---- */

static const row identifiers[] = {
    { DICOM_UI, "1.2.3", "1.2.3", YES },
    { DICOM_UI, "1.2.3", "1.2.3 ", YES },
    { DICOM_UI, "1.2.3", "1.2.30", NO },
    { DICOM_UI, "1.2.3", "1.2.03", NO },
    { DICOM_UI, "1.2.3", "", UNSHOWN },
    { DICOM_UI, "1.2.3\\1.2.4", "1.2.4", YES },
    { DICOM_UI, "1.2.3\\1.2.4", "1.2.5", NO },
    { DICOM_UI, "1.2.3", "1.2.5\\1.2.3", YES },
    { DICOM_AT, "0020,000D", "0020000d", YES },
    { DICOM_AT, "0020,000D", "(0020,000e)", NO },
    { DICOM_IS, "1", "01", YES },
    { DICOM_IS, "1", "+1", YES },
    { DICOM_IS, "1", "1.0", YES },
    { DICOM_IS, "1", "11", NO },
    { DICOM_IS, "1", "-1", NO },
    { DICOM_IS, "0", "-0", YES },
    { DICOM_IS, "1\\2", "2", YES },
    { DICOM_IS, "2", "1\\02", YES },
    { DICOM_IS, "1*", "12", YES },
    { DICOM_IS, "x", "X", YES },
    { DICOM_IS, "5", "x", NO },
    { DICOM_DS, "1.50", "15e-1", YES },
    { DICOM_DS, "1.5", "1.51", NO },
    { DICOM_DS, "1e400", "1e401", NO },
    { DICOM_DS, ".5", "0.5", YES },
    { DICOM_DS, "1,5", "1.5", NO },
    { DICOM_DS, "1e", "1", NO },
    { DICOM_FL, "0.1", "0.100000001", YES },
    { DICOM_FD, "0.1", "0.100000001", NO },
    { DICOM_US, "512", "0512", YES },
    { DICOM_US, "512", "513", NO },
    /* a tag that the dictionary does not have */
    { DICOM_VR_UNKNOWN, "abc", "ABC", YES },
    { DICOM_VR_UNKNOWN, "abc", "abd", NO },
    { DICOM_VR_UNKNOWN, "1", "1.0", YES },
    { DICOM_VR_UNKNOWN, "20240101-20240131", "20240115", YES },
    { DICOM_VR_UNKNOWN, "20240101-20240131", "20240215", NO },
};

/* ---- dates and times ---- */

static const row times[] = {
    { DICOM_DA, "20240131", "20240131", YES },
    { DICOM_DA, "20240131", "20240130", NO },
    { DICOM_DA, "20240131", "2024.01.31", YES },
    { DICOM_DA, "2024.01.31", "20240131", YES },
    { DICOM_DA, "2024.01.31", "20240201", NO },
    { DICOM_DA, "20240131", "2024-01-31", YES },
    { DICOM_DA, "20240131", "2024-02-01", NO },
    { DICOM_DA, "19000315", "19000229", DOUBT }, /* no date */
    { DICOM_DA, "20000301", "20000229", NO },
    { DICOM_DA, "20240131", " 20240131 ", YES },
    { DICOM_DA, "20240131", "202401", YES }, /* it may be that day */
    { DICOM_DA, "20240131", "202402", NO },
    { DICOM_DA, "20240131", "2023", NO },
    { DICOM_DA, "20240131", "unknown", DOUBT },
    { DICOM_DA, "20240131", "20240230", DOUBT }, /* no date: it shows nothing */
    { DICOM_DA, "20240131", "", UNSHOWN },
    { DICOM_DA, "-", "20240131", YES },
    { DICOM_DA, "*", "20240131", YES },
    { DICOM_DA, "20240101-20240131", "20240101", YES },
    { DICOM_DA, "20240101-20240131", "20240131", YES },
    { DICOM_DA, "20240101-20240131", "20231231", NO },
    { DICOM_DA, "20240101-20240131", "20240201", NO },
    { DICOM_DA, "20240101 - 20240131", "20240201", NO },
    { DICOM_DA, "20240101-", "20251231", YES },
    { DICOM_DA, "20240101-", "20231231", NO },
    { DICOM_DA, "-20240131", "19000101", YES },
    { DICOM_DA, "-20240131", "20240201", NO },
    { DICOM_DA, "20240131-20240101", "20240115", YES }, /* in the wrong order: it says nothing */
    { DICOM_DA, "-7d", "20240131", DOUBT },
    { DICOM_DA, "today", "20240131", DOUBT },
    { DICOM_DA, "2024*", "20240131", YES },
    { DICOM_DA, "2024*", "20230131", NO },
    { DICOM_DA, "20240101\\20240103", "20240103", YES },
    { DICOM_DA, "20240101\\20240103", "20240102", NO },
    { DICOM_DA, "20240229", "20240301", NO },
    { DICOM_DA, "19991231-20000101", "20000101", YES },
    { DICOM_TM, "101500", "101500", YES },
    { DICOM_TM, "101500", "101501", NO },
    { DICOM_TM, "101500", "101500.000000", YES },
    { DICOM_TM, "101500", "101500.25", YES }, /* a second with a fraction is that second */
    { DICOM_TM, "101500", "10:15:00", YES },
    { DICOM_TM, "10:15:00", "101600", NO },
    { DICOM_TM, "101500", "1015", YES },
    { DICOM_TM, "101500", "10", YES },
    { DICOM_TM, "101500", "11", NO },
    { DICOM_TM, "10", "101500", YES },
    { DICOM_TM, "10-12", "125959.999999", YES }, /* the whole last hour */
    { DICOM_TM, "10-12", "130000", NO },
    { DICOM_TM, "10-12", "095959", NO },
    { DICOM_TM, "1000-", "2359", YES },
    { DICOM_TM, "-1000", "100101", NO },
    { DICOM_TM, "-1000", "100059", YES },
    { DICOM_TM, "22-23", "235959", YES },
    { DICOM_TM, "225959-23", "235960", YES }, /* a leap second */
    { DICOM_TM, "235000-001000", "235500", YES }, /* over midnight */
    { DICOM_TM, "235000-001000", "000500", YES },
    { DICOM_TM, "235000-001000", "120000", NO },
    { DICOM_TM, "101500", "24", DOUBT },
    { DICOM_TM, "101500.123456-101500.2", "101500.1", YES },
    { DICOM_TM, "101500.123456-101500.2", "101500.3", NO },
    { DICOM_DT, "20240131", "20240131101500", YES },
    { DICOM_DT, "20240131", "20240201101500", NO },
    { DICOM_DT, "20240131101500", "20240131101501", NO },
    { DICOM_DT, "20240131101500", "20240131", YES },
    { DICOM_DT, "20240131-20240202", "20240202235959.9", YES },
    { DICOM_DT, "20240131-20240202", "20240203", NO },
    { DICOM_DT, "20240131120000+0000", "20240131140000+0200", YES },
    { DICOM_DT, "20240131120000+0000", "20240131130000+0200", NO },
    { DICOM_DT, "20240131120000-0500", "20240131170000+0000", YES },
    { DICOM_DT, "20240131120000-0500", "20240131160000+0000", NO },
    { DICOM_DT, "20240131120000+0000", "20240201130000", YES }, /* local time: 26 hours */
    { DICOM_DT, "20240131120000+0000", "20240202130000", NO },
    { DICOM_DT, "20240131120000-0500-20240201120000-0500", "20240201", YES },
    { DICOM_DT, "20240131120000-0500-20240201120000-0500", "20240205", NO },
    { DICOM_DT, "20240131120000-0500-", "20240129", NO },
    { DICOM_DT, "-20240131120000-0500", "20240205", NO },
    { DICOM_DT, "2023-2024", "202406", YES },
    { DICOM_DT, "2023-2024", "2025", NO },
};
/* clang-format on */

static void moments_are_combined(void)
{
    static const struct {
        const char *date_filter, *time_filter, *date, *time;
        bool expected;
    } rows[] = {
        { "20240131-20240202", "1000-1200", "20240131", "0959", false },
        { "20240131-20240202", "1000-1200", "20240131", "1000", true },
        { "20240131-20240202", "1000-1200", "20240201", "2300", true },
        { "20240131-20240202", "1000-1200", "20240202", "1200", true },
        { "20240131-20240202", "1000-1200", "20240202", "1201", false },
        { "20240131-20240202", "1000-1200", "20240203", "1100", false },
        { "20240131-20240202", "1000-1200", "20240130", "1100", false },
        { "20240131-20240202", "1000-1200", "20240131", "", true },
        { "20240131-20240202", "1000-1200", "20240130", "", false },
        { "20240131-20240202", "1000-1200", "", "0100", true },
        { "20240131-20240202", "-1200", "20240131", "0100", true },
        { "20240131-20240202", "-1200", "20240202", "1300", false },
        { "20240131-", "1000-", "20250131", "0100", true },
        { "20240131-", "1000-", "20240131", "0100", false },
        { "-20240131", "-1000", "20200131", "2300", true },
        { "-20240131", "-1000", "20240131", "2300", false },
        { "20240131-20240201", "235000-001000", "20240131", "1200", false },
        { "20240131-20240201", "235000-001000", "20240201", "0005", true },
        { "20240131", "235000-001000", "20240131", "1200", true }, /* no range: it says nothing */
        { "*", "1000-1200", "20240131", "1300", false },
        { "20240131", "*", "20240201", "1300", false },
        { "today", "1000-1200", "20240131", "1300", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (matching_is_in_moments(rows[i].date_filter, rows[i].time_filter, rows[i].date,
                                   rows[i].time) != rows[i].expected) {
            fprintf(stderr, "row %zu\n", i);
            CHECK(!"matching_is_in_moments");
        }
}

/* A hostile server's value ends the comparison in bounded time, and the answer stays. */
static void long_values_end(void)
{
    enum { SIZE = 4000000 };
    char *value = malloc(SIZE + 1), filter[1001];
    CHECK(value);
    for (int i = 0; i < 1000; i += 2)
        memcpy(filter + i, "a*", 2);
    filter[999] = 'b';
    filter[1000] = '\0';
    memset(value, 'a', SIZE);
    value[SIZE] = '\0';
    CHECK(matching_compare(DICOM_LO, filter, value) == DOUBT);
    CHECK(matching_compare(DICOM_LO, "a*b", value) == DOUBT); /* too long to read to its end */
    memset(value, ' ', SIZE);
    value[0] = 'a';
    value[SIZE - 1] = 'b';
    CHECK(matching_compare(DICOM_PN, "a b", value) == NO);
    memset(value, '^', SIZE);
    value[SIZE - 1] = 'b';
    CHECK(matching_compare(DICOM_PN, "a^b", value) == NO);
    for (int i = 0; i < SIZE; i += 2)
        memcpy(value + i, "a\\", 2);
    CHECK(matching_compare(DICOM_LO, "b\\c", value) == DOUBT);
    memset(value, '0', SIZE);
    CHECK(matching_compare(DICOM_IS, "1", value) == NO);
    CHECK(matching_compare(DICOM_TM, "10", value) == DOUBT);
    memset(value, 'b', 2000);
    value[2000] = '\0';
    CHECK(matching_compare(DICOM_LO, value, "c") == NO);
    CHECK(matching_compare(DICOM_LO, value, "c" U_UMLAUT) == DOUBT); /* the filter is too long */
    free(value);
}

/* ---- the dictionary ---- */

static void tags_are_known(void)
{
    uint32_t tag = 0;
    CHECK(dictionary_vr(0x00100010) == DICOM_PN && dictionary_vr(0x00080020) == DICOM_DA);
    CHECK(dictionary_vr(0x0040a120) == DICOM_DT && dictionary_vr(0x00400100) == DICOM_SQ);
    CHECK(dictionary_vr(0x7fe00010) == DICOM_OTHER && dictionary_vr(0x00280106) == DICOM_US);
    CHECK(dictionary_vr(0x60000010) == DICOM_US && dictionary_vr(0x60020010) == DICOM_US);
    CHECK(dictionary_vr(0x00090010) == DICOM_VR_UNKNOWN && !dictionary_keyword(0x00090010));
    CHECK(dictionary_vr(0x00080021 + 0x9000) == DICOM_VR_UNKNOWN);
    CHECK(dictionary_vr(0xffffffff) == DICOM_VR_UNKNOWN);
    CHECK(strcmp(dictionary_keyword(0x00100010), "PatientName") == 0);
    CHECK(strcmp(dictionary_keyword(0x00101000), "OtherPatientIDs") == 0);
    CHECK(dictionary_find("StudyDate", &tag) && tag == 0x00080020);
    CHECK(dictionary_find("OtherPatientIDs", &tag) && tag == 0x00101000);
    CHECK(dictionary_find("RETIRED_StudyStatusID", &tag) && tag == 0x0032000a);
    CHECK(!dictionary_find("studydate", &tag) && !dictionary_find("", &tag));
    CHECK(!dictionary_find("RETIRED_", &tag) && !dictionary_find("StudyDat", &tag));
}

int main(void)
{
    CHECK_ALL(texts);
    CHECK_ALL(beyond_ascii);
    CHECK_ALL(names);
    CHECK_ALL(identifiers);
    CHECK_ALL(times);
    moments_are_combined();
    long_values_end();
    tags_are_known();
    return 0;
}
