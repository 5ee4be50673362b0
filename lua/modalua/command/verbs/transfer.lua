-- command.verbs.transfer: the commands of `modalua transfer`, with their arguments. transfer.verb carries them out.
local require = ...
local search = require "command.search"
local session = require "command.session"

-- ---- arguments ----

local LEDGER = { "argument", name = "LEDGER", argname = "LEDGER", target = "ledger",
  description = "the transfer's ledger: a file, or postgresql://HOST/DATABASE#NAME, which several machines can share" }
local JSON = { "flag", name = "--json", description = "one JSON document on standard output" }

local function any_number(unit)
  return function(text)
    local n = tonumber(text)
    if not n or n ~= n or n < 0 then
      return nil, ("a number%s, 0 or more, is expected, not '%s'"):format(unit, text)
    end
    return n
  end
end

local function whole_number(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 0 then
    return nil, ("a whole number, 0 or more, is expected, not '%s'"):format(text)
  end
  return n
end

local positive = session.positive_integer ""

-- What `set` can change while a transfer runs. transfer.transfer checks the values of the others.
local SETTINGS = {
  { "option", name = "--concurrency", argname = "N", convert = positive,
    description = "how many items are sent at once, by all workers together (default: 1)" },
  { "option", name = "--hours", argname = "HOURS",
    description = "when it searches and sends, such as \"Mon-Fri 19:00-06:00, Sat-Sun\" (default: always)" },
  { "option", name = "--rate", argname = "RATE", description = "at most so many studies or images, such as 40/min or \"600 images/min\"" },
  { "option", name = "--share", argname = "X", convert = any_number "",
    description = "the part of the time in which data is sent: with 0.5, a rest as long as the sending before it" },
  { "option", name = "--gap", argname = "SECONDS", convert = any_number " of seconds", description = "a pause after each item" },
  { "option", name = "--verify", argname = "HOW", complete = { "count", "uids", "job" },
    description = "how arrivals are proven: count (numbers of images), uids (each image) or job (the sender is believed)" },
  { "option", name = "--retries", argname = "N", convert = whole_number,
    description = "further tries of an item that has failed (default: 3)" },
}

local RUN = {
  LEDGER,
  search.tags,
  { "option", name = "--from", argname = "NAME", complete = "modality", description = "the modality that sends: its name at the server" },
  { "flag", name = "--from-local", description = "sends what the server itself holds" },
  { "option", name = "--to", argname = "NAME", complete = "modality", description = "the target: a modality's name at the server" },
  { "flag", name = "--to-local", description = "the target is the server itself" },
  { "option", name = "--to-peer", argname = "NAME", description = "the target: a peer's name at the server (only with --from-local)" },
  { "option", name = "--to-aet", argname = "AET", description = "the target: an AE title that only the sending modality knows" },
  { "option", name = "-L --level", argname = "LEVEL", description = "Study or Series: what an item is (default: Study)" },
  { "option", name = "--items", argname = "FILE",
    description = "moves what a list names, instead of a query: a CSV file, or one value a line" },
  { "option", name = "--column", argname = "NAME",
    description = "the column with the values; its header is a DICOM tag. For a list without a header: the tag of its values" },
  { "option", name = "--encoding", argname = "NAME", description = "of the list: utf-8 or latin1 (default: utf-8)" },
  { "option", name = "--several", argname = "HOW", description = "all: when a value of the list names several studies, moves all" },
  { "flag", name = "--add", description = "adds the lines of --items that the list of the ledger does not have yet" },
  { "flag", name = "--all", description = "allows a query without any filter, which moves everything" },
  { "option", name = "--join", argname = "N", convert = positive,
    description = "asks the source for up to N items in one C-MOVE (default: 1)" },
  { "option", name = "--time-zone", argname = "ZONE", description = "of --hours, such as Europe/Vienna (default: the machine's)" },
  { "option", name = "--max-failed", argname = "N", convert = positive,
    description = "pauses when so many items have failed (default: 1000)" },
  { "option", name = "--arrived-at", argname = "SERVER",
    description = "compares what has arrived at this Orthanc, a URL or a profile, over its own interface" },
  { "option", name = "--order", argname = "ORDER", complete = { "newest", "oldest" },
    description = "newest or oldest: which dates come first (default: newest). With oldest, sending begins when everything is found" },
  { "option", name = "--max", argname = "N", convert = positive, description = "sends at most N items in this run" },
  { "option", name = "--limit-results", argname = "N", convert = positive,
    description = "the number of answers at which the source cuts a search, when it is known (default: is found out)" },
  { "flag", name = "--names", description = "keeps the names of patients in the ledger, and shows them" },
  { "flag", name = "-y --yes", description = "sends more than 1000 items without asking" },
  { "flag", name = "-n --dry-run", description = "only finds and compares, also outside of the hours; a later run sends" },
  { "flag", name = "--once", description = "ends when the hours of --hours do" },
  { "option", name = "--log", argname = "FILE", description = "appends a line for each event to a file" },
  { "option", name = "--metrics", argname = "FILE", description = "writes figures in Prometheus' text format, each minute" },
  { "flag", name = "--json", description = "an object for each event, one a line, on standard output" },
}
table.move(SETTINGS, 1, #SETTINGS, #RUN + 1, RUN)

local function settings_of_set()
  return table.move(SETTINGS, 1, #SETTINGS, 2, { LEDGER })
end

local STATE = { "option", name = "--state", argname = "STATE",
  complete = { "todo", "sending", "sent", "done", "present", "failed", "unknown" },
  description = "only items in this state: todo, sending, sent, done, present, failed or unknown" }
local REASON = { "option", name = "--reason", argname = "REASON", description = "only items with this reason" }

-- ---- commands ----

local COMMANDS = {
  {
    name = "run",
    summary = "finds and sends until nothing is left",
    description = "Finds the studies that a query or a list names, sends each one, and compares what has arrived. All is kept in the "
      .. "ledger: after an interruption of any kind, the same command with the ledger alone goes on. A second run on another machine "
      .. "shares the work when the ledger is a PostgreSQL database. The first Ctrl-C or SIGTERM begins nothing new, and finishes what is "
      .. "under way; the second one cancels it. SIGUSR1 prints a line of progress. The exit status is 0 when everything was sent, and the "
      .. "search is proven to be complete; 1 when something failed, is unknown or unproven, or the transfer is paused; 2 for wrong usage; "
      .. "130 when it was interrupted.",
    examples = {
      { "modalua transfer run lung.ledger --from pacs --to archive StudyDate=19950101- --hours \"19:00-06:00\"",
        "all studies since 1995, at night" },
      { "modalua transfer run lung.ledger", "goes on" },
      { "modalua transfer run c.ledger --from pacs --to archive --items cohort.csv --column AccessionNumber", "what a list names" },
      { "modalua transfer run p.ledger --from-local --to-peer research ModalitiesInStudy=CT", "from this Orthanc to another one" },
    },
    is_plain = true,
    arguments = RUN,
  },
  {
    name = "status",
    summary = "shows how far it is",
    description = "Shows the state of a transfer from its ledger, whether it runs or not.",
    examples = { { "modalua transfer status lung.ledger --watch", "again and again, until the transfer has ended" } },
    is_plain = true,
    arguments = { LEDGER, { "flag", name = "--watch", description = "shows it every two seconds, until the transfer has ended" }, JSON },
  },
  {
    name = "pause",
    summary = "begins nothing new, in all its runs",
    description = "Pauses a transfer: its runs finish what is under way, begin nothing new, and wait for `resume`.",
    examples = { { "modalua transfer pause lung.ledger", "from any machine that reaches the ledger" } },
    is_plain = true,
    arguments = { LEDGER },
  },
  {
    name = "resume",
    summary = "ends a pause",
    description = "Ends a pause. Runs that wait go on within five seconds.",
    examples = { { "modalua transfer resume lung.ledger", "ends the pause" } },
    is_plain = true,
    arguments = { LEDGER },
  },
  {
    name = "set",
    summary = "changes its pace, also while it runs",
    description = "Changes settings of a transfer. Runs that are under way follow within five seconds.",
    examples = { { "modalua transfer set lung.ledger --concurrency 4 --hours \"Mon-Sun 20:00-06:00\"", "faster, and earlier" } },
    is_plain = true,
    arguments = settings_of_set(),
  },
  {
    name = "retry",
    summary = "tries again what has failed",
    description = "Puts items that are failed or unknown back to be sent; lines of a list that were not found are looked for again. The "
      .. "next run, or one that is under way, tries them again.",
    examples = { { "modalua transfer retry lung.ledger --reason gone", "only what the source did not have" } },
    is_plain = true,
    arguments = { LEDGER, STATE, REASON },
  },
  {
    name = "add",
    summary = "adds items of a list",
    description = "Adds what a list names to a transfer. The next run, or one that is under way, finds and sends it.",
    examples = { { "modalua transfer add c.ledger more.csv --column AccessionNumber --first", "before everything else" } },
    is_plain = true,
    arguments = {
      LEDGER,
      { "argument", name = "FILE", argname = "FILE", target = "file", description = "the list: a CSV file, or one value a line" },
      { "option", name = "--column", argname = "NAME",
    description = "the column with the values; its header is a DICOM tag. For a list without a header: the tag of its values" },
      { "option", name = "--encoding", argname = "NAME", description = "of the list: utf-8 or latin1 (default: utf-8)" },
      { "flag", name = "--first", description = "sends them before everything else" },
    },
  },
  {
    name = "items",
    summary = "lists its items",
    description = "Lists the items of a transfer with their states.",
    examples = { { "modalua transfer items lung.ledger --state failed --csv >failed.csv", "what has failed, and why" } },
    arguments = { LEDGER, STATE, REASON },
  },
  {
    name = "report",
    summary = "writes a page, or a table",
    description = "Writes a report of a transfer: a page for people, a table for programs, or both.",
    examples = {
      { "modalua transfer report lung.ledger --html lung.html", "a page without scripts, for a browser or a printer" },
      { "modalua transfer report c.ledger --csv result.csv", "a row for each item, or for each line of the list" },
    },
    is_plain = true,
    arguments = {
      LEDGER,
      { "option", name = "--html", argname = "FILE", description = "the page; - is standard output" },
      { "option", name = "--csv", argname = "FILE", description = "the table; - is standard output. For a list, "
        .. "`line` counts its lines without the header" },
    },
  },
  {
    name = "check",
    summary = "checks the ledger itself",
    description = "Counts the items again, compares them with the totals, and runs the database's own check. The exit status is 1 when "
      .. "something is wrong.",
    examples = { { "modalua transfer check lung.ledger", "after a crash of the machine" } },
    is_plain = true,
    arguments = { LEDGER, JSON },
  },
}

-- Each command is a function of transfer.verb.
local function run_command(self)
  local command = self.options.command
  return require("transfer.verb")[command](self, command == "run" and search.read(self, true) or nil)
end

return {
  run = run_command,
  is_plain = true,
  usage = "COMMAND LEDGER [options]",
  summary = "moves any number of studies, night after night",
  description = "Bulk transfer: finds any number of studies and sends them to another place, over days and nights. What is to be done and "
    .. "what has been done is kept in a ledger, so a transfer can be interrupted and goes on where it was.",
  examples = {
    { "modalua transfer run lung.ledger --from pacs --to archive StudyDate=19950101-", "begins a transfer" },
    { "modalua transfer run lung.ledger", "goes on with it" },
    { "modalua transfer status lung.ledger", "how far it is" },
    { "modalua transfer run --help", "all options" },
  },
  arguments = {},
  commands = COMMANDS,
}
