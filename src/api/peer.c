#include "api/peer.h"

#include <lauxlib.h>

#include "api/configuration.h"
#include "api/get_and_store.h"
#include "api/remote.h"
#include "binding/doc.h"
#include "binding/options.h"
#include "json/mark.h"

const remote_kind remote_peer = { "modalua.Peer", "peer", "/peers" };

/* ---- system ---- */

static int peer_ask_system(lua_State *L, call *c);
static int peer_on_system(lua_State *L, call *c);

static int l_system(lua_State *L)
{
    struct {
        double wait_timeout;
    } o = { 0 };
    static const option rows[] = { { "wait_timeout", OPTION_SECONDS, 0 },
                                   { NULL, OPTION_FLAG, 0 } };
    call *c;
    remote_check(L, 1, &remote_peer);
    lua_settop(L, 2);
    options_read(L, 2, "system", rows, &o);
    c = remote_new_call(L, sizeof *c, "system", peer_ask_system);
    call_set_deadline(c, o.wait_timeout);
    return op_run(L, &c->op);
}

/* GET /peers/{name}/system: the server asks the peer. */
static int peer_ask_system(lua_State *L, call *c)
{
    return call_request(L, c, peer_on_system, "GET", CALL_ECHO, "%s/system", c->remote->path);
}

static int peer_on_system(lua_State *L, call *c)
{
    int results = call_answer(L, c);
    if (results == 1 && lua_istable(L, -1))
        json_mark_drop_nulls(L);
    return results;
}

/* ---- the methods ---- */

/* clang-format off */
static const doc_row methods[] = {
    { "system", l_system, "peer:system([{wait_timeout =}]) -> table | nil, err",
      "What the other Orthanc says of itself: Version, DicomAet, Name, …; whether it answers, and "
      "takes the Username and Password that the server has for it." },
    { "store", get_and_store_peer_store,
      "peer:store(id | {id, …} [, {Synchronous =, Priority =, Compress =, Transcode =, UserData =, "
      "progress =, wait_timeout =, extra =}]) -> result | nil, err",
      "Sends instances, series, studies or patients to the other Orthanc over HTTP, by the "
      "identifiers that this one has given them." },
    { "configuration", configuration_get, "peer:configuration() -> table | nil, err",
      "The server's entry: Url, Username, Timeout (0: the server's HttpTimeout), …; json.null for "
      "what it does not tell, such as Password, and of HttpHeaders the names alone." },
    { "configure", configuration_set,
      "peer:configure({Url =, Username =, Password =, HttpHeaders =, CertificateFile =, "
      "CertificateKeyFile =, CertificateKeyPassword =, Pkcs11 =, Timeout =, create =, extra =}) -> "
      "configuration, note | nil, err",
      "Changes what is given of the server's entry, and gives what it then has. What the server "
      "never tells has to be given again, such as Password. create = true allows a new entry, which "
      "needs Url. The note says when the server forgets it." },
    { "remove", configuration_remove, "peer:remove() -> true | nil, err",
      "Takes the entry off the server's list; one of its configuration file comes back at the next "
      "start." },
    { NULL, NULL, NULL, NULL }
};
/* clang-format on */

void peer_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, methods);
    remote_open(L, lp, &remote_peer);
    lua_pop(L, 1);
}
