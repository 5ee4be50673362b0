#include "api/worklist_query.h"

#include <lauxlib.h>
#include <string.h>

#include "api/find_filter.h"
#include "base/ascii.h"
#include "binding/error.h"
#include "json/mark.h"
#include "orthanc/dictionary.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"

enum { SPECIFIC_CHARACTER_SET = 0x00080005, QUERY_RETRIEVE_LEVEL = 0x00080052 };
enum { DEPTH_MAX = 8 }; /* of nested sequences; worklists have 3 */

/* The query, or the item of a sequence. */
typedef struct dataset {
    const char *path; /* "the query", or "ScheduledProcedureStepSequence[1]" */
    orthanc_place place;
    int depth;
    int sent;                    /* new table: the dataset to send */
    int seen;                    /* new table: from each tag to its key, as the caller wrote it */
    const char *unlisted_name;   /* a key, by name, that is not in our tables; or NULL */
    const char *unlisted_number; /* the same by number */
} dataset;

/* One member of a dataset. */
typedef struct pair {
    const char *key, *path, *value; /* path: "ScheduledProcedureStepSequence[1].Modality" */
    uint32_t tag;
    bool known;                  /* `tag` is known */
    char text[ORTHANC_TAG_TEXT]; /* the tag as gggg,eeee */
} pair;

static bool read_dataset(lua_State *L, worklist_query *q, int table, dataset *d);

/* ---- filters ---- */

/* Whether the tag of the pair is in our tables. */
static bool is_listed(const pair *p)
{
    return p->known && orthanc_worklist_name(p->tag);
}

/* Pushes where a filter belongs that is in the wrong place. */
static void push_advice(lua_State *L, const pair *p)
{
    unsigned places = is_listed(p) ? orthanc_worklist_places(p->tag) : ORTHANC_NOWHERE;
    if (places & ORTHANC_IN_STEP)
        lua_pushfstring(L, "it belongs in ScheduledProcedureStepSequence = { { %s = '%s' } }",
                        orthanc_worklist_name(p->tag), p->value);
    else if (places & ORTHANC_AT_TOP)
        lua_pushliteral(L, "it belongs at the top of the query");
    else if (places & ORTHANC_IN_OTHER)
        lua_pushliteral(L, "it belongs in a sequence of codes or references");
    else if (p->known && p->tag == QUERY_RETRIEVE_LEVEL)
        lua_pushliteral(L, "worklists have no levels");
    else
        lua_pushfstring(
            L,
            "worklists do not have this tag; if the modality matches by it, add keep = { "
            "\"%s\" }",
            p->key);
}

/* Whether the filter reaches the modality, in a place where modalities match by it. Else pushes a message.
 * [-0, +(0|1), m] */
static bool is_effective(lua_State *L, const worklist_query *q, const dataset *d, const pair *p)
{
    bool is_level = p->known && p->tag == QUERY_RETRIEVE_LEVEL;
    if (find_filter_is_universal(p->value) ||
        (!is_level && find_filter_is_kept(L, q->keep, p->key, p->known ? &p->tag : NULL)))
        return true;
    if (!p->known)
        return true; /* the server knows the name, or reports that it does not */
    if (!is_listed(p)) {
        lua_pushfstring(
            L,
            "the filter %s = '%s' may be lost, and more returned than asked: Orthanc sends "
            "no value of a number that its dictionary does not have; write the tag's "
            "name, or add keep = { \"%s\" }",
            p->path, p->value, p->key);
        return false;
    }
    if (orthanc_worklist_places(p->tag) & d->place)
        return true;
    push_advice(L, p);
    lua_pushfstring(L,
                    "the filter %s = '%s' is in the wrong place, where modalities ignore it and "
                    "return more than asked: %s",
                    p->path, p->value, lua_tostring(L, -1));
    return false;
}

/* Reads the string on the top as the value of p. False: a message is pushed. */
static bool read_filter(lua_State *L, worklist_query *q, const dataset *d, pair *p)
{
    bool sequence = p->known && orthanc_worklist_is_sequence(p->tag);
    size_t size;
    p->value = lua_tolstring(L, -1, &size);
    if (sequence && size > 0)
        error_usage(L, "%s: %s is a sequence: a list with one table in it, { { … } }", q->function,
                    p->path);
    if (find_filter_is_invalid(L, p->path, p->value, size, p->tag == SPECIFIC_CHARACTER_SET))
        return false;
    if (!is_effective(L, q, d, p) || find_filter_is_odd(L, q->keep, p->path, p->key, p->value))
        return false;
    q->ascii = q->ascii && ascii_is_all(p->value, size);
    if (p->known && p->tag == SPECIFIC_CHARACTER_SET && size > 0 && d->depth == 0)
        q->charset = p->value;
    if (sequence) {
        lua_newtable(L);
        json_mark_array(L);
    } else {
        lua_pushstring(
            L, find_filter_as_sent(L, q->keep, p->key, p->known ? &p->tag : NULL, p->value));
    }
    return true;
}

/* ---- sequences ---- */

/* Throws when the table on the top is not a list of items: a filter beside an item would be lost. */
static void check_sequence(lua_State *L, const worklist_query *q, const dataset *d, const pair *p)
{
    int table = lua_gettop(L);
    lua_Unsigned n = lua_rawlen(L, table);
    if (is_listed(p) && !orthanc_worklist_is_sequence(p->tag))
        error_usage(L, "%s: %s must be a string (a table was given, but it is not a sequence)",
                    q->function, p->path);
    if (d->depth == DEPTH_MAX)
        error_usage(L, "%s: %s is nested too deeply", q->function, p->path);
    options_check_plain(L, table, q->function, p->path);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        if (!lua_isinteger(L, -2) || (lua_Unsigned)lua_tointeger(L, -2) - 1 >= n)
            error_usage(L, "%s: %s must be a list with one table in it: %s = { { … } }",
                        q->function, p->path, p->key);
}

/* Reads the table on the top as a sequence, and pushes the list to send. False: a message is pushed. */
static bool read_sequence(lua_State *L, worklist_query *q, const dataset *d, const pair *p)
{
    int table = lua_gettop(L), list = table + 1;
    lua_Unsigned n;
    check_sequence(L, q, d, p);
    n = lua_rawlen(L, table);
    if (n > 1) {
        lua_pushfstring(
            L,
            "%s has %I items, but modalities match by the first one at most: search once "
            "for each",
            p->path, (LUAI_UACINT)n);
        return false;
    }
    lua_newtable(L);
    json_mark_array(L);
    if (n == 1) {
        dataset item = { .place = p->known && p->tag == ORTHANC_STEP_SEQUENCE ? ORTHANC_IN_STEP
                                                                              : ORTHANC_IN_OTHER,
                         .depth = d->depth + 1 };
        item.path = lua_pushfstring(L, "%s[1]", p->path);
        if (lua_rawgeti(L, table, 1) != LUA_TTABLE)
            error_usage(L, "%s: %s[1] must be a table of tags (a %s was given)", q->function,
                        p->path, json_mark_is_null(L, -1) ? "null" : luaL_typename(L, -1));
        if (!read_dataset(L, q, lua_gettop(L), &item))
            return false;
        lua_rawseti(L, list, 1);
    }
    lua_settop(L, list);
    return true;
}

/* ---- tags ---- */

/* Throws when the key is the name of an option: it is in the wrong table. */
static void check_is_tag(lua_State *L, const worklist_query *q, const pair *p)
{
    if (!p->known && (orthanc_key_of(q->route, p->key) || options_find(q->options, p->key) ||
                      strcmp(p->key, options_extra.name) == 0))
        error_usage(L,
                    "%s: '%s' is not a tag; the tags are the first argument, and the options the "
                    "second",
                    q->function, p->key);
}

/* Notes a key that is not in our tables. */
static void note_unlisted(lua_State *L, const worklist_query *q, dataset *d, const pair *p)
{
    if (p->known) {
        if (!orthanc_worklist_name(p->tag) && (p->tag >> 16) % 2 == 0)
            d->unlisted_number = p->path; /* private tags have no names */
        return;
    }
    d->unlisted_name = p->path;
    lua_pushstring(L, p->key);
    lua_rawseti(L, q->unknown, (lua_Integer)lua_rawlen(L, q->unknown) + 1);
}

/* Pushes the value to send for the value on the top, whose key is below it. False: a message is
 * pushed. */
static bool read_value(lua_State *L, worklist_query *q, const dataset *d, pair *p)
{
    int value = lua_gettop(L), type = lua_type(L, value);
    if (type == LUA_TTABLE)
        return read_sequence(L, q, d, p);
    if (type == LUA_TSTRING)
        lua_pushvalue(L, value);
    else if (lua_isinteger(L, value))
        luaL_tolstring(L, value, NULL); /* a copy: lua_next needs the value unchanged */
    else if (type == LUA_TLIGHTUSERDATA && !lua_touserdata(L, value))
        lua_pushliteral(L, ""); /* null: a return key */
    else
        error_usage(L, "%s: %s must be a string (a %s was given)", q->function, p->path,
                    luaL_typename(L, value));
    return read_filter(L, q, d, p);
}

/* Reads the key below the top and its value on the top; the list `paths` keeps the path alive. False: a
 * message is on the top. */
static bool read_dataset_member(lua_State *L, worklist_query *q, dataset *d, int paths)
{
    pair p = { .tag = 0 };
    int key = lua_gettop(L) - 1;
    if (lua_type(L, key) != LUA_TSTRING)
        error_usage(L, "%s: the keys of %s must be tags (a %s was given)", q->function, d->path,
                    luaL_typename(L, key));
    p.key = lua_tostring(L, key);
    p.path = d->depth > 0 ? lua_pushfstring(L, "%s.%s", d->path, p.key) : lua_pushstring(L, p.key);
    lua_rawseti(L, paths, (lua_Integer)lua_rawlen(L, paths) + 1);
    p.known = orthanc_worklist_parse(p.key, &p.tag);
    if (p.known)
        orthanc_tag_write(p.tag, p.text);
    check_is_tag(L, q, &p);
    if (find_filter_is_forbidden(L, p.path, p.key))
        return false;
    find_filter_check_twice(L, q->function, d->seen, p.known ? p.text : p.key, p.path);
    note_unlisted(L, q, d, &p);
    if (!read_value(L, q, d, &p))
        return false;
    lua_setfield(L, d->sent, p.known ? p.text : p.key);
    return true;
}

/* Pushes the dataset to send for the table at that index. False: a message is pushed instead. */
static bool read_dataset(lua_State *L, worklist_query *q, int table, dataset *d)
{
    int paths;
    bool good = true;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    options_check_plain(L, table, q->function, d->path);
    lua_newtable(L);
    json_mark_object(L);
    d->sent = lua_gettop(L);
    lua_newtable(L);
    d->seen = lua_gettop(L);
    lua_newtable(L);
    paths = lua_gettop(L);
    for (lua_pushnil(L); good && lua_next(L, table);)
        if ((good = read_dataset_member(L, q, d, paths)))
            lua_settop(L, paths + 1);
    if (good && d->unlisted_name && d->unlisted_number) {
        find_filter_push_ambiguity(L, d->unlisted_name, d->unlisted_number);
        good = false;
    }
    if (!good)
        lua_replace(L, d->sent);
    lua_settop(L, d->sent);
    return good;
}

bool worklist_query_check(lua_State *L, worklist_query *q)
{
    dataset top = { .path = "the query", .place = ORTHANC_AT_TOP };
    find_filter_check_keep(L, q->keep, q->function);
    lua_newtable(L);
    q->unknown = lua_gettop(L);
    q->ascii = true;
    q->charset = NULL;
    if (!read_dataset(L, q, q->query, &top)) {
        lua_replace(L, q->unknown);
        return false;
    }
    q->sent = top.sent;
    return true;
}
