/* api/native_requests.h - what operations that are written in Lua need for their requests.
 *
 * Such an operation is a Lua table: `client`; `op`, its name; `method` and `path`, the request that
 * its own errors name; `deadline` (as task.now tells the time) or nil; `progress`, a function that
 * is called from time to time while a request is under way, or nil. */
#ifndef API_NATIVE_REQUESTS_H
#define API_NATIVE_REQUESTS_H

#include <lua.h>

#include "binding/options.h"

extern const option native_requests_settings_rows[]; /* modalua's own of configure */

/* For native.c, which says what each takes and gives. */
int native_requests_request(lua_State *L);
int native_requests_at_least(lua_State *L);
int native_requests_check_version(lua_State *L);
int native_requests_poll_delay(lua_State *L);
int native_requests_is_transient(lua_State *L);
int native_requests_failed(lua_State *L);
int native_requests_options(lua_State *L);
int native_requests_keys(lua_State *L);
int native_requests_body_level(lua_State *L);
int native_requests_is_uid(lua_State *L);
int native_requests_check_stored(lua_State *L);
int native_requests_filter(lua_State *L);
int native_requests_not_indexed(lua_State *L);
int native_requests_tidy(lua_State *L);
int native_requests_forbid_in_sandbox(lua_State *L);

#endif
