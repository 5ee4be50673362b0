#include "api/commitment.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/doc.h"
#include "binding/userdata.h"
#include "orthanc/routes.h"
#include "request/call.h"

#define COMMITMENT_TYPE "modalua.Commitment"

enum { COMMITMENT_CLIENT = 1, COMMITMENT_VALUES = COMMITMENT_CLIENT }; /* its user value */

typedef struct commitment {
    char uid[ORTHANC_UID_SIZE];
} commitment;

static commitment *check_commitment(lua_State *L, int index)
{
    return luaL_checkudata(L, index, COMMITMENT_TYPE);
}

int commitment_new(lua_State *L)
{
    const char *uid = luaL_checkstring(L, 2);
    commitment *m;
    client_check(L, 1);
    luaL_argcheck(L, orthanc_is_uid(uid), 2, "not a UID");
    m = lua_newuserdatauv(L, sizeof *m, COMMITMENT_VALUES);
    strcpy(m->uid, uid);
    luaL_setmetatable(L, COMMITMENT_TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, COMMITMENT_CLIENT);
    return 1;
}

/* Of the methods, which are written in Lua. */
static int commitment_l_check_self(lua_State *L)
{
    check_commitment(L, 1);
    return 0;
}

static const field_row fields[] = { { "id", "string: the transaction UID of the request" },
                                    { "client", "the client that made it" },
                                    FIELDS_END };
static const object_kind kind = { "commitment", "a commitment", fields };

/* The fields, then the methods. */
static int commitment_l_index(lua_State *L)
{
    const commitment *m = check_commitment(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "id") == 0)
        lua_pushstring(L, m->uid);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, COMMITMENT_CLIENT);
    else
        return userdata_method(L);
    return 1;
}

static int commitment_l_tostring(lua_State *L)
{
    lua_pushfstring(L, "%s %s", COMMITMENT_TYPE, check_commitment(L, 1)->uid);
    return 1;
}

static const doc_row methods[] = {
    { .name = "status",
      .part = "core.commitment",
      .function = commitment_l_check_self,
      .signature = "commitment:status() -> table | nil, err",
      .help = "Returns what the server knows. The table has Status (Pending, Success or Failure) "
              "and RemoteAET. When the modality has answered, Success and Failures are lists of { "
              "SOPClassUID =, SOPInstanceUID = }; a failure has FailureReason and Description too.",
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "print(assert(commitment:status()).Status)" },
    { .name = "wait",
      .part = "core.commitment",
      .function = commitment_l_check_self,
      .signature = "commitment:wait([options]) -> status | nil, err",
      .help = "Waits until the modality has answered. That may take days. Returns the status when "
              "the modality keeps everything that it was asked for; else err.result has the "
              "status. Cancelling the wait changes nothing.",
      .options = { { "options", call_wait_rows, NULL } },
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "assert(commitment:wait { wait_timeout = 60 })" },
    { .name = "remove",
      .part = "core.commitment",
      .function = commitment_l_check_self,
      .signature = "commitment:remove() -> true | nil, err",
      .help = "DELETES from this Orthanc what the modality keeps. The server refuses when the "
              "status is not Success.",
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "assert(commitment:wait())\n"
                 "assert(commitment:remove()) -- from now on only pacs has them" },
    { .name = NULL }
};

void commitment_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__index", commitment_l_index },
                                     { "__tostring", commitment_l_tostring },
                                     { NULL, NULL } };
    lua_newtable(L);
    doc_register(L, lp, methods);
    userdata_open(L, lp, COMMITMENT_TYPE, &kind, meta);
    lua_pop(L, 1);
}
