/* modalua.h - run Lua scripts that talk to DICOM modalities through an Orthanc server.
 *
 * A runtime is one Lua state with its own connections and its own tasks. A host creates a runtime,
 * runs scripts in it, one at a time or beside one another, and destroys it:
 *
 *     modalua_config config;
 *     modalua_runtime *rt;
 *     modalua_config_init(&config);
 *     config.write = my_write;
 *     if (modalua_create(&rt, &config) == MODALUA_OK) {
 *         int status = modalua_run_string(rt, "=host", script, strlen(script));
 *         if (status < 0 && status != MODALUA_EXIT)
 *             puts(modalua_last_error(rt));
 *         modalua_destroy(rt);
 *     } else if (modalua_config_fault(&config)) {
 *         puts(modalua_config_fault(&config));
 *     }
 *
 * BLOCKING. modalua_run_string, modalua_run_file and modalua_call block until the script has ended;
 * modalua_step blocks at most as long as its argument says, beside the time that Lua itself
 * computes; modalua_destroy blocks until the run that is under way has been ended. All other
 * functions return at once. An operation of a script suspends its task also in a coroutine of the
 * script, an iterator, or a module that is being required. Inside a C function that Lua cannot
 * suspend (a callback of string.gsub, table.sort or load, __tostring, __index when a C function
 * looks it up, a handler that coroutine.close calls), an operation throws an error in a run that
 * was started with modalua_start_...; in modalua_run_... and modalua_call it blocks there.
 *
 * THREADS. Any thread may use a runtime, but only one at a time. These functions are exceptions:
 * any thread may call them at any moment, as long as modalua_destroy has not been called:
 * modalua_cancel and modalua_cancel_sticky (from signal handlers too), modalua_overdue, modalua_post and
 * modalua_cancel_task; and, for a reply that was kept, modalua_reply_*, and for a response
 * modalua_response_*, even after modalua_destroy. Different runtimes are independent of one another.
 * The library calls the host's callbacks on the thread that drives the runtime, inside the call
 * that drives it.
 *
 * RE-ENTRY. While a call on a runtime is at work, another call on the same runtime, from a callback
 * for example, returns MODALUA_E_BUSY. modalua_cancel, modalua_cancel_sticky, modalua_post,
 * modalua_cancel_task, modalua_overdue, modalua_reply_*, modalua_response_* and modalua_last_error
 * work then too. A callback must return: neither longjmp nor a C++ exception may leave it.
 *
 * NULL. When rt is NULL, functions that return a status return MODALUA_E_INVALID. The other
 * functions do nothing, and return 0, "" or NULL; modalua_overdue returns -HUGE_VAL, and
 * modalua_last_error_json "{}".
 *
 * OWNERSHIP. The library copies arguments that it needs after the call. Strings that it returns
 * belong to the runtime; how long they are valid is said at each function.
 *
 * ENVIRONMENT. The library never calls exit, abort, setlocale or signal. It writes no output except
 * to the callbacks of the host. It reads no configuration file, except the one that config_file
 * names, and no environment variables, except with MODALUA_ENVIRONMENT. While a call is at work,
 * the locale of the calling thread is "C" (uselocale), whatever LC_NUMERIC the host has set; inside
 * libcurl, signals are blocked. Both are restored, for callbacks too: a callback sees the locale and
 * the signal mask of the host, and what it changes of them stays. Do not fork while a run
 * is under way. The library initialises libcurl globally, once and thread-safely, at the first
 * connect; it leaves curl_global_cleanup to the host.
 *
 * OTHER LUAS. The shared library has a Lua 5.4 of its own inside, which no other part of the program
 * sees. A program may use any other Lua beside it, also LuaJIT. So a script cannot load modules that
 * are written in C: they would get another Lua. A program that wants them links libmodalua.a and
 * liblua5.4, and exports the symbols of Lua. It must then not contain another Lua. The library is
 * never unloaded: dlclose has no effect.
 *
 * SCRIPTS see the whole standard library of Lua and `require "modalua"`, unless MODALUA_SANDBOX is
 * set. os.exit ends the run, not the process. When a run ends, everything that it has started has
 * ended: no task and no request outlives it. What it has changed stays for the next run: globals,
 * tables of the libraries, modules. Scripts that do not trust one another need a runtime each.
 *
 * TRUST. Run hostile scripts in a process of their own, with rlimits, which another process can end:
 * no limit of a runtime ends a script that is inside one long call of a C function. Scripts are
 * trusted not to attack the C code, but they may loop or use much memory. With MODALUA_SANDBOX they
 * reach no files, no processes and no other servers. A limit ends a script
 * within 0.1 s, or when the C function returns that the script is in. A pcall cannot catch that;
 * <close> variables have 0.05 s. (With the debug library, which a sandbox does not have, a script
 * can escape it.) json.encode, modalua_get_global, string.rep, the functions with patterns and those of
 * `table` are ended inside a call. No limit can end these, each one instruction of Lua:
 *   - a call of a value whose __call is a table with a __call, in a chain of thousands;
 *   - a step of the garbage collector over thousands of tables with weak keys, each of which is
 *     reached through another one;
 *   - json.decode, load, and other functions over a text of hundreds of megabytes (memory_limit).
 * modalua_overdue tells the host that the script has not ended in time; the host can then only end
 * the process.
 *
 * STACK. A thread that drives a runtime needs 512 KB of C stack. Scripts seldom take more than 64 KB; one
 * that nests C functions as deep as Lua allows (200 calls, such as a callback of string.gsub that calls
 * string.gsub) takes 430 KB. Any script within that ends in an error, and not in a crash.
 *
 * JSON from the host follows RFC 8259. An integer must fit into 64 bits, with its sign, and a number into
 * a double: others are refused, as what is not JSON, because they would lose digits. Send such
 * identifiers as strings.
 *
 * WHICH CALL, FROM WHERE. "Driving" is the one thread that uses the runtime at that time.
 *
 *     call                                  thread         state
 *     config_init, config_fault, create     any            -
 *     start_*, run_*, call                  driving        no run; not in a callback
 *     step, fds                             driving        any; not in a callback
 *     spawn_call, spawn_string              driving        during a run, between steps
 *     post, cancel_task                     any            any, callbacks too
 *     cancel, cancel_sticky                 any, signals   any, callbacks too
 *     overdue                               any            any, callbacks too
 *     register*, set_object, *_global,      driving        no run, or between steps
 *       set_arg
 *     transfers, detach                     driving        between steps
 *     result, exit_code, last_error*        driving        any
 *     argument_object, _bytes, reply_keep   driving        inside the function that got the reply
 *     reply_json, _text, _error, _object,   any            for a kept reply; else inside the function
 *       _json_bytes
 *     response_*                            any            until the response has ended
 *     destroy                               driving        any; not in a callback but the run's `done`
 *     strerror, version*                    any            -
 *
 * VERSIONS. Until 1.0 a new MINOR version may change the interface; CHANGELOG.md lists the changes, and
 * the soname has the MINOR version: a program built for 0.1 does not load 0.2. Stable within 0.MINOR,
 * in source and in binary form: the functions and types of this header, the values of its constants, the
 * kinds of errors and the names of their fields; a new PATCH version may add functions, flags and fields
 * at the end of modalua_config. Not stable: the texts of messages and tracebacks, the lines of `log`,
 * which requests an operation sends.
 */
#ifndef MODALUA_H
#define MODALUA_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODALUA_VERSION_MAJOR 0
#define MODALUA_VERSION_MINOR 1
#define MODALUA_VERSION_PATCH 0
#define MODALUA_VERSION       "0.1.0"
/* major * 1000000 + minor * 1000 + patch, to compare: #if MODALUA_VERSION_NUMBER >= 2000 is 0.2.0 */
#define MODALUA_VERSION_NUMBER 1000

#if defined(MODALUA_API)
/* the one who builds the library or the host has chosen it */
#elif defined(__GNUC__)
#define MODALUA_API __attribute__((visibility("default")))
#else
#define MODALUA_API
#endif

typedef struct modalua_runtime modalua_runtime;

/* The status that functions return. 0 or more means success, less means failure; MODALUA_EXIT means
 * what modalua_exit_code says. */
enum modalua_status {
    MODALUA_OK = 0,
    MODALUA_WORKING = 1,      /* modalua_step: the run continues */
    MODALUA_E_NOMEM = -1,     /* out of memory, or memory_limit is reached: by Lua code, or by an
                                 operation, whose error has the kind "limit"; the script did not
                                 handle it */
    MODALUA_E_SYNTAX = -2,    /* the script does not compile */
    MODALUA_E_SCRIPT = -3,    /* the script ended with an error */
    MODALUA_E_FILE = -4,      /* the script cannot be read */
    MODALUA_E_BUSY = -5,      /* a run is under way, or a callback made the call */
    MODALUA_E_CANCELLED = -6, /* modalua_cancel ended the run */
    MODALUA_E_LIMIT = -7,     /* run_seconds or burst_seconds ended the run, whatever the script did
                                 meanwhile: it cannot handle that */
    MODALUA_E_INVALID = -8,   /* invalid argument */
    MODALUA_E_SYSTEM = -9,    /* the system has refused a resource: descriptors, threads */
    MODALUA_EXIT = -10        /* the script called os.exit */
};

/* Receives a text of `size` bytes, without a NUL at its end. */
typedef void (*modalua_write_fn)(void *user, const char *text, size_t size);

/* Allocates as a lua_Alloc does. new_size 0 frees the block and returns NULL. old_size is the size
 * of the block; it has no meaning when block is NULL. Returns NULL on failure; making a block
 * smaller must not fail. */
typedef void *(*modalua_alloc_fn)(void *user, void *block, size_t old_size, size_t new_size);

/* Called once when a run has ended, by the modalua_step that ended it, on its thread, with the
 * status that this step returns. It may start the next run, or destroy the runtime. */
typedef void (*modalua_done_fn)(void *user, modalua_runtime *rt, int status);

/* The reply to a call of a modalua_function or a modalua_search_fn: it carries the answer. */
typedef struct modalua_reply modalua_reply;

/* A function of the host that scripts can call: see modalua_register. `arguments` is a JSON array
 * of the script's arguments, nil as null; it is valid during the call. The function answers with
 * modalua_reply_*; or returns without an answer, and the script gets no result; or keeps the reply
 * (modalua_reply_keep), and answers later. An argument that is a string and not UTF-8 is null in the JSON
 * (modalua_argument_bytes has it). When the arguments cannot be JSON it is not called: for
 * a function, or an array with holes, the script's call throws; for NaN, or, inside a table, bytes that
 * are not UTF-8, it returns nil and an error of kind "refused". */
typedef void (*modalua_function)(void *user, const char *arguments, modalua_reply *reply);

/* Searches for a module that a script requires. It answers with modalua_reply_text and the Lua
 * source; or with modalua_reply_error, when the host has the module and cannot give it, and the
 * `require` fails; or not at all, when the host has no such module, and the search continues. After
 * an answer with a source it is not called for that name again. The name is any string that a
 * script passes. The reply cannot be kept. */
typedef void (*modalua_search_fn)(void *user, const char *name, modalua_reply *reply);

/* Decides whether an HTTP request may leave. Returns NULL to allow it; or the reason why not, a text that
 * stays valid until the next call ("" = without a reason; 200 bytes of it are used). Then nothing is
 * sent, and the operation fails with an error of kind "refused" and code "host", which has the reason. It
 * is asked about every request of the runtime, whichever function of the library sends it: also about one
 * that is sent again, and about those that remove a query or cancel a job when a run ends. There are no
 * others: redirections are not followed.
 *   method     "GET", "POST", "PUT" or "DELETE"
 *   url        the whole one, with its query, without credentials
 *   operation  what the script called: "find", "move", "get", …; "cleanup" for a request that ends
 *              something after its operation is over */
typedef const char *(*modalua_authorize_fn)(void *user, const char *method, const char *url,
                                            const char *operation);

/* How much an entry of the log matters. */
enum modalua_log_level {
    MODALUA_LOG_DEBUG = 0,   /* a request that only reads was answered with 2xx */
    MODALUA_LOG_INFO = 1,    /* another request was answered with 2xx */
    MODALUA_LOG_WARNING = 2, /* the answer is 3xx or 4xx; a request is sent again; authorize or the
                                sandbox has refused one */
    MODALUA_LOG_ERROR = 3    /* there is no answer, or it is 5xx */
};

/* An entry of the log: an HTTP request that has ended, or that is sent again. It is valid during the
 * call. Later versions append fields. */
typedef struct modalua_log_entry {
    size_t struct_size;       /* of what the library has filled in */
    int level;                /* of enum modalua_log_level */
    const char *text;         /* all of it in one line, as `log` receives it */
    const char *operation;    /* what the script called, or "cleanup", as in modalua_authorize_fn */
    const char *method, *url; /* without credentials */
    int status;               /* of HTTP; 0 = there is no answer */
    int dimse_status;         /* that the answer tells of the exchange with a modality; -1 = none */
    unsigned tries;           /* which try it was, from 1 */
    size_t bytes;             /* of the answer's body */
    double seconds;           /* from the start of the request to its end */
    const char *error;        /* why there is no answer; "it is sent again" for such an entry;
                                 NULL = there is one */
} modalua_log_entry;

typedef void (*modalua_log_fn)(void *user, const modalua_log_entry *entry);

/* An HTTP request for the host's transport. It is valid during the call of the modalua_transport_fn. */
typedef struct modalua_request {
    const char *method;         /* "GET", "POST", "PUT" or "DELETE" */
    const char *url;            /* the whole one, with its query, without credentials */
    const char *const *headers; /* lines "Name: value", and NULL; with the credentials */
    const char *body;           /* body_size bytes; NULL = none, or a file */
    size_t body_size;
    long file_size; /* the size of a body that is a file, for modalua_response_read */
    double timeout; /* seconds, after which the runtime does not wait any more; 0 = none */
} modalua_request;

/* The response to such a request, which the host answers with modalua_response_*. */
typedef struct modalua_response modalua_response;

/* Sends the HTTP requests of a runtime, instead of libcurl: for tests without sockets, for hosts with a
 * network of their own. It answers the response at once, or returns and answers it later, from any
 * thread: first modalua_response_head, then modalua_response_write any number of times, and
 * modalua_response_end; or, at any moment, modalua_response_fail. The host owns the response, and must
 * end it or let it fail, also when the runtime does not want it any more or is gone. Everything else
 * works as with libcurl: limits, timeouts, retries, max_inflight, authorize, log, files. It must not
 * send a request twice. The options that say how to connect have no effect: ca, cert, key,
 * key_password, insecure, proxy, connect_timeout. */
typedef void (*modalua_transport_fn)(void *user, const modalua_request *request,
                                     modalua_response *response);

/* Why a request has failed; how the script sees it. */
enum modalua_failure {
    MODALUA_NOT_SENT = 1, /* it has not reached the server: "network", "no_connection" */
    MODALUA_BROKEN,       /* the server may have got it: "network", "connection_lost" */
    MODALUA_TIMED_OUT     /* "timeout" */
};

enum modalua_flags {
    MODALUA_NO_GLOBAL_INIT = 1, /* the host has called curl_global_init itself */
    MODALUA_NO_HOOK = 2,        /* no count hook: Lua runs twice as fast, and scripts may have
                                   finalizers (__gc). Another thread can then stop a run only while
                                   the run waits. Without effect beside a time limit or a sandbox */
    MODALUA_ENVIRONMENT = 4, /* the library may read LUA_PATH, LUA_CPATH, http_proxy, https_proxy,
                                   all_proxy and no_proxy */
    MODALUA_SANDBOX = 8      /* scripts have no io, debug, package, dofile, loadfile,
                                   collectgarbage, string.dump, bytecode or finalizers, and of os
                                   only clock, date, difftime and time. `require` finds modalua's
                                   own modules and those of `search`. Scripts connect only to `url`
                                   (or the profile) and `servers`. They cannot set the options of
                                   connect that are files or lead elsewhere: ca, cert, key,
                                   key_password, insecure, proxy, profile; nor headers by which a proxy takes a
                                   request for another one. They cannot change settings of a
                                   server: each path is checked from the root of the URL that the
                                   host allows, wherever below it the script connected to */
};

/* The configuration of a runtime. Call modalua_config_init first; then zero and NULL mean the
 * default. modalua_create copies the strings. */
/* clang-format off */
typedef struct modalua_config {
    size_t struct_size;        /* set by modalua_config_init. Later versions only append fields; a
                                  field that this library does not know must be zero */
    /* limits */
    size_t memory_limit;       /* bytes of the Lua heap, of answers with their heads, and, about, of
                                  what libcurl takes for requests and headers; 0 = no limit. Not
                                  counted: TLS, idle connections, the stacks of threads that look
                                  names up, and what the host itself allocates */
    double run_seconds;        /* wall-clock time of one run; 0 = no limit */
    double burst_seconds;      /* time of Lua code between two waits; 0 = no limit */
    double grace_seconds;      /* from the first modalua_cancel to the kill; 0 = 5 */
    unsigned max_inflight;     /* HTTP requests at the same time, over all servers; 0 = no limit but
                                  that of each server, which is 8 by default, and which a script
                                  may set; in a sandbox 32. A socket each; beside them 16 idle
                                  connections are kept, and two cleanup requests for each server may
                                  run. A name that a request has waited for in vain is looked up
                                  on for as long as the system takes, by a thread: 16 of these
                                  may go on, also when the runtime is gone, and then the next
                                  request to a name waits for up to a minute */
    unsigned flags;            /* enum modalua_flags */
    /* callbacks */
    modalua_write_fn write;    /* receives what scripts print; NULL = it is dropped */
    modalua_write_fn log;      /* receives a line, without a newline, for each HTTP request; NULL =
                                  no log */
    modalua_write_fn warn;     /* receives the warnings of scripts, in pieces, while they are turned
                                  on (warn "@on"); NULL = they are dropped */
    void *user;                /* passed to write, log, warn, progress,
                                  search, authorize and log_entry */
    modalua_alloc_fn alloc;    /* NULL = realloc and free */
    void *alloc_user;          /* passed to alloc */
    /* modules and servers */
    const char *module_path;   /* Lua templates in front of package.path. Relative templates are
                                  removed from the rest of package.path */
    const char *url;           /* the default server: that of modalua.connect() without a URL;
                                  NULL = http://localhost:8042 */
    const char *username;      /* the credentials for the default server, and for no other */
    const char *password;
    const char *token;
    modalua_write_fn progress; /* receives the progress bar of an operation with progress = true:
                                  each line replaces the one before; size 0 ends the bar. That of
                                  modalua.transfer has six lines, with line ends between them. NULL
                                  = no bar. For numbers, let scripts call a function of yours: progress
                                  = function(p) f(p) end */
    const char *config_file;   /* a file that gives names to servers (profiles) and, when url is
                                  NULL, names the default server. Read at connect. NULL = none */
    const char *profile;       /* the name, in that file, of the default server; NULL = the file's
                                  `default`, or its only server; connect refuses a file with
                                  several servers and no `default`. Not together with url */
    const char *servers;       /* for a sandbox: URLs with spaces between them. Scripts may also
                                  connect to these, and to paths below them; NULL = none. In a
                                  sandbox without url and profile there is no default server, not
                                  even localhost */
    modalua_search_fn search;  /* finds modules that are not modalua's own: before files, and in a
                                  sandbox instead of files. NULL = the host has no modules */
    modalua_log_fn log_entry;  /* receives each entry of the log with its fields; NULL = none */
    int log_level;             /* the lowest enum modalua_log_level that log and log_entry receive;
                                  0 = all */
    modalua_authorize_fn authorize; /* is asked about each HTTP request before it leaves; NULL = all
                                  are allowed */
    /* more about the default server, that of `url`; a script may set other values for itself */
    const char *ca;            /* a file with the certificates that sign the server's */
    const char *cert, *key;    /* files with a client certificate, and its private key. ca, cert and
                                  key may also be given without url: they are then for the server
                                  of `profile`, or of the default of config_file */
    const char *proxy;         /* the URL of a proxy, with its credentials; NULL = none */
    const char *headers;       /* headers of each request: "Name: value", a line for each */
    double timeout;            /* seconds that the server may take for what it answers by itself; 0 =
                                  30 */
    unsigned server_max_inflight; /* HTTP requests to it at the same time; 0 = 8 */
    modalua_transport_fn transport; /* sends HTTP requests; NULL = libcurl does. Gets `user` */
    const char *key_password;  /* the passphrase of the private key, `key` or that of the profile */
    const char *default_ca;    /* a file with certificates, for every server that has no `ca` of its
                                  own; NULL = those of the system */
    const char *unsent;        /* for the message of HTTP status 401 of the default server: which
                                  credentials the host has and did not send, and why not; never the
                                  credentials themselves. NULL = none */
    int insecure;              /* not 0: the certificate of the default server is not checked */
    const char *transport_url; /* the transport sends only the requests to this URL and below it, and
                                  libcurl the others; NULL = it sends all */
    modalua_function follow;   /* what client:changes { follow = true } asks, instead of waiting for its
                                  `interval`, when the transport sends the client's requests; NULL =
                                  it waits. Gets `user`. See below */
} modalua_config;
/* clang-format on */

/* `follow` is called with [types, since, wait, told]. `types` is the option `type` of the loop as a text: its
 * names in alphabetical order with commas between them, "" without the option; null when the script gave the
 * option `since`. `told` is the answer of the host to the last call of this loop with wait, null before.
 *   since null            The loop begins, without the option `since`. The answer is the Seq of the change
 *                         behind which it begins, or null: behind the last one.
 *   since N, wait false   The loop has handled the changes up to N. The answer does not matter.
 *   since N, wait true    So it has, and there were no others. The host answers (later, as a rule) when there
 *                         can be some. An error as the answer is thrown by the loop. A host that answers with
 *                         the number of the changes that it has seen so far knows from `told` whether there
 *                         was another one between its answer and this call. */

/* Sets every field to its default. */
MODALUA_API void modalua_config_init(modalua_config *config);

/* Returns a static text that says what is wrong with a configuration, and names the field; NULL
 * when nothing is wrong, or config is NULL. */
MODALUA_API const char *modalua_config_fault(const modalua_config *config);

/* Creates a runtime, which the caller owns. config NULL = the defaults. Opens no file and no
 * connection: errors in config_file show at connect. Returns MODALUA_OK; or
 * MODALUA_E_INVALID (modalua_config_fault says why), MODALUA_E_NOMEM or MODALUA_E_SYSTEM (errno
 * says why), and *out is NULL. */
MODALUA_API int modalua_create(modalua_runtime **out, const modalua_config *config);

/* Ends the run that is under way, and frees everything. Its <close> variables run; its last
 * requests get no time, and its `done` is not called. NULL is fine. `done` may call it; from any
 * other callback it must not be called, and does nothing. */
MODALUA_API void modalua_destroy(modalua_runtime *rt);

/* Sets the global table `arg`, as lua does: argv[script] becomes arg[0], the words behind it
 * arg[1], arg[2], …, the words before it arg[-1], …. script is at most argc. Returns MODALUA_E_BUSY
 * from a callback. Does not block. */
MODALUA_API int modalua_set_arg(modalua_runtime *rt, int argc, const char *const *argv, int script);

/* Start a run, and return at once; modalua_step then continues it. The arguments are not needed
 * afterwards. `done` may be NULL. Return MODALUA_E_BUSY while another run is under way; when the
 * script cannot be read or compiled, MODALUA_E_FILE or MODALUA_E_SYNTAX, and `done` is not called.
 *   name      the name of the chunk, as luaL_loadbuffer takes it: "=name" or "@file"
 *   path      NULL = standard input; a first line that begins with '#' is skipped. modalua_start_file
 *             never blocks: it takes regular files only, and gives MODALUA_E_FILE for others (a
 *             pipe, a terminal), which modalua_run_file reads
 *   argv      the script's `...`
 *   function  the path of a global function, or of a function of a module ("module.f"), which is
 *             then required
 *   json_in   one JSON value, the function's argument; NULL = none */
MODALUA_API int modalua_start_string(modalua_runtime *rt, const char *name, const char *source,
                                     size_t size, modalua_done_fn done, void *user);
MODALUA_API int modalua_start_file(modalua_runtime *rt, const char *path, int argc,
                                   const char *const *argv, modalua_done_fn done, void *user);
MODALUA_API int modalua_start_call(modalua_runtime *rt, const char *function, const char *json_in,
                                   modalua_done_fn done, void *user);

/* Continues the run: runs the tasks that are ready, then waits at most max_wait_ms for the network
 * (0 = does not wait; negative = waits until something happens, at most a second). Does not
 * interrupt Lua code: a step takes at least as long as the script computes between two waits.
 * Returns MODALUA_WORKING while the run continues; the step that ends the run returns its status,
 * once. Without a run it returns MODALUA_OK. */
MODALUA_API int modalua_step(modalua_runtime *rt, int max_wait_ms);

/* For a host with its own event loop: fills `fds`, an array for poll(2) with room for `count`, with
 * the descriptors that the run waits for, and sets *timeout_ms to the longest time to wait. When a
 * descriptor is ready, or the time is over, call modalua_step(rt, 0), and then this again. The
 * descriptors belong to the library, and must only be polled. When there is no room for all of
 * them, *timeout_ms is short instead. Returns the number of descriptors; without a run 0, with
 * *timeout_ms -1; less than 0 for an error, with *timeout_ms -1. Does not block. */
struct pollfd;
MODALUA_API int modalua_fds(modalua_runtime *rt, struct pollfd *fds, int count, int *timeout_ms);

/* Start a run and continue it to its end. Block. Return MODALUA_OK, MODALUA_EXIT or an error.
 * json_out (may be NULL) receives the function's first result as JSON, or NULL when it has none;
 * the string is valid until the next call that starts a run. A function that returns nil and an error,
 * or false and an error object, as operations do, has failed: MODALUA_E_SCRIPT, and the last error is
 * that error. */
MODALUA_API int modalua_run_string(modalua_runtime *rt, const char *name, const char *source,
                                   size_t size);
MODALUA_API int modalua_run_file(modalua_runtime *rt, const char *path, int argc,
                                 const char *const *argv);
MODALUA_API int modalua_call(modalua_runtime *rt, const char *function, const char *json_in,
                             const char **json_out);

/* The first result, as JSON, of the function of a modalua_start_call that has ended with
 * MODALUA_OK; NULL when it has none, or has not ended so. Valid until the next call that starts a
 * run. */
MODALUA_API const char *modalua_result(const modalua_runtime *rt);

/* ---- more than one thing at a time ----
 *
 * A run can have tasks of the host beside its script: the handler of an event, a console, a second
 * script. Each has its own `done`, result and cancel. They belong to the run: it ends when its script
 * and all these tasks have ended; they share its time limits; modalua_cancel, modalua_destroy, os.exit
 * and an error of the script end them with it. An error of such a task is its own: the run goes on. */

/* Called once when a task has ended, by the modalua_step (or the call that blocks) in which it ended,
 * before the `done` of the run; for a call that has been posted and not begun, by modalua_destroy.
 * `status` is MODALUA_OK, and `json` the first result as JSON, or NULL when there is none; or an error,
 * and `json` the error as in modalua_last_error_json. `json` is valid during the call. It may call all
 * functions on rt but those that start, continue or end a run, and modalua_destroy; called by modalua_destroy, it
 * must not use rt. */
typedef void (*modalua_spawned_fn)(void *user, modalua_runtime *rt, unsigned long task, int status,
                                   const char *json);

/* Start a task beside the run under way; the next modalua_step continues it. Call them between two
 * steps. The arguments are those of modalua_start_call and modalua_start_string; the first result of the
 * chunk is the result of modalua_spawn_string. *task (may be NULL) becomes its number, which is never 0.
 * Do not block. Return MODALUA_OK; MODALUA_E_INVALID without a run; MODALUA_E_BUSY from a callback
 * (modalua_post works there); MODALUA_E_SYNTAX or MODALUA_E_NOMEM. After an error `done` is not called,
 * and *task is 0. */
MODALUA_API int modalua_spawn_call(modalua_runtime *rt, const char *function, const char *json_in,
                                   modalua_spawned_fn done, void *user, unsigned long *task);
MODALUA_API int modalua_spawn_string(modalua_runtime *rt, const char *name, const char *source,
                                     size_t size, modalua_spawned_fn done, void *user,
                                     unsigned long *task);

/* The same as modalua_spawn_call, from any thread, at any time, also from callbacks; not after
 * modalua_destroy has been called, and not from signal handlers. The call waits in a queue, in its order,
 * for the next modalua_step, which is woken; without a run, for the next run. An error of the function
 * or its argument comes to `done`. A `done` that modalua_destroy calls can post nothing: it gets
 * MODALUA_E_CANCELLED. */
MODALUA_API int modalua_post(modalua_runtime *rt, const char *function, const char *json_in,
                             modalua_spawned_fn done, void *user, unsigned long *task);

/* Cancels a task, and the tasks that it has started, as modalua_cancel cancels a run: the error "cancelled"
 * is thrown into them, also when they compute, and the end of grace_seconds kills them. A task that computes
 * without waiting notices the call only where modalua_cancel would reach it (see MODALUA_NO_HOOK). Other
 * tasks go on. A call that has not begun does not begin. Its `done` gets MODALUA_E_CANCELLED, unless it ends
 * otherwise before. A second call changes nothing. Has no effect on a task that has ended. Any thread, at any
 * time; not after modalua_destroy has been called, and not from signal handlers. */
MODALUA_API void modalua_cancel_task(modalua_runtime *rt, unsigned long task);

/* Asks the run under way to end. The first call throws an error of kind "cancelled" into every
 * task, and their <close> variables run. The second call, or the end of grace_seconds, kills: the
 * tasks end whatever they do. A script that computes without waiting notices the call only when the
 * runtime has its count hook (see MODALUA_NO_HOOK), or when a signal handler calls on the thread
 * that runs the script. Has no effect without a run. Any thread, at any time, and signal handlers;
 * not after modalua_destroy has been called. NULL is fine. */
MODALUA_API void modalua_cancel(modalua_runtime *rt);

/* The same; but without a run it is kept, and cancels the next run as soon as that has been started:
 * its first modalua_step returns MODALUA_E_CANCELLED, and no line of the script is executed. So a
 * cancel by another thread just before a run is not lost. The end of a run, whatever its status is,
 * forgets it; a start that fails does not. */
MODALUA_API void modalua_cancel_sticky(modalua_runtime *rt);

/* The seconds since the run under way should have ended: since run_seconds or burst_seconds were
 * over, since the end of grace_seconds after the first modalua_cancel, or since the second one.
 * Wall clock. Negative before that time; -HUGE_VAL without a run, or when the run has no such time.
 * More than a second means that the script is inside a call that cannot be interrupted (see TRUST),
 * or that the thread which drives the runtime got no processor. The time that the host's own functions
 * take (modalua_register, search) does not count, nor does modalua_cancel_task, which ends no run. Any
 * thread, at any time; not after modalua_destroy has been called. */
MODALUA_API double modalua_overdue(const modalua_runtime *rt);

/* What a runtime uses now, and what it has used. Set struct_size to sizeof(modalua_statistics) first.
 * Later versions append fields. Returns MODALUA_E_INVALID without it. On the thread that drives the
 * runtime, also in callbacks. */
typedef struct modalua_statistics {
    size_t struct_size;
    size_t memory;             /* bytes that count for memory_limit */
    size_t memory_peak;        /* the most of them at any time */
    unsigned tasks;            /* that have not ended */
    unsigned requests_running; /* HTTP requests that have left */
    unsigned requests_waiting; /* that wait for their turn */
    unsigned sockets;          /* open descriptors of connections, idle ones included */
    double requests;           /* that have left and ended, since the runtime was created */
    double bytes_sent;         /* of their bodies */
    double bytes_received;
} modalua_statistics;
MODALUA_API int modalua_stats(const modalua_runtime *rt, modalua_statistics *stats);

/* The number of transfers (move, get, store) of the run under way that a server works on; 0 without
 * a run. Call it between two steps, on the thread that drives the runtime. */
MODALUA_API int modalua_transfers(const modalua_runtime *rt);

/* The number of operations, in all tasks, that the run under way waits for. *name (may be NULL) is set to
 * the name of the oldest, such as "find"; it is valid until the next step. NULL, and 0, without any.
 * Call it between two steps, on the thread that drives the runtime. */
MODALUA_API int modalua_waiting(const modalua_runtime *rt, const char **name);

/* Ends the run as the first modalua_cancel does, but its transfers continue on the server, where
 * client:jobs() lists them; it is task:detach() for all tasks. Call it between two steps, on the
 * thread that drives the runtime. Has no effect without a run. NULL is fine. */
MODALUA_API void modalua_detach(modalua_runtime *rt);

/* The code that the script passed to os.exit, when the last run ended with MODALUA_EXIT; otherwise
 * 0.
 */
MODALUA_API int modalua_exit_code(const modalua_runtime *rt);

/* The error of the last call that failed: its message and its traceback. "" when no call has failed
 * since the last run was started. MODALUA_E_BUSY does not change it. Never NULL; valid until the
 * next call on rt that can fail. */
MODALUA_API const char *modalua_last_error(const modalua_runtime *rt);

/* The same error as a JSON object: "modalua_status" (a number of enum modalua_status), "message",
 * "traceback" when there is one, and "kind": "script", "syntax", "file", "memory", "limit",
 * "cancelled", "exit" or "invalid"; and, when it is known where a script failed, "module" (the name of
 * its chunk: "test" for "=test", a path for a file), "line" and, for a
 * syntax error in a source that is no file, "column", both from 1. When the run ended with an error object, the object has all its
 * fields: its own "kind", "code", "op", "method", "path", "where", "status" (of HTTP),
 * "dimse_status", "details", …; without its tables when the JSON would be longer than 1 MB.
 * "{}" when no call has failed. Never NULL; valid as long as
 * modalua_last_error's. */
MODALUA_API const char *modalua_last_error_json(const modalua_runtime *rt);

/* ---- globals and functions that the host and its scripts share ----
 *
 * A name is that of a global, "limit", or a path of fields, "viewer.limit"; missing tables on the
 * path are created. MODALUA_E_INVALID for a name that is none of these, or when a field on the path
 * is not a table. Call these functions between runs, or between the steps of a run.
 *
 * modalua_set_global and modalua_get_global have the limits of a run: run_seconds, burst_seconds
 * and modalua_cancel end them, with MODALUA_E_LIMIT or MODALUA_E_CANCELLED, and modalua_overdue
 * counts them. Between the steps of a run, they are a part of that run, and the limit ends both.
 * They call no metamethods. */

/* Sets a global to a JSON value. null, or json NULL, removes it. Returns MODALUA_E_SCRIPT when it
 * is not JSON. */
MODALUA_API int modalua_set_global(modalua_runtime *rt, const char *name, const char *json);

/* *json_out becomes the value of a global as JSON; NULL when there is no such global, or the call
 * fails. It is valid until the next modalua_get_global on rt. Returns MODALUA_E_SCRIPT when the
 * value cannot be JSON (a function, a cycle). */
MODALUA_API int modalua_get_global(modalua_runtime *rt, const char *name, const char **json_out);

/* Sets a global to a Lua function that calls the host's function; function NULL removes it. Scripts
 * may call it in any task and at any place. It returns what the host answers; while a reply is
 * kept, its task waits, and the other tasks go on. `user` is passed to the host's function. */
MODALUA_API int modalua_register(modalua_runtime *rt, const char *name, modalua_function function,
                                 void *user);

/* The same; `destroy` is called with `user` once, when no script can call the function any more: after
 * another value has taken its place, it is collected as garbage, modalua_destroy at the latest. It is
 * called when the call fails, or function is NULL, too. It must not use rt. */
typedef void (*modalua_destroy_fn)(void *user);
MODALUA_API int modalua_register_owned(modalua_runtime *rt, const char *name,
                                       modalua_function function, void *user,
                                       modalua_destroy_fn destroy);

/* ---- objects of the host ----
 *
 * A class says which methods an object has. A method is a function of the host: its `user` is the
 * object, and its arguments are those behind the object. Scripts see a userdata: study:open(1), and
 * tostring(study). `destroy` is called once with the object: when the script has no reference any more
 * and it is collected, at the end of `local study <close> = …`, after which the script cannot use it, or
 * by modalua_destroy. It must not use rt. The structs must live as long as the runtimes that know them:
 *
 *     static const modalua_method methods[] = { { "open", study_open }, { NULL, NULL } };
 *     static const modalua_class study = { sizeof study, "viewer.Study", methods, study_free };
 */
typedef struct modalua_method {
    const char *name;
    modalua_function function;
} modalua_method;

typedef struct modalua_class {
    /* sizeof(modalua_class); or that of the struct which begins with this one */
    size_t struct_size;
    const char *name;              /* for messages and tostring */
    const modalua_method *methods; /* a row without a name ends them; NULL = none */
    modalua_destroy_fn destroy;    /* NULL = nothing is to be done */
} modalua_class;

/* A class of streams. A script passes an object of such a class in the place of the name of a file, also
 * in a sandbox, and the body of the request goes between the server and the host without a disk:
 *
 *     client:download(path, sink)    client:upload(source)    modality:store_straight(source)
 *
 *     static const modalua_stream_class sink = {
 *         { sizeof sink, "viewer.Sink", NULL, NULL }, sink_write, sink_end, NULL, NULL };
 *     modalua_set_object(rt, "sink", &sink.base, viewer);
 *
 * One operation at a time can use an object. It is not destroyed before the operation has ended, even when
 * the script closes it. Without `write` an object is no sink, without `read` no source; one of them is
 * needed.
 *   write   Takes the next piece of the answer: `size` bytes, never 0, which are valid during the call. It
 *           must take all of them. Returns 0; or a value of errno, such as ENOSPC, and the download fails
 *           with an error of kind "refused" and code "file". It gets each byte once, in order, and only
 *           those of an answer that is a success: after the first byte a download is not tried again. The
 *           pieces are not checked yet: only `end` says that what has come is whole.
 *   end     Is called once for each operation that has used the object, when it has ended, with complete 1
 *           when it has succeeded: of a download, all of the answer has come, and the checks of a download
 *           to a file hold (the length, the type, the end of a ZIP archive, a DICOM file where the route
 *           gives one). 0: it has failed, or was cancelled, and what has been written is to be thrown
 *           away. NULL = it is not needed.
 *   size    The number of bytes that the source gives; or -errno, when it cannot. The server is told it
 *           before the first byte.
 *   read    Fills `into` with up to `size` bytes, those from `offset` on. Returns how many, at least 1; 0
 *           when there are no more, and the operation fails; or -errno. The offset is 0 at first, and then
 *           grows by what has been read; when the server has failed to store, upload reads a second time
 *           from 0. A source that cannot go back returns -ESPIPE then.
 * They are called on the thread that drives the runtime; write and read with a transport of the host on
 * the thread that calls modalua_response_write or modalua_response_read, one at a time, and must then not
 * call functions of that response. A step, and modalua_cancel's effect, wait for them, so they should not
 * block; modalua_overdue counts their time. They must not use rt, except for what RE-ENTRY allows. */
typedef struct modalua_stream_class {
    modalua_class base; /* its struct_size: sizeof(modalua_stream_class) */
    int (*write)(void *object, const void *data, size_t size);
    void (*end)(void *object, int complete);
    long (*size)(void *object);
    long (*read)(void *object, void *into, size_t size, long offset);
} modalua_stream_class;

/* Sets a global to an object, which the library owns from then on; when the call fails, it is destroyed.
 * MODALUA_E_INVALID for a wrong class, or object NULL, which is not destroyed. */
MODALUA_API int modalua_set_object(modalua_runtime *rt, const char *name,
                                   const modalua_class *object_class, void *object);

/* The object of that class which is argument number `index`, from 1, of the call; NULL when that is none,
 * or is closed. In the JSON of the arguments an object is null. Call it inside the function only; the
 * object is alive as long as the function runs. An object inside of a table cannot be passed. */
MODALUA_API void *modalua_argument_object(modalua_reply *reply, int index,
                                          const modalua_class *object_class);

/* The bytes of argument number `index`, from 1, of the call, when that is a string, with a NUL behind them,
 * which *size (may be NULL) does not count; else NULL. It can have any bytes, also NUL. It is not copied: it
 * is valid as long as the function runs. Call it inside the function only. In the JSON of the arguments, a
 * string that is not UTF-8 is null; another one is there too. */
MODALUA_API const char *modalua_argument_bytes(modalua_reply *reply, int index, size_t *size);

/* Answer a reply: with one JSON value (null becomes nil); with a string of bytes; or with an error:
 * the script gets nil and an error object of kind "host", with that code (NULL = none) and message.
 * Answer once. When the reply was not kept, answer before the function returns; another answer
 * returns MODALUA_E_INVALID. When it was kept, answer on any thread; after MODALUA_OK the reply is
 * gone. MODALUA_E_INVALID for a text that is not JSON, and MODALUA_E_NOMEM: the reply has not been
 * answered, and the script waits on for a reply that was kept. */
MODALUA_API int modalua_reply_json(modalua_reply *reply, const char *json);
MODALUA_API int modalua_reply_text(modalua_reply *reply, const char *text, size_t size);
MODALUA_API int modalua_reply_error(modalua_reply *reply, const char *code, const char *message);

/* Answers with two results: a JSON value, and a string of any bytes, which are copied. So an image comes
 * with what is known about it: local head, pixels = frame(1). Otherwise as modalua_reply_json. */
MODALUA_API int modalua_reply_json_bytes(modalua_reply *reply, const char *json, const void *bytes,
                                         size_t size);

/* Answers with an object, which the library owns after MODALUA_OK; when the script does not wait for the
 * answer any more, it is destroyed on the thread that answers. MODALUA_E_INVALID as above, for a wrong
 * class, and for NULL. */
MODALUA_API int modalua_reply_object(modalua_reply *reply, const modalua_class *object_class,
                                     void *object);

/* Keeps the reply, to answer it later. Call it inside the function. The caller then owns the reply,
 * and must answer it, even when the run has ended or the runtime is gone. Returns MODALUA_E_INVALID
 * when the reply was kept or answered before, or cannot be kept. */
MODALUA_API int modalua_reply_keep(modalua_reply *reply);

/* ---- the response of the host's transport ----
 *
 * Any thread may call these functions, as long as the host has not ended the response. They return
 * MODALUA_OK; MODALUA_E_CANCELLED when the runtime does not want the response any more, because of a
 * cancel, a timeout or modalua_destroy; MODALUA_E_INVALID for a wrong argument, and in a wrong order.
 * After modalua_response_end and modalua_response_fail the response is gone, whatever they return: no
 * mistake of the host leaves a request that waits. */

/* The head of the answer. headers: lines "Name: value" and NULL, or NULL = none; the library reads
 * Content-Type, Content-Length, Location and Retry-After. status: 200 to 999. A body that is compressed is
 * not decompressed. MODALUA_E_NOMEM: call it again, or let the response fail. */
MODALUA_API int modalua_response_head(modalua_response *response, int status,
                                      const char *const *headers);

/* A piece of the body. It is written to the file of a download at once, by this thread. MODALUA_E_NOMEM
 * or MODALUA_E_FILE: the script gets that failure when the host ends the response. MODALUA_E_INVALID (there
 * was no head, or data is NULL and size is not 0): the answer is broken, as with MODALUA_BROKEN, because a
 * piece of it is missing. */
MODALUA_API int modalua_response_write(modalua_response *response, const void *data, size_t size);

/* Reads the next piece of a request's body that is a file. Returns the number of bytes, 0 at the end,
 * or less than 0 for a failure, as modalua_response_write does. With size 0 it only says whether the
 * response is still wanted; `into` may then be NULL. */
MODALUA_API long modalua_response_read(modalua_response *response, void *into, size_t size);

/* The answer is complete. A body that is shorter than its Content-Length, and not compressed, is a broken
 * answer all the same; so is an answer without a head, and MODALUA_E_INVALID says so. */
MODALUA_API int modalua_response_end(modalua_response *response);

/* The request has failed. failure: enum modalua_failure; another number counts as MODALUA_BROKEN. message: for
 * the script's error; NULL = a general text. */
MODALUA_API int modalua_response_fail(modalua_response *response, int failure, const char *message);

/* ---- in a lua_State of the host ----
 *
 * Opens the module "modalua". Call luaL_requiref(L, "modalua", luaopen_modalua, 0) in a program
 * that has a Lua 5.4: liblua5.4.so, or liblua5.4.a with its symbols exported. The module uses that
 * Lua; without one the function returns nothing. There are no limits and no sandbox; the module sets
 * no global and no hook. An operation blocks; in a task of modalua.task, the other tasks go on
 * meanwhile. */
struct lua_State;
MODALUA_API int luaopen_modalua(struct lua_State *L);

/* ---- texts ---- */

/* A text for a status. Static. */
MODALUA_API const char *modalua_strerror(int status);

/* The version of the library, "0.1.0"; compare it with MODALUA_VERSION. Static. */
MODALUA_API const char *modalua_version(void);

/* The same as a number; compare it with MODALUA_VERSION_NUMBER. */
MODALUA_API int modalua_version_number(void);

#ifdef __cplusplus
}
#endif

#endif
