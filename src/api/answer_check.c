#include "api/answer_check.h"

#include <lauxlib.h>
#include <string.h>

#include "api/find_filter.h"
#include "api/identifiers.h"
#include "orthanc/dictionary.h"
#include "orthanc/matching.h"

enum {
    SPECIFIC_CHARACTER_SET = 0x00080005,
    QUERY_RETRIEVE_LEVEL = 0x00080052,
    TIMEZONE_OFFSET = 0x00080201
};

/* ---- the filters of a query ---- */

typedef struct filter {
    const char *name;  /* the tag's keyword, or the key as the query has it */
    const char *value; /* NULL: a sequence, whose item has the filters with `in` = this one */
    const char *shown; /* what the present answer has; NULL = nothing */
    /* answers that contradict it, would match it had they not been changed, match it, do not show it */
    lua_Integer no, doubt, yes, unshown;
    lua_Integer in_moments; /* contradict it, but not as half of a range of moments */
    int in;                 /* the sequence that it is in; -1 = none */
    int time;               /* for a date: the filter with the time of the same moment, or -1 */
    dicom_vr vr;
    matching last;     /* of the present answer */
    bool is_moment;    /* the contradiction of the present answer counts in in_moments */
    bool may_be_empty; /* an answer without a value of it stays */
    char number[ORTHANC_TAG_TEXT]; /* gggg,eeee, or "" */
} filter;

typedef struct check {
    int n;
    /* the modality takes a range of dates and one of times as one range of moments */
    bool by_moment;
    filter filters[];
} check;

/* The number of members of the query at index, with those of its sequences. [-0, +0, m] */
static int count_members(lua_State *L, int query)
{
    int n = 0;
    luaL_checkstack(L, 4, "query");
    for (lua_pushnil(L); lua_next(L, query); lua_pop(L, 1)) {
        n++;
        if (!lua_istable(L, -1))
            continue;
        if (lua_rawgeti(L, -1, 1) == LUA_TTABLE)
            n += count_members(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    return n;
}

/* Tags that are no filters, although they can have a value. */
static bool is_no_filter(uint32_t tag)
{
    return tag == SPECIFIC_CHARACTER_SET || tag == QUERY_RETRIEVE_LEVEL || tag == TIMEZONE_OFFSET;
}

/* Fills in the filter from the member on the top (key, value). False: it is no filter. */
static bool read_member(lua_State *L, filter *f, int in)
{
    uint32_t tag;
    const char *value =
        lua_istable(L, -1) ? NULL : lua_tostring(L, -1); /* the query keeps it alive */
    if (!lua_istable(L, -1) && (!value || find_filter_is_universal(value)))
        return false;
    *f = (filter){ .name = lua_tostring(L, -2), .value = value, .in = in, .time = -1 };
    if (orthanc_tag_parse(f->name, &tag) || dictionary_find(f->name, &tag)) {
        const char *keyword = dictionary_keyword(tag);
        if (is_no_filter(tag))
            return false;
        orthanc_tag_write(tag, f->number);
        f->vr = dictionary_vr(tag);
        f->name = keyword ? keyword : f->name;
    }
    return true;
}

/* Adds the filters of the query at index. */
static void read_query(lua_State *L, check *c, int query, int in)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 4, "query");
    for (lua_pushnil(L); lua_next(L, query); lua_settop(L, top + 1)) {
        if (lua_type(L, top + 1) != LUA_TSTRING || !read_member(L, &c->filters[c->n], in))
            continue;
        c->n++;
        if (lua_istable(L, top + 2) && lua_rawgeti(L, top + 2, 1) == LUA_TTABLE)
            read_query(L, c, top + 3, c->n - 1);
    }
}

static filter *find_number(check *c, const char *number, int in)
{
    for (filter *f = c->filters; f < c->filters + c->n; f++)
        if (f->value && f->in == in && strcmp(f->number, number) == 0)
            return f;
    return NULL;
}

/* Notes which ranges of dates and times some modalities take as one range of moments (PS3.4
 * C.2.2.2.5.3). */
static void pair_moments(check *c)
{
    static const char *const pairs[][2] = {
        { "0008,0020", "0008,0030" }, { "0008,0021", "0008,0031" }, { "0008,0012", "0008,0013" },
        { "0008,0022", "0008,0032" }, { "0008,0023", "0008,0033" }, { "0010,0030", "0010,0032" },
        { "0040,0244", "0040,0245" }, { "0040,0002", "0040,0003" }, { "0040,0250", "0040,0251" },
        { "0040,2004", "0040,2005" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (int in = -1; in < c->n; in++) {
            filter *date = find_number(c, pairs[i][0], in), *time = find_number(c, pairs[i][1], in);
            if (date && time && strchr(date->value, '-') && strchr(time->value, '-'))
                date->time = (int)(time - c->filters);
        }
}

/* Marks the filters whose tags are in the list at index. */
static void mark_empty(lua_State *L, check *c, int tags)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, tags);
    for (lua_Integer i = 1; i <= n; i++, lua_pop(L, 1)) {
        char number[ORTHANC_TAG_TEXT];
        uint32_t tag;
        filter *f;
        if (lua_rawgeti(L, tags, i) != LUA_TSTRING || !orthanc_tag_parse(lua_tostring(L, -1), &tag))
            continue;
        orthanc_tag_write(tag, number);
        f = find_number(c, number, -1);
        if (f)
            f->may_be_empty = true;
    }
}

/* Pushes the filters of the query at index, as a userdata. */
static check *push_check(lua_State *L, int query)
{
    int n = count_members(L, query);
    check *c = lua_newuserdatauv(L, sizeof *c + (size_t)n * sizeof c->filters[0], 0);
    c->n = 0;
    c->by_moment = false;
    read_query(L, c, query, -1);
    pair_moments(c);
    return c;
}

/* ---- one answer ---- */

/* Pushes what the dataset at index has for the filter, in any format of answers. Returns its type. */
static int push_value(lua_State *L, int dataset, const filter *f)
{
    lua_pushstring(L, f->name);
    if (lua_rawget(L, dataset) == LUA_TNIL && f->number[0]) {
        lua_pop(L, 1);
        lua_pushstring(L, f->number);
        lua_rawget(L, dataset);
    }
    if (lua_istable(L, -1)) { /* a sequence, or { Name =, Type =, Value = } */
        lua_pushliteral(L, "Value");
        if (lua_rawget(L, -2) == LUA_TNIL)
            lua_pop(L, 1);
        else
            lua_remove(L, -2);
    }
    return lua_type(L, -1);
}

static matching compare_dataset(lua_State *L, check *c, int dataset, int in);

/* The items of a sequence are on the top: one of them must match all filters of the query's item. */
static matching compare_items(lua_State *L, check *c, int sequence)
{
    int list = lua_gettop(L);
    lua_Integer n = lua_istable(L, list) ? (lua_Integer)lua_rawlen(L, list) : 0, best = 0;
    matching result = MATCHING_NO;
    luaL_checkstack(L, 6, "sequence");
    for (lua_Integer i = 1; i <= n && result != MATCHING_YES; i++) {
        if (lua_rawgeti(L, list, i) == LUA_TTABLE) {
            matching m = compare_dataset(L, c, list + 1, sequence);
            if (m != MATCHING_NO && (m == MATCHING_YES || !best)) {
                result = m;
                best = i;
            }
        }
        lua_settop(L, list);
    }
    if (n == 0 || (best && result != MATCHING_YES)) { /* sets `last` of its filters again */
        if (best)
            lua_rawgeti(L, list, best);
        else
            lua_newtable(L);
        result = compare_dataset(L, c, list + 1, sequence);
        lua_settop(L, list);
    }
    return result;
}

/* Where the answer contradicts half of a range of moments, and not the range: notes that. */
static void compare_moments(check *c, int in)
{
    for (filter *f = c->filters; f < c->filters + c->n; f++) {
        filter *t = f->time < 0 ? NULL : &c->filters[f->time];
        if (f->in == in && t && (f->last == MATCHING_NO || t->last == MATCHING_NO) && f->shown &&
            t->shown && matching_is_in_moments(f->value, t->value, f->shown, t->shown)) {
            f->is_moment = f->last == MATCHING_NO;
            t->is_moment = t->last == MATCHING_NO;
        }
    }
}

/* Compares the dataset at index with the filters that are in that sequence: sets `last` of each, and
 * returns what it means for all of them. */
static matching compare_dataset(lua_State *L, check *c, int dataset, int in)
{
    matching all = MATCHING_YES;
    int top = lua_gettop(L);
    for (int i = 0; i < c->n; i++) {
        filter *f = &c->filters[i];
        if (f->in != in)
            continue;
        f->is_moment = false;
        push_value(L, dataset, f);
        if (!f->value) {
            f->last = compare_items(L, c, i);
        } else {
            f->shown = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
            f->last = f->shown ? matching_compare(f->vr, f->value, f->shown) : MATCHING_UNSHOWN;
        }
        lua_settop(L, top);
    }
    compare_moments(c, in);
    for (const filter *f = c->filters; f < c->filters + c->n; f++) {
        if (f->in != in || (f->is_moment && c->by_moment))
            continue;
        if (f->last == MATCHING_NO)
            return MATCHING_NO;
        if (f->last != MATCHING_YES)
            all = f->last;
    }
    return all;
}

/* ---- all answers ---- */

static void count_all(lua_State *L, check *c, int answers)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, answers);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, answers, i) == LUA_TTABLE) {
            compare_dataset(L, c, lua_gettop(L), -1);
            for (filter *f = c->filters; f < c->filters + c->n; f++) {
                f->no += f->value && f->last == MATCHING_NO && !f->is_moment;
                f->in_moments += f->value && f->is_moment;
                f->doubt += f->last == MATCHING_DOUBT;
                f->yes += f->last == MATCHING_YES;
                f->unshown += f->last == MATCHING_UNSHOWN;
            }
        }
        lua_pop(L, 1);
    }
}

/* A modality that takes two ranges as one range of moments gives no answer outside of that range. */
static void decide_moments(check *c)
{
    c->by_moment = true;
    for (const filter *f = c->filters; f < c->filters + c->n; f++)
        if (f->time >= 0 && (f->no > 0 || c->filters[f->time].no > 0))
            c->by_moment = false;
    for (filter *f = c->filters; f < c->filters + c->n; f++) {
        lua_Integer *counter = c->by_moment ? &f->yes : &f->no;
        *counter += f->in_moments;
    }
}

static bool is_shown(const filter *f)
{
    return f->no + f->doubt + f->yes > 0;
}

/* Whether the present answer contradicts the filter. An answer without a value does where other answers
 * have one: then the modality returns the attribute, and the resource has no value of it, which no filter
 * matches. (Orthanc gives undated studies for a range of dates that is open at its start.) */
static bool is_contradicted(const check *c, const filter *f)
{
    if (!f->value)
        return false;
    if (f->last == MATCHING_NO)
        return !(f->is_moment && c->by_moment);
    return f->last == MATCHING_UNSHOWN && is_shown(f) && !f->may_be_empty;
}

/* Whether the answers leave it open that they match the filter: none shows its value, or values may have
 * been changed on their way. A date that cannot be read among others that match is no reason: it is
 * rather a mistake in one study than a modality that has not looked at the filter. */
static bool is_unproven(const filter *f)
{
    bool excused = dicom_vr_is_moment(f->vr) && f->yes > 0 && f->no == 0;
    return f->value && ((f->unshown > 0 && !is_shown(f)) || (f->doubt > 0 && !excused));
}

/* Counts in the table `ignored` at index which filters the present answer contradicts. Returns whether
 * there is one. */
static bool count_contradictions(lua_State *L, const check *c, int ignored)
{
    bool any = false;
    for (const filter *f = c->filters; f < c->filters + c->n; f++)
        if (is_contradicted(c, f)) {
            lua_Integer before;
            lua_getfield(L, ignored, f->name);
            before = lua_tointeger(L, -1);
            lua_pop(L, 1);
            lua_pushinteger(L, before + 1);
            lua_setfield(L, ignored, f->name);
            any = true;
        }
    return any;
}

/* Removes the elements of the list behind the first n. */
static void cut_list(lua_State *L, int list, lua_Integer n)
{
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, list); i > n; i--) {
        lua_pushnil(L);
        lua_rawseti(L, list, i);
    }
}

/* Removes the answers that contradict a filter. */
static void remove_contradicting(lua_State *L, check *c, int answers, int ignored)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, answers), kept = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, answers, i);
        if (lua_istable(L, -1)) {
            compare_dataset(L, c, lua_gettop(L), -1);
            if (count_contradictions(L, c, ignored)) {
                lua_pop(L, 1);
                continue;
            }
        }
        lua_rawseti(L, answers, ++kept);
    }
    cut_list(L, answers, kept);
}

/* Sets notes.unproven. */
static void note_unproven(lua_State *L, const check *c, int notes)
{
    lua_Integer n = 0;
    lua_newtable(L);
    for (const filter *f = c->filters; f < c->filters + c->n; f++)
        if (is_unproven(f)) {
            lua_pushstring(L, f->name);
            lua_rawseti(L, -2, ++n);
        }
    if (n > 0)
        lua_setfield(L, notes, "unproven");
    else
        lua_pop(L, 1);
}

bool answer_check_filters(lua_State *L, int answers, int query, int empty, int notes)
{
    int top = lua_gettop(L);
    lua_Integer before = (lua_Integer)lua_rawlen(L, answers);
    bool contradicted = false;
    check *c = push_check(L, query);
    if (c->n == 0) {
        lua_settop(L, top);
        return false;
    }
    if (empty && lua_istable(L, empty))
        mark_empty(L, c, empty);
    count_all(L, c, answers);
    decide_moments(c);
    for (const filter *f = c->filters; f < c->filters + c->n; f++)
        contradicted = contradicted || (f->value && (f->no > 0 || (f->unshown > 0 && is_shown(f))));
    if (contradicted) {
        lua_newtable(L);
        remove_contradicting(L, c, answers, top + 2);
        contradicted = (lua_Integer)lua_rawlen(L, answers) < before;
        if (contradicted)
            lua_setfield(L, notes, "ignored");
    }
    lua_settop(L, top + 1);
    if (lua_rawlen(L, answers) > 0)
        note_unproven(L, c, notes);
    lua_settop(L, top);
    return contradicted;
}
