#include "api/find_filter.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

#include "base/nearest.h"
#include "binding/error.h"
#include "binding/options.h"
#include "json/mark.h"
#include "orthanc/encodings.h"
#include "orthanc/worklist_tags.h"

enum {
    SPECIFIC_CHARACTER_SET = 0x00080005,
    QUERY_RETRIEVE_LEVEL = 0x00080052,
    TIMEZONE_OFFSET = 0x00080201
};

/* ---- values ---- */

bool find_filter_is_universal(const char *value)
{
    return value[strspn(value, " *")] == '\0';
}

/* Without a letter or a digit nothing is said that a value could fail to match: "", "*", "?", "-",
 * "*^*". */
static bool narrows(const char *value)
{
    for (; *value; value++)
        if (isalnum((unsigned char)*value) || (unsigned char)*value > 127)
            return true;
    return false;
}

/* Whether this filter says something at this level. */
static bool counts_at(uint32_t tag, orthanc_level level)
{
    return tag != SPECIFIC_CHARACTER_SET && tag != QUERY_RETRIEVE_LEVEL && tag != TIMEZONE_OFFSET &&
           orthanc_tag_kept(tag, level);
}

/* The value on the top as a string: numbers are written out. */
static const char *check_value(lua_State *L, const filter *f, const char *key, size_t *size)
{
    int type = lua_type(L, -1);
    if (type == LUA_TNUMBER && lua_isinteger(L, -1))
        return luaL_tolstring(L, -1, size); /* a copy: lua_next wants the value as it is */
    if (type == LUA_TTABLE)
        error_usage(L,
                    "%s: the filter '%s' is a table; only worklists can be searched by sequences",
                    f->function, key);
    if (type != LUA_TSTRING)
        error_usage(L, "%s: the filter '%s' must be a string (a %s was given)", f->function, key,
                    json_mark_is_null(L, -1) ? "null" : luaL_typename(L, -1));
    lua_pushvalue(L, -1);
    return lua_tolstring(L, -1, size);
}

/* Orthanc cuts a value at a NUL, which makes the filter another one; other control characters have
 * no place in one either. */
static bool has_control(const char *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (iscntrl((unsigned char)value[i]))
            return true;
    return false;
}

/* A list with nothing between two '\\': what that matches, the remote modality alone knows. */
static bool has_empty_element(const char *value)
{
    size_t n = strlen(value);
    return strstr(value, "\\\\") || (n > 0 && (value[0] == '\\' || value[n - 1] == '\\'));
}

bool find_filter_is_ascii(const char *value)
{
    for (; *value; value++)
        if ((unsigned char)*value > 127)
            return false;
    return true;
}

bool find_filter_is_bad(lua_State *L, const char *key, const char *value, size_t size,
                        bool may_have_gaps)
{
    if (has_control(value, size)) {
        lua_pushfstring(L, "the filter %s holds a control character, which would cut or change it",
                        key);
        return true;
    }
    if (!may_have_gaps && has_empty_element(value)) {
        lua_pushfstring(L, "the filter %s = '%s' is a list with an empty element", key, value);
        return true;
    }
    return false;
}

/* ---- keys ---- */

typedef struct one {
    const char *key, *value;
    uint32_t tag;
    bool known;                  /* the tag is */
    char text[ORTHANC_TAG_TEXT]; /* its number */
} one;

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

bool find_filter_is_to_keep(lua_State *L, int keep, const char *key, const uint32_t *tag)
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

/* Pushes why a filter that Orthanc would ignore is not sent, and what to do instead. */
static void push_refusal(lua_State *L, const filter *f, const one *o)
{
    const char *advice = o->known ? orthanc_tag_advice(o->tag, f->level) : NULL;
    const orthanc_tag *row = o->known ? orthanc_tag_row(o->tag) : NULL;
    nearest n = nearest_for(o->key);
    if (row && row->sequence)
        lua_pushfstring(L, "%s is a sequence", o->key);
    else
        lua_pushfstring(L, "%s is not a %s-level attribute", o->key, orthanc_level_name(f->level));
    lua_pushliteral(L, ": Orthanc would ignore this filter and return more than asked. ");
    if (!o->known)
        nearest_search(&n, orthanc_tags, sizeof *orthanc_tags);
    if (advice)
        lua_pushfstring(L, "%c%s.", toupper((unsigned char)advice[0]), advice + 1);
    else if (!o->known && n.name)
        lua_pushfstring(L, "Did you mean %s?", n.name);
    else
        lua_pushfstring(L, "If the modality matches by it, add keep = { \"%s\" }.", o->key);
    lua_concat(L, 3);
}

static void send(lua_State *L, const filter *f, const one *o)
{
    lua_pushstring(L, o->value);
    lua_setfield(L, f->sent, o->known ? o->text : o->key);
}

/* A key that the level does not keep. False: a message is pushed. */
static bool drop(lua_State *L, filter *f, const one *o)
{
    if (!find_filter_is_universal(o->value)) {
        push_refusal(L, f, o);
        return false;
    }
    if (!o->known && !f->keep) {
        f->unknown_name = true;
        send(L, f, o); /* so that the server, which drops it too, says when it is misspelt */
    }
    lua_pushstring(L, o->key);
    lua_seti(L, f->dropped, luaL_len(L, f->dropped) + 1);
    return true;
}

/* False: a message is pushed. */
static bool take(lua_State *L, filter *f, const one *o)
{
    bool kept = o->known && orthanc_tag_kept(o->tag, f->level);
    if (o->tag == QUERY_RETRIEVE_LEVEL) {
        if (find_filter_is_universal(o->value) || orthanc_level_of(o->value) == f->level)
            return true; /* Orthanc writes it */
        lua_pushfstring(L, "QueryRetrieveLevel = '%s' contradicts Level = \"%s\"", o->value,
                        orthanc_level_name(f->level));
        return false;
    }
    if (o->tag == SPECIFIC_CHARACTER_SET && *o->value)
        f->charset = o->value;
    if (narrows(o->value) && counts_at(o->tag, f->level))
        f->broad = false;
    f->ascii = f->ascii && find_filter_is_ascii(o->value);
    if (kept || !f->normalize) {
        send(L, f, o);
        return true;
    }
    if (find_filter_is_to_keep(L, f->keep, o->key, o->known ? &o->tag : NULL)) {
        f->keeps = true;
        send(L, f, o);
        return true;
    }
    return drop(L, f, o);
}

/* The key is one below the top, the value on it. False: a message is on the top. */
static bool read_pair(lua_State *L, filter *f, int seen)
{
    one o = { .tag = 0 };
    size_t size;
    if (lua_type(L, -2) != LUA_TSTRING)
        error_usage(L, "%s: the keys of Query must be tags (a %s was given)", f->function,
                    luaL_typename(L, -2));
    o.key = lua_tostring(L, -2);
    o.value = check_value(L, f, o.key, &size);
    o.known = orthanc_tag_parse(o.key, &o.tag);
    if (o.known)
        orthanc_tag_write(o.tag, o.text);
    if (!o.known)
        f->name = o.key;
    else if (!orthanc_tag_row(o.tag) && (o.tag >> 16) % 2 == 0) /* private tags have no names */
        f->number = o.key;
    find_filter_check_twice(L, f->function, seen, o.known ? o.text : o.key, o.key);
    if (find_filter_is_bad(L, o.key, o.value, size, o.tag == SPECIFIC_CHARACTER_SET))
        return false;
    return take(L, f, &o);
}

void find_filter_push_ambiguity(lua_State *L, const char *name, const char *number)
{
    lua_pushfstring(L,
                    "'%s' and '%s' may be the same tag, and one of them would be lost: write both "
                    "as gggg,eeee",
                    name, number);
}

bool find_filter_check(lua_State *L, filter *f)
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
    f->keeps = f->unknown_name = false;
    f->charset = f->name = f->number = NULL;
    if (f->query)
        options_check_plain(L, f->query, f->function, "Query");
    if (f->query)
        for (lua_pushnil(L); lua_next(L, f->query); lua_settop(L, seen + 1))
            if (!read_pair(L, f, seen)) {
                lua_replace(L, f->sent);
                lua_settop(L, f->sent);
                return false;
            }
    lua_settop(L, f->dropped);
    if (f->name && f->number && (!f->normalize || f->keep)) {
        find_filter_push_ambiguity(L, f->name, f->number);
        lua_replace(L, f->sent);
        lua_settop(L, f->sent);
        return false;
    }
    return true;
}

/* Whether something of the value reaches the modality for sure: an ASCII letter or digit, or what
 * the query's character set (NULL = it says none) holds. */
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
            orthanc_tag_parse(lua_tostring(L, -2), &tag) && counts_at(tag, level) &&
            arrives(lua_tostring(L, -1), charset))
            broad = false;
    }
    lua_settop(L, top);
    return broad;
}
