#include "api/answers.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answer_notes.h"
#include "base/ascii.h"
#include "binding/error.h"
#include "binding/options.h"
#include "json/mark.h"
#include "orthanc/dictionary.h"
#include "orthanc/encodings.h"
#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"
#include "request/call.h"
#include "request/response.h"

/* ---- formats ---- */

answers_form answers_read_form(lua_State *L, int index, const char *function, bool simplify,
                               bool brief)
{
    bool said = false;
    if (simplify && brief)
        error_usage(L, "%s: simplify and short can't be both True.", function);
    if (lua_istable(L, index)) {
        said = lua_getfield(L, index, "simplify") != LUA_TNIL;
        lua_pop(L, 1);
    }
    return brief ? ANSWERS_SHORT : simplify || !said ? ANSWERS_SIMPLIFIED : ANSWERS_FULL;
}

typedef struct format_options {
    bool simplify, brief;
} format_options;

const option answers_format_rows[] = { ANSWERS_SIMPLIFY_ROW(offsetof(format_options, simplify)),
                                       ANSWERS_SHORT_ROW(offsetof(format_options, brief)),
                                       OPTIONS_END };

answers_form answers_read_format(lua_State *L, int index, const char *function)
{
    format_options o = { false, false };
    options_read(L, index, function, answers_format_rows, &o);
    return answers_read_form(L, index, function, o.simplify, o.brief);
}

const char *answers_parameters(answers_form form)
{
    static const char *const parameters[] = { "&simplify", "&short", "" };
    return parameters[form];
}

/* ---- lost characters ---- */

/* A member of an answer that is something else than the value of a tag. */
typedef struct odd_member {
    lua_Integer answer; /* its number; 0 = there is no such member */
    const char *is;
    char key[64];
} odd_member;

/* What the answers show of characters that got lost, here or at the modality. */
typedef struct loss {
    answers_form form;
    odd_member odd;
    const orthanc_encoding
        *encoding;           /* the server's, which the answers name; NULL = not seen yet */
    bool texts;              /* some answer has a name or description */
    bool id_in_doubt;        /* some PatientID is not ASCII, or belongs to two names */
    bool patients;           /* an answer is about a patient: its QueryRetrieveLevel */
    lua_Integer signs;       /* number of answers that show a loss */
    lua_Integer first, last; /* the first and the last such answer */
    char where[64];          /* the tag of the first sign */
} loss;

/* The name of a key in any format. */
static const char *key_name(const char *key)
{
    uint32_t tag;
    const char *name = orthanc_tag_parse(key, &tag) ? orthanc_worklist_name(tag) : NULL;
    return name ? name : key;
}

/* Whether the key is a name or a description. */
static bool is_text_key(const char *key)
{
    static const char *const words[] = { "Name", "Description", "Comment", "Physician", "Person" };
    const char *name = key_name(key);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(name, words[i]))
            return true;
    return false;
}

/* Whether a person name has delimiters with nothing between them: "^^", "Yamada^Tarou=^=^". */
static bool looks_emptied(const char *value)
{
    const char *group = value;
    while (*group) {
        size_t n = strcspn(group, "=");
        if (n > 0 && strspn(group, "^ ") >= n)
            return true;
        group += n + (group[n] == '=');
    }
    return false;
}

/* Signs that a value can have. */
enum {
    SIGN_WIDE = 1,     /* no loss: a character that is not ASCII */
    SIGN_REPLACED = 2, /* U+FFFD, which stands for bytes that no character set explains */
    SIGN_MISREAD = 4, /* bytes of another character set: control characters (the escape sequences of
                             ISO 2022 too), or UTF-8 that was read as Latin-1 */
    SIGN_QUESTION_MARK = 8 /* before a letter: "M?ller", "????" */
};

static bool begins(const char *at, const char *text)
{
    return strncmp(at, text, strlen(text)) == 0;
}

/* The signs at one place of a value; the bytes are those of UTF-8. */
static int sign_at(const unsigned char *at)
{
    if (*at == 0x1B)
        return SIGN_MISREAD;
    if (*at == '?')
        return at[1] == '?' || ascii_is_letter((char)at[1]) ? SIGN_QUESTION_MARK : 0;
    if (*at < 0x80)
        return 0;
    if (begins((const char *)at, "\xEF\xBF\xBD"))
        return SIGN_WIDE | SIGN_REPLACED;
    if ((*at == 0xC2 && at[1] < 0xA0) || (begins((const char *)at, "\xC3\x83\xC2")))
        return SIGN_WIDE | SIGN_MISREAD;
    return SIGN_WIDE;
}

static int signs_of(const char *value)
{
    int signs = 0;
    for (const unsigned char *at = (const unsigned char *)value; *at; at++)
        signs |= sign_at(at);
    return signs;
}

/* Whether the value shows a loss. A text in which nothing is left can only be seen in names and
 * descriptions, and question marks mean nothing elsewhere. */
static bool shows_loss(int signs, bool emptied, const char *key)
{
    return (signs & SIGN_REPLACED) ||
           ((emptied || signs & (SIGN_MISREAD | SIGN_QUESTION_MARK)) && is_text_key(key));
}

/* Notes what a member of an answer shows. Cheap tests come first, as there can be hundred thousands of
 * answers. */
static void inspect(loss *l, lua_Integer answer, const char *key, const char *value)
{
    int signs = signs_of(value);
    bool emptied = looks_emptied(value);
    if (!l->encoding && (strcmp(key, "SpecificCharacterSet") == 0 || strcmp(key, "0008,0005") == 0))
        l->encoding = orthanc_encoding_of_dicom(value);
    if (signs & SIGN_WIDE && (strcmp(key, "PatientID") == 0 || strcmp(key, "0010,0020") == 0))
        l->id_in_doubt = true;
    if (value[0] == 'P' &&
        (strcmp(key, "QueryRetrieveLevel") == 0 || strcmp(key, "0008,0052") == 0))
        l->patients = true;
    if (!l->texts && *value && is_text_key(key))
        l->texts = true;
    if ((!emptied && (signs & ~SIGN_WIDE) == 0) || l->last == answer ||
        !shows_loss(signs, emptied, key))
        return;
    l->last = answer;
    if (l->signs++ == 0) {
        l->first = answer;
        strncpy(l->where, key_name(key), sizeof l->where - 1);
    }
}

/* The text of the value at index, in any format; NULL when it is no string. */
static const char *value_of(lua_State *L, int value)
{
    const char *text = NULL;
    if (lua_type(L, value) == LUA_TSTRING)
        return lua_tostring(L, value);
    if (lua_istable(L, value)) {
        if (lua_getfield(L, value, "Value") == LUA_TSTRING)
            text = lua_tostring(L, -1); /* the table keeps it alive */
        lua_pop(L, 1);
    }
    return text;
}

/* Removes the member on the top (key, value) from the table at index. Leaves both on the stack. */
static void remove_pair(lua_State *L, int table)
{
    lua_pushvalue(L, -2);
    lua_pushnil(L);
    lua_rawset(L, table); /* an existing key may be cleared during a traversal */
}

/* Removes every member of the table on the top that is null. */
static void remove_nulls(lua_State *L)
{
    int t = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
        if (json_mark_is_null(L, -1))
            remove_pair(L, t);
}

static bool is_object(lua_State *L, int index)
{
    return lua_istable(L, index) && !json_mark_is_array(L, index);
}

/* The value at index, which the answer has under that key, is not the value of a tag. */
static void note_odd(lua_State *L, loss *l, lua_Integer answer, const char *key, int value)
{
    odd_member *odd = &l->odd;
    if (odd->answer)
        return;
    odd->answer = answer;
    odd->is = lua_isboolean(L, value)             ? "true or false"
              : lua_type(L, value) == LUA_TNUMBER ? "a number"
              : lua_type(L, value) == LUA_TSTRING ? "a text"
              : json_mark_is_array(L, value)      ? "a list"
              : lua_istable(L, value)             ? "an object"
                                                  : "null";
    strncpy(odd->key, key, sizeof odd->key - 1);
}

static void tidy_one(lua_State *L, lua_Integer number, loss *l);

/* Tidies the items of the sequence at index; worklists have sequences. */
static void tidy_items(lua_State *L, lua_Integer number, const char *key, int items, loss *l)
{
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, items); i <= n; i++) {
        lua_rawgeti(L, items, i);
        if (is_object(L, lua_gettop(L))) {
            tidy_one(L, number, l);
        } else {
            note_odd(L, l, number, key, lua_gettop(L));
            lua_pop(L, 1);
        }
    }
}

/* Whether the tag of the key may have items: it is a sequence, or the dictionary does not have it. */
static bool may_have_items(const char *key)
{
    uint32_t tag;
    dicom_vr vr = orthanc_tag_parse(key, &tag) || dictionary_find(key, &tag) ? dictionary_vr(tag)
                                                                             : DICOM_VR_UNKNOWN;
    return vr == DICOM_SQ || vr == DICOM_VR_UNKNOWN;
}

/* Whether the value at index is a sequence. A Lua table without elements, as JSON, is an empty object. */
static bool is_sequence(lua_State *L, int value, const char *key)
{
    if (!lua_istable(L, value) || !may_have_items(key))
        return false;
    if (json_mark_is_array(L, value))
        return true;
    lua_pushnil(L);
    if (!lua_next(L, value))
        return true;
    lua_pop(L, 2);
    return false;
}

/* Tidies the value on the top, which the answer has under that key. */
static void tidy_value(lua_State *L, lua_Integer number, const char *key, loss *l)
{
    int value = lua_gettop(L);
    if (l->form == ANSWERS_FULL && is_object(L, value)) {
        remove_nulls(L);
        lua_getfield(L, value++, "Value");
        if (lua_isnil(L, value))
            return; /* it was null */
    } else if (l->form == ANSWERS_FULL) {
        note_odd(L, l, number, key, value);
        return;
    }
    if (lua_type(L, value) == LUA_TSTRING)
        inspect(l, number, key, lua_tostring(L, value));
    else if (is_sequence(L, value, key))
        tidy_items(L, number, key, value, l);
    else
        note_odd(L, l, number, key, value);
}

/* Pops the answer, or the item of a sequence, on the top, and tidies it. */
static void tidy_one(lua_State *L, lua_Integer number, loss *l)
{
    int answer = lua_gettop(L), key = answer + 1, value = answer + 2;
    for (lua_pushnil(L); lua_next(L, answer); lua_settop(L, key)) {
        if (lua_type(L, key) != LUA_TSTRING)
            continue; /* not a tag; and lua_next needs its key unchanged */
        if (json_mark_is_null(L, value))
            remove_pair(L, answer);
        else
            tidy_value(L, number, lua_tostring(L, key), l);
    }
    lua_pop(L, 1);
}

/* Pushes where a loss shows; an empty string when none does. */
static void push_place(lua_State *L, const loss *l)
{
    if (l->signs > 1)
        lua_pushfstring(L, " (it shows in %I answers, first in %s of answer %I)",
                        (LUAI_UACINT)l->signs, l->where, (LUAI_UACINT)l->first);
    else if (l->signs > 0)
        lua_pushfstring(L, " (it shows in %s of answer %I)", l->where, (LUAI_UACINT)l->first);
    else
        lua_pushliteral(L, "");
}

/* Orthanc converts every answer to its DefaultEncoding, and removes without a trace the characters
 * that this encoding lacks. When the encoding has all characters, only the modality can have lost them,
 * or Orthanc could not read the modality's bytes, as it takes its own encoding for the modality's when
 * that names none. */
static void push_warning(lua_State *L, const loss *l)
{
    bool complete = l->encoding && orthanc_encoding_is_complete(l->encoding);
    if (complete ? l->signs == 0 : !l->texts && l->signs == 0) {
        lua_pushnil(L);
        return;
    }
    push_place(L, l);
    if (complete)
        lua_pushfstring(
            L,
            "names and descriptions lack characters%s: the server's DefaultEncoding, %s, "
            "has them all, so the modality lost them, or does not name its character "
            "set; check its settings (of an Orthanc: its own DefaultEncoding)",
            lua_tostring(L, -1), l->encoding->name);
    else
        lua_pushfstring(
            L,
            "names and descriptions may lack characters: the server converts answers to its "
            "DefaultEncoding, %s, and removes the characters that it lacks%s; to keep them, set "
            "\"DefaultEncoding\": \"Utf8\" in the server's configuration, or call "
            "client:use_utf8(), which lasts until the server's next start",
            l->encoding ? l->encoding->name : "which is unknown", lua_tostring(L, -1));
    lua_remove(L, -2);
}

/* Pushes the value of the tag in the answer at index; "" when it has none. */
static void push_tag(lua_State *L, int answer, const char *name, const char *number)
{
    int top = lua_gettop(L);
    const char *text;
    if (lua_getfield(L, answer, name) == LUA_TNIL)
        lua_getfield(L, answer, number);
    text = value_of(L, lua_gettop(L));
    lua_pushstring(L, text ? text : "");
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

/* Whether two answers of the list on the top give one PatientID to two names: then characters of the
 * PatientIDs may be lost. */
static bool has_two_names(lua_State *L)
{
    int list = lua_gettop(L), names = list + 1, answer = list + 2;
    bool two = false;
    lua_newtable(L);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n && !two; i++) {
        if (lua_rawgeti(L, list, i) == LUA_TTABLE) {
            push_tag(L, answer, "PatientID", "0010,0020");
            push_tag(L, answer, "PatientName", "0010,0010"); /* names answer id name */
            lua_pushvalue(L, answer + 1);
            two = lua_rawget(L, names) == LUA_TSTRING && lua_rawlen(L, -1) > 0 &&
                  lua_rawlen(L, answer + 2) > 0 && !lua_rawequal(L, -1, answer + 2);
            lua_settop(L, answer + 2);
            lua_rawset(L, names);
        }
        lua_settop(L, names);
    }
    lua_settop(L, list);
    return two;
}

/* Replaces the list on the top by nil and the error about the odd member. */
static void fail_odd(lua_State *L, const call *c, const loss *l)
{
    const odd_member *odd = &l->odd;
    int list = lua_gettop(L);
    response_push_quoted(L, odd->key, strlen(odd->key));
    lua_pushfstring(L, "%s of element %I is %s, not %s", lua_tostring(L, -1),
                    (LUAI_UACINT)odd->answer, odd->is,
                    l->form == ANSWERS_FULL ? "an object with a Value" : "a text or a sequence");
    response_fail_shape(L, &c->op, lua_tostring(L, -1));
    lua_replace(L, list + 1);
    lua_replace(L, list);
    lua_settop(L, list + 1);
}

bool answers_receive(lua_State *L, call *c, answers_form form, bool *lossy)
{
    int list = lua_gettop(L) + 1;
    loss l = { .form = form };
    if (call_answer_of(L, c, SHAPE_LIST_OF_OBJECTS) != 1)
        return false;
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i++) {
        lua_rawgeti(L, list, i);
        tidy_one(L, i, &l);
    }
    if (l.odd.answer) {
        fail_odd(L, c, &l);
        return false;
    }
    l.id_in_doubt = l.id_in_doubt || (l.patients && has_two_names(L));
    push_warning(L, &l);
    *lossy = l.signs > 0 || l.id_in_doubt;
    return true;
}

void answers_attach_warning(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "characters");
    answer_notes_attach(L);
}

/* ---- the request for the answers of a query ---- */

typedef struct answers_call {
    call call;
    char id[ORTHANC_ID_SIZE];
    answers_form form;
} answers_call;

static int answers_ask(lua_State *L, call *c);
static int answers_on_list(lua_State *L, call *c);

int answers_get(lua_State *L, loop *lp, int client_index, const char *id, const char *name,
                answers_form form)
{
    answers_call *a = (answers_call *)call_new(L, lp, sizeof *a, client_index, name, answers_ask);
    strcpy(a->id, id);
    a->form = form;
    return op_run(L, &a->call.op);
}

static int answers_ask(lua_State *L, call *c)
{
    const answers_call *a = (const answers_call *)c;
    return call_get(L, c, answers_on_list, "/queries/%s/answers?expand%s", a->id,
                    answers_parameters(a->form));
}

static int answers_on_list(lua_State *L, call *c)
{
    bool lossy;
    if (!answers_receive(L, c, ((const answers_call *)c)->form, &lossy))
        return 2;
    answers_attach_warning(L);
    return 1;
}
