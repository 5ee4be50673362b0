#include "api/worklist_query.h"

#include <lauxlib.h>
#include <string.h>

#include "api/find_filter.h"
#include "base/ascii.h"
#include "binding/error.h"
#include "json/mark.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"

enum { SPECIFIC_CHARACTER_SET = 0x00080005, QUERY_RETRIEVE_LEVEL = 0x00080052 };
enum { DEPTH_MAX = 8 }; /* of sequences in one another: worklists have three */

/* The query itself, or the item of a sequence. */
typedef struct dataset {
    const char *path; /* "the query", or "ScheduledProcedureStepSequence[1]" */
    orthanc_place place;
    int depth;
    int sent, seen;            /* new tables: what goes out; its tags, as they were written */
    const char *name, *number; /* a key that is a name, or a number, that we do not know; or NULL */
} dataset;

typedef struct pair {
    const char *key, *path, *value;
    uint32_t tag;
    bool known;                  /* the tag is */
    char text[ORTHANC_TAG_TEXT]; /* its number */
} pair;

static bool read_dataset(lua_State *L, worklist_query *q, int table, dataset *d);

/* ---- filters ---- */

/* Whether the tag of a pair is one whose name we know. */
static bool is_listed(const pair *p)
{
    return p->known && orthanc_worklist_name(p->tag);
}

/* Pushes where a filter that is in the wrong place belongs. */
static void push_advice(lua_State *L, const pair *p)
{
    unsigned places = is_listed(p) ? orthanc_worklist_places(p->tag) : ORTHANC_NOWHERE;
    if (places & ORTHANC_IN_STEP)
        lua_pushfstring(L, "it belongs into ScheduledProcedureStepSequence = { { %s = '%s' } }",
                        orthanc_worklist_name(p->tag), p->value);
    else if (places & ORTHANC_AT_TOP)
        lua_pushliteral(L, "it belongs at the top of the query");
    else if (places & ORTHANC_IN_OTHER)
        lua_pushliteral(L, "it belongs into a sequence of codes or references");
    else if (p->known && p->tag == QUERY_RETRIEVE_LEVEL)
        lua_pushliteral(L, "worklists have no levels");
    else
        lua_pushfstring(L,
                        "worklists have no such tag; if the remote modality matches by it, say "
                        "keep = { \"%s\" }",
                        p->key);
}

/* Whether the filter arrives, and counts where it does; else a message is pushed. */
static bool counts(lua_State *L, const worklist_query *q, const dataset *d, const pair *p)
{
    if (find_filter_is_universal(p->value) ||
        find_filter_is_kept(L, q->keep, p->key, p->known ? &p->tag : NULL))
        return true;
    if (!p->known)
        return true; /* the server knows the name, or says that it does not */
    if (!is_listed(p)) {
        lua_pushfstring(L,
                        "the filter %s = '%s' may be lost, and the search become broader: Orthanc "
                        "sends no value of a number that its dictionary lacks; write the tag's "
                        "name, or say keep = { \"%s\" }",
                        p->path, p->value, p->key);
        return false;
    }
    if (orthanc_worklist_places(p->tag) & d->place)
        return true;
    push_advice(L, p);
    lua_pushfstring(L,
                    "the filter %s = '%s' is in the wrong place, where modalities ignore it, and "
                    "the search would become broader: %s",
                    p->path, p->value, lua_tostring(L, -1));
    return false;
}

/* The value of p is on the top, a string. False: a message is pushed. */
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
    if (!counts(L, q, d, p))
        return false;
    q->ascii = q->ascii && ascii_is_all(p->value, size);
    if (p->known && p->tag == SPECIFIC_CHARACTER_SET && size > 0 && d->depth == 0)
        q->charset = p->value;
    if (sequence) {
        lua_newtable(L);
        json_mark_array(L);
    }
    return true;
}

/* ---- sequences ---- */

/* A filter beside the item, instead of in it, would be lost. */
static void check_sequence(lua_State *L, const worklist_query *q, const dataset *d, const pair *p)
{
    int table = lua_gettop(L);
    lua_Unsigned n = lua_rawlen(L, table);
    if (is_listed(p) && !orthanc_worklist_is_sequence(p->tag))
        error_usage(L, "%s: %s must be a string (a table was given; it is no sequence)",
                    q->function, p->path);
    if (d->depth == DEPTH_MAX)
        error_usage(L, "%s: %s is nested too deeply", q->function, p->path);
    options_check_plain(L, table, q->function, p->path);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        if (!lua_isinteger(L, -2) || (lua_Unsigned)lua_tointeger(L, -2) - 1 >= n)
            error_usage(L, "%s: %s must be a list with one table in it: %s = { { … } }",
                        q->function, p->path, p->key);
}

/* The table on the top becomes the list to send, above it. False: a message is pushed. */
static bool read_sequence(lua_State *L, worklist_query *q, const dataset *d, const pair *p)
{
    int table = lua_gettop(L), list = table + 1;
    lua_Unsigned n;
    check_sequence(L, q, d, p);
    n = lua_rawlen(L, table);
    if (n > 1) {
        lua_pushfstring(L,
                        "%s has %I items, of which modalities look at the first at most: search "
                        "once for each",
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

/* A key that is an option is one in the wrong table. */
static void check_is_tag(lua_State *L, const worklist_query *q, const pair *p)
{
    if (!p->known && (orthanc_key_of(q->route, p->key) || options_find(q->options, p->key) ||
                      strcmp(p->key, options_extra.name) == 0))
        error_usage(L,
                    "%s: '%s' is no tag; the tags are the first argument, and the options the "
                    "second",
                    q->function, p->key);
}

static void note_unknown(lua_State *L, const worklist_query *q, dataset *d, const pair *p)
{
    if (p->known) {
        if (!orthanc_worklist_name(p->tag) && (p->tag >> 16) % 2 == 0)
            d->number = p->path; /* private tags have no names */
        return;
    }
    d->name = p->path;
    lua_pushstring(L, p->key);
    lua_rawseti(L, q->unknown, (lua_Integer)lua_rawlen(L, q->unknown) + 1);
}

/* The value on the top, whose key is below it, becomes what is to be sent of it. False: a message
 * is pushed. */
static bool read_value(lua_State *L, worklist_query *q, const dataset *d, pair *p)
{
    int value = lua_gettop(L), type = lua_type(L, value);
    if (type == LUA_TTABLE)
        return read_sequence(L, q, d, p);
    if (type == LUA_TSTRING)
        lua_pushvalue(L, value);
    else if (lua_isinteger(L, value))
        luaL_tolstring(L, value, NULL); /* a copy: lua_next wants the value as it is */
    else if (type == LUA_TLIGHTUSERDATA && !lua_touserdata(L, value))
        lua_pushliteral(L, ""); /* null: the tag is asked for */
    else
        error_usage(L, "%s: %s must be a string (a %s was given)", q->function, p->path,
                    luaL_typename(L, value));
    return read_filter(L, q, d, p);
}

/* The key is one below the top, the value on it; `paths` keeps the path alive. False: a message is
 * on the top. */
static bool read_pair(lua_State *L, worklist_query *q, dataset *d, int paths)
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
    find_filter_check_twice(L, q->function, d->seen, p.known ? p.text : p.key, p.path);
    note_unknown(L, q, d, &p);
    if (!read_value(L, q, d, &p))
        return false;
    lua_setfield(L, d->sent, p.known ? p.text : p.key);
    return true;
}

/* Pushes what is to be sent of the table at that index. False: a message is pushed instead. */
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
        if ((good = read_pair(L, q, d, paths)))
            lua_settop(L, paths + 1);
    if (good && d->name && d->number) {
        find_filter_push_ambiguity(L, d->name, d->number);
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
