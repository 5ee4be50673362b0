#include "api/peer.h"

#include <lauxlib.h>

#include "api/get_and_store.h"
#include "api/native_steps.h"
#include "api/remote.h"
#include "base/clock.h"
#include "binding/doc.h"
#include "binding/options.h"
#include "json/mark.h"

static const field_row fields[] = { { "peer", "string: its name on the server" },
                                    { "client", "the client that it belongs to" },
                                    { "modality", "nil; of a modality, its name" },
                                    FIELDS_END };

const remote_kind remote_peer = { "modalua.Peer", "peer", "/peers", { "peer", "a peer", fields } };

/* ---- system ---- */

static int peer_ask_system(lua_State *L, call *c);
static int peer_on_system(lua_State *L, call *c);

static int peer_l_system(lua_State *L)
{
    struct {
        double wait_timeout;
    } o = { 0 };
    call *c;
    remote_check(L, 1, &remote_peer);
    lua_settop(L, 2);
    options_read(L, 2, "system", call_timeout_rows, &o);
    c = remote_new_call(L, sizeof *c, "system", "/system", peer_ask_system);
    c->method = "GET";
    c->deadline = clock_after(o.wait_timeout);
    return op_run(L, &c->op);
}

/* GET /peers/{name}/system: the server asks the peer. */
static int peer_ask_system(lua_State *L, call *c)
{
    return call_request(L, c, peer_on_system, "GET", CALL_ECHO, "%s", c->route);
}

/* An Orthanc says its name, or at least its version. The description of an error, which is an object too,
 * has neither. */
static int peer_on_system(lua_State *L, call *c)
{
    int answer = c->op.index + 1;
    bool named;
    if (call_answer_of(L, c, SHAPE_OBJECT) != 1)
        return 2;
    named = lua_getfield(L, answer, "Name") != LUA_TNIL;
    lua_settop(L, answer);
    if (!call_push_member(L, c, answer, named ? "Name" : "Version", SHAPE_TEXT))
        return 2;
    lua_settop(L, answer);
    json_mark_drop_nulls(L);
    return 1;
}

/* ---- the methods ---- */

static const doc_row methods[] = {
    { .name = "system",
      .function = peer_l_system,
      .signature = "peer:system([options]) -> table | nil, err",
      .help = "Returns what the other Orthanc says about itself. The table has Version, DicomAet, "
              "Name and more. This shows that the peer answers, and that it takes the user name "
              "and password which the server has for it.",
      .options = { { "options", call_timeout_rows, NULL } },
      .example = "print(assert(clinic:system()).Version)" },
    { .name = "store",
      .function = get_and_store_peer_store,
      .signature = "peer:store(ids [, options]) -> result | nil, err",
      .help = "Sends what this Orthanc holds to the peer (HTTP). ids is an identifier that "
              "this Orthanc has given to a patient, study, series or instance, or a list of them.",
      .options = { { "options", get_and_store_peer_rows, &orthanc_peer_store } },
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "assert(clinic:store(ids, { Compress = true }))" },
    { .name = "configuration",
      .part = "core.configuration",
      .function = remote_check_self,
      .signature = "peer:configuration() -> table | nil, err",
      .help = "Returns the server's settings of the peer. These are Url, Username and the others "
              "that configure takes. Settings that the server does not tell, such as Password, are "
              "json.null; of HttpHeaders it tells the names alone.",
      .example = "local settings = assert(clinic:configuration())\n"
                 "print(settings.Url, settings.Username)" },
    { .name = "configure",
      .part = "core.configuration",
      .function = remote_check_self,
      .signature = "peer:configure(settings) -> configuration, note | nil, err",
      .help = "Changes settings of the peer on the server. Those that are not given stay as they "
              "are. Settings that the server never tells, such as Password, must be given again. "
              "Returns the settings that the server then has; the note says when the server may "
              "forget the change.",
      .options = { { "settings", native_steps_settings_rows, &orthanc_peer_settings } },
      .example = "local ward = orthanc:peer \"ward\"\n"
                 "assert(ward:configure { Url = \"http://10.0.0.9:8042\", Username = \"u\", "
                 "Password = \"p\", create = true })" },
    { .name = "remove",
      .part = "core.configuration",
      .function = remote_check_self,
      .signature = "peer:remove() -> true | nil, err",
      .help = "Removes the peer from the server's list. A peer of the server's configuration file "
              "comes back when the server starts again.",
      .example = "local old = orthanc:peer \"old\"\n"
                 "assert(old:configure { Url = \"http://10.0.0.8:8042\", create = true })\n"
                 "assert(old:remove())" },
    { .name = NULL }
};

void peer_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, methods);
    remote_open(L, lp, &remote_peer);
    lua_pop(L, 1);
}
