#include "api/answer_identity.h"

#include <lauxlib.h>
#include <string.h>

#include "api/identifiers.h"

enum { QUERY_RETRIEVE_LEVEL = 0x00080052, PATIENT_ID = 0x00100020 };

/* A tag, and the index of its keyword as a string. */
typedef struct key {
    uint32_t tag;
    int name;
} key;

typedef struct identity {
    int first;  /* table: from the identifier of a resource to its first answer */
    int folded; /* table: from what Orthanc compares of a patient's identifier to it */
    orthanc_level level;
    key unique; /* identifies a resource of the level */
    key patient, query_level;
    lua_Integer repeated;
    int odd; /* text about the first answer that does not name one resource; nil = all do */
} identity;

static key push_key(lua_State *L, uint32_t tag)
{
    lua_pushstring(L, orthanc_tag_row(tag)->name);
    return (key){ tag, lua_gettop(L) };
}

/* Pushes the value of the tag in the answer at index, without blanks at its ends; "" when it has none. */
static const char *push_trimmed(lua_State *L, int answer, const key *k)
{
    size_t n;
    const char *text;
    lua_pushvalue(L, k->name);
    if (lua_rawget(L, answer) != LUA_TSTRING) { /* another format of answers */
        lua_pop(L, 1);
        if (!identifiers_push_tag(L, answer, k->tag))
            lua_pushliteral(L, "");
    }
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
static bool have_other_patients(lua_State *L, const identity *id, int a, int b)
{
    int top = lua_gettop(L);
    const char *one = push_trimmed(L, a, &id->patient), *other = push_trimmed(L, b, &id->patient);
    bool differ = *one && *other && strcmp(one, other) != 0;
    lua_settop(L, top);
    return differ;
}

/* Answer i, whose identifier is `value`, does not name one resource. */
static void note_odd(lua_State *L, const identity *id, lua_Integer i, const char *why,
                     const char *value)
{
    const char *name = lua_tostring(L, id->unique.name);
    if (!lua_isnil(L, id->odd))
        return;
    lua_pushfstring(L, "answer %I %s (%s = '%s'), so it cannot be moved", (LUAI_UACINT)i, why, name,
                    value);
    lua_replace(L, id->odd);
}

/* Patient number i has the identifier on the top. Orthanc takes some patients for one, and a C-MOVE of
 * one sends both. */
static void note_joined(lua_State *L, const identity *id, lua_Integer i)
{
    const char *text = lua_tostring(L, -1);
    identifiers_push_folded(L, lua_gettop(L));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, id->folded) == LUA_TSTRING) {
        if (strcmp(lua_tostring(L, -1), text) != 0)
            note_odd(L, id, i, "is for Orthanc the same patient as another answer", text);
    } else {
        lua_pushvalue(L, -2);
        lua_pushstring(L, text);
        lua_rawset(L, id->folded);
    }
    lua_pop(L, 2);
}

/* Whether the answer on the top, number i, repeats one before it. */
static bool is_repeated(lua_State *L, identity *id, lua_Integer i)
{
    int answer = lua_gettop(L);
    bool repeated = false;
    const char *level = push_trimmed(L, answer, &id->query_level);
    const char *text = push_trimmed(L, answer, &id->unique);
    if (*level && orthanc_level_of(level) != id->level)
        note_odd(L, id, i, "is about another level than asked", text);
    if (*text && id->level == ORTHANC_PATIENT)
        note_joined(L, id, i);
    if (!*text) {
        note_odd(L, id, i, "has no identifier", text);
    } else if (strpbrk(text, "*?\\")) {
        note_odd(L, id, i, "does not name one resource", text);
    } else if (lua_pushvalue(L, -1), lua_rawget(L, id->first) == LUA_TTABLE) {
        repeated = !have_other_patients(L, id, answer, lua_gettop(L));
        if (!repeated)
            note_odd(L, id, i, "names a resource that another answer gives to another patient",
                     text);
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
    lua_pushvalue(L, id->odd);
    lua_setfield(L, notes, "odd");
}

bool answer_identity_check(lua_State *L, int answers, orthanc_level level, int notes)
{
    identity id = { .level = level };
    bool is_odd;
    int top = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, answers), kept = 0;
    const uint32_t *tag = orthanc_unique_keys(level);
    while (tag[1])
        tag++;
    luaL_checkstack(L, LUA_MINSTACK, "answers");
    id.unique = push_key(L, *tag);
    id.patient = push_key(L, PATIENT_ID);
    id.query_level = push_key(L, QUERY_RETRIEVE_LEVEL);
    lua_createtable(L, 0, (int)(n < 1000000 ? n : 1000000));
    id.first = lua_gettop(L);
    lua_newtable(L);
    id.folded = lua_gettop(L);
    lua_pushnil(L);
    id.odd = lua_gettop(L);
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
    is_odd = !lua_isnil(L, id.odd);
    lua_settop(L, top);
    return id.repeated > 0 || is_odd;
}
