#include "api/answer_identity.h"

#include <lauxlib.h>
#include <string.h>

#include "api/identifiers.h"

enum { QUERY_RETRIEVE_LEVEL = 0x00080052, PATIENT_ID = 0x00100020 };

typedef struct identity {
    int answers; /* list */
    int first;   /* table: from the identifier of a resource to its first answer */
    orthanc_level level;
    uint32_t unique; /* the tag that identifies a resource of the level */
    lua_Integer repeated;
    const char *odd; /* format of the text for the first odd answer; NULL = none is */
    lua_Integer odd_answer;
} identity;

/* Pushes the value of the tag in the answer at index, without blanks at its ends; "" when it has none. */
static const char *push_trimmed(lua_State *L, int answer, uint32_t tag)
{
    size_t n;
    const char *text;
    if (!identifiers_push_tag(L, answer, tag))
        lua_pushliteral(L, "");
    text = lua_tolstring(L, -1, &n);
    if (n > 0 && (text[0] == ' ' || text[n - 1] == ' ' || text[n - 1] == '\0')) {
        while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\0'))
            n--;
        while (n > 0 && *text == ' ')
            text++, n--;
        lua_pushlstring(L, text, n);
        lua_remove(L, -2);
    }
    return lua_tostring(L, -1);
}

/* Whether the answers at index `a` and `b`, which have the same identifier, name two resources: they
 * belong to different patients. */
static bool have_other_patients(lua_State *L, int a, int b)
{
    int top = lua_gettop(L);
    const char *one = push_trimmed(L, a, PATIENT_ID), *other = push_trimmed(L, b, PATIENT_ID);
    bool differ = *one && *other && strcmp(one, other) != 0;
    lua_settop(L, top);
    return differ;
}

static void note_odd(identity *id, lua_Integer answer, const char *format)
{
    if (!id->odd) {
        id->odd = format;
        id->odd_answer = answer;
    }
}

/* Whether the answer on the top, number i, repeats one before it. */
static bool is_repeated(lua_State *L, identity *id, lua_Integer i)
{
    int answer = lua_gettop(L);
    bool repeated = false;
    const char *text = push_trimmed(L, answer, QUERY_RETRIEVE_LEVEL);
    if (*text && orthanc_level_of(text) != id->level)
        note_odd(id, i, "answer %I is about another level (its QueryRetrieveLevel)");
    text = push_trimmed(L, answer, id->unique);
    if (!*text) {
        note_odd(id, i, "answer %I has no %s");
    } else if (strpbrk(text, "*?\\")) {
        note_odd(id, i, "answer %I does not name one resource (its %s)");
    } else if (lua_pushvalue(L, -1), lua_rawget(L, id->first) == LUA_TTABLE) {
        repeated = !have_other_patients(L, answer, lua_gettop(L));
        if (!repeated)
            note_odd(id, i,
                     "answer %I names a resource that another answer gives to another "
                     "patient (its %s)");
    } else {
        lua_pop(L, 1);
        lua_pushvalue(L, answer);
        lua_rawset(L, id->first);
    }
    lua_settop(L, answer);
    return repeated;
}

static void note(lua_State *L, const identity *id, int notes)
{
    if (id->repeated > 0) {
        lua_pushinteger(L, id->repeated);
        lua_setfield(L, notes, "repeated");
    }
    if (id->odd) {
        lua_pushfstring(L, id->odd, (LUAI_UACINT)id->odd_answer, orthanc_tag_row(id->unique)->name);
        lua_pushliteral(L, ", so it cannot be moved");
        lua_concat(L, 2);
        lua_setfield(L, notes, "odd");
    }
}

bool answer_identity_check(lua_State *L, int answers, orthanc_level level, int notes)
{
    identity id = { .answers = answers, .level = level };
    lua_Integer n = (lua_Integer)lua_rawlen(L, answers), kept = 0;
    for (const uint32_t *tag = orthanc_unique_keys(level); *tag; tag++)
        id.unique = *tag;
    lua_createtable(L, 0, (int)(n < 1000000 ? n : 1000000));
    id.first = lua_gettop(L);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, answers, i);
        if (lua_istable(L, -1) && is_repeated(L, &id, i)) {
            id.repeated++;
            lua_pop(L, 1);
        } else if (++kept < i) {
            lua_rawseti(L, answers, kept);
        } else {
            lua_pop(L, 1);
        }
    }
    for (; n > kept; n--) {
        lua_pushnil(L);
        lua_rawseti(L, answers, n);
    }
    note(L, &id, notes);
    lua_settop(L, id.first - 1);
    return id.repeated > 0 || id.odd;
}
