#include "api/local_find.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answers.h"
#include "api/find_filter.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "json/mark.h"
#include "request/call.h"
#include "request/route_options.h"
#include "request/version.h"

enum { COUNTS_MAX = 5 };

typedef struct local_call {
    call call;
    orthanc_level level;
    orthanc_level counted;    /* what the server's limit counts in this search */
    lua_Integer since, limit; /* the part of the list that is wanted; limit 0 = all the rest */
    lua_Integer held;         /* how many resources of `counted` there are; 0 = not asked */
    unsigned counts;          /* how often that was asked */
    bool paged;               /* only the first `limit` were asked for */
    bool computed;            /* a filter is about what newer servers compute */
} local_call;

/* ---- the outcome ---- */

/* Pushes the part of the list on the top that is wanted. */
static int push_part(lua_State *L, const local_call *l)
{
    int list = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, list), last = n;
    if (l->limit > 0 && l->limit < n - l->since)
        last = l->since + l->limit;
    if (l->since == 0 && last == n)
        return 1;
    lua_newtable(L);
    json_mark_array(L);
    for (lua_Integer i = l->since + 1; i <= last; i++) {
        lua_rawgeti(L, list, i);
        lua_rawseti(L, list + 1, i - l->since);
    }
    return 1;
}

/* Pushes data.list. */
static void push_list(lua_State *L, const call *c)
{
    call_push_data(L, c);
    lua_getfield(L, -1, "list");
    lua_remove(L, -2);
}

/* Pushes a table, by level: a list of so many resources is known not to be cut by the server. */
static void push_full_lists(lua_State *L, const call *c)
{
    call_push_client(L, c);
    if (lua_getiuservalue(L, -1, CLIENT_FULL_LISTS) != LUA_TTABLE) {
        lua_newtable(L);
        lua_replace(L, -2);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, -3, CLIENT_FULL_LISTS);
    }
    lua_remove(L, -2);
}

/* ---- lists that the server cuts ----
 *
 * LimitFindResults and LimitFindInstances cut what the database gives, before the filters that the
 * database does not know are looked at: so a cut list may even be an empty one, and no version says
 * that it is cut. From 1.12.5 on the limits do not count when a Since is sent without a Limit.
 * Before, there is no way around them; but when the last of all resources can be had, no limit is
 * below their number. */

static int ask_count(lua_State *L, call *c);

static int probed(lua_State *L, call *c)
{
    local_call *l = (local_call *)c;
    if (call_answer(L, c) != 1)
        return 2;
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "what was found is no list");
    if (lua_rawlen(L, -1) == 0)
        return ask_count(L, c); /* something may have been deleted meanwhile */
    push_full_lists(L, c);
    lua_pushinteger(L, l->held);
    lua_seti(L, -2, l->counted);
    push_list(L, c);
    return push_part(L, l);
}

static int probe(lua_State *L, call *c)
{
    const local_call *l = (const local_call *)c;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, orthanc_level_name(l->counted));
    lua_setfield(L, -2, "Level");
    lua_newtable(L);
    lua_setfield(L, -2, "Query");
    lua_pushinteger(L, l->held - 1);
    lua_setfield(L, -2, "Since");
    lua_pushinteger(L, 1);
    lua_setfield(L, -2, "Limit");
    return call_post(L, c, probed, CALL_LOCAL, "/tools/find");
}

static int fail_cut(lua_State *L, const call *c, lua_Integer held)
{
    call_fail(L, c, "unknown", "truncated",
              "the server may have cut the list: its LimitFindResults or LimitFindInstances is "
              "below the %I resources that it holds, and before 1.12.5 it does not say which "
              "lists that has cut",
              (LUAI_UACINT)held);
    push_list(L, c);
    lua_setfield(L, -2, "found");
    return 2;
}

static int counted(lua_State *L, call *c)
{
    static const char *const names[] = { "CountPatients", "CountStudies", "CountSeries",
                                         "CountInstances" };
    local_call *l = (local_call *)c;
    lua_Integer before = l->held, full;
    if (call_answer(L, c) != 1)
        return 2;
    if (!lua_istable(L, -1) || lua_getfield(L, -1, names[l->counted]) != LUA_TNUMBER)
        return call_fail(L, c, "decode", NULL, "the server's statistics have no %s",
                         names[l->counted]);
    l->held = lua_tointeger(L, -1);
    if (l->counts > 1 && (l->held == before || l->counts > COUNTS_MAX))
        return fail_cut(L, c, l->held);
    lua_settop(L, c->op.index);
    push_full_lists(L, c);
    lua_geti(L, -1, l->counted);
    full = lua_tointeger(L, -1);
    lua_settop(L, c->op.index);
    if (l->held > full)
        return probe(L, c);
    push_list(L, c);
    return push_part(L, l);
}

static int ask_count(lua_State *L, call *c)
{
    local_call *l = (local_call *)c;
    l->counts++;
    return call_get(L, c, counted, "/statistics");
}

/* ---- the search ---- */

/* Whether a name that only the server can know is among the tags: pushes them, as "A, B". */
static bool push_unknown_names(lua_State *L, const call *c)
{
    int top = lua_gettop(L), n = 0;
    call_push_data(L, c);
    lua_getfield(L, -1, "body");
    lua_getfield(L, -1, "Query");
    lua_pushliteral(L, "");
    for (lua_pushnil(L); lua_next(L, top + 3); lua_settop(L, top + 5)) {
        uint32_t tag;
        const char *key = lua_tostring(L, -2);
        if (!orthanc_tag_parse(key, &tag)) {
            lua_pushfstring(L, "%s%s%s", lua_tostring(L, top + 4), n++ ? ", " : "", key);
            lua_replace(L, top + 4);
        }
    }
    lua_replace(L, top + 1);
    lua_settop(L, n ? top + 1 : top);
    return n > 0;
}

/* The server names the tag that it does not know in some versions only. The error is on the top. */
static void explain_failure(lua_State *L, const call *c)
{
    enum { UNKNOWN_TAG = 27 };
    int err = lua_gettop(L);
    if (lua_getfield(L, err, "orthanc_status") == LUA_TNUMBER &&
        lua_tointeger(L, -1) == UNKNOWN_TAG) {
        lua_settop(L, err);
        error_set(L, "code", "unknown_tag");
        lua_getfield(L, err, "message");
        if (!push_unknown_names(L, c))
            lua_pushliteral(L, "see RequestedTags");
        lua_pushfstring(L,
                        "%s (%s; names are case-sensitive, and those of the server's DICOM "
                        "dictionary; gggg,eeee always works)",
                        lua_tostring(L, -2), lua_tostring(L, -1));
        lua_setfield(L, err, "message");
    }
    lua_settop(L, err);
}

static int search(lua_State *L, call *c);

static int answered(lua_State *L, call *c)
{
    local_call *l = (local_call *)c;
    int list = c->op.index + 1;
    bool enough;
    if (call_answer(L, c) != 1) {
        explain_failure(L, c);
        return 2;
    }
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "what was found is no list");
    answers_tidy(L); /* what it says of lost letters is about other servers' answers */
    lua_settop(L, list);
    enough = l->limit > 0 && (lua_Integer)lua_rawlen(L, list) - l->since >= l->limit;
    if (enough)
        return push_part(L, l);
    if (version_of(c) >= ORTHANC_PAGED_FIND) {
        if (!l->paged)
            return push_part(L, l);
        l->paged = false;
        lua_settop(L, c->op.index);
        return search(L, c);
    }
    call_push_data(L, c);
    lua_pushvalue(L, list);
    lua_setfield(L, -2, "list");
    return ask_count(L, c);
}

/* POST /tools/find. */
static int search(lua_State *L, call *c)
{
    const local_call *l = (const local_call *)c;
    call_push_data(L, c);
    lua_getfield(L, -1, "body");
    if (l->paged)
        lua_pushinteger(L, l->limit);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "Limit");
    if (!l->paged && version_of(c) >= ORTHANC_PAGED_FIND)
        lua_pushinteger(L, 0);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "Since");
    return call_post(L, c, answered, CALL_LOCAL, "/tools/find");
}

/* ---- what is asked ---- */

/* The filter on the top, of that key. False: a message is pushed. */
static bool check_filter(lua_State *L, local_call *l, const char *key, const char *value)
{
    enum { MODALITIES_IN_STUDY = 0x00080061, FIRST_NUMBER = 0x00201200, LAST_NUMBER = 0x00201209 };
    uint32_t tag = 0;
    bool known = orthanc_tag_parse(key, &tag);
    const orthanc_tag *row = known ? orthanc_tag_row(tag) : NULL;
    const char *name = row ? row->name : key, *advice;
    if (value[strspn(value, " *")] == '\0')
        return true;
    advice = known ? orthanc_tag_not_indexed(tag, l->level) : NULL;
    if (advice) {
        lua_pushfstring(L,
                        "the filter %s = '%s' would match nothing, or fail, at Level = \"%s\": %s",
                        name, value, orthanc_level_name(l->level), advice);
        return false;
    }
    if (strchr(value, '\\') && strpbrk(value, "*?")) {
        lua_pushfstring(L,
                        "the filter %s = '%s' is a list, in which wildcards are taken as they "
                        "stand: ask for its elements one by one",
                        name, value);
        return false;
    }
    l->computed = l->computed || (tag >= FIRST_NUMBER && tag <= LAST_NUMBER);
    if (tag == MODALITIES_IN_STUDY)
        l->counted = ORTHANC_SERIES; /* by way of which it is found */
    return true;
}

/* Every filter of the table at index. False: a message is on the top. */
static bool check_filters(lua_State *L, local_call *l, int sent)
{
    for (lua_pushnil(L); lua_next(L, sent); lua_pop(L, 1))
        if (!check_filter(L, l, lua_tostring(L, -2), lua_tostring(L, -1)))
            return false;
    return true;
}

/* Takes a whole number, 0 or more, out of the body. */
static lua_Integer take_number(lua_State *L, int body, const char *name)
{
    lua_Integer n;
    lua_getfield(L, body, name);
    n = lua_tointeger(L, -1); /* route_options_read has checked it */
    if (n < 0)
        error_usage(L, "find: '%s' must be 0 or more (%I was given)", name, (LUAI_UACINT)n);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setfield(L, body, name);
    return n;
}

/* Without one of these only identifiers come, whatever else is asked for. */
static void check_expand(lua_State *L, int body)
{
    int top = lua_gettop(L);
    lua_getfield(L, body, "RequestedTags");
    lua_getfield(L, body, "ResponseContent");
    lua_getfield(L, body, "Expand");
    if (!lua_isnil(L, top + 1) && lua_isnil(L, top + 2) && !lua_toboolean(L, top + 3))
        error_usage(L, "find: RequestedTags needs Expand = true");
    lua_settop(L, top);
}

/* self data */
int local_find_find(lua_State *L)
{
    enum { SELF = 1, DATA, BODY, CALL };
    static const option none[] = { OPTIONS_END };
    filter q = { .function = "find", .normalize = false };
    const orthanc_key *newest;
    local_call *l;

    client_check(L, SELF);
    lua_settop(L, DATA);
    luaL_checktype(L, DATA, LUA_TTABLE);
    newest = route_options_read(L, DATA, "find", &orthanc_tools_find, none, NULL); /* … body */
    q.level = route_options_level(L, BODY, "find");
    check_expand(L, BODY);

    l = (local_call *)call_new(L, doc_loop(L), sizeof *l, SELF, "find", search);
    lua_pushliteral(L, "/tools/find");
    call_set_route(L, CALL);
    l->level = l->counted = q.level;
    l->call.needs.key = newest;
    l->call.needs.version = true;
    l->since = take_number(L, BODY, "Since");
    l->limit = take_number(L, BODY, "Limit");
    l->paged = l->limit > 0 && l->since == 0;
    q.query = route_options_table(L, BODY, "Query");
    if (!find_filter_check(L, &q) || !check_filters(L, l, q.sent))
        return call_fail(L, &l->call, "refused", NULL, "%s", lua_tostring(L, -1));
    if (l->computed) {
        l->call.needs.since = ORTHANC_PAGED_FIND;
        l->call.needs.what = "to search by the numbers of what is below";
    }
    lua_pushvalue(L, q.sent);
    lua_setfield(L, BODY, "Query");
    call_keep(L, CALL, "body", BODY);
    lua_settop(L, CALL);
    return op_run(L, &l->call.op);
}
