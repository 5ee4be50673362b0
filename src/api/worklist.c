#include "api/worklist.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "api/answers.h"
#include "api/find_charset.h"
#include "api/find_filter.h"
#include "api/remote.h"
#include "api/worklist_query.h"
#include "base/ascii.h"
#include "base/nearest.h"
#include "binding/error.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"
#include "request/route_options.h"

/* ---- the steps, in order ---- */

static int worklist_choose_charset(lua_State *L, call *c); /* when a filter is not ASCII */
static int worklist_send(lua_State *L, call *c);
static int worklist_on_answers(lua_State *L, call *c);

static void explain_unknown_tag(lua_State *L, const call *c);
static bool is_ignored(lua_State *L, int query, int list);

/* ---- the arguments ---- */

typedef struct worklist_options {
    double wait_timeout;
    bool simplify, brief;
} worklist_options;

const option worklist_rows[] = {
    ANSWERS_SIMPLIFY_ROW(offsetof(worklist_options, simplify)),
    ANSWERS_SHORT_ROW(offsetof(worklist_options, brief)),
    { "keep", OPTION_TABLE, 0,
      "list of filters that are sent although modalities may ignore them" },
    CALL_TIMEOUT_ROW(offsetof(worklist_options, wait_timeout)),
    OPTIONS_END
};

/* self query options */
int worklist_find(lua_State *L)
{
    enum { SELF = 1, QUERY, OPTIONS, CALL, BODY, KEEP };
    static const char *const forms[] = { "Simplify", "Short", "Full" };
    worklist_options o = { 0, false, false };
    worklist_query q = { .function = "find_worklist",
                         .route = &orthanc_worklist,
                         .options = worklist_rows,
                         .query = QUERY };
    call *c;

    lua_settop(L, OPTIONS);
    remote_check(L, SELF, &remote_modality);
    luaL_checktype(L, QUERY, LUA_TTABLE);
    c = remote_new_call(L, sizeof *c, q.function, "/find-worklist", worklist_send);
    route_options_read_call(L, OPTIONS, c, &orthanc_worklist, worklist_rows, &o); /* body */
    lua_pushboolean(L, 1);
    lua_setfield(L, BODY, forms[answers_read_form(L, OPTIONS, q.function, o.simplify, o.brief)]);

    if (lua_istable(L, OPTIONS) && lua_getfield(L, OPTIONS, "keep") == LUA_TTABLE)
        q.keep = KEEP;
    lua_settop(L, KEEP);
    if (!worklist_query_check(L, &q))
        return call_fail(L, c, "refused", NULL, "%s", lua_tostring(L, -1));
    if (!q.ascii && q.charset && find_charset_refuse(L, c, q.sent, q.charset))
        return 2;
    if (!q.ascii && !q.charset)
        c->step = worklist_choose_charset;
    lua_pushvalue(L, q.sent);
    lua_setfield(L, BODY, "Query");
    call_keep(L, CALL, "body", BODY);
    call_keep(L, CALL, "unknown", q.unknown);
    lua_settop(L, CALL);
    return op_run(L, &c->op);
}

/* ---- the requests ---- */

enum { UNKNOWN_TAG = 27 }; /* OrthancStatus */

static int worklist_choose_charset(lua_State *L, call *c)
{
    return find_charset_choose(L, c, worklist_send);
}

/* POST /modalities/{name}/find-worklist: DICOM PS3.4 K (Basic Worklist Management). Like a C-FIND it
 * makes a remote modality work, so it is never sent twice. */
static int worklist_send(lua_State *L, call *c)
{
    call_push(L, c, "body");
    return call_post(L, c, worklist_on_answers, CALL_REMOTE, "%s", c->route);
}

static int worklist_on_answers(lua_State *L, call *c)
{
    int list = c->op.index + 1, warning = list + 1, body = list + 2, query = list + 3;
    if (call_answer(L, c) != 1) {
        explain_unknown_tag(L, c);
        return 2;
    }
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "unexpected response: the answers are not a list");
    answers_tidy(L); /* list warning */
    find_charset_add_note(L, c);
    call_push(L, c, "body");
    lua_getfield(L, body, "Query");
    if (is_ignored(L, query, list)) {
        call_fail(L, c, "dicom", "filter_ignored", "%s", lua_tostring(L, -1));
        lua_pushvalue(L, list);
        lua_setfield(L, -2, "result");
        return 2;
    }
    lua_settop(L, warning);
    answers_attach_warning(L);
    return 1;
}

/* ---- tags that the server does not know ---- */

/* Before 1.12 the server does not say which tag is unknown: it is one of those that modalua does not
 * know either. Adds these to the error on the top when the error is about an unknown tag. */
static void explain_unknown_tag(lua_State *L, const call *c)
{
    int error = lua_gettop(L), names = error + 1;
    luaL_Buffer b;
    if (lua_getfield(L, error, "orthanc_status") != LUA_TNUMBER ||
        lua_tointeger(L, -1) != UNKNOWN_TAG) {
        lua_settop(L, error);
        return;
    }
    lua_settop(L, error);
    call_push(L, c, "unknown");
    lua_getfield(L, error, "message");
    luaL_buffinit(L, &b);
    lua_pushvalue(L, names + 1);
    luaL_addvalue(&b);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, names); i <= n; i++) {
        nearest near;
        lua_rawgeti(L, names, i);
        near = nearest_for(lua_tostring(L, -1));
        nearest_search(&near, orthanc_worklist_tags, sizeof *orthanc_worklist_tags);
        nearest_search(&near, orthanc_tags, sizeof *orthanc_tags);
        lua_pushfstring(L,
                        near.name ? "; modalua does not know %s: did you mean %s?"
                                  : "; modalua does not know %s",
                        near.word, near.name);
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_addstring(&b, " (names are case-sensitive, and must be in the server's DICOM dictionary; "
                       "gggg,eeee always works)");
    luaL_pushresult(&b);
    lua_setfield(L, error, "message");
    lua_settop(L, error);
}

/* ---- filters that the modality ignores ---- */

/* Tags that an answer must have with the filter's own value, when the filter has no wildcards. Names,
 * texts and times can match although they are written in another way. */
static const struct exact_tag {
    uint32_t tag;
    bool in_step; /* in the item of ScheduledProcedureStepSequence */
} exact_tags[] = { { 0x00100020, false }, { 0x00080050, false }, { 0x0020000d, false },
                   { 0x00401001, false }, { 0x00380010, false }, { 0x00080060, true },
                   { 0x00400001, true },  { 0x00400002, true },  { 0x00400009, true } };

/* Pushes the field of a tag in the dataset at index, in any format; nil when it has none. */
static void push_field(lua_State *L, int dataset, uint32_t tag)
{
    char number[ORTHANC_TAG_TEXT];
    orthanc_tag_write(tag, number);
    if (lua_getfield(L, dataset, number) == LUA_TNIL)
        lua_getfield(L, dataset, orthanc_worklist_name(tag));
    if (lua_istable(L, -1) && lua_getfield(L, -1, "Value") == LUA_TNIL)
        lua_pop(L, 1);
}

/* The same, but finds a tag that belongs in the step's item there. Returns the text; NULL when it is no
 * string. */
static const char *push_field_text(lua_State *L, int dataset, const struct exact_tag *e)
{
    if (e->in_step) {
        push_field(L, dataset, ORTHANC_STEP_SEQUENCE);
        if (!lua_istable(L, -1) || lua_rawgeti(L, -1, 1) != LUA_TTABLE)
            return NULL;
        dataset = lua_gettop(L);
    }
    push_field(L, dataset, e->tag);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* Whether the filter `wanted` matches one value only. */
static bool is_exact(const char *wanted, uint32_t tag)
{
    const char *inexact = tag == 0x00400002 ? "*?\\-" : "*?\\"; /* a date can be a range */
    return ascii_is_all(wanted, strlen(wanted)) && wanted[strspn(wanted, " ")] &&
           !strpbrk(wanted, inexact);
}

/* Whether an element of the value (a list, perhaps) equals `wanted`, or the value is empty. */
static bool satisfies(const char *value, const char *wanted)
{
    size_t length;
    bool empty = value[strspn(value, " \\")] == '\0';
    wanted += strspn(wanted, " ");
    for (length = strlen(wanted); length > 0 && wanted[length - 1] == ' ';)
        length--;
    for (; !empty && *value; value += *value == '\\') {
        size_t size = strcspn(value, "\\"), skipped = strspn(value, " "), n = size;
        while (n > skipped && value[n - 1] == ' ')
            n--;
        if (n - skipped == length && strncasecmp(value + skipped, wanted, length) == 0)
            return true;
        value += size;
    }
    return empty;
}

/* Whether the modality has ignored a filter: an answer in the list does not match the query. Pushes a
 * message then. PS3.4 K.6.1.2.2 lets a modality ignore most keys; then steps of other patients come.
 * [-0, +(0|1), m] */
static bool is_ignored(lua_State *L, int query, int list)
{
    int top = lua_gettop(L);
    for (size_t i = 0; i < sizeof exact_tags / sizeof exact_tags[0]; i++) {
        const char *wanted = push_field_text(L, query, &exact_tags[i]);
        int kept = lua_gettop(L);
        lua_Integer n = wanted && is_exact(wanted, exact_tags[i].tag) ? luaL_len(L, list) : 0;
        for (lua_Integer k = 1; k <= n; k++, lua_settop(L, kept)) {
            const char *value = lua_geti(L, list, k) == LUA_TTABLE
                                    ? push_field_text(L, lua_gettop(L), &exact_tags[i])
                                    : NULL;
            if (!value || satisfies(value, wanted))
                continue;
            lua_pushfstring(L,
                            "the modality ignores the filter %s = '%s': answer %I has '%s'; leave "
                            "the filter out and choose among the answers, which are in err.result",
                            orthanc_worklist_name(exact_tags[i].tag), wanted, (LUAI_UACINT)k,
                            value);
            return true;
        }
        lua_settop(L, top);
    }
    return false;
}
