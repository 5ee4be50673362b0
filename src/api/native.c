#include "api/native.h"

#include <lauxlib.h>

#include "api/commitment.h"
#include "api/find_result.h"
#include "api/get_and_store.h"
#include "api/identifiers.h"
#include "api/native_requests.h"
#include "api/remote.h"
#include "base/text_width.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "engine/task.h"
#include "orthanc/tags.h"
#include "request/progress.h"

static int l_is_answer(lua_State *L)
{
    const remote *m = remote_check(L, 1, &remote_modality);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    lua_pushboolean(L, find_result_is_answer(L, 3, 2, m->name));
    return 1;
}

static int l_tag(lua_State *L)
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

static int l_level(lua_State *L)
{
    lua_pushstring(L, orthanc_level_name(orthanc_level_of(luaL_checkstring(L, 1))));
    return 1;
}

static int l_text_columns(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_pushinteger(L, (lua_Integer)text_width_columns(text, size));
    return 1;
}

static int l_text_fitting(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_Integer columns = luaL_checkinteger(L, 2);
    lua_pushlstring(L, text, text_width_fitting(text, size, columns > 0 ? (size_t)columns : 0));
    return 1;
}

/* clang-format off */
static const luaL_Reg functions[] = {
    /* ---- errors ---- */

    /* fail(op, kind, code | nil, message) -> an error object, which an operation returns after nil. */
    { "fail", error_l_fail },
    /* usage(message). Throws, and names the script's own line. */
    { "usage", error_l_usage },
    /* is_error(v) -> boolean. Whether v is an error object. */
    { "is_error", error_l_is },

    /* ---- requests (api/native_requests.h says what an operation is) ---- */

    /* request(operation, method, path, work [, body]) -> value | nil, err. Sends one request. work is
     * "local", "change", "echo" or "remote" (call_work in request/call.h); body is a table. */
    { "request", native_requests_request },
    /* at_least(operation, version) -> boolean | nil, err. Whether the server has that version, such
     * as "1.12.5", or a later one. */
    { "at_least", native_requests_at_least },
    /* poll_delay(operation, begun, least, most) -> seconds. call_poll_delay in request/call.h. */
    { "poll_delay", native_requests_poll_delay },
    /* is_transient(operation, err, heard) -> boolean. call_is_transient in request/call.h. */
    { "is_transient", native_requests_is_transient },
    /* check_version(operation, newest [, version, what]) -> true | nil, err. An error of code
     * "unsupported" when the server does not have what came with that version, or does not know the
     * newest key (of `options`, or nil). */
    { "check_version", native_requests_check_version },
    /* failed(operation, kind, code | nil, message) -> nil, err. */
    { "failed", native_requests_failed },
    /* options(op, name, given) -> own, body, newest. Reads a table of options, of the kind that is
     * called `name` in native_requests.c: modalua's own are in `own` (progress as a function, with bar =
     * true when it is the bar), what is sent is in `body`, and `newest` is the key in it that needs
     * the newest version, or nil. Throws on unknown names and wrong values. */
    { "options", native_requests_options },
    /* keys(name) -> list. The names that Orthanc knows in that kind of table. */
    { "keys", native_requests_keys },
    /* body_level(op, body) -> the Level of the body, as Orthanc writes it. Throws when it has none. */
    { "body_level", native_requests_body_level },
    /* is_uid(v) -> boolean. */
    { "is_uid", native_requests_is_uid },
    /* check_stored(op, v, n) -> true | nil, message. Whether resource number n is an identifier that
     * Orthanc gives. Throws when it is no string. */
    { "check_stored", native_requests_check_stored },
    /* new_commitment(client, uid) -> commitment. */
    { "new_commitment", commitment_new },
    /* filter(op, level, query | nil) -> sent | nil, message. The Query as it is sent when nothing
     * normalizes it. Throws on wrong types. */
    { "filter", native_requests_filter },
    /* not_indexed(tag, level) -> advice | nil. Why the server's index does not match by the tag. */
    { "not_indexed", native_requests_not_indexed },
    /* tidy(v) -> boolean. Whether v is a list; the nulls in its elements are removed. */
    { "tidy", native_requests_tidy },
    /* forbid_in_sandbox(op, why). Throws when the script is sandboxed. */
    { "forbid_in_sandbox", native_requests_forbid_in_sandbox },

    /* ---- tasks and time ---- */

    /* spawn(f, ...) -> task; sleep(seconds); now() -> seconds: as in modalua.task. */
    { "spawn", task_l_spawn },
    { "sleep", task_l_sleep },
    { "now", task_l_now },
    /* can_join() -> boolean. Whether a task can be waited for here. */
    { "can_join", task_l_can_join },
    /* keep_origin(e) -> e. The message handler of an xpcall whose error is thrown again: its
     * traceback then shows where it was thrown first. */
    { "keep_origin", task_l_keep_origin },

    /* ---- DICOM ---- */

    /* tag(key) -> "gggg,eeee", level, name | nil. The level is the uppermost that has the tag; level
     * and name are nil where only the server knows them. */
    { "tag", l_tag },
    /* level(word) -> "Patient" | "Study" | "Series" | "Instance" | nil. */
    { "level", l_level },
    /* value(row, name) -> text | nil. What an answer, in any format, has under the name of a tag. */
    { "value", identifiers_value },
    /* identifiers(op, level, resources) -> a list of tables of identifiers alone | nil, err. The list
     * has the field `level`. */
    { "identifiers", identifiers_keys },
    /* is_answer(modality, row) -> boolean. Whether the modality gave this row as an answer. */
    { "is_answer", l_is_answer },

    /* ---- transfers ---- */

    /* move_options(options) -> max | nil. Throws when an option of move_resources is wrong. */
    { "move_options", get_and_store_move_options },
    /* move_one(modality, level, identifiers, options) -> result | nil, err. One C-MOVE. */
    { "move_one", get_and_store_move_one },
    /* show(text). Shows a line in place of the last one where the host wants bars; "" removes it. */
    { "show", progress_show },

    /* ---- text ---- */

    /* text_columns(text) -> integer. The columns that the text takes on a terminal. */
    { "text_columns", l_text_columns },
    /* text_fitting(text, columns) -> text. Its longest beginning that takes at most so many columns. */
    { "text_fitting", l_text_fitting },

    { NULL, NULL }
};
/* clang-format on */

void native_open(lua_State *L, loop *lp)
{
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, lp);
    luaL_setfuncs(L, functions, 1);
    parts_provide(L, "core.native");
}
