/* modalua.h - run Lua scripts that talk to DICOM modalities through an Orthanc server.
 *
 * A runtime is one Lua state with its own connections and its own tasks. A host makes one, runs
 * scripts in it, one at a time, and destroys it:
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
 *     }
 *
 * BLOCKING. modalua_run_string, modalua_run_file and modalua_call block until the script has ended,
 * modalua_step for as long as it is told, modalua_destroy until a run that is under way has been
 * ended. Everything else returns at once.
 *
 * THREADS. A runtime may be used by any thread, but by one at a time. Some functions may be called
 * at any moment from any thread, provided modalua_destroy has not been called: modalua_cancel (from
 * signal handlers too), modalua_overdue, and, for a reply that was kept, modalua_reply_* (even after
 * modalua_destroy). Different runtimes are independent. Callbacks run on the thread that drives the
 * runtime, inside the call that drives it.
 *
 * RE-ENTRY. While a call on a runtime works, from its own callbacks too, another one on the same
 * runtime is MODALUA_E_BUSY; modalua_cancel, modalua_overdue, modalua_reply_* and modalua_last_error
 * are not. Callbacks must return: no longjmp, no C++ exception may leave one.
 *
 * NULL. Without a runtime, functions that return a status return MODALUA_E_INVALID, and the others
 * do nothing and return 0, "" or NULL (modalua_overdue -HUGE_VAL, modalua_last_error_json "{}").
 *
 * OWNERSHIP. What goes in is copied, if it is needed after the call. Strings that come out belong to
 * the runtime, and are valid as long as their function says.
 *
 * ENVIRONMENT. The library never calls exit, abort, setlocale or signal, writes nothing that the
 * host did not ask for, and reads no file of settings unless config_file names one, and the
 * environment only with MODALUA_ENVIRONMENT. While it works for the host, the calling thread's
 * locale is "C" (uselocale), whatever LC_NUMERIC the host has set, and, inside libcurl, its signals
 * are blocked; both are put back. Callbacks run under the "C" locale, too. Do not fork while a run is
 * under way. libcurl's global
 * initialisation happens once, at the first connect, thread-safely; curl_global_cleanup is left to
 * the host. The library is linked to liblua5.4.so: a program must not hold a second copy of Lua
 * (liblua5.4.a) beside it.
 *
 * SCRIPTS see the whole Lua standard library, and `require "modalua"`, unless MODALUA_SANDBOX says
 * otherwise. os.exit ends the run, not the process. Whatever was started by a script has ended when
 * its run ends: no task and no request outlives it. What it has changed stays for the next run:
 * globals, the library's tables, modules. Scripts that do not trust one another get a runtime each.
 *
 * TRUST. Scripts are trusted not to attack the C code, but they may loop, leak, and with
 * MODALUA_SANDBOX they reach no files, processes or other servers. Limits end a script at its next
 * Lua instruction: a pcall cannot hold a kill, <close> variables have 0.05 s (the debug library,
 * which a sandbox has not, can get around it). What no limit can end is one long call of a C
 * function of the standard library: a pattern that backtracks
 * (("a"):rep(30):find(("a?"):rep(30) .. ("a"):rep(30))), a sort of millions, a table.move without an
 * end. modalua_overdue tells a host's own watchdog that a kill has not landed; all it can do then is
 * end the process. For hostile code use a process of its own, with rlimits.
 *
 * Version numbers: until 1.0 a new MINOR may change the interface; CHANGELOG.md says what.
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

#if defined(__GNUC__)
#define MODALUA_API __attribute__((visibility("default")))
#else
#define MODALUA_API
#endif

typedef struct modalua_runtime modalua_runtime;

/* What functions return: 0 or more is good, less is not, but for MODALUA_EXIT, which is what its
 * code says. */
enum modalua_status {
    MODALUA_OK = 0,
    MODALUA_WORKING = 1,      /* modalua_step: the run goes on */
    MODALUA_E_NOMEM = -1,     /* out of memory, or beyond memory_limit */
    MODALUA_E_SYNTAX = -2,    /* the script does not compile */
    MODALUA_E_SCRIPT = -3,    /* the script ended in an error */
    MODALUA_E_FILE = -4,      /* the script cannot be read */
    MODALUA_E_BUSY = -5,      /* a run is under way, or the call came from inside one */
    MODALUA_E_CANCELLED = -6, /* modalua_cancel ended the run */
    MODALUA_E_LIMIT = -7,     /* run_seconds or burst_seconds ended it */
    MODALUA_E_INVALID = -8,   /* an argument that cannot be */
    MODALUA_E_SYSTEM = -9,    /* the system refused something: descriptors, threads */
    MODALUA_EXIT = -10        /* the script called os.exit: modalua_exit_code has the code */
};

/* Takes a text, which is not NUL-terminated. */
typedef void (*modalua_write_fn)(void *user, const char *text, size_t size);

/* As a lua_Alloc: new_size 0 frees; old_size is the block's size, or means nothing when block is
 * NULL. NULL = failed, which a shrink must not. */
typedef void *(*modalua_alloc_fn)(void *user, void *block, size_t old_size, size_t new_size);

/* Called once when a run has ended, on the thread whose modalua_step ended it, with the status that
 * this step returns. It may start the next run, or destroy the runtime. */
typedef void (*modalua_done_fn)(void *user, modalua_runtime *rt, int status);

/* The answer to a call of modalua_function or modalua_search_fn. */
typedef struct modalua_reply modalua_reply;

/* A function of the host's, as scripts call it: modalua_register. `arguments` is a JSON array of
 * what the script has passed, nil as null, valid during the call. It answers with modalua_reply_*,
 * or with nothing; or keeps the reply, and answers later. It is not called for what is no JSON: a
 * function or an array with holes throws in the script, NaN or bytes that are not UTF-8 give it nil
 * and an error of kind "refused". */
typedef void (*modalua_function)(void *user, const char *arguments, modalua_reply *reply);

/* Looks for the module that a script requires: answers modalua_reply_text with its Lua source,
 * modalua_reply_error when there is one and it cannot be had, which ends the search, or nothing when
 * it knows none. Asked once a name, and again when it had none; the name is whatever the script says.
 * The reply cannot be kept. */
typedef void (*modalua_search_fn)(void *user, const char *name, modalua_reply *reply);

enum modalua_flags {
    MODALUA_NO_GLOBAL_INIT = 1, /* the host has called curl_global_init itself */
    MODALUA_NO_HOOK = 2,        /* Lua at full speed (twice as fast), and finalizers (__gc): from
                                   another thread, a run can then only be stopped while it waits */
    MODALUA_ENVIRONMENT = 4,    /* LUA_PATH, LUA_CPATH and http_proxy with its kin may be read */
    MODALUA_SANDBOX = 8         /* no io, debug, package, dofile, loadfile, collectgarbage,
                                   string.dump or bytecode, and of os clock, date, difftime and time;
                                   `require` finds modalua's own modules and those of `search`;
                                   connections only to `url` (or the profile's) and `servers`, with
                                   neither ca, cert, key, insecure, proxy nor profile of the script's;
                                   nothing of the server's settings is changed. Has the hook, and no
                                   finalizers */
};

/* What a runtime is made from. Set it up with modalua_config_init; zero and NULL are the defaults.
 * Strings are copied. */
/* clang-format off */
typedef struct modalua_config {
    size_t struct_size;        /* set by modalua_config_init; fields are only ever appended, and one
                                  that this library does not know must be zero */
    /* limits */
    size_t memory_limit;       /* bytes of Lua heap and answers; 0 = none */
    double run_seconds;        /* wall clock of one run; 0 = no limit */
    double burst_seconds;      /* Lua time between two waits; 0 = no limit */
    double grace_seconds;      /* from a cancel to the kill; 0 = 5 */
    unsigned max_inflight;     /* transfers at once over all servers; 0 = each server's own limit
                                  alone (8) */
    unsigned flags;            /* enum modalua_flags */
    /* callbacks */
    modalua_write_fn write;    /* where print goes; NULL = nowhere */
    modalua_write_fn log;      /* a line (without newline) for each HTTP request; NULL = none */
    modalua_write_fn warn;     /* what scripts pass to warn, in pieces, while warnings are on; NULL =
                                  nowhere */
    void *user;                /* passed to write, log, warn, progress and search */
    modalua_alloc_fn alloc;    /* NULL = realloc and free */
    void *alloc_user;
    /* where modules and servers are */
    const char *module_path;   /* Lua templates put in front of package.path, from which relative
                                  ones are removed */
    const char *url;           /* the server of modalua.connect() without a URL; NULL =
                                  http://localhost:8042 */
    const char *username;      /* credentials for that server, and for no other */
    const char *password;
    const char *token;
    modalua_write_fn progress; /* the bar of an operation with progress = true: a line to show in
                                  place of the last one, size 0 when it is over; NULL = nobody sees
                                  it. For numbers, a registered function: progress = function(p)
                                  f(p) end */
    const char *config_file;   /* where scripts' servers have names (profiles) and, when url is NULL,
                                  modalua.connect() finds its own; NULL = nowhere. Read at connect */
    const char *profile;       /* the server in it that modalua.connect() means; NULL = its
                                  `default`; not beside url */
    const char *servers;       /* in a sandbox, where scripts may connect to beside their default:
                                  URLs with blanks between them, each for itself and what is below
                                  its path; NULL = nowhere. Without a url (or profile) there is no
                                  default, not even localhost */
    modalua_search_fn search;  /* where modules come from that are not modalua's own, before any
                                  file; in a sandbox from nowhere else. NULL = the host has none */
} modalua_config;
/* clang-format on */

/* Fills in the defaults. */
MODALUA_API void modalua_config_init(modalua_config *config);

/* What is wrong with a config, in words that name the field; NULL = nothing (of a NULL config, too).
 * Static. */
MODALUA_API const char *modalua_config_fault(const modalua_config *config);

/* Makes a runtime, which the caller owns. config NULL = the defaults. No I/O: whether url, servers
 * and config_file are any good is seen at connect. On failure *out is NULL: MODALUA_E_INVALID for
 * what modalua_config_fault tells, MODALUA_E_NOMEM, MODALUA_E_SYSTEM. */
MODALUA_API int modalua_create(modalua_runtime **out, const modalua_config *config);

/* Ends a run that is under way (its <close> variables run, its last requests get no time, its done
 * callback is not called) and frees everything. NULL is fine. Does nothing from inside a run, where
 * it must not be called. */
MODALUA_API void modalua_destroy(modalua_runtime *rt);

/* Sets the global table `arg` as lua does: argv[script] becomes arg[0], what follows 1, 2, …, what
 * comes before -1, -2, …. script is at most argc. Does not block. MODALUA_E_BUSY inside a run;
 * MODALUA_E_INVALID without a runtime. */
MODALUA_API int modalua_set_arg(modalua_runtime *rt, int argc, const char *const *argv, int script);

/* Start a run and return at once; modalua_step then moves it on. None of the arguments is needed
 * afterwards. `done` may be NULL. MODALUA_E_BUSY while another run is under way; a script that does
 * not compile is reported here, and done is not called.
 *   name      as luaL_loadbuffer has it: "=name" or "@file"
 *   path      NULL = standard input; a first line that begins with '#' is skipped
 *   argv      the script's `...`
 *   function  a global's name or a path such as "module.f" (the module is required)
 *   json_in   one JSON value, the function's argument, or NULL for none */
MODALUA_API int modalua_start_string(modalua_runtime *rt, const char *name, const char *source,
                                     size_t size, modalua_done_fn done, void *user);
MODALUA_API int modalua_start_file(modalua_runtime *rt, const char *path, int argc,
                                   const char *const *argv, modalua_done_fn done, void *user);
MODALUA_API int modalua_start_call(modalua_runtime *rt, const char *function, const char *json_in,
                                   modalua_done_fn done, void *user);

/* Moves the run on: runs what is ready, waits at most max_wait_ms for the network (0 = not at all,
 * negative = until something happens, a second at most), and returns MODALUA_WORKING while the run
 * goes on. The step that ends it returns how it ended, once; without a run it is MODALUA_OK. What
 * the script does between two waits is not cut short by max_wait_ms. */
MODALUA_API int modalua_step(modalua_runtime *rt, int max_wait_ms);

/* For a host with a loop of its own: fills `fds`, an array for poll(2), with the at most `count`
 * descriptors that the run under way waits for, and sets *timeout_ms to how long it can wait for
 * them. When one of them is ready, or that time is over, the run wants its modalua_step(rt, 0). The
 * descriptors hold until then; they are the library's, and must be left alone. Returns how many it
 * has filled in; what there is no room for is looked after by a short timeout. Without a run 0, and
 * *timeout_ms is -1; less than 0 for an error, and *timeout_ms is -1, too. Does not block. */
struct pollfd;
MODALUA_API int modalua_fds(modalua_runtime *rt, struct pollfd *fds, int count, int *timeout_ms);

/* Start and step until the end. Block. Return MODALUA_OK, MODALUA_EXIT or an error. json_out (may
 * be NULL) receives the function's first result as JSON text, valid until the next call that starts a
 * run, or NULL when there is none. */
MODALUA_API int modalua_run_string(modalua_runtime *rt, const char *name, const char *source,
                                   size_t size);
MODALUA_API int modalua_run_file(modalua_runtime *rt, const char *path, int argc,
                                 const char *const *argv);
MODALUA_API int modalua_call(modalua_runtime *rt, const char *function, const char *json_in,
                             const char **json_out);

/* What modalua_call's json_out would be, for a modalua_start_call that has ended. Valid until the
 * next call that starts a run; NULL when there is none, and when it has not ended with MODALUA_OK. */
MODALUA_API const char *modalua_result(const modalua_runtime *rt);

/* Asks the run under way to end: the first call throws an error of kind "cancelled" into every task
 * (their <close> variables run), the second one, or the end of grace_seconds, ends them whatever
 * they do. Any thread, any time, and signal handlers; not after modalua_destroy has been called.
 * Without a run it has no effect. A script that never waits notices it when the runtime has its
 * hook (see MODALUA_NO_HOOK), or when the call comes from a signal handler on the thread that runs
 * the script. NULL is fine. */
MODALUA_API void modalua_cancel(modalua_runtime *rt);

/* How long ago the run under way should have ended, in seconds: since its run_seconds or
 * burst_seconds were over, or since grace_seconds after the first modalua_cancel, or since the
 * second one. Negative until then; -HUGE_VAL without a run, or when nothing is asked of it. More
 * than a second means that the script sits in a call that cannot be stopped (see TRUST). Any thread,
 * any time; not after modalua_destroy has been called. */
MODALUA_API double modalua_overdue(const modalua_runtime *rt);

/* How many transfers (moves, gets, stores) of the run under way the server works on. Between two
 * steps, on the thread that drives the runtime; 0 without a run. */
MODALUA_API int modalua_transfers(const modalua_runtime *rt);

/* Ends the run as the first modalua_cancel does, but what its transfers have begun on the server
 * goes on there (client:jobs() shows it): task:detach() for all tasks. Between two steps, on the
 * thread that drives the runtime. Without a run it has no effect. NULL is fine. */
MODALUA_API void modalua_detach(modalua_runtime *rt);

/* The code given to os.exit by the run that ended with MODALUA_EXIT; 0 otherwise. */
MODALUA_API int modalua_exit_code(const modalua_runtime *rt);

/* What went wrong in the last call that failed, but for MODALUA_E_BUSY, which leaves it alone:
 * message and traceback. "" when nothing has, or a run has been started since. Never NULL; valid
 * until the next call on rt that may fail. */
MODALUA_API const char *modalua_last_error(const modalua_runtime *rt);

/* The same as a JSON object: "modalua_status" (a number of enum modalua_status), "message",
 * "traceback" when there is one, and "kind": "script", "syntax", "file", "memory", "limit",
 * "cancelled", "exit" or "invalid"; or that of the error object that the run ended in, all of whose
 * fields are there then: "code", "op", "method", "path", "where", "status" (HTTP's), "dimse_status",
 * "details", … Never NULL: "{}" when nothing has failed. Valid as modalua_last_error's. */
MODALUA_API const char *modalua_last_error_json(const modalua_runtime *rt);

/* ---- what a host and its scripts share ----
 *
 * Names are a global's, "limit", or a path of fields, "viewer.limit", whose tables are made when
 * they are missing; MODALUA_E_INVALID for one that is no name, or goes through what is no table.
 * Between runs, and between the steps of one. */

/* Sets a global to a JSON value; null, and NULL, take it away. MODALUA_E_SCRIPT when it is not
 * JSON. */
MODALUA_API int modalua_set_global(modalua_runtime *rt, const char *name, const char *json);

/* *json_out becomes the value of a global, or NULL when there is none or the call fails; valid
 * until the next modalua_get_global on rt. MODALUA_E_SCRIPT when it cannot be JSON (a function, a
 * cycle). */
MODALUA_API int modalua_get_global(modalua_runtime *rt, const char *name, const char **json_out);

/* Sets a global to a function that calls the host's; NULL takes it away. It may be called from any
 * task and any place, and returns what was replied; while a reply is kept, its task waits and the
 * others go on. `user` is passed to it. */
MODALUA_API int modalua_register(modalua_runtime *rt, const char *name, modalua_function function,
                                 void *user);

/* Answer: one JSON value (null is nil), a string of bytes, or nil and an error object of kind "host"
 * with that code (NULL = none) and message. Once: of a reply that was not kept, before its function
 * returns, and another answer is MODALUA_E_INVALID; of one that was kept, from any thread, and after
 * a MODALUA_OK the reply is gone. MODALUA_E_INVALID for what is not JSON, MODALUA_E_NOMEM: nothing
 * has been answered, and the script still waits for a reply that was kept. */
MODALUA_API int modalua_reply_json(modalua_reply *reply, const char *json);
MODALUA_API int modalua_reply_text(modalua_reply *reply, const char *text, size_t size);
MODALUA_API int modalua_reply_error(modalua_reply *reply, const char *code, const char *message);

/* Inside the function: the answer will come later. It must come, even if the run has ended or the
 * runtime is gone: until then the reply is the caller's. MODALUA_E_INVALID when it has been kept or
 * answered already. */
MODALUA_API int modalua_reply_keep(modalua_reply *reply);

/* ---- in a state of the host's own ----
 *
 * The module "modalua", for luaL_requiref(L, "modalua", luaopen_modalua, 0) in a program that is
 * linked to liblua5.4.so itself. No limits, no sandbox; it sets no global and no hook. Operations
 * block, except in the tasks of modalua.task, beside one another. */
struct lua_State;
MODALUA_API int luaopen_modalua(struct lua_State *L);

/* ---- words ---- */

/* A status in words. Static. */
MODALUA_API const char *modalua_strerror(int status);

/* The library's version, "0.1.0"; compare with MODALUA_VERSION. Static. */
MODALUA_API const char *modalua_version(void);

#ifdef __cplusplus
}
#endif

#endif
