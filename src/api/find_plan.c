#include "api/find_plan.h"

#include <lauxlib.h>
#include <string.h>

#include "api/find_filter.h"
#include "orthanc/dictionary.h"
#include "orthanc/values.h"

/* One member of the query. */
typedef struct member {
    uint32_t tag;
    bool known; /* the tag */
    const char *value;
} member;

/* Moves on to the next filter of the query at index. Stack: a key (nil at first) -> the next key, or
 * nothing at the end. */
static bool next_filter(lua_State *L, int query, member *m)
{
    while (lua_next(L, query)) {
        m->value = lua_tostring(L, -1); /* the query keeps it alive */
        m->known = orthanc_tag_parse(lua_tostring(L, -2), &m->tag);
        lua_pop(L, 1);
        if (m->value && !find_filter_is_universal(m->value))
            return true;
    }
    return false;
}

/* The uppermost level that has the tag, as far as levels can be asked: a search for patients' studies is
 * one at Study level. ORTHANC_NO_LEVEL for other tags. */
static orthanc_level level_of(uint32_t tag)
{
    const orthanc_tag *row = orthanc_tag_row(tag);
    int level = ORTHANC_STUDY;
    if (!row || row->levels == 0)
        return ORTHANC_NO_LEVEL;
    while (level < ORTHANC_NO_LEVEL && !(row->levels & 1u << level))
        level++;
    return (orthanc_level)level;
}

/* Whether the query gives the unique keys of all levels above, each with one value. */
static bool has_parents(lua_State *L, int query, orthanc_level level)
{
    bool all = true;
    for (const uint32_t *tag = orthanc_unique_keys(level); all && tag[1]; tag++) {
        char number[ORTHANC_TAG_TEXT];
        const char *value;
        orthanc_tag_write(*tag, number);
        lua_getfield(L, query, number);
        value = lua_tostring(L, -1);
        all = value && !find_filter_is_universal(value) && !strpbrk(value, "*?\\");
        lua_pop(L, 1);
    }
    return all;
}

bool find_plan_split_midnight(const char *key, const char *value, char first[VALUES_TIMES],
                              char second[VALUES_TIMES])
{
    uint32_t tag;
    return (orthanc_tag_parse(key, &tag) || dictionary_find(key, &tag)) &&
           dictionary_vr(tag) == DICOM_TM && values_split_midnight(value, first, second);
}

bool find_plan_passes_midnight(lua_State *L, int query)
{
    char first[VALUES_TIMES], second[VALUES_TIMES];
    bool passes = false;
    luaL_checkstack(L, 4, "query");
    for (lua_pushnil(L); !passes && lua_next(L, query); lua_pop(L, 1)) {
        if (lua_istable(L, -1))
            passes = find_plan_passes_midnight(L, lua_gettop(L));
        else if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING)
            passes =
                find_plan_split_midnight(lua_tostring(L, -2), lua_tostring(L, -1), first, second);
    }
    if (passes)
        lua_pop(L, 1); /* the key of the interrupted traversal */
    return passes;
}

find_plan find_plan_choose(lua_State *L, int query, orthanc_level level, bool relational)
{
    bool down = false;
    member m;
    if (find_plan_passes_midnight(L, query))
        return FIND_PLAN_PARTS;
    lua_pushnil(L);
    while (next_filter(L, query, &m))
        down = down || (m.known && level_of(m.tag) < level);
    if (!down || relational || level <= ORTHANC_STUDY || has_parents(L, query, level))
        return FIND_PLAN_ONE;
    return FIND_PLAN_DOWN;
}

bool find_plan_can_go_down(lua_State *L, int query, orthanc_level level)
{
    return level > ORTHANC_STUDY && !has_parents(L, query, level);
}

const char *find_plan_name(find_plan plan)
{
    return plan == FIND_PLAN_DOWN ? "find_down" : "find_parts";
}

bool find_plan_has_list(lua_State *L, int query)
{
    member m;
    lua_pushnil(L);
    while (next_filter(L, query, &m))
        if (strchr(m.value, '\\')) {
            lua_pop(L, 1);
            return true;
        }
    return false;
}
