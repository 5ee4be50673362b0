-- command.verbs.manual: writes the manual page from the option table of the command, the arguments of the verbs and the descriptor rows of
-- the functions.
local require = ...
local help = require "prompt.help"
local modalua = require "modalua"
local verbs = require "command.verbs"

-- Escapes a text for troff: backslashes and hyphens, and a dot or a quote at the start of a line, which would make the line a request.
local function troff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n", "\n\\&"):gsub("^[.']", "\\&%0"))
end

local function bold(text)
  return "\\fB" .. troff(text) .. "\\fR"
end

local function tagged(head, text)
  return (".TP\n%s\n%s\n"):format(head, troff(text))
end

-- The head of an argument's paragraph: "-L, --level LEVEL".
local function head_of(row)
  if row[1] == "argument" then
    return bold(row.name)
  end
  return bold(row.name:gsub(" ", ", ")) .. (row.argname and " " .. troff(row.argname) or "")
end

local function add_verb(add, name, verb)
  local arguments = {}
  for i, row in ipairs(verb.arguments) do
    local argument = row[1] == "argument" and troff(row.name) .. (row.args and "…" or "")
    arguments[i] = argument and (row.args and "[" .. argument .. "]" or argument) or ""
  end
  add((".SS %s\n%s [options] %s\n.PP\n%s\n"):format(name, bold("modalua " .. name), table.concat(arguments, " "),
    troff(verb.description)))
  for _, row in ipairs(verb.arguments) do
    add(tagged(head_of(row), row.description .. "."))
  end
  for _, example in ipairs(verb.examples) do
    add((".PP\n.EX\n%s\n.EE\n.RS\n%s\n.RE\n"):format(troff(example[1]), troff(example[2] .. ".")))
  end
end

-- Each command of a verb has a section of its own, as a verb has.
local function add_commands(add, name, verb)
  for _, command in ipairs(verb.commands or {}) do
    add_verb(add, name .. " " .. command.name, command)
  end
end

local function add_function(add, row)
  add(tagged(bold(row.signature), row.help))
  add ".RS\n"
  for _, option in ipairs(row.options or {}) do
    add(tagged(bold(option.name) .. (option.type and " (" .. option.type .. ")" or ""), option.help .. "."))
  end
  add((".PP\n.EX\n%s\n.EE\n.RE\n"):format(troff(row.example or "")))
end

local function add_functions(add)
  add((".PP\n%s\n.PP\n.EX\n%s\n.EE\n"):format(troff("The examples use these variables, at the prompt of modalua playground or in a "
    .. "script. clinic is another Orthanc, and image.dcm is a DICOM file:"), troff(help.context)))
  for _, section in ipairs(help.sections()) do
    add((".SS %s\n"):format(section.name))
    for _, entry in ipairs(section.entries) do
      add_function(add, entry.row)
    end
  end
end

-- The verbs that do not take verbs.COMMON, for the manual: "api, manual and version".
local function plain_names(names)
  local plain = {}
  for _, name in ipairs(names) do
    local verb = verbs.load(name)
    plain[#plain + 1] = verb.is_plain and not verb.commands and name or nil
  end
  local last = table.remove(plain)
  return table.concat(plain, ", ") .. " and " .. last
end

-- The text of the manual page. `about`: the command's own { options =, environment = variables, verbs = their names }.
local function manual_page(about)
  local parts = {}
  local function add(text)
    parts[#parts + 1] = text
  end
  add((".TH MODALUA 1 \"\" \"modalua %s\" \"User Commands\"\n"):format(modalua.version))
  add(".SH NAME\nmodalua \\- Lua scripts and verbs that talk to DICOM modalities through an Orthanc server\n")
  add ".SH SYNOPSIS\n\\fBmodalua\\fR [options] [script [args]]\n.br\n\\fBmodalua\\fR [options] verb [args]\n.br\n"
  add "\\fBmodalua\\fR [options] \\fBplayground\\fR [script [args] | verb [args]]\n"
  add(".SH DESCRIPTION\n" .. troff("Without a verb, modalua behaves as lua does, and scripts can require the module modalua. A verb is "
    .. "preferred to a file of the same name: ./find is the file. With playground, modalua starts three Orthanc servers and works on "
    .. "them.") .. "\n")
  add ".SH OPTIONS\n"
  for _, option in ipairs(about.options) do
    add(tagged(bold(option.name), option.help .. (option.anywhere and "; it may follow a verb, too." or ".")))
  end
  add(".SH VERBS\n" .. troff("Data goes to standard output: on a terminal as a table, elsewhere as lines with tabs between the cells, in "
    .. "which control characters are escaped. Errors and notes go to standard error. Every verb takes -h and --help. All verbs but "
    .. plain_names(about.verbs) .. " take these options, too (of transfer, only its command items):") .. "\n")
  for _, row in ipairs(verbs.COMMON) do
    add(tagged(head_of(row), row.description .. "."))
  end
  for _, name in ipairs(about.verbs) do
    add_verb(add, name, verbs.load(name))
    add_commands(add, name, verbs.load(name))
  end
  add(".SH EXIT STATUS\n" .. tagged("0", "success.") .. tagged("1", "an operation or a script failed.") .. tagged("2", "wrong usage.")
    .. tagged("130", "interrupted.") .. tagged("141", "the reader of a pipe has gone before the end of the output."))
  add ".SH ENVIRONMENT\n"
  for _, variable in ipairs(about.environment) do
    add(tagged(bold(variable.name), variable.help .. "."))
  end
  add(tagged(bold "NO_COLOR", "modalua uses no colours when this is set and not empty.")
    .. tagged(bold "MODALUA_ORTHANC", "the playground's Orthanc.")
    .. tagged(bold "SSL_CERT_FILE", "the certificates, when MODALUA_CA and --ca give none.")
    .. tagged(bold "MODALUA_HISTORY", "the file of the prompt's history; empty: none.")
    .. tagged(bold "LUA_INIT", "runs before a script or a prompt, as in lua; not before verbs, and not with --sandbox.")
    .. tagged(bold "PAGER", "shows what does not fit on the terminal (less when it is not set; empty: no pager).")
    .. tagged(bold "MODALUA_TODAY", "the day, such as 2024-01-31, from which verbs count today, yesterday and -7d."))
  add(".SH FILES\n" .. tagged("$XDG_CONFIG_HOME/modalua/config.lua, ~/.config/modalua/config.lua", "the servers that --profile names, and "
    .. "the default one.")
    .. tagged("init.lua, beside it", "runs when a prompt starts.")
    .. tagged("$XDG_STATE_HOME/modalua/history, ~/.local/state/modalua/history", "the history of the prompt."))
  add ".SH FUNCTIONS\n"
  add_functions(add)
  return table.concat(parts)
end

local function run_manual(self)
  print((manual_page(self.terminal):gsub("\n$", "")))
  return true
end

return {
  run = run_manual,
  is_plain = true,
  usage = "",
  summary = "writes the manual page: modalua manual | man -l -",
  description = "Writes the manual page.",
  examples = { { "modalua manual | man -l -", "shows the manual page" } },
  arguments = {},
}
