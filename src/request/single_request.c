#include "request/single_request.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/error.h"
#include "json/encode.h"
#include "orthanc/body_keys.h"
#include "request/redact.h"
#include "request/response.h"

/* ---- paths ---- */

/* Whether a byte of a path or query is not percent-encoded. '%' is not: the script may have encoded
 * the path itself. */
static bool is_url_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"#<>\\^`{|}", c);
}

/* Adds the text; bytes of `also` are percent-encoded too. */
static void add_encoded(luaL_Buffer *b, const char *text, size_t size, const char *also)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_url_char(c) && !strchr(also, c)) {
            luaL_addchar(b, (char)c);
        } else {
            luaL_addchar(b, '%');
            luaL_addchar(b, digits[c >> 4]);
            luaL_addchar(b, digits[c & 15]);
        }
    }
}

/* Pushes the key or value at index, encoded for a query. */
static const char *push_encoded(lua_State *L, int index)
{
    luaL_Buffer b;
    size_t size;
    const char *text;
    lua_pushvalue(L, index); /* lua_tolstring changes numbers in place */
    text = lua_tolstring(L, -1, &size);
    luaL_buffinitsize(L, &b, size * 3);
    add_encoded(&b, text, size, "%&=+?");
    luaL_pushresult(&b);
    return lua_tostring(L, -1);
}

/* Makes 10.0 at index the integer 10. Throws on NaN and infinity. */
static void check_number(lua_State *L, int index)
{
    lua_Number n = lua_tonumber(L, index);
    if (n != n || n - n != 0)
        error_usage(L, "the query's '%s' must be a finite number", lua_tostring(L, index - 1));
    if (lua_tointegerx(L, index, NULL) || n == 0) {
        lua_pushinteger(L, lua_tointeger(L, index));
        lua_replace(L, index);
    }
}

/* Appends "key=value" of the key and value on the top to the list at index `list`. Leaves both. */
static void add_pair(lua_State *L, int list)
{
    int key = lua_gettop(L) - 1, value = key + 1, type = lua_type(L, value);
    const char *name;
    if (lua_type(L, key) != LUA_TSTRING)
        error_usage(L, "the query's keys must be strings (a %s was given)", luaL_typename(L, key));
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        error_usage(L, "the query's '%s' must be a string, a number or a boolean",
                    lua_tostring(L, key));
    if (type == LUA_TBOOLEAN && !lua_toboolean(L, value))
        return;
    if (type == LUA_TNUMBER)
        check_number(L, value);
    name = push_encoded(L, key);
    if (type != LUA_TBOOLEAN)
        lua_pushfstring(L, "%s=%s", name, push_encoded(L, value));
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    lua_settop(L, value);
}

/* Pops the list of pairs and the path below it; pushes the path with all pairs. [-2, +1, m] */
static void join_pairs(lua_State *L)
{
    int list = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    char separator = strchr(lua_tostring(L, list - 1), '?') ? '&' : '?';
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    lua_pushvalue(L, list - 1);
    luaL_addvalue(&b);
    for (lua_Integer i = 1; i <= n; i++, separator = '&') {
        luaL_addchar(&b, separator);
        lua_rawgeti(L, list, i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    lua_replace(L, list - 1);
    lua_settop(L, list - 1);
}

/* `expand = true` becomes `?expand`, and `expand = false` is left out: Orthanc 1.10 takes every value
 * of a key for yes. */
void single_request_push_path(lua_State *L, int path, int query)
{
    size_t size;
    const char *text = luaL_checklstring(L, path, &size);
    luaL_Buffer b;
    luaL_buffinitsize(L, &b, size * 3 + 1);
    if (text[0] != '/')
        luaL_addchar(&b, '/');
    add_encoded(&b, text, size, "");
    luaL_pushresult(&b);
    if (query == 0 || lua_isnoneornil(L, query))
        return;
    luaL_checktype(L, query, LUA_TTABLE);
    lua_newtable(L); /* a list of pairs: appending to one string would take quadratic time */
    for (lua_pushnil(L); lua_next(L, query); lua_pop(L, 1))
        add_pair(L, lua_gettop(L) - 2);
    join_pairs(L);
}

/* ---- the request ---- */

enum { UV_OWNER = 1, UV_PATH, UV_BODY, UV_COUNT = UV_BODY };

int single_request_advance(lua_State *L, op *o)
{
    single_request *x = (single_request *)o;
    if (o->stage++ == 0)
        return op_request(L, o, x->server, &x->request);
    return x->any_answer ? response_push(L, o) : response_push_shape(L, o, x->shape);
}

single_request *single_request_new(lua_State *L, loop *lp, int owner, http_server *server,
                                   double timeout, const char *name, const char *method)
{
    single_request *x = (single_request *)op_new(L, lp, sizeof *x, UV_COUNT, single_request_advance,
                                                 name); /* stack: path x */
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, UV_OWNER);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, UV_PATH);
    x->server = server;
    x->request.method = method;
    x->request.path = lua_tostring(L, -2);
    x->request.timeout = timeout;
    x->request.side_effects = strcmp(method, "GET") != 0;
    lua_remove(L, -2);
    return x;
}

bool single_request_set_body(lua_State *L, single_request *x, int index)
{
    int type = lua_type(L, index);
    char key[BODY_KEY];
    if (type == LUA_TNONE || type == LUA_TNIL)
        return true;
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, index, "table or string");
    if (type == LUA_TSTRING) {
        x->request.content_type = "application/octet-stream";
        lua_pushvalue(L, index);
    } else {
        x->request.content_type = "application/json";
        if (!json_encode(L, index, NULL)) {
            x->op.transfer.request = x->request;
            response_fail(
                L, &x->op, "refused",
                lua_pushfstring(L, "the body cannot be sent as JSON: %s", lua_tostring(L, -1)));
            return false;
        }
    }
    x->request.body = lua_tolstring(L, -1, &x->request.body_size);
    if (body_keys_find(x->request.path, x->request.body, x->request.body_size, key)) {
        x->op.transfer.request = x->request;
        response_fail(L, &x->op, "refused", lua_pushfstring(L, BODY_KEYS_MESSAGE, key));
        return false;
    }
    if (redact_is_in(http_server_path(x->server), x->request.path, x->request.body,
                     x->request.body_size)) {
        x->op.transfer.request = x->request;
        response_fail(L, &x->op, "refused", REDACT_MESSAGE);
        return false;
    }
    lua_setiuservalue(L, -2, UV_BODY);
    return true;
}
