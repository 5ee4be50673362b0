#include "api/connect.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "api/config_file.h"
#include "api/config_secret.h"
#include "api/connect_options.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/userdata.h"
#include "orthanc/sandbox_routes.h"
#include "request/client_record.h"
#include "request/guard.h"

#define DEFAULT_URL "http://localhost:8042"

static const char config_key; /* of the host's modalua_config in the registry */

/* ---- the options ---- */

/* The configuration of the runtime. In a state that the host owns it is empty. [-0, +0, -] */
static const modalua_config *host_config(lua_State *L)
{
    static const modalua_config empty = { 0 };
    const modalua_config *config;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &config_key);
    config = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return config ? config : &empty;
}

static bool has_credentials(const connect_options *o)
{
    return o->http.username || o->http.token;
}

static bool is_credential(connect_secrecy secrecy)
{
    return secrecy == CONNECT_USER || secrecy == CONNECT_PASSWORD;
}

/* Without a URL the server is the host's default server, with the host's options. Credentials of
 * the script replace those of the host. */
static void apply_host_config(connect_options *o, const modalua_config *config)
{
    bool own_credentials = has_credentials(o), own_cert = o->http.cert != NULL;
    const char **key = &o->http.key, **key_password = &o->http.key_password;
    o->http.environment_proxy = (config->flags & MODALUA_ENVIRONMENT) != 0;
    if (o->http.url)
        return;
    for (size_t i = 0; config->url && connect_options_rows[i].name; i++) {
        const connect_trait *trait = &connect_options_traits[i];
        const char **value = (const char **)((char *)o + connect_options_rows[i].offset);
        if (trait->config == CONNECT_NO_CONFIG || *value ||
            (own_cert && (value == key || value == key_password)))
            continue;
        if (!own_credentials || !is_credential(trait->secrecy))
            *value = *(const char *const *)((const char *)config + trait->config);
    }
    if (!o->http.url)
        o->http.url = DEFAULT_URL;
}

/* The host's certificates for its default server, that of a profile too, whose own they replace. Those
 * of the script, `own`, stay. */
static void apply_host_certificates(connect_options *o, const connect_options *own,
                                    const modalua_config *config)
{
    if (config->ca && !own->http.ca)
        o->http.ca = config->ca;
    if (config->cert && !own->http.cert) {
        o->http.cert = config->cert;
        o->http.key = own->http.key ? own->http.key : config->key;
        o->http.key_password = own->http.key_password;
    }
    if (!o->http.key_password && !own->http.cert)
        o->http.key_password = config->key_password;
    o->http.insecure = o->http.insecure || config->insecure;
}

/* What the message of a 401 says about credentials that were not sent; NULL: nothing. */
static const char *unsent_credentials(const modalua_config *config, bool is_hosts)
{
    if (is_hosts)
        return config->unsent;
    return config->username || config->token
               ? "the credentials of the default server were not sent: they are for that server "
                 "alone"
               : NULL;
}

/* What the host gives beside the server's address and credentials. */
static void complete_options(connect_options *o, const connect_options *own,
                             const modalua_config *config)
{
    bool is_hosts = !own->http.url && !own->profile; /* the host's default server */
    if (is_hosts)
        apply_host_certificates(o, own, config);
    if (!o->http.ca)
        o->http.ca = config->default_ca;
    o->http.unsent = unsent_credentials(config, is_hosts);
}

/* Credentials of the script replace those of the profile, whose options are on the top, and where the
 * profile's are kept. */
static void drop_credentials(lua_State *L)
{
    static const char *const endings[] = { "", "_file", "_command" };
    for (size_t i = 0; connect_options_rows[i].name; i++)
        for (size_t k = 0; k < sizeof endings / sizeof endings[0]; k++)
            if (is_credential(connect_options_traits[i].secrecy)) {
                lua_pushfstring(L, "%s%s", connect_options_rows[i].name, endings[k]);
                lua_pushnil(L);
                lua_rawset(L, -3);
            }
}

/* Sets the options in the table at `from` in the table on the top. [-0, +0, m] */
static void add_options(lua_State *L, int from)
{
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
}

/* Reads the options of the profile that the script or the host names, and over them the script's
 * own, from the table at `options`. Pushes a table with all of them, which owns the strings; nil
 * when there is no profile. [-0, +1, v] */
static void apply_profile(lua_State *L, connect_options *o, int options)
{
    const modalua_config *config = host_config(L);
    const char *name = o->profile ? o->profile : config->profile, *own_profile = o->profile;
    bool own_credentials = has_credentials(o);
    if (o->profile && o->http.url)
        error_usage(L, "connect: give a URL or a profile, not both: a profile's credentials are "
                       "for its own URL");
    if (o->http.url || (!o->profile && config->url) ||
        !config_file_push(L, config->config_file, name)) {
        lua_pushnil(L);
        return;
    }
    if (own_credentials)
        drop_credentials(L);
    config_secret_resolve(L, config->config_file);
    lua_pushfstring(L, "connect, by %s", config->config_file);
    options_read(L, -2, lua_tostring(L, -1), connect_options_rows, o);
    lua_pop(L, 1);
    if (o->profile != own_profile)
        error_usage(L, "connect: a profile cannot have a `profile`");
    if (lua_istable(L, options))
        add_options(L, options);
    options_read(L, -1, "connect", connect_options_rows, o);
}

static void check_credentials(lua_State *L, const connect_options *o)
{
    if (o->http.password && !o->http.username)
        error_usage(L, "connect: a password was given without a username");
    if (o->http.username && !o->http.password)
        error_usage(L, "connect: a username was given without a password");
    if (o->http.username && o->http.token)
        error_usage(L, "connect: give a username and a password, or a token, not both");
    if (o->http.username && strchr(o->http.username, ':'))
        error_usage(L, "connect: a username cannot hold ':' (basic authentication)");
    if (o->http.key && !o->http.cert)
        error_usage(L, "connect: a key was given without a cert");
}

/* ---- in a sandbox ---- */

/* The options that are files, or that lead to another server than the URL says, are for the host.
 */
static void check_sandboxed_options(lua_State *L, const loop *lp, int options)
{
    for (size_t i = 0; lua_istable(L, options) && connect_options_rows[i].name; i++) {
        const char *name = connect_options_rows[i].name;
        if (!connect_options_traits[i].host_only)
            continue;
        if (lua_getfield(L, options, name) != LUA_TNIL)
            guard_check(
                L, lp, "connect",
                lua_pushfstring(L, "a sandboxed script cannot set '%s': only its host can", name));
        lua_pop(L, 1);
    }
}

/* Whether the server is that of the URL, with the same path or one below. Then that path becomes the
 * server's root, when it is the longest so far, of *length bytes. [-0, +0, v] */
static bool is_below(lua_State *L, loop *lp, http_server *s, const char *url, size_t *length)
{
    char why[160];
    const http_options o = { .url = url };
    http_server *above = http_server_new(&lp->http, &o, why, sizeof why);
    bool below = above && http_server_is_below(s, above);
    size_t own = below ? strlen(http_server_path(above)) : 0;
    if (below && own >= *length) {
        http_server_set_root(s, above);
        *length = own;
    }
    http_server_free(above);
    if (!above)
        error_usage(L, "connect: one of the servers that the host allows cannot be used: %s", why);
    return below;
}

/* URLs with spaces between them are on the top. Whether one of them allows the server. */
static bool is_allowed(lua_State *L, loop *lp, http_server *s)
{
    const char *at = lua_tostring(L, -1);
    size_t n, length = 0;
    bool allowed = false;
    for (at += strspn(at, " \t\n"); *at; at += strspn(at, " \t\n")) {
        n = strcspn(at, " \t\n");
        lua_pushlstring(L, at, n);
        allowed = is_below(L, lp, s, lua_tostring(L, -1), &length) || allowed;
        lua_pop(L, 1);
        at += n;
    }
    return allowed;
}

/* A server that the script has chosen must be the host's default server, or one of the servers that
 * the host allows. */
static void check_sandboxed_server(lua_State *L, loop *lp, const client *c)
{
    const modalua_config *config = host_config(L);
    const char *fault = orthanc_path_fault(http_server_path(c->server));
    if (fault)
        guard_check(L, lp, "connect", fault);
    lua_pushfstring(L, "%s %s", config->url ? config->url : "",
                    config->servers ? config->servers : "");
    if (!is_allowed(L, lp, c->server))
        guard_check(L, lp, "connect",
                    lua_pushfstring(L, "the host of this script allows no connection to %s",
                                    http_server_url(c->server)));
    lua_pop(L, 1);
}

/* ---- memory ---- */

/* Lua does not see what a client takes beside its heap, so it may not have collected the clients that are
 * gone. After a failure, which can be that of memory, it does; false: there is no limit. */
static bool collect(lua_State *L, const loop *lp)
{
    if (lp->memory->limit == 0)
        return false;
    lua_gc(L, LUA_GCCOLLECT);
    return true;
}

/* ---- headers ---- */

/* The name and the value are on the top. A message never quotes the value: it may be a secret. */
static void add_header(lua_State *L, const loop *lp, http_server *s)
{
    const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1), *fault = "NUL";
    if (lp->sandboxed && !orthanc_is_harmless_header(name))
        guard_check(L, lp, "connect",
                    lua_pushfstring(L,
                                    "a sandboxed script cannot set the header '%s': it can "
                                    "turn a request into another one",
                                    name));
    if (strlen(name) == lua_rawlen(L, -2) && strlen(value) == lua_rawlen(L, -1)) {
        fault = http_server_header(s, name, value);
        if (fault && collect(L, lp))
            fault = http_server_header(s, name, value);
    }
    if (fault)
        error_usage(L, "connect: the header '%s' cannot be sent: %s", name, fault);
}

static void add_headers(lua_State *L, const loop *lp, int options, http_server *s)
{
    int top = lua_gettop(L);
    if (lua_istable(L, options))
        lua_getfield(L, options, "headers");
    for (lua_pushnil(L); lua_istable(L, top + 1) && lua_next(L, top + 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            error_usage(L, "connect: headers must map names to strings");
        add_header(L, lp, s);
    }
    lua_settop(L, top);
}

/* The host's headers for its default server; one of the script replaces that of the same name. */
static void add_host_headers(lua_State *L, const modalua_config *config, http_server *s)
{
    const char *fault = config->headers ? http_server_add_missing(s, config->headers) : NULL;
    if (fault)
        error_usage(L, "connect: the headers of the host cannot be sent: %s", fault);
}

/* ---- connect ---- */

static int client_gc(lua_State *L)
{
    client *c = lua_touserdata(L, 1);
    http_server *s = c->server;
    c->server = NULL;
    http_server_free(s);
    return 0;
}

/* Reads the arguments ([url] [, options], or the options alone) of connect. Returns the index of
 * the options, which may be nil. [-0, +0, v] */
static int read_arguments(lua_State *L, connect_options *o)
{
    int options = lua_istable(L, 1) ? 1 : 2;
    lua_settop(L, 2);
    options_read(L, options, "connect", connect_options_rows, o);
    if (options == 2 && !lua_isnil(L, 1)) {
        luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "URL or table of options");
        luaL_argcheck(L, strlen(lua_tostring(L, 1)) == lua_rawlen(L, 1), 1, "the URL holds a NUL");
        if (o->http.url)
            error_usage(L, "connect: the URL was given twice");
        o->http.url = lua_tostring(L, 1);
    } else if (options == 1 && !lua_isnil(L, 2)) {
        error_usage(L, "connect: give one table of options");
    }
    return options;
}

/* Whether the host's config says which server it is; then the numbers of that config are the defaults
 * of the options, which are read again. [-0, +0, v] */
static bool read_host_defaults(lua_State *L, int options, connect_options *o)
{
    const modalua_config *config = host_config(L);
    if (o->http.url || o->profile || !config->url)
        return false;
    *o = connect_options_defaults;
    if (config->timeout > 0)
        o->timeout = config->timeout;
    if (config->server_max_inflight > 0)
        o->http.max_inflight = config->server_max_inflight;
    options_read(L, options, "connect", connect_options_rows, o);
    return true;
}

static int l_connect(lua_State *L)
{
    enum { PROFILE = 3 };
    loop *lp = doc_loop(L);
    connect_options o = connect_options_defaults, own;
    char why[160];
    client *c;
    bool named_by_script, named_by_host; /* the server */
    int options = read_arguments(L, &o);
    bool is_default = read_host_defaults(L, options, &o);

    if (lp->sandboxed)
        check_sandboxed_options(L, lp, options);
    named_by_script = o.http.url != NULL;
    own = o;
    apply_profile(L, &o, options);
    named_by_host = !named_by_script && (o.http.url || host_config(L)->url);
    apply_host_config(&o, host_config(L));
    complete_options(&o, &own, host_config(L));
    check_credentials(L, &o);

    c = lua_newuserdatauv(L, sizeof *c, CLIENT_VALUES);
    c->server = NULL;
    c->timeout = o.timeout;
    luaL_setmetatable(L, CLIENT_TYPE);
    c->server = http_server_new(&lp->http, &o.http, why, sizeof why);
    if (!c->server && collect(L, lp))
        c->server = http_server_new(&lp->http, &o.http, why, sizeof why);
    if (!c->server)
        error_usage(L, "connect: %s", why);
    if (lp->sandboxed && !named_by_host)
        check_sandboxed_server(L, lp, c);
    add_headers(L, lp, lua_istable(L, PROFILE) ? PROFILE : options, c->server);
    if (is_default)
        add_host_headers(L, host_config(L), c->server);
    lua_gc(L, LUA_GCSTEP,
           (int)(http_server_bytes(c->server) / 1024) + 1); /* Lua does not see them */
    return 1;
}

/* ---- the object ---- */

static const object_kind kind = { "client", "a client", NULL };

static int client_l_index(lua_State *L)
{
    return userdata_method(L);
}

static int client_tostring(lua_State *L)
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
      .options = { { "options", connect_options_rows, NULL } },
      .example = "local orthanc = modalua.connect(\"http://localhost:8042\", { username = \"u\", "
                 "password = \"p\", timeout = 60 })\n"
                 "print(orthanc)" },
    { .name = NULL }
};

void connect_set_config(lua_State *L, const modalua_config *config)
{
    lua_pushlightuserdata(L, (void *)config);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &config_key);
}

void connect_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__index", client_l_index },
                                     { "__gc", client_gc },
                                     { "__tostring", client_tostring },
                                     { NULL, NULL } };
    userdata_open(L, lp, CLIENT_TYPE, &kind, meta);
    lua_pop(L, 1);
    doc_register(L, lp, functions);
}
