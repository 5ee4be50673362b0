/* values.c - tests the checks of filters against their value representation: a table of values, and the
 * message of each that is refused. Also those of keys that would end the server. */
#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"
#include "check.h"
#include "orthanc/body_keys.h"
#include "orthanc/values.h"

typedef struct row {
    dicom_vr vr;
    const char *value;
    const char *message; /* NULL: it passes */
} row;

#define DATE_FORM "is not a DICOM date (YYYYMMDD, or a range YYYYMMDD-YYYYMMDD)"
#define TIME_FORM "is not a DICOM time (HHMMSS, or a range HHMMSS-HHMMSS)"
#define DATETIME_FORM \
    "is not a DICOM datetime (YYYYMMDDHHMMSS, or a range YYYYMMDDHHMMSS-YYYYMMDDHHMMSS)"
#define NO_DAY    "is not a DICOM date: there is no such day"
#define BLANK     "begins with a blank, which servers may take as part of the value: remove it"
#define LIST_FORM " (the separator is one backslash; a Lua string has \"\\\\\" for it)"
#define MIXED \
    "is a list with a wildcard, which servers take as it stands: ask for its elements one by one"
#define NO_WILDCARD " is matched as a whole: write the whole value"
#define NO_VALUE(vr) \
    "is no value for " vr ": leave the filter out, or write '' to have the value in the answers"
#define NO_LIST " cannot be a list: search once for each value"
#define TEN     "1234567890"
#define SIXTY   TEN TEN TEN TEN TEN TEN

/* clang-format off */
static const row dates[] = {
    { DICOM_DA, "", NULL },
    { DICOM_DA, "*", NO_VALUE("a date") },
    { DICOM_DA, "  ", NULL },
    { DICOM_DA, "-", NO_VALUE("a date") },
    { DICOM_DA, "*-*", NO_VALUE("a date") },
    { DICOM_DA, "20240131", NULL },
    { DICOM_DA, "20240131 ", "is not a DICOM date: write 20240131" },
    { DICOM_DA, "20240229", NULL },
    { DICOM_DA, "20000229", NULL },
    { DICOM_DA, "20240101-20240131", NULL },
    { DICOM_DA, "20240131-20240131", NULL },
    { DICOM_DA, "20240101-", NULL },
    { DICOM_DA, "-20240131", NULL },
    { DICOM_DA, "2024-01-31", "is not a DICOM date: write 20240131" },
    { DICOM_DA, "2024.01.31", "is not a DICOM date: write 20240131" },
    { DICOM_DA, "2024/01/31", "is not a DICOM date: write 20240131" },
    { DICOM_DA, " 20240131", "is not a DICOM date: write 20240131" },
    { DICOM_DA, "20230811 - 20230812", "is not a DICOM date: write 20230811-20230812" },
    { DICOM_DA, "2023-08-11 - 2023-08-12", "is not a DICOM date: write 20230811-20230812" },
    { DICOM_DA, "2023-08-11-", "is not a DICOM date: write 20230811-" },
    { DICOM_DA, "20230811..20230812", "is not a DICOM date: write 20230811-20230812" },
    { DICOM_DA, "20230812-20230801", "is a range that ends before it begins; write 20230801-20230812" },
    { DICOM_DA, "2023", "is not a DICOM date: write 20230101-20231231" },
    { DICOM_DA, "202402", "is not a DICOM date: write 20240201-20240229" },
    { DICOM_DA, "2023*", "is not a DICOM date: write 20230101-20231231" },
    { DICOM_DA, "202313", DATE_FORM },
    { DICOM_DA, "01/02/2024", DATE_FORM },
    { DICOM_DA, "31.01.2024", DATE_FORM },
    { DICOM_DA, "today", DATE_FORM },
    { DICOM_DA, "-7d", DATE_FORM },
    { DICOM_DA, "-7", DATE_FORM },
    { DICOM_DA, "20240131-7", DATE_FORM },
    { DICOM_DA, "2024013", DATE_FORM },
    { DICOM_DA, "202401311", DATE_FORM },
    { DICOM_DA, "20240131x", DATE_FORM },
    { DICOM_DA, "?", DATE_FORM },
    { DICOM_DA, "20240101-20240115-20240131", DATE_FORM },
    { DICOM_DA, "20240101--20240131", DATE_FORM },
    { DICOM_DA, "2023-08-12 - 2023-08-01", DATE_FORM },
    { DICOM_DA, "20230231", NO_DAY },
    { DICOM_DA, "20230229", NO_DAY },
    { DICOM_DA, "19000229", NO_DAY },
    { DICOM_DA, "20231301", NO_DAY },
    { DICOM_DA, "20230100", NO_DAY },
    { DICOM_DA, "20230101-20230231", DATE_FORM },
    { DICOM_DA, "20240101\\20240102", "is a list, which a date cannot be: search once for each value" },
    { DICOM_DA, "20230811\xe2\x80\x93" "20230812", "has a character that looks like '-' (U+2013, en dash): write '-'" },
    { DICOM_DA, "\xef\xbc\x92" "0230811", "has a character of double width (U+FF12, full-width character): write '2'" },
    { DICOM_DA, "20230811\xc2\xa0", "has a character that looks like a blank (U+00A0, no-break space): write ' '" },
    { DICOM_DA, "\xef\xbb\xbf" "20230811", "has an invisible character (U+FEFF, byte order mark): remove it" },
    { DICOM_DA, "2023\xc3", "is not UTF-8" },
    { DICOM_TM, "10", NULL },
    { DICOM_TM, "1015", NULL },
    { DICOM_TM, "101500", NULL },
    { DICOM_TM, "101500.123456", NULL },
    { DICOM_TM, "235960", NULL },
    { DICOM_TM, "10-12", NULL },
    { DICOM_TM, "1000-", NULL },
    { DICOM_TM, "-1000", NULL },
    { DICOM_TM, "235000-001000", NULL }, /* over midnight: asked as two */
    { DICOM_TM, "10:15:00", "is not a DICOM time: write 101500" },
    { DICOM_TM, "10:15", "is not a DICOM time: write 1015" },
    { DICOM_TM, "10:15 - 11:00", "is not a DICOM time: write 1015-1100" },
    { DICOM_TM, "10:15:00,5", "is not a DICOM time: write 101500.5" },
    { DICOM_TM, "101500.1234567", "is not a DICOM time: write 101500.123456" },
    { DICOM_TM, "24", TIME_FORM },
    { DICOM_TM, "1060", TIME_FORM },
    { DICOM_TM, "101561", TIME_FORM },
    { DICOM_TM, "1", TIME_FORM },
    { DICOM_TM, "10150", TIME_FORM },
    { DICOM_TM, "1015.5", TIME_FORM },
    { DICOM_TM, "10*", TIME_FORM },
    { DICOM_TM, "now", TIME_FORM },
    { DICOM_TM, "10\\11", "is a list, which a time cannot be: search once for each value" },
    { DICOM_DT, "2024", NULL },
    { DICOM_DT, "20240131101500.5+0100", NULL },
    { DICOM_DT, "20240131-20240201", NULL },
    { DICOM_DT, "20240131101500-0500", NULL },
    { DICOM_DT, "20240131101500-0500-20240201101500-0500", NULL },
    { DICOM_DT, "20240201-20240131", "is a range that ends before it begins; write 20240131-20240201" },
    { DICOM_DT, "2024-01-31T10:15:00Z", "is not a DICOM datetime: write 20240131101500+0000" },
    { DICOM_DT, "2024-01-31 10:15", "is not a DICOM datetime: write 202401311015" },
    { DICOM_DT, "2024-01-31T10:15:00+01:00", "is not a DICOM datetime: write 20240131101500+0100" },
    { DICOM_DT, "20240231", DATETIME_FORM },
    { DICOM_DT, "20240131101500+9900", DATETIME_FORM },
    { DICOM_DT, "yesterday", DATETIME_FORM },
};

static const row codes[] = {
    { DICOM_UI, "1.2.840.10008.1.1", NULL },
    { DICOM_UI, "1.2\\1.3", NULL },
    { DICOM_UI, "1.02.3", NULL }, /* wrong, but there are such UIDs */
    { DICOM_UI, "1234." SIXTY, "has 65 characters, but a UID has at most 64" },
    { DICOM_UI, "123." SIXTY, NULL },
    { DICOM_UI, "1.2.*", "has a wildcard, but a UID" NO_WILDCARD },
    { DICOM_UI, "1.2.3 ", "has a blank behind the UID: 1.2.3" },
    { DICOM_UI, " 1.2.3", BLANK },
    { DICOM_UI, "1.2 .3", "is not a UID: ' ' is in it, but UIDs have only digits and dots" },
    { DICOM_UI, "1.2.x", "is not a UID: 'x' is in it, but UIDs have only digits and dots" },
    { DICOM_UI, "1..2", "is not a UID: a number belongs on both sides of each '.'" },
    { DICOM_UI, ".1", "is not a UID: a number belongs on both sides of each '.'" },
    { DICOM_UI, "1.", "is not a UID: a number belongs on both sides of each '.'" },
    { DICOM_UI, "1.2\\1.3.", "is not a UID: a number belongs on both sides of each '.'" },
    { DICOM_UI, "1.2,1.3", "is not a UID: ',' is in it, but UIDs have only digits and dots" },
    { DICOM_CS, "CT", NULL },
    { DICOM_CS, "CT\\MR", NULL },
    { DICOM_CS, "C*", NULL },
    { DICOM_CS, "ORIGINAL_1 A?", NULL },
    { DICOM_CS, "CT ", NULL },
    { DICOM_CS, "CT,MR", "is not a DICOM list: write CT\\MR" LIST_FORM },
    { DICOM_CS, "CT, MR;us", "is not a DICOM list: write CT\\MR\\US" LIST_FORM },
    { DICOM_CS, "CT|MR", "is not a DICOM list: write CT\\MR" LIST_FORM },
    { DICOM_CS, "CT/MR", "is not a DICOM list: write CT\\MR" LIST_FORM },
    { DICOM_CS, "ct", "has lower case, but code strings have only upper case, and servers differ in what they find: write CT" },
    { DICOM_CS, "abcdefghijklmnopq", "has 17 characters, but a code string has at most 16" },
    { DICOM_CS, "CT+MR", "is not a DICOM list: write CT\\MR" LIST_FORM },
    { DICOM_CS, "C-T", "is not a code string: '-' is in it, but codes have only A-Z, 0-9, '_' and blanks" },
    { DICOM_CS, "CT\\ MR", BLANK },
    { DICOM_CS, "CT \\MR", "has a blank behind one of its values: remove it" },
    { DICOM_CS, " CT", BLANK },
    { DICOM_CS, "CT\\M*", MIXED },
    { DICOM_CS, "A1234567890123456", "has 17 characters, but a code string has at most 16" },
    { DICOM_CS, "*A123456789012345*", NULL },
    { DICOM_CS, "\xd0\xa1T", "has the character '\xd0\xa1' (U+0421): only ASCII is possible" },
    { DICOM_AE, "STATION1", NULL },
    { DICOM_AE, "station", NULL },
    { DICOM_AE, "A12345678901234567", "has 18 characters, but an AE title has at most 16" },
    { DICOM_AE, "ST\xc3\x84TION", "has the character '\xc3\x84' (U+00C4): only ASCII is possible" },
    { DICOM_AS, "045Y", NULL },
    { DICOM_AS, "45Y", "is not a DICOM age: write 045Y" },
    { DICOM_AS, "5m", "is not a DICOM age: write 005M" },
    { DICOM_AS, "45", "is not a DICOM age: three digits and D, W, M or Y, such as 045Y" },
    { DICOM_AS, "0*", "has a wildcard, but an age" NO_WILDCARD },
    { DICOM_IS, "1", NULL },
    { DICOM_IS, "-12\\+3", NULL },
    { DICOM_IS, "1.5", "is not a whole number" },
    { DICOM_IS, "x", "is not a whole number" },
    { DICOM_IS, "1*", "has a wildcard, but a whole number" NO_WILDCARD },
    { DICOM_IS, "1234567890123", "has 13 characters, but a whole number has at most 12" },
    { DICOM_DS, "1.5e-3", NULL },
    { DICOM_DS, "1,5", "is not a decimal number: write 1.5" },
    { DICOM_DS, "1.2.3", "is not a decimal number, such as 1.5" },
    { DICOM_DS, "1e1.5", "is not a decimal number, such as 1.5" },
    { DICOM_US, "512", NULL },
    { DICOM_US, "a", "is not a whole number" },
    { DICOM_FD, "-.5", NULL },
    { DICOM_UR, "http://x/*", NULL },
};

static const row texts[] = {
    { DICOM_LO, "*Chest*", NULL },
    { DICOM_LO, "M\xc3\xbcller", NULL },
    { DICOM_LO, "A\\B", NULL },
    { DICOM_LO, SIXTY "1234", NULL },
    { DICOM_LO, SIXTY "12345", "has 65 characters, but a text (LO) has at most 64" },
    { DICOM_LO, " Chest", BLANK },
    { DICOM_LO, "Chest  ", NULL },
    { DICOM_SH, "A12345678901234567", "has 18 characters, but a short text (SH) has at most 16" },
    { DICOM_SH, "A1*\\B", MIXED },
    { DICOM_PN, "Doe^John", NULL },
    { DICOM_PN, "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e", NULL },
    { DICOM_PN, "Doe\\Roe", "has a backslash, but a name" NO_LIST },
    { DICOM_PN, " Doe", BLANK },
    { DICOM_PN, "a=b=c=d", "has more than three groups: names have two '=' at most" },
    { DICOM_PN, "a^b^c^d^e", NULL },
    { DICOM_PN, "a^b^c^d^e*f^g", NULL },
    { DICOM_PN, "a*b^c^d^e^f^g", "has more than five components: names have four '^' at most" },
    { DICOM_PN, "a^b^c^d^e^f", "has more than five components: names have four '^' at most" },
    { DICOM_PN, SIXTY "1234=" SIXTY "1234", NULL },
    { DICOM_PN, SIXTY "12345", "has 65 characters, but a name has at most 64" },
    { DICOM_ST, " a", NULL },
    { DICOM_ST, "a\\b", "has a backslash, but a text (ST)" NO_LIST },
    { DICOM_LT, "a\\b", "has a backslash, but a text (LT)" NO_LIST },
    { DICOM_UT, "a\\b", "has a backslash, but a text (UT)" NO_LIST },
    { DICOM_UC, "a\\b", NULL },
    { DICOM_OTHER, "1\\*", NULL },
    { DICOM_VR_UNKNOWN, "anything-*", NULL },
    /* characters that look like others, or like nothing */
    { DICOM_PN, "Mu\xcc\x88ller", "has a character in two parts, of which one is U+0308 (combining accent): write the composed "
      "character, as in Unicode's form NFC" },
    { DICOM_LO, "\xe3\x81\x8b\xe3\x82\x99", "has a character in two parts, of which one is U+3099 (combining voiced sound mark): write the "
      "composed character, as in Unicode's form NFC" },
    { DICOM_PN, "Doe\xc2\xa0", "has a character that looks like a blank (U+00A0, no-break space): write ' '" },
    { DICOM_LO, "CT\xe2\x80\x89Head", "has a character that looks like a blank (U+2009, space of another width): write ' '" },
    { DICOM_LO, "CT\xe2\x80\x8b", "has an invisible character (U+200B, zero-width space): remove it" },
    { DICOM_LO, "CT\xe2\x80\x8d", "has an invisible character (U+200D, zero-width joiner): remove it" },
    { DICOM_PN, "\xd9\x85\xe2\x80\x8c\xd9\x85", NULL }, /* Persian needs it */
    { DICOM_SH, "A\xc2\xad" "1", "has an invisible character (U+00AD, soft hyphen): remove it" },
    { DICOM_LO, "A\xe2\x80\x91" "1", "has a character that looks like '-' (U+2011, no-break hyphen): write '-'" },
    { DICOM_LO, "A\xe2\x80\x93" "1", "has a character that looks like '-' (U+2013, en dash): write '-'" },
    { DICOM_LO, "CT \xe2\x80\x93Head", NULL },
    { DICOM_PN, "Doe \xe2\x80\x93 Roe",
      "has a character that looks like '-' (U+2013, en dash): write '-'" },
    { DICOM_LO, "CT \xe2\x80\x93 Head", NULL }, /* punctuation */
    { DICOM_SH, "A \xe2\x80\x93 1", "has a character that looks like '-' (U+2013, en dash): write '-'" },
    { DICOM_ST, "A\xe2\x80\x93" "1", NULL },
    { DICOM_LO, "A\xe2\x88\x92" "1", "has a character that looks like '-' (U+2212, minus sign): write '-'" },
    { DICOM_LO, "\xef\xbc\xa3\xef\xbc\xb4", "has a character of double width (U+FF23, full-width character): write 'C'" },
    { DICOM_LO, "\xef\xbc\xa3\xef\xbc\xb4\xe6\xa4\x9c", NULL }, /* beside an ideograph */
    { DICOM_PN, "Yamada\xe3\x80\x80Tarou", "has a character of double width (U+3000, ideographic space): write ' '" },
    { DICOM_PN, "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0\xe3\x80\x80\xe5\xa4\xaa", NULL },
    { DICOM_PN, "Yamada\xe3\x80\x80Tarou=\xe5\xb1\xb1", "has a character of double width (U+3000, ideographic space): write ' '" },
    { DICOM_LO, "A\xef\xbf\xbd", "has U+FFFD, which stands for a character that was lost: write '?' or '*' there, which match any character" },
    { DICOM_LO, "A\xc2\x85", "has a control character (U+0085)" },
    { DICOM_LO, "\xff", NULL }, /* not UTF-8: the choice of a character set refuses it */
};
/* clang-format on */

static void check_all(const row *rows, size_t n)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++) {
        char message[VALUES_MESSAGE] = "";
        bool good = values_check(rows[i].vr, rows[i].value, message);
        const char *got = good ? "" : message, *expected = rows[i].message ? rows[i].message : "";
        if (good == !rows[i].message && strcmp(got, expected) == 0)
            continue;
        fprintf(stderr, "VR %d, '%s': '%s', expected '%s'\n", (int)rows[i].vr, rows[i].value, got,
                expected);
        wrong++;
    }
    CHECK(wrong == 0);
}

#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof(rows)[0])

static void midnight_splits(void)
{
    char first[VALUES_TIMES], second[VALUES_TIMES];
    CHECK(values_split_midnight("235000-001000", first, second));
    CHECK(strcmp(first, "235000-235959.999999") == 0 && strcmp(second, "000000-001000") == 0);
    CHECK(values_split_midnight("22-02", first, second));
    CHECK(strcmp(first, "22-235959.999999") == 0 && strcmp(second, "000000-02") == 0);
    CHECK(!values_split_midnight("001000-235000", first, second));
    CHECK(!values_split_midnight("10-10", first, second)); /* that hour */
    CHECK(!values_split_midnight("101500.123456-101500.123456", first, second));
    CHECK(!values_split_midnight("2200-", first, second));
    CHECK(!values_split_midnight("-0200", first, second));
    CHECK(!values_split_midnight("22", first, second));
    CHECK(!values_split_midnight("", first, second));
    CHECK(!values_split_midnight("23:50-00:10", first, second));
}

/* A message never ends inside of a character, and no value is too long. */
static void long_values_are_refused(void)
{
    enum { SIZE = 3000 };
    char *value = malloc(SIZE + 1), message[VALUES_MESSAGE];
    CHECK(value);
    for (int vr = DICOM_VR_UNKNOWN; vr <= DICOM_OTHER; vr++)
        for (int c = 1; c < 256; c++) {
            memset(value, c, SIZE);
            value[SIZE] = '\0';
            if (!values_check((dicom_vr)vr, value, message))
                CHECK(utf8_is_valid(message, strlen(message)));
        }
    free(value);
}

/* ---- keys that would end the server ---- */

static void marks_are_found(void)
{
    static const struct {
        const char *path, *body, *key; /* key NULL: the body is harmless */
    } rows[] = {
        { "/tools/find", "{\"Query\":{\"fffe,e000\":\"1\"}}", "fffe,e000" },
        { "/tools/find", "{\"Query\":[{\"FFFE-E0DD\" : \"1\"}]}", "FFFE-E0DD" },
        { "/modalities/x/query", "{\"fffee00d\"\n:1}", "fffee00d" },
        { "/instances/x/modify", "{\"Item\":1}", "Item" },
        { "/tools/create-dicom?x", "{\"SequenceDelimitationItem\":1}", "SequenceDelimitationItem" },
        { "/tools/find", "{\"\\u0066FFE,e000\":1}", "fFFE,e000" },
        { "/tools/find", "{/*\"*/\"Item\"// \":\n:1}", "Item" },
        { "//tools/find", "{\"Item\":1}", "Item" },
        { "/./tools/find", "{\"Item\":1}", "Item" },
        { "/t%6fols/find", "{\"Item\":1}", "Item" },
        { "/tools/find", "{\"a\":\"Item\"}", NULL },
        { "/tools/find", "{\"a\":[\"fffe,e000\"]}", NULL },
        { "/tools/find", "{\"a\\\"Item\":1}", NULL },
        { "/tools/find", "{\"Items\":1,\"0010,0010\":2}", NULL },
        { "/tools/find", "\"Item", NULL },
        { "/tools/find", "{\"\\u00", NULL },
        { "/tools/find", "{\"\\", NULL },
        { "/tools/find", "/", NULL },
        { "/tools/find", "{/* * \"Item\":1 */}", NULL },
        { "/tools/find", "/*", NULL },
        { "/toolshed/x", "{\"Item\":1}", NULL }, /* a plugin's */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = strlen(rows[i].body);
        char key[BODY_KEY], *body = malloc(size); /* no NUL behind it: the sanitizer sees that */
        CHECK(body);
        memcpy(body, rows[i].body, size);
        if (body_keys_find(rows[i].path, body, size, key) != (rows[i].key != NULL) ||
            (rows[i].key && strcmp(key, rows[i].key) != 0)) {
            fprintf(stderr, "row %zu\n", i);
            CHECK(!"body_keys_find");
        }
        free(body);
    }
}

int main(void)
{
    CHECK_ALL(dates);
    CHECK_ALL(codes);
    CHECK_ALL(texts);
    midnight_splits();
    marks_are_found();
    long_values_are_refused();
    return 0;
}
