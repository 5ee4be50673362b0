/* tables.c - tests the tables in src/orthanc and the functions that read them. No row occurs twice or
 * contradicts another row. The parsers accept every valid text and reject invalid ones. */
#define _POSIX_C_SOURCE 200809L

#include <string.h>

#include "check.h"
#include "base/nearest.h"
#include "orthanc/failures.h"
#include "orthanc/encodings.h"
#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"

static void tags_are_consistent(void)
{
    for (const orthanc_tag *a = orthanc_tags; a->name; a++) {
        char text[ORTHANC_TAG_TEXT];
        uint32_t tag = 0;
        size_t n = strlen(a->name);
        for (const orthanc_tag *b = orthanc_tags; b != a; b++)
            CHECK(b->tag != a->tag && strcmp(b->name, a->name) != 0);
        orthanc_tag_write(a->tag, text);
        CHECK(orthanc_tag_parse(text, &tag) && tag == a->tag);
        CHECK(orthanc_tag_parse(a->name, &tag) && tag == a->tag);
        CHECK(a->sequence == (n > 8 && strcmp(a->name + n - 8, "Sequence") == 0));
        for (int level = 0; level < ORTHANC_NO_LEVEL; level++)
            CHECK(orthanc_tag_kept(a->tag, level) == (!a->sequence && (a->levels >> level & 1)));
    }
}

static void tags_are_read(void)
{
    static const char *const wrong[] = { "",           "PatientNam", "patientname", "0010,001",
                                         "0010,00100", "0010;0010",  "0010,00g0",   "001000100" };
    uint32_t tag;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!orthanc_tag_parse(wrong[i], &tag));
    CHECK(orthanc_tag_parse("0020-000D", &tag) && tag == ORTHANC_TAG(0x20, 0xd));
    CHECK(orthanc_tag_parse("0020000d", &tag) && tag == ORTHANC_TAG(0x20, 0xd));
    CHECK(!orthanc_tag_kept(ORTHANC_TAG(0x8, 0x60), ORTHANC_STUDY)); /* Modality */
    CHECK(orthanc_tag_kept(ORTHANC_TAG(0x8, 0x60), ORTHANC_INSTANCE));
    CHECK(!orthanc_tag_kept(ORTHANC_TAG(0x8, 0x61), ORTHANC_SERIES)); /* ModalitiesInStudy */
    CHECK(strstr(orthanc_tag_advice(ORTHANC_TAG(0x8, 0x60), ORTHANC_STUDY), "ModalitiesInStudy"));
    CHECK(orthanc_tag_advice(ORTHANC_TAG(0x9, 0x1001), ORTHANC_STUDY) == NULL);
}

static void tags_are_indexed(void)
{
    const uint32_t manufacturer = ORTHANC_TAG(0x8, 0x70), frames = ORTHANC_TAG(0x28, 0x8);
    for (const orthanc_tag *a = orthanc_tags; a->name; a++)
        for (int level = 0; level < ORTHANC_NO_LEVEL; level++)
            if (!orthanc_tag_kept(a->tag, level))
                CHECK(orthanc_tag_not_indexed(a->tag, level) != NULL);
    CHECK(!orthanc_tag_not_indexed(ORTHANC_TAG(0x10, 0x20), ORTHANC_INSTANCE)); /* PatientID */
    CHECK(orthanc_tag_not_indexed(ORTHANC_TAG(0x8, 0x62), ORTHANC_STUDY)); /* SOPClassesInStudy */
    CHECK(strstr(orthanc_tag_not_indexed(manufacturer, ORTHANC_STUDY), "\"Series\""));
    CHECK(!orthanc_tag_not_indexed(manufacturer, ORTHANC_SERIES));
    CHECK(strstr(orthanc_tag_not_indexed(frames, ORTHANC_SERIES), "\"Instance\""));
    CHECK(!orthanc_tag_not_indexed(ORTHANC_TAG(0x8, 0x8), ORTHANC_STUDY)); /* ImageType */
    CHECK(!orthanc_tag_not_indexed(ORTHANC_TAG(0x9, 0x1001), ORTHANC_PATIENT));
}

static void levels_are_read(void)
{
    CHECK(orthanc_level_of("sTuDy") == ORTHANC_STUDY &&
          orthanc_level_of("IMAGE") == ORTHANC_INSTANCE);
    CHECK(orthanc_level_of("Studyx") == ORTHANC_NO_LEVEL &&
          orthanc_level_of("Stud") == ORTHANC_NO_LEVEL);
    for (int level = 0; level < ORTHANC_NO_LEVEL; level++) {
        const uint32_t *keys = orthanc_unique_keys(level);
        CHECK(orthanc_level_of(orthanc_level_name(level)) == (orthanc_level)level);
        for (; *keys; keys++)
            CHECK(orthanc_tag_row(*keys) && orthanc_tag_kept(*keys, level));
    }
}

static void versions_are_read(void)
{
    CHECK(orthanc_version_parse("1.12.7+dfsg-4") == ORTHANC_VERSION(1, 12, 7));
    CHECK(orthanc_version_parse("1.9") == ORTHANC_VERSION(1, 9, 0));
    CHECK(orthanc_version_parse("mainline-2024") == ORTHANC_NEWEST);
    CHECK(orthanc_version_parse("unreadable") == 0 && orthanc_version_parse("") == 0 &&
          orthanc_version_parse("1.x") == 0 && orthanc_version_parse("1.100.0") == 0);
    CHECK(!orthanc_tells_failed_gets(ORTHANC_VERSION(1, 12, 9)) &&
          orthanc_tells_failed_gets(ORTHANC_VERSION(1, 12, 10)) &&
          orthanc_tells_failed_gets(ORTHANC_NEWEST) && !orthanc_tells_failed_gets(ORTHANC_UNKNOWN));
}

static void keys_are_consistent(void)
{
    static const orthanc_route *const routes[] = { &orthanc_echo,
                                                   &orthanc_query,
                                                   &orthanc_retrieve,
                                                   &orthanc_move,
                                                   &orthanc_get,
                                                   &orthanc_store,
                                                   &orthanc_modality_settings,
                                                   &orthanc_peer_settings,
                                                   &orthanc_peer_store,
                                                   &orthanc_tools_find,
                                                   &orthanc_worklist,
                                                   &orthanc_commitment };
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        for (const orthanc_key *key = routes[i]->keys; key->name; key++) {
            CHECK(orthanc_key_of(routes[i], key->name) == key);
            CHECK(key->since == 0 || key->since > routes[i]->since);
            CHECK(!key->no ==
                  (key->help && *key->help)); /* every key that a script can give has a help text */
        }
    CHECK(!orthanc_key_of(&orthanc_retrieve, "TargetAET"));
}

static void titles_and_addresses_are_read(void)
{
    CHECK(orthanc_is_aet("A") && orthanc_is_aet("SIXTEEN_LETTERS_") && orthanc_is_aet(" a~ "));
    CHECK(!orthanc_is_aet("") && !orthanc_is_aet("  ") && !orthanc_is_aet("SEVENTEEN_LETTERS"));
    CHECK(!orthanc_is_aet("A\\B") && !orthanc_is_aet("A\n") && !orthanc_is_aet("\xc3\x84") &&
          !orthanc_is_aet("\x7f"));
    CHECK(orthanc_is_peer_url("http://h") && orthanc_is_peer_url("https://h:1/a@b?c"));
    CHECK(!orthanc_is_peer_url("http://") && !orthanc_is_peer_url("http:///a") &&
          !orthanc_is_peer_url("h") && !orthanc_is_peer_url("ftp://h"));
    CHECK(!orthanc_is_peer_url("http://u:p@h/") && !orthanc_is_peer_url("https://p@h"));
}

static void identifiers_are_read(void)
{
    char id[ORTHANC_ID_SIZE];
    CHECK(orthanc_is_name("a-Z_9") && !orthanc_is_name("") && !orthanc_is_name("a/b") &&
          !orthanc_is_name("\xc3\xa4"));
    CHECK(orthanc_is_handle("0c07cb06-4d58") && !orthanc_is_handle("g") &&
          !orthanc_is_handle("../x"));
    CHECK(orthanc_is_stored_id("6816cb19-844d5aee-85245eba-28e841e6-2414fae2"));
    CHECK(!orthanc_is_stored_id("6816cb19-844d5aee-85245eba-28e841e6-2414fae"));
    CHECK(!orthanc_is_stored_id("6816cb19-844d5aee-85245eba-28e841e6-2414fae2a"));
    CHECK(orthanc_is_uid("2.25.1") && !orthanc_is_uid("") && !orthanc_is_uid("1.2a") &&
          !orthanc_is_uid("1.2/3"));
    CHECK(orthanc_is_uid("1234567890123456789012345678901234567890123456789012345678901234") &&
          !orthanc_is_uid("12345678901234567890123456789012345678901234567890123456789012345"));
    CHECK(orthanc_answer_id("{\n  \"ID\" : \"12-ab\",\n \"Path\":\"x\"}", id) &&
          strcmp(id, "12-ab") == 0);
    CHECK(!orthanc_answer_id("{\"ID\":\"../x\"}", id) && !orthanc_answer_id("{\"ID\":3}", id) &&
          !orthanc_answer_id("{\"ID\":\"", id) && !orthanc_answer_id("{}", id) &&
          !orthanc_answer_id(NULL, id));
}

static void worklist_tags_have_places(void)
{
    uint32_t tag;
    for (const orthanc_worklist_tag *row = orthanc_worklist_tags; row->name; row++) {
        const orthanc_tag *other = orthanc_tag_row(row->tag);
        CHECK(row->places != ORTHANC_NOWHERE && orthanc_worklist_row(row->tag) == row);
        CHECK(orthanc_worklist_parse(row->name, &tag) && tag == row->tag);
        CHECK(!other || (strcmp(other->name, row->name) == 0 && other->sequence == row->sequence));
    }
    CHECK(orthanc_worklist_parse("PatientID", &tag) &&
          orthanc_worklist_places(tag) == ORTHANC_AT_TOP);
    CHECK(orthanc_worklist_parse("SeriesDescription", &tag) &&
          orthanc_worklist_places(tag) == ORTHANC_NOWHERE);
    CHECK(orthanc_worklist_is_sequence(ORTHANC_STEP_SEQUENCE) &&
          orthanc_worklist_is_sequence(0x00101002) && !orthanc_worklist_is_sequence(0x00100020));
    CHECK(!orthanc_worklist_parse("Modalty", &tag) && !orthanc_worklist_name(0x0040fff1));
}

static void characters_are_looked_up(void)
{
    const orthanc_encoding *latin = orthanc_encoding_named("Latin1");
    char long_text[2001];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    CHECK(latin == orthanc_encoding_of_dicom("ISO_IR 100") &&
          latin == orthanc_encoding_of_dicom("ISO 2022 IR 100"));
    CHECK(strcmp(orthanc_encoding_of_dicom("")->name, "Ascii") == 0);
    CHECK(!orthanc_encoding_of_dicom("ISO_IR 999") &&
          !orthanc_encoding_of_dicom("\\ISO 2022 IR 87"));
    CHECK(orthanc_encoding_holds(latin, "M\xc3\xbcller") &&
          !orthanc_encoding_holds(latin, "\xd0\x98"));
    CHECK(orthanc_encoding_holds(latin, long_text) && !orthanc_encoding_holds(latin, "x\xff"));
    CHECK(orthanc_encoding_holds(orthanc_encoding_named("Cyrillic"), "\xd0\x98*"));
    CHECK(orthanc_encoding_holds(orthanc_encoding_named("Utf8"), "\xe5\xb1\xb1"));
    CHECK(!orthanc_encoding_holds(orthanc_encoding_named("JapaneseKanji"),
                                  "\xe5\xb1\xb1")); /* no iconv name: false */
    CHECK(!orthanc_encoding_is_complete(latin) &&
          orthanc_encoding_is_complete(orthanc_encoding_named("Chinese")));
}

static void hints_are_given(void)
{
    nearest near = nearest_for("TargetAET"), far = nearest_for("Xyzzy");
    nearest_search(&near, orthanc_retrieve.keys, sizeof *orthanc_retrieve.keys);
    nearest_search(&far, orthanc_retrieve.keys, sizeof *orthanc_retrieve.keys);
    CHECK(near.name && strcmp(near.name, "TargetAet") == 0 && !far.name);
}

int main(void)
{
    tags_are_consistent();
    tags_are_read();
    tags_are_indexed();
    levels_are_read();
    versions_are_read();
    keys_are_consistent();
    titles_and_addresses_are_read();
    identifiers_are_read();
    worklist_tags_have_places();
    characters_are_looked_up();
    hints_are_given();
    return 0;
}
