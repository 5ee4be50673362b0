#include "api/find_filter.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "binding/error.h"
#include "binding/options.h"
#include "json/mark.h"
#include "orthanc/dictionary.h"
#include "orthanc/encodings.h"
#include "orthanc/values.h"
#include "orthanc/worklist_tags.h"

enum {
    SPECIFIC_CHARACTER_SET = 0x00080005,
    QUERY_RETRIEVE_LEVEL = 0x00080052,
    TIMEZONE_OFFSET = 0x00080201
};

enum { VALUE_SHOWN = 100 }; /* bytes of a value in a message */

/* ---- values ---- */

bool find_filter_is_universal(const char *value)
{
    value += strspn(value, " ");
    value += strspn(value, "*");
    return value[strspn(value, " ")] == '\0'; /* "* *" asks for a blank */
}

/* Whether a value can fail to match. Values without a letter and a digit match everything: "", "*",
 * "?", "-", "*^*". */
static bool narrows(const char *value)
{
    for (; *value; value++)
        if (isalnum((unsigned char)*value) || (unsigned char)*value > 127)
            return true;
    return false;
}

/* Whether a filter by this tag narrows a search of this level. */
static bool narrows_at(uint32_t tag, orthanc_level level)
{
    return tag != SPECIFIC_CHARACTER_SET && tag != QUERY_RETRIEVE_LEVEL && tag != TIMEZONE_OFFSET &&
           orthanc_tag_kept(tag, level);
}

/* Pushes the value on the top as a string. Throws when it is neither a string nor an integer.
 * [-0, +1, v] */
static const char *push_value(lua_State *L, const find_filter *f, const char *key, size_t *size)
{
    int type = lua_type(L, -1);
    if (type == LUA_TNUMBER && lua_isinteger(L, -1))
        return luaL_tolstring(L, -1, size); /* a copy: lua_next needs the value unchanged */
    if (type == LUA_TTABLE)
        error_usage(L,
                    "%s: the filter '%s' is a table; only worklists can be searched by a sequence",
                    f->function, key);
    if (type != LUA_TSTRING)
        error_usage(L, "%s: the filter '%s' must be a string (a %s was given)", f->function, key,
                    json_mark_is_null(L, -1) ? "null" : luaL_typename(L, -1));
    lua_pushvalue(L, -1);
    return lua_tolstring(L, -1, size);
}

/* Whether a list has nothing between two '\\', or before the first, or behind the last. Modalities
 * disagree on what that matches. */
static bool has_empty_element(const char *value)
{
    size_t n = strlen(value);
    return strstr(value, "\\\\") || (n > 0 && (value[0] == '\\' || value[n - 1] == '\\'));
}

/* Orthanc cuts a value at a NUL, so that it is another filter. */
bool find_filter_is_invalid(lua_State *L, const char *key, const char *value, size_t size,
                            bool allow_empty_elements)
{
    if (ascii_has_control(value, size)) {
        lua_pushfstring(L, "the filter %s holds a control character, which would cut or change it",
                        key);
        return true;
    }
    if (!allow_empty_elements && has_empty_element(value)) {
        lua_pushfstring(L, "the filter %s = '%s' is a list with an empty element", key, value);
        return true;
    }
    return false;
}

/* The tag of a key, also by a name that is only in the dictionary. */
static bool find_tag(const char *key, uint32_t *tag)
{
    return orthanc_worklist_parse(key, tag) || dictionary_find(key, tag);
}

bool find_filter_is_date(const char *key)
{
    uint32_t tag;
    return find_tag(key, &tag) && dictionary_vr(tag) == DICOM_DA;
}

const char *find_filter_fault(lua_State *L, int keep, const char *key, const char *value)
{
    char message[VALUES_MESSAGE];
    uint32_t tag;
    bool known = find_tag(key, &tag);
    dicom_vr vr = known ? dictionary_vr(tag) : DICOM_VR_UNKNOWN;
    if (values_check(vr, value, message))
        return NULL;
    if (dicom_vr_is_moment(vr) &&
        strchr(value, '-')) /* a range for servers: "-7d" matches everything */
        return lua_pushstring(L, message);
    if (find_filter_is_kept(L, keep, key, known ? &tag : NULL))
        return NULL;
    if (dicom_vr_is_moment(vr)) /* hardly meant */
        return lua_pushstring(L, message);
    return lua_pushfstring(L, "%s" FIND_FILTER_SENDS_IT, message, key);
}

bool find_filter_is_odd(lua_State *L, int keep, const char *label, const char *key,
                        const char *value)
{
    const char *fault = find_filter_fault(L, keep, key, value);
    size_t shown;
    if (!fault)
        return false;
    shown = utf8_truncate(value, strlen(value), VALUE_SHOWN);
    lua_pushlstring(L, value, shown);
    lua_pushfstring(L, "%s = '%s%s' %s", label, lua_tostring(L, -1), value[shown] ? "..." : "",
                    fault);
    lua_replace(L, -3);
    lua_pop(L, 1);
    return true;
}

bool find_filter_is_forbidden(lua_State *L, const char *label, const char *key)
{
    uint32_t tag;
    const char *why = find_tag(key, &tag) ? orthanc_tag_forbidden(tag) : NULL;
    if (why)
        lua_pushfstring(L, "%s %s", label, why);
    return why;
}

/* ---- keys ---- */

/* One member of the Query. */
typedef struct pair {
    const char *key, *value;
    uint32_t tag;
    bool known;                  /* `tag` is known */
    char text[ORTHANC_TAG_TEXT]; /* the tag as gggg,eeee */
} pair;

void find_filter_check_keep(lua_State *L, int keep, const char *function)
{
    lua_Integer n = keep ? luaL_len(L, keep) : 0;
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, keep, i) != LUA_TSTRING)
            error_usage(L, "%s: 'keep' must be a list of tags (a %s is in it)", function,
                        luaL_typename(L, -1));
        lua_pop(L, 1);
    }
}

bool find_filter_is_kept(lua_State *L, int keep, const char *key, const uint32_t *tag)
{
    bool found = false;
    lua_Integer n = keep ? luaL_len(L, keep) : 0;
    for (lua_Integer i = 1; i <= n && !found; i++) {
        uint32_t other;
        const char *name;
        lua_geti(L, keep, i);
        name = luaL_checkstring(L, -1);
        found = strcmp(name, key) == 0 ||
                (tag && orthanc_worklist_parse(name, &other) && other == *tag);
        lua_pop(L, 1);
    }
    return found;
}

void find_filter_check_twice(lua_State *L, const char *function, int seen, const char *name,
                             const char *key)
{
    if (lua_getfield(L, seen, name) == LUA_TSTRING)
        error_usage(L, "%s: '%s' and '%s' are the same tag", function, lua_tostring(L, -1), key);
    lua_pop(L, 1);
    lua_pushstring(L, key);
    lua_setfield(L, seen, name);
}

bool find_filter_is_misspelt(lua_State *L, const char *key)
{
    nearest n = nearest_for(key);
    uint32_t tag;
    if (find_tag(key, &tag))
        return false;
    nearest_search(&n, orthanc_tags, sizeof *orthanc_tags);
    if (!n.name)
        n.name = dictionary_nearest(key);
    if (n.name)
        lua_pushfstring(L, "%s is no DICOM keyword. Did you mean %s?", key, n.name);
    else
        lua_pushfstring(L,
                        "%s is no DICOM keyword. Keywords are written as PatientName, and tags as "
                        "gggg,eeee.",
                        key);
    return true;
}

/* Pushes why a filter that Orthanc would ignore is not sent, and what to do instead. */
static void push_refusal(lua_State *L, const find_filter *f, const pair *p)
{
    const char *advice = p->known ? orthanc_tag_advice(p->tag, f->level) : NULL;
    const orthanc_tag *row = p->known ? orthanc_tag_row(p->tag) : NULL;
    if (!p->known && find_filter_is_misspelt(L, p->key))
        return;
    if (row && row->sequence)
        lua_pushfstring(L, "%s is a sequence", p->key);
    else
        lua_pushfstring(L, "%s is not a %s-level attribute", p->key, orthanc_level_name(f->level));
    lua_pushliteral(L, ": Orthanc would ignore this filter and return more than asked.");
    if (advice)
        lua_pushfstring(L, " %c%s.", toupper((unsigned char)advice[0]), advice + 1);
    else
        lua_pushfstring(L, FIND_FILTER_ADD_KEEP, p->key);
    lua_concat(L, 3);
}

const char *find_filter_as_sent(lua_State *L, int keep, const char *key, const uint32_t *tag,
                                const char *value)
{
    return find_filter_is_universal(value) && !find_filter_is_kept(L, keep, key, tag) ? "" : value;
}

/* Adds the pair to the query to send. */
static void send(lua_State *L, const find_filter *f, const pair *p)
{
    const uint32_t *tag = p->known ? &p->tag : NULL;
    lua_pushstring(L, f->any_value ? p->value
                                   : find_filter_as_sent(L, f->keep, p->key, tag, p->value));
    lua_setfield(L, f->sent, p->known ? p->text : p->key);
}

/* A key that the level does not keep: a filter is refused, a return key is only not sent. False: a
 * message is pushed. */
static bool drop(lua_State *L, find_filter *f, const pair *p)
{
    if (!find_filter_is_universal(p->value)) {
        push_refusal(L, f, p);
        return false;
    }
    if (!p->known && !f->keep) {
        f->unknown_name = true;
        send(L, f, p); /* the server removes it too, but first says when the name is unknown */
    }
    lua_pushstring(L, p->key);
    lua_seti(L, f->dropped, luaL_len(L, f->dropped) + 1);
    return true;
}

/* Sends, drops or refuses the pair. False: a message is pushed. */
static bool decide(lua_State *L, find_filter *f, const pair *p)
{
    bool kept = p->known && orthanc_tag_kept(p->tag, f->level);
    if (p->tag == QUERY_RETRIEVE_LEVEL) {
        if (find_filter_is_universal(p->value) || orthanc_level_of(p->value) == f->level)
            return true; /* Orthanc writes it */
        lua_pushfstring(L, "QueryRetrieveLevel = '%s' contradicts Level = \"%s\"", p->value,
                        orthanc_level_name(f->level));
        return false;
    }
    if (p->tag == SPECIFIC_CHARACTER_SET && *p->value)
        f->charset = p->value;
    if (narrows(p->value) && narrows_at(p->tag, f->level))
        f->broad = false;
    f->ascii = f->ascii && ascii_is_all(p->value, strlen(p->value));
    if (kept || !f->normalize) {
        send(L, f, p);
        return true;
    }
    if (find_filter_is_kept(L, f->keep, p->key, p->known ? &p->tag : NULL)) {
        f->has_kept = true;
        f->broad = f->broad && !narrows(p->value);
        send(L, f, p);
        return true;
    }
    return drop(L, f, p);
}

/* Reads the key below the top and its value on the top. False: a message is on the top. */
static bool read_member(lua_State *L, find_filter *f, int seen)
{
    pair p = { .tag = 0 };
    size_t size;
    if (lua_type(L, -2) != LUA_TSTRING)
        error_usage(L, "%s: the keys of Query must be tags (a %s was given)", f->function,
                    luaL_typename(L, -2));
    p.key = lua_tostring(L, -2);
    p.value = push_value(L, f, p.key, &size);
    p.known = orthanc_tag_parse(p.key, &p.tag);
    if (p.known)
        orthanc_tag_write(p.tag, p.text);
    if (!p.known)
        f->unlisted_name = p.key;
    else if (!orthanc_tag_row(p.tag) && (p.tag >> 16) % 2 == 0) /* private tags have no names */
        f->unlisted_number = p.key;
    find_filter_check_twice(L, f->function, seen, p.known ? p.text : p.key, p.key);
    if (find_filter_is_forbidden(L, p.key, p.key) ||
        find_filter_is_invalid(L, p.key, p.value, size, p.tag == SPECIFIC_CHARACTER_SET) ||
        !decide(L, f, &p))
        return false;
    return f->any_value || p.tag == QUERY_RETRIEVE_LEVEL ||
           !find_filter_is_odd(L, f->keep, p.key, p.key, p.value);
}

void find_filter_push_ambiguity(lua_State *L, const char *name, const char *number)
{
    lua_pushfstring(L,
                    "'%s' and '%s' may be the same tag, and then one of them would be lost: write "
                    "both as gggg,eeee",
                    name, number);
}

bool find_filter_check(lua_State *L, find_filter *f)
{
    int seen;
    find_filter_check_keep(L, f->keep, f->function);
    lua_newtable(L);
    f->sent = lua_gettop(L);
    lua_newtable(L);
    f->dropped = lua_gettop(L);
    lua_newtable(L);
    seen = lua_gettop(L);
    f->broad = f->ascii = true;
    f->has_kept = f->unknown_name = false;
    f->charset = f->unlisted_name = f->unlisted_number = NULL;
    if (f->query)
        options_check_plain(L, f->query, f->function, "Query");
    if (f->query)
        for (lua_pushnil(L); lua_next(L, f->query); lua_settop(L, seen + 1))
            if (!read_member(L, f, seen)) {
                lua_replace(L, f->sent);
                lua_settop(L, f->sent);
                return false;
            }
    lua_settop(L, f->dropped);
    if (f->unlisted_name && f->unlisted_number && (!f->normalize || f->keep)) {
        find_filter_push_ambiguity(L, f->unlisted_name, f->unlisted_number);
        lua_replace(L, f->sent);
        lua_settop(L, f->sent);
        return false;
    }
    return true;
}

/* Whether some of the value is certain to reach the modality: a letter or digit of ASCII, or characters
 * that the query's character set (NULL = it names none) has. */
static bool arrives(const char *value, const orthanc_encoding *charset)
{
    for (const char *c = value; *c; c++)
        if (isalnum((unsigned char)*c))
            return true;
    return charset && narrows(value) && orthanc_encoding_holds(charset, value);
}

bool find_filter_is_broad(lua_State *L, int index, orthanc_level level)
{
    int top = lua_gettop(L);
    const orthanc_encoding *charset = NULL;
    bool broad = true;
    index = lua_absindex(L, index);
    if (lua_getfield(L, index, "0008,0005") == LUA_TSTRING && lua_rawlen(L, -1) > 0)
        charset = orthanc_encoding_of_dicom(lua_tostring(L, -1));
    for (lua_pushnil(L); broad && lua_next(L, index); lua_pop(L, 1)) {
        uint32_t tag;
        if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING &&
            orthanc_tag_parse(lua_tostring(L, -2), &tag) && narrows_at(tag, level) &&
            arrives(lua_tostring(L, -1), charset))
            broad = false;
    }
    lua_settop(L, top);
    return broad;
}
