#include "api/connect.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "api/config_file.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/userdata.h"
#include "orthanc/sandbox_routes.h"
#include "request/client_record.h"
#include "request/guard.h"

#define DEFAULT_URL "http://localhost:8042"

enum {
    DEFAULT_INFLIGHT = 8,
    DEFAULT_TIMEOUT = 30,
    DEFAULT_CONNECT_TIMEOUT = 10,
    DEFAULT_RETRIES = 2
};

static const char defaults_key; /* of the host's defaults in the registry */

/* ---- connect ---- */

typedef struct connect_options {
    http_options http;
    double timeout;
    const char *profile;
} connect_options;

#define AT(field) offsetof(connect_options, field)
/* clang-format off */
static const option connect_rows[] = {
    { "url", OPTION_STRING, AT(http.url), "address of the server, when it is not the first argument" },
    { "username", OPTION_STRING, AT(http.username), "user name" },
    { "password", OPTION_STRING, AT(http.password), "password of that user" },
    { "token", OPTION_STRING, AT(http.token), "sent as Authorization: Bearer, in place of a user name" },
    { "headers", OPTION_TABLE, 0, "headers of each request, from name to value" },
    { "timeout", OPTION_SECONDS, AT(timeout), "how long the server may take for what it answers by itself (default: 30)" },
    { "profile", OPTION_STRING, AT(profile), "name of a server in your configuration file" },
    { "connect_timeout", OPTION_SECONDS, AT(http.connect_timeout), "how long a connection may take (default: 10)" },
    { "max_inflight", OPTION_COUNT, AT(http.max_inflight), "how many requests run at the same time (default: 8)" },
    { "retries", OPTION_NUMBER, AT(http.retries), "how often a read or an echo is tried again, within timeout (default: 2)" },
    { "ca", OPTION_STRING, AT(http.ca), "file with the certificates that sign the server's" },
    { "cert", OPTION_STRING, AT(http.cert), "file with a client certificate" },
    { "key", OPTION_STRING, AT(http.key), "file with its private key" },
    { "insecure", OPTION_FLAG, AT(http.insecure), "true: does not check the server's certificate" },
    { "proxy", OPTION_STRING, AT(http.proxy), "address of a proxy, such as \"http://host:3128\" or \"socks5://host:1080\"" },
    OPTIONS_END
};
/* clang-format on */
#undef AT

static int client_gc(lua_State *L)
{
    client *c = lua_touserdata(L, 1);
    http_server *s = c->server;
    c->server = NULL;
    http_server_free(s);
    return 0;
}

static const client_defaults *host_defaults(lua_State *L)
{
    static const client_defaults none = { 0 };
    const client_defaults *d;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &defaults_key);
    d = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return d ? d : &none;
}

/* The host's address and credentials are for a script that names none. */
static void apply_defaults(connect_options *o, const client_defaults *d)
{
    o->http.environment_proxy = d->environment_proxy;
    if (o->http.url)
        return;
    o->http.url = d->url ? d->url : DEFAULT_URL;
    if (d->url && !o->http.username && !o->http.token) {
        o->http.username = d->username;
        o->http.password = d->password;
        o->http.token = d->token;
    }
}

/* The script's credentials stand in place of the profile's, not beside them. The profile's options
 * are on the top. */
static void drop_credentials(lua_State *L, const connect_options *o)
{
    static const char *const names[] = { "username", "password", "token" };
    for (size_t i = 0; (o->http.username || o->http.token) && i < 3; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, names[i]);
    }
}

/* Options that come from the file of servers are put under those of the script at index, which are
 * read already: the script's win. Pushes the table of all of them, which the strings live in. */
static void apply_profile(lua_State *L, connect_options *o, int options)
{
    const client_defaults *d = host_defaults(L);
    const char *name = o->profile ? o->profile : d->profile;
    connect_options own = *o;
    if (o->profile && o->http.url)
        error_usage(L, "connect: give a URL or a profile, not both: a profile's credentials are "
                       "for its own URL");
    if (o->http.url || (!o->profile && d->url) || !config_file_push(L, d->config_file, name)) {
        lua_pushnil(L);
        return;
    }
    drop_credentials(L, &own);
    lua_pushfstring(L, "connect, by %s", d->config_file);
    options_read(L, -2, lua_tostring(L, -1), connect_rows, o);
    lua_pop(L, 1);
    if (o->profile != own.profile)
        error_usage(L, "connect: a profile cannot have a `profile`");
    if (lua_istable(L, options))
        for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5);
        }
    options_read(L, -1, "connect", connect_rows, o);
}

/* ---- in a sandbox ---- */

/* What has to do with files, or leads elsewhere than the URL says. */
static void check_sandboxed_options(lua_State *L, const loop *lp, int options)
{
    static const char *const hosts[] = {
        "profile", "ca", "cert", "key", "proxy", "insecure", NULL
    };
    for (int i = 0; lua_istable(L, options) && hosts[i]; i++) {
        if (lua_getfield(L, options, hosts[i]) != LUA_TNIL)
            guard_check(L, lp, "connect",
                        lua_pushfstring(L, "the option '%s' is the host's alone", hosts[i]));
        lua_pop(L, 1);
    }
}

/* Whether the server is at or below that of the URL. */
static bool is_below(lua_State *L, loop *lp, const http_server *s, const char *url)
{
    char why[160];
    const http_options o = { .url = url };
    http_server *above = http_server_new(&lp->http, &o, why, sizeof why);
    bool below = above && http_server_is_below(s, above);
    http_server_free(above);
    if (!above)
        luaL_error(L, "connect: one of the servers that the host allows cannot be: %s", why);
    return below;
}

/* `words` is on the top: URLs with blanks between them. */
static bool is_allowed(lua_State *L, loop *lp, const http_server *s)
{
    const char *at = lua_tostring(L, -1);
    size_t n;
    for (at += strspn(at, " \t\n"); *at; at += strspn(at, " \t\n")) {
        bool below;
        n = strcspn(at, " \t\n");
        lua_pushlstring(L, at, n);
        below = is_below(L, lp, s, lua_tostring(L, -1));
        lua_pop(L, 1);
        if (below)
            return true;
        at += n;
    }
    return false;
}

/* One that the script has chosen is the host's default, or one of those that it allows. */
static void check_sandboxed_server(lua_State *L, loop *lp, const client *c)
{
    const client_defaults *d = host_defaults(L);
    const char *crooked = orthanc_crooked(http_server_path(c->server));
    if (crooked)
        guard_check(L, lp, "connect", crooked);
    lua_pushfstring(L, "%s %s", d->url ? d->url : "", d->servers ? d->servers : "");
    if (!is_allowed(L, lp, c->server))
        guard_check(L, lp, "connect",
                    lua_pushfstring(L, "the host of this script allows no connection to %s",
                                    http_server_url(c->server)));
    lua_pop(L, 1);
}

/* ---- the parts of connect ---- */

static void check_credentials(lua_State *L, const connect_options *o)
{
    if (o->http.password && !o->http.username)
        luaL_error(L, "connect: a password was given without a username");
    if (o->http.username && !o->http.password)
        luaL_error(L, "connect: a username was given without a password");
    if (o->http.username && o->http.token)
        luaL_error(L, "connect: give a username and a password, or a token, not both");
    if (o->http.username && strchr(o->http.username, ':'))
        luaL_error(L, "connect: a username cannot hold ':' (basic authentication)");
    if (o->http.key && !o->http.cert)
        luaL_error(L, "connect: a key was given without a cert");
}

/* The name and value on the top. Values are not quoted: they may be secrets. */
static void add_header(lua_State *L, const loop *lp, http_server *s)
{
    const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1), *fault = "NUL";
    if (lp->sandboxed && !orthanc_is_plain_header(name))
        guard_check(L, lp, "connect",
                    lua_pushfstring(L,
                                    "the header '%s' is not a sandboxed script's to set: it "
                                    "can make a request another",
                                    name));
    if (strlen(name) == lua_rawlen(L, -2) && strlen(value) == lua_rawlen(L, -1))
        fault = http_server_header(s, name, value);
    if (fault)
        luaL_error(L, "connect: the header '%s' cannot be sent: %s", name, fault);
}

static void add_headers(lua_State *L, const loop *lp, int options, http_server *s)
{
    int top = lua_gettop(L);
    if (lua_istable(L, options))
        lua_getfield(L, options, "headers");
    for (lua_pushnil(L); lua_istable(L, top + 1) && lua_next(L, top + 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "connect: headers must map names to strings");
        add_header(L, lp, s);
    }
    lua_settop(L, top);
}

static int l_connect(lua_State *L)
{
    loop *lp = doc_loop(L);
    connect_options o = { .timeout = DEFAULT_TIMEOUT,
                          .http = { .connect_timeout = DEFAULT_CONNECT_TIMEOUT,
                                    .max_inflight = DEFAULT_INFLIGHT,
                                    .retries = DEFAULT_RETRIES } };
    char why[160];
    client *c;
    bool chosen, known; /* by the script; by the host */
    int options = lua_istable(L, 1) ? 1 : 2;

    lua_settop(L, 2);
    options_read(L, options, "connect", connect_rows, &o);
    if (options == 2 && !lua_isnil(L, 1)) {
        luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "URL or table of options");
        luaL_argcheck(L, strlen(lua_tostring(L, 1)) == lua_rawlen(L, 1), 1, "the URL holds a NUL");
        if (o.http.url)
            luaL_error(L, "connect: the URL was given twice");
        o.http.url = lua_tostring(L, 1);
    } else if (options == 1 && !lua_isnil(L, 2)) {
        luaL_error(L, "connect: give one table of options");
    }
    if (lp->sandboxed)
        check_sandboxed_options(L, lp, options);
    chosen = o.http.url != NULL;
    apply_profile(L, &o, options); /* … profile */
    known = !chosen && (o.http.url || host_defaults(L)->url);
    apply_defaults(&o, host_defaults(L));
    check_credentials(L, &o);

    c = lua_newuserdatauv(L, sizeof *c, CLIENT_VALUES);
    c->server = NULL;
    c->timeout = o.timeout;
    luaL_setmetatable(L, CLIENT_TYPE);
    c->server = http_server_new(&lp->http, &o.http, why, sizeof why);
    if (!c->server)
        return luaL_error(L, "connect: %s", why);
    if (lp->sandboxed && !known)
        check_sandboxed_server(L, lp, c);
    add_headers(L, lp, lua_istable(L, 3) ? 3 : options, c->server);
    return 1;
}

/* ---- the object ---- */

static int l_tostring(lua_State *L)
{
    const client *c = luaL_checkudata(L, 1, CLIENT_TYPE);
    lua_pushfstring(L, "%s (%s)", CLIENT_TYPE, c->server ? http_server_url(c->server) : "closed");
    return 1;
}

static const doc_row functions[] = {
    { .name = "connect",
      .function = l_connect,
      .signature = "modalua.connect([url] [, options]) -> client",
      .help = "Returns a client for one Orthanc server. No request is sent yet. Without a URL it "
              "is the server that the command was given, or the default of your configuration "
              "file, or http://localhost:8042. modalua.connect { url = … } works too.",
      .options = { { "options", connect_rows, NULL } },
      .example = "local orthanc = modalua.connect(\"http://localhost:8042\", { username = \"u\", "
                 "password = \"p\", timeout = 60 })\n"
                 "print(orthanc)" },
    { .name = NULL }
};

void connect_set_defaults(lua_State *L, const client_defaults *defaults)
{
    lua_pushlightuserdata(L, (void *)defaults);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &defaults_key);
}

void connect_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__gc", client_gc },
                                     { "__tostring", l_tostring },
                                     { NULL, NULL } };
    userdata_open(L, lp, CLIENT_TYPE, meta);
    lua_pop(L, 1);
    doc_register(L, lp, functions);
}
