#include "api/native.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/answer_check.h"
#include "api/answer_identity.h"
#include "api/answer_notes.h"
#include "api/certificate.h"
#include "api/path_facts.h"
#include "api/find.h"
#include "api/find_filter.h"
#include "api/find_plan.h"
#include "api/find_result.h"
#include "api/get_and_store.h"
#include "api/identifiers.h"
#include "api/move.h"
#include "api/move_target.h"
#include "api/native_steps.h"
#include "api/prompt_facts.h"
#include "api/query.h"
#include "api/remote.h"
#include "api/whole_file.h"
#include "base/shown.h"
#include "base/terminal.h"
#include "base/text_width.h"
#include "base/text_wrap.h"
#include "binding/error.h"
#include "binding/fields.h"
#include "binding/parts.h"
#include "database/database.h"
#include "engine/origin.h"
#include "engine/task.h"
#include "orthanc/dictionary.h"
#include "orthanc/dimse.h"
#include "orthanc/matching.h"
#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "orthanc/values.h"
#include "request/progress.h"
#include "request/said.h"

static int native_l_answer_level(lua_State *L)
{
    const remote *m = remote_check(L, 1, &remote_modality);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    lua_pushstring(L, orthanc_level_name(find_result_answer_level(L, 3, 2, m->name)));
    return 1;
}

static int native_l_with_notes(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    answer_notes_attach(L);
    return 1;
}

static int native_l_tag(lua_State *L)
{
    char text[ORTHANC_TAG_TEXT];
    uint32_t tag;
    const orthanc_tag *row;
    int level = ORTHANC_PATIENT;
    if (!orthanc_tag_parse(luaL_checkstring(L, 1), &tag))
        return 0;
    orthanc_tag_write(tag, text);
    lua_pushstring(L, text);
    row = orthanc_tag_row(tag);
    while (level < ORTHANC_NO_LEVEL && !(row && row->levels & 1u << level))
        level++;
    lua_pushstring(L, orthanc_level_name(level));
    lua_pushstring(L, row ? row->name : NULL);
    return 3;
}

static int native_l_fault(lua_State *L)
{
    enum { KEY = 1, VALUE, KEEP };
    lua_settop(L, KEEP);
    lua_pushstring(L, find_filter_fault(L, lua_istable(L, KEEP) ? KEEP : 0,
                                        luaL_checkstring(L, KEY), luaL_checkstring(L, VALUE)));
    return 1;
}

static int native_l_keep_advice(lua_State *L)
{
    lua_pushliteral(L, FIND_FILTER_SENDS_IT);
    lua_pushliteral(L, FIND_FILTER_ADD_KEEP);
    return 2;
}

static int native_l_is_date(lua_State *L)
{
    lua_pushboolean(L, find_filter_is_date(luaL_checkstring(L, 1)));
    return 1;
}

static int native_l_keyword(lua_State *L)
{
    uint32_t tag;
    if (!orthanc_tag_parse(luaL_checkstring(L, 1), &tag))
        return 0;
    lua_pushstring(L, dictionary_keyword(tag));
    return 1;
}

static int native_l_misspelt(lua_State *L)
{
    return find_filter_is_misspelt(L, luaL_checkstring(L, 1));
}

static int native_l_level(lua_State *L)
{
    lua_pushstring(L, orthanc_level_name(orthanc_level_of(luaL_checkstring(L, 1))));
    return 1;
}

static int native_l_is_name(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    lua_pushboolean(L, orthanc_is_name(text) && strlen(text) == lua_rawlen(L, 1));
    return 1;
}

static int native_l_url(lua_State *L)
{
    lua_pushstring(L, http_server_url(client_check(L, 1)->server));
    return 1;
}

static int native_l_address(lua_State *L)
{
    http_address a;
    if (!http_address_parse(&a, luaL_checkstring(L, 1)))
        return 0;
    lua_pushstring(L, a.host);
    lua_pushinteger(L, (lua_Integer)strtol(a.port, NULL, 10));
    lua_pushboolean(L, a.loopback);
    return 3;
}

static const char follow_key; /* of the host's function in the registry */

void native_set_follow(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &follow_key);
}

static int native_l_follow(lua_State *L)
{
    if (!http_server_is_of_host(client_check(L, 1)->server))
        return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &follow_key);
    return 1;
}

static int native_l_text_columns(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_pushinteger(L, (lua_Integer)text_width_columns(text, size));
    return 1;
}

static int native_l_text_fitting(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_Integer columns = luaL_checkinteger(L, 2);
    lua_pushlstring(L, text, text_width_fitting(text, size, columns > 0 ? (size_t)columns : 0));
    return 1;
}

static int native_l_text_wrapped(lua_State *L)
{
    size_t size, indent;
    const char *text = luaL_checklstring(L, 1, &size), *row;
    lua_Integer columns = luaL_checkinteger(L, 2);
    text_wrap w = { text, text + size, columns > 0 ? (size_t)columns : 0, 0, false };
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (bool first = true; text_wrap_next(&w, &row, &size, &indent); first = false) {
        if (!first)
            luaL_addchar(&b, '\n');
        for (; indent > 0; indent--)
            luaL_addchar(&b, ' ');
        luaL_addlstring(&b, row, size);
    }
    luaL_pushresult(&b);
    return 1;
}

static int native_l_text_wrapped_for_stderr(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (!isatty(STDERR_FILENO))
        return 1;
    lua_pushinteger(L, (lua_Integer)terminal_width(STDERR_FILENO));
    return native_l_text_wrapped(L);
}

static int native_l_text_shown(lua_State *L)
{
    static const char *const names[] = { "line", "lines", "json", NULL };
    static const shown_style styles[] = { SHOWN_LINE, SHOWN_LINES, SHOWN_JSON };
    shown_style style = styles[luaL_checkoption(L, 2, "line", names)];
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    error_make_shown(L, style);
    return 1;
}

static int native_l_move_words(lua_State *L)
{
    lua_pushstring(L, dimse_words((int)luaL_checkinteger(L, 1), DIMSE_MOVE));
    return 1;
}

static int native_l_found(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    find_result_push(L, 1);
    return 1;
}

static int native_l_check_answers(lua_State *L)
{
    enum { ANSWERS = 1, FILTER, LEVEL, NOTES, EMPTY };
    orthanc_level level = orthanc_level_of(luaL_optstring(L, LEVEL, ""));
    bool changed;
    luaL_checktype(L, ANSWERS, LUA_TTABLE);
    luaL_checktype(L, NOTES, LUA_TTABLE);
    lua_settop(L, EMPTY);
    changed = lua_istable(L, FILTER) && answer_check_filters(L, ANSWERS, FILTER, EMPTY, NOTES);
    if (level != ORTHANC_NO_LEVEL)
        changed = answer_identity_check(L, ANSWERS, level, NOTES) || changed;
    lua_pushboolean(L, changed);
    return 1;
}

static int native_l_warning(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    answer_notes_push_warning(L, 1);
    return 1;
}

static int native_l_matches(lua_State *L)
{
    uint32_t tag;
    const char *key = luaL_checkstring(L, 1), *filter = luaL_checkstring(L, 2),
               *value = luaL_checkstring(L, 3);
    dicom_vr vr = orthanc_tag_parse(key, &tag) ? dictionary_vr(tag) : DICOM_VR_UNKNOWN;
    switch (matching_compare(vr, filter, value)) {
    case MATCHING_YES: lua_pushboolean(L, 1); break;
    case MATCHING_NO: lua_pushboolean(L, 0); break;
    case MATCHING_DOUBT:
    case MATCHING_UNSHOWN: lua_pushnil(L); break;
    }
    return 1;
}

static int native_l_split_midnight(lua_State *L)
{
    char first[VALUES_TIMES], second[VALUES_TIMES];
    const char *key = luaL_checkstring(L, 1);
    if (lua_type(L, 2) != LUA_TSTRING ||
        !find_plan_split_midnight(key, lua_tostring(L, 2), first, second))
        return 0;
    lua_pushstring(L, first);
    lua_pushstring(L, second);
    return 2;
}

/* clang-format off */
static const luaL_Reg functions[] = {
    /* ---- errors ---- */

    /* fail(op, kind, code | nil, message) -> an error object, which an operation returns after nil. */
    { "fail", error_l_fail },
    /* usage(message). Throws, and names the script's own line. */
    { "usage", error_l_usage },
    { "is_usage", error_l_is_usage },
    /* is_error(v) -> boolean. Whether v is an error object. */
    { "is_error", error_l_is },
    /* fields(object) -> list of { name =, help = } | nil. The fields that one of modalua's objects may have. */
    { "fields", fields_l_of },
    /* kind(value) -> "client", "modality", "found", "error" … | nil. The kind of one of modalua's objects. */
    { "kind", fields_l_kind },

    /* said(v) -> text. A value of a server's answer, as an error message repeats it. */
    { "said", said_l_said },

    /* ---- tasks and time ---- */

    /* spawn(f, ...) -> task; sleep(seconds); now() -> seconds: as in modalua.task. */
    { "spawn", task_l_spawn },
    { "sleep", task_l_sleep },
    { "now", task_l_now },
    /* can_join() -> boolean. Whether a task can be waited for here. */
    { "can_join", task_l_can_join },
    /* keep_origin(e) -> e. The message handler of an xpcall whose error is thrown again: its
     * traceback then shows where it was thrown first. */
    { "keep_origin", origin_l_keep },

    /* ---- DICOM ---- */

    /* tag(key) -> "gggg,eeee", level, name | nil. The level is the uppermost that has the tag; level
     * and name are nil where only the server knows them. */
    { "tag", native_l_tag },
    /* fault(key, value, keep | nil) -> message | nil. Why a filter has the wrong value for its tag; the
     * message begins with a verb. */
    { "fault", native_l_fault },
    /* keep_advice() -> text, text. What messages about filters say of the option `keep`, with a %s for the tag. */
    { "keep_advice", native_l_keep_advice },
    /* is_date(key) -> boolean. Whether the values of the tag are dates. */
    { "is_date", native_l_is_date },
    /* keyword(number) -> name | nil. The keyword of a tag that is given as gggg,eeee or ggggeeee; nil when
     * DICOM's dictionary does not have it. */
    { "keyword", native_l_keyword },
    /* misspelt(key) -> message | nil. That a key is neither a keyword nor a number of a tag, and which
     * keyword may be meant. */
    { "misspelt", native_l_misspelt },
    /* level(word) -> "Patient" | "Study" | "Series" | "Instance" | nil. */
    { "level", native_l_level },
    /* value(row, name) -> text | nil. What an answer, in any format, has under the name of a tag. */
    { "value", identifiers_value },
    /* folded(PatientID) -> string. What Orthanc compares of it in a C-MOVE (orthanc/patient_ids.h). */
    { "folded", identifiers_folded },
    /* identifiers(op, level, resources [, noun]) -> a list of tables of identifiers alone | nil, err.
     * The list has the field `level`. Errors call a resource by the noun. */
    { "identifiers", identifiers_keys },
    /* answer_level(modality, row) -> level | nil. The level of the find to which the modality gave this row
     * as an answer; nil when the row is no such answer. */
    { "answer_level", native_l_answer_level },

    /* matches(key, filter, value) -> boolean | nil. Whether a value matches the filter by that tag; nil
     * when the value is empty, or may have been changed on its way. */
    { "matches", native_l_matches },
    /* split_midnight(key, value) -> before, after | nothing. The two ranges of times that stand for one
     * that passes midnight. */
    { "split_midnight", native_l_split_midnight },
    /* find_once(modality, data [, format]) -> found | nil, err. modality:find, which fails as a whole when
     * the server cannot read an answer. */
    { "find_once", find_once },
    /* found(description) -> what find returns (find_result_push). */
    { "found", native_l_found },
    /* check_answers(answers, filter, level | nil, notes [, empty]) -> boolean. Takes out the answers that
     * contradict the filter, and those of the level that repeat another answer, as find does, and notes it
     * (answer_notes.h). Answers without a value of a tag in the list `empty` stay. */
    { "check_answers", native_l_check_answers },
    /* warning(notes) -> text | nil. What the notes say (api/answer_notes.h). */
    { "warning", native_l_warning },
    /* with_notes(list, notes) -> list. The list as json.array, with the notes and their `warning` as
     * fields, which loops and json.encode do not see. */
    { "with_notes", native_l_with_notes },

    /* ---- transfers ---- */

    /* move_options(options) -> max | nil. Throws when an option of move_resources is wrong. */
    { "move_options", get_and_store_move_options },
    /* move_one(modality, level, identifiers, options, more) -> as transfer_make_part says. One C-MOVE
     * for each of the resources, in one job; with more.together one for all of them, which are of one
     * parent. */
    { "move_one", get_and_store_move_one },
    /* set_latest(remote, milliseconds). Until when its next transfers may be submitted (api/remote.h). */
    { "set_latest", remote_l_set_latest },
    /* set_usual(remote, seconds). When the jobs of its next transfers are first asked for (api/remote.h). */
    { "set_usual", remote_l_set_usual },
    /* take_unfinished(remote) -> seconds | nil. How long its last jobs needed at least (api/remote.h). */
    { "take_unfinished", remote_l_take_unfinished },
    /* get(modality, level, identifiers [, options]) -> result | nil, err. modality:get without a look
     * at patients that Orthanc takes for one. */
    { "get", get_and_store_get },
    /* retrieve(modality, options, more) -> as transfer_make_part says. Moves answers of a query; more
     * has `retrieve`, the path of the request, and the resources. */
    { "retrieve", move_retrieve },
    /* query_facts(client, query) -> id, facts | nil. What the client knows about a query. */
    { "query_facts", move_facts },
    /* query_client(query) -> client. */
    { "query_client", query_l_client },
    /* move_words(status) -> text | nil. What a DIMSE status of a C-MOVE means, and what to check. */
    { "move_words", native_l_move_words },
    /* is_broad(filter, level) -> boolean. Whether the filter of a query narrows nothing. */
    { "is_broad", move_is_broad },
    /* target_name(op, client, to) -> string. The name of the modality that the option `to` gives. Throws
     * when it is one of another server. */
    { "target_name", move_target_name },
    /* warn_of_target(op, message). Warns of a target that is probably a mistake. */
    { "warn_of_target", move_target_warn },
    /* show(text). Shows a line in place of the last one where the host wants bars; "" removes it. */
    { "show", progress_show },
    /* show_lines(text). The same with several lines; without a host, only the first of them is shown. */
    { "show_lines", progress_show_lines },
    /* terminal_columns() -> integer | nil. The width of the terminal of standard error; nil: it is none. */
    { "terminal_columns", progress_terminal_columns },

    /* ---- files ---- */

    /* path_kind(path) -> "file" | "folder" | "other" | nil, the name of its network file system | nil, its
     * size, a text that no other file has while this one exists. */
    { "path_kind", path_facts_l_kind },
    /* same_file(path, other) -> boolean. Whether both name one file. */
    { "same_file", whole_file_l_same },
    /* whole_file(path) -> file | nil, message. A file that is written, and appears when it is complete. */
    { "whole_file", whole_file_l_open },

    /* ---- text ---- */

    /* url(client) -> text. Its server's, without credentials. */
    { "url", native_l_url },
    /* address(url) -> host, port, whether it is this machine | nil. Of an http:// or https:// URL; the host is in
     * lower case, and an IPv6 address in brackets. */
    { "address", native_l_address },
    /* certificate_end(client) -> text | nil [, error]. Until when its server's certificate is valid. */
    { "certificate_end", certificate_l_end },
    /* follow(client) -> function | nil. The host's modalua_config.follow, for a client of the host's transport. */
    { "follow", native_l_follow },
    /* is_name(text) -> boolean. Whether it can be the name of a modality or a peer. */
    { "is_name", native_l_is_name },

    /* text_columns(text) -> integer. The columns that the text takes on a terminal. */
    { "text_columns", native_l_text_columns },
    /* text_fitting(text, columns) -> text. Its longest beginning that takes at most so many columns. */
    { "text_fitting", native_l_text_fitting },
    /* text_wrapped(text, columns) -> text. Broken into rows at blanks (base/text_wrap.h). */
    { "text_wrapped", native_l_text_wrapped },
    /* text_wrapped_for_stderr(text) -> text. The same for the terminal that is standard error; where that is none, the
     * text as it is. */
    { "text_wrapped_for_stderr", native_l_text_wrapped_for_stderr },
    /* text_shown(text [, style]) -> text. The text in a form that is harmless on a terminal; style =
     * "line", "lines" or "json" (base/shown.h). */
    { "text_shown", native_l_text_shown },

    /* ---- the prompt (api/prompt_facts.h) ---- */

    /* level_tags(level) -> list of keywords; tag_facts(keyword) -> table | nil; folder(path) -> list of names. */
    { "level_tags", prompt_facts_l_level_tags },
    { "tag_facts", prompt_facts_l_tag_facts },
    { "folder", prompt_facts_l_folder },

    { NULL, NULL }
};
/* clang-format on */

void native_open(lua_State *L, loop *lp)
{
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, lp);
    luaL_setfuncs(L, functions, 1);
    parts_provide(L, "core.native");
    parts_provide_later(L, "core.native_steps", native_steps_open, lp);
    parts_provide_later(L, "transfer.native", database_open, lp);
}
