#include "api/transfer_functions.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stddef.h>

#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"

/* ---- options ---- */

/* Receives the values of the options below, whose types are checked here; the Lua half reads the table. */
typedef struct checked {
    const char *text;
    unsigned number;
    bool flag;
} checked;

#define TEXT   OPTION_STRING, offsetof(checked, text)
#define COUNT  OPTION_COUNT, offsetof(checked, number)
#define NUMBER OPTION_NUMBER, offsetof(checked, number)
#define FLAG   OPTION_FLAG, offsetof(checked, flag)
#define VALUE  OPTION_VALUE, 0

/* These can be changed while a transfer runs. */
#define SETTINGS                                                                                  \
    { "concurrency", COUNT,                                                                       \
      "sends at once, of the whole transfer, however many workers share it; 1 without it" },      \
        { "hours", TEXT,                                                                          \
          "when to search and to send, such as \"Mon-Fri 19:00-06:00, Sat-Sun\"; always without " \
          "it, and with dry_run. An end that is not after its beginning is on the next day: "     \
          "10:00-10:00 is 24 hours" },                                                            \
        { "rate", TEXT, "at most so fast: \"40/min\" resources, or \"600 images/min\"" },         \
        { "share", VALUE,                                                                         \
          "part of the time in which something is sent, above 0 and up to 1: after d seconds of " \
          "sending, 0.5 adds d seconds of rest" },                                                \
        { "gap", VALUE, "seconds of rest after each send" },                                      \
        { "verify", TEXT,                                                                         \
          "how what has arrived is compared: \"count\" (numbers of images), \"uids\" (each "      \
          "image), or \"job\" (the sender's word; the default for a peer and for TargetAet)" },   \
    {                                                                                             \
        "retries", NUMBER, "further tries of an item that failed; 3 without it"                   \
    }

static const option run_rows[] = {
    { "ledger", TEXT,
      "where the transfer is kept: a path, or postgresql://host/database#name, which several "
      "machines can share; needed" },
    { "from", VALUE,
      "the source: a modality, or a client (what that Orthanc holds); needed for a new ledger" },
    { "to", VALUE,
      "the destination: the name of a modality, a modality, a peer, or a client (the same "
      "Orthanc); "
      "this or TargetAet is needed for a new ledger" },
    { "TargetAet", TEXT, "the destination, by an AE title that only the source knows" },
    { "level", TEXT, "\"Study\" (without it), or \"Series\"" },
    { "query", OPTION_TABLE, 0, "what to transfer: the filters, as in find" },
    { "items", OPTION_TABLE, 0,
      "or a list of rows with identifiers, such as { AccessionNumber = \"1\" }; or { file =, "
      "column =, "
      "encoding = \"utf-8\" }: a CSV file" },
    { "add", FLAG,
      "true: for a ledger that exists, items that its list does not have yet are added to it, and "
      "those that are no longer in items stay; without it, other items are an error" },
    { "all", FLAG, "true: allows a query without any filter" },
    SETTINGS,
    { "time_zone", TEXT,
      "time zone of the hours, such as \"Europe/Vienna\"; the machine's without it" },
    { "join", COUNT,
      "up to so many resources in one C-MOVE; only from a modality, and with a verify other than "
      "\"job\"" },
    { "max_failed", COUNT, "so many failed items pause the transfer; 1000 without it" },
    { "arrived_at", VALUE,
      "the client of the Orthanc that receives, where it can be asked over REST; kept in the "
      "ledger by "
      "its URL or profile, never with a password" },
    { "order", TEXT,
      "\"newest\" (without it) or \"oldest\" dates first; with \"oldest\", "
      "sending begins when everything is found. It cannot be changed later" },
    { "max", COUNT, "sends at most so many in this run" },
    { "limit_results", COUNT,
      "the number of answers above which the source leaves some out, when it is known" },
    { "several", TEXT,
      "\"all\": takes all studies of a listed value that several have; they are refused without "
      "it" },
    { "names", FLAG, "true: keeps and shows the names of patients" },
    { "yes", FLAG, "true: more than 1000 items are right" },
    { "dry_run", FLAG,
      "true: finds and compares only, also outside of the hours; a later run sends" },
    { "once", FLAG, "true: ends when the hours end" },
    { "graceful", FLAG,
      "true: in a script that the command runs, the first Ctrl-C or SIGTERM begins nothing new, "
      "and "
      "the run returns when what is under way has ended; the second one cancels it" },
    { "progress", VALUE,
      "true: lines on standard error; or a function that gets a table for each event" },
    { "log", TEXT, "a file that gets a line for each event" },
    { "metrics", TEXT, "a file in Prometheus' text format, written each minute" },
    OPTIONS_END
};

static const option set_rows[] = { SETTINGS, OPTIONS_END };

static const option retry_rows[] = {
    { "state", TEXT, "\"failed\" or \"unknown\"; both without it" },
    { "reason", TEXT, "only items with this reason, such as \"short\"" },
    OPTIONS_END
};

static const option items_rows[] = { { "state", TEXT,
                                       "\"todo\", \"sending\", \"sent\", \"done\", \"present\", "
                                       "\"failed\" or \"unknown\"; all without "
                                       "it" },
                                     { "reason", TEXT, "only items with this reason" },
                                     OPTIONS_END };

static const option add_rows[] = { { "first", FLAG, "true: they are sent before all others" },
                                   OPTIONS_END };

static const option report_rows[] = {
    { "html", TEXT,
      "a file for the report for people; or a function that is called with its text" },
    { "csv", TEXT,
      "a file with a row for each item, or for each line of the list; or such a function" },
    OPTIONS_END
};

/* ---- checks ---- */

/* Each is called with the arguments first, and throws when they are wrong. */

static void check_ledger(lua_State *L, const char *name)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        error_usage(L,
                    "%s: the ledger must be a path, or postgresql://host/database#name (a %s was "
                    "given)",
                    name, luaL_typename(L, 1));
}

static int transfer_functions_check_run(lua_State *L)
{
    checked values;
    if (!lua_istable(L, 1))
        error_usage(L, "run: options must be a table (a %s was given)", luaL_typename(L, 1));
    options_read(L, 1, "run", run_rows, &values);
    if (lua_getfield(L, 1, "ledger") == LUA_TNIL)
        error_usage(L,
                    "run: option 'ledger' is needed: a path, or postgresql://host/database#name");
    return 0;
}

/* The function `name` with a ledger, and perhaps a table of options at index `options`. */
static int check(lua_State *L, const char *name, int options, const option *rows)
{
    checked values;
    check_ledger(L, name);
    if (options > 0)
        options_read(L, options, name, rows, &values);
    return 0;
}

#define CHECK(name, options, rows)                           \
    static int transfer_functions_check_##name(lua_State *L) \
    {                                                        \
        return check(L, #name, options, rows);               \
    }

CHECK(status, 0, NULL)
CHECK(pause, 0, NULL)
CHECK(resume, 0, NULL)
CHECK(check, 0, NULL)
CHECK(set, 2, set_rows)
CHECK(retry, 2, retry_rows)
CHECK(items, 2, items_rows)
CHECK(add, 3, add_rows)
CHECK(report, 2, report_rows)

/* ---- the rows ---- */

#define IN_LUA(name) .function = transfer_functions_check_##name, .part = "transfer.transfer"

static const doc_row functions[] = {
    { .name = "run",
      IN_LUA(run),
      .signature = "transfer.run(options) -> summary | nil, err",
      .help = "Finds resources and sends them, in any number. All that is done is kept in a "
              "ledger, and the next run goes on there, after an interruption too. The summary is a "
              "table as of transfer.status, and has in_this_run = { done =, present =, failed =, "
              "unknown = } (what this run has ended; items are the totals), text = a line for "
              "people, and finished_before = when the transfer ended, if this run found nothing to "
              "do; err.summary is the same. For a ledger that exists, the ledger is enough.",
      .options = { { "options", run_rows, NULL } },
      .example =
          "print(assert(transfer.run { ledger = \"lung.ledger\", from = pacs, to = \"archive\",\n"
          "  query = { ModalitiesInStudy = \"CT\" } }).items.done)" },
    { .name = "status",
      IN_LUA(status),
      .signature = "transfer.status(ledger) -> status | nil, err",
      .help = "Returns what a ledger says. The table is { state = \"running\", \"waiting\", "
              "\"paused\", \"stopped\" or \"finished\", found =, complete =, unproven =, items = { "
              "todo =, done =, … }, instances =, bytes =, rate =, run_rate =, left =, window =, "
              "waiting = { side =, since =, reason = }, workers =, settings = }.",
      .example = "local status = assert(transfer.status \"lung.ledger\")\n"
                 "print(status.state, status.found, status.items.done)" },
    { .name = "pause",
      IN_LUA(pause),
      .signature = "transfer.pause(ledger) -> true | nil, err",
      .help = "No worker begins anything until transfer.resume. What is under way ends. A worker "
              "sees it "
              "within 5 seconds.",
      .example = "assert(transfer.pause \"lung.ledger\")" },
    { .name = "resume",
      IN_LUA(resume),
      .signature = "transfer.resume(ledger) -> true | nil, err",
      .help = "Ends a pause, also one that too many failures began.",
      .example = "assert(transfer.resume \"lung.ledger\")" },
    { .name = "set",
      IN_LUA(set),
      .signature = "transfer.set(ledger, settings) -> true | nil, err",
      .help = "Changes settings of a transfer. A worker sees them within 5 seconds. \"\" takes "
              "hours or "
              "rate away, and 0 a gap.",
      .options = { { "settings", set_rows, NULL } },
      .example = "assert(transfer.set(\"lung.ledger\", { concurrency = 2, rate = \"40/min\" }))" },
    { .name = "retry",
      IN_LUA(retry),
      .signature = "transfer.retry(ledger [, options]) -> count | nil, err",
      .help = "Lets failed and unknown items be tried again. Lines of a list that were "
              "not found are looked for again. Returns their number.",
      .options = { { "options", retry_rows, NULL } },
      .example = "print(assert(transfer.retry(\"lung.ledger\", { state = \"failed\" })))" },
    { .name = "add",
      IN_LUA(add),
      .signature = "transfer.add(ledger, rows [, options]) -> count | nil, err",
      .help = "Adds items to a transfer. rows is a list of rows with identifiers, such as answers "
              "of find, or { AccessionNumber = \"1\" }, which the next run looks for. Returns the "
              "number of rows that are new.",
      .options = { { "options", add_rows, NULL } },
      .example = "assert(transfer.add(\"lung.ledger\", found.answers, { first = true }))" },
    { .name = "items",
      IN_LUA(items),
      .signature = "transfer.items(ledger [, options]) -> iterator",
      .help = "Iterates over the items. Each is a table with key, patient_id, accession, date, "
              "modality, state, reason, tries, expected, arrived, bytes, seconds, finished, "
              "verified and message. Throws the error when the ledger cannot be read.",
      .options = { { "options", items_rows, NULL } },
      .example = "for item in transfer.items(\"lung.ledger\", { state = \"failed\" }) do\n"
                 "  print(item.key, item.reason, item.message)\n"
                 "end" },
    { .name = "report",
      IN_LUA(report),
      .signature = "transfer.report(ledger, options) -> true | nil, err",
      .help = "Writes a report about a transfer. It has an HTML file for people, and a CSV file.",
      .options = { { "options", report_rows, NULL } },
      .example = "assert(transfer.report(\"lung.ledger\", { html = \"lung.html\", csv = "
                 "\"lung.csv\" }))" },
    { .name = "check",
      IN_LUA(check),
      .signature = "transfer.check(ledger) -> result | nil, err",
      .help = "Checks a ledger. It counts all items, compares that with the totals that the ledger "
              "keeps, and lets the database check itself. Returns { ok = boolean, problems = list "
              "of texts, items = count }.",
      .example = "assert(transfer.check \"lung.ledger\".ok)" },
    { .name = NULL }
};

void transfer_functions_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, functions);
}
