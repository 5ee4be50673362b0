-- Writes lua/README.md from the descriptor rows of the public functions:
--
--   build/release/bin/modalua lua/reference.lua > lua/README.md
local help = require "modalua.help"

local SECTIONS = {
  modalua = { "modalua", '`modalua = require "modalua"`. `modalua.json` and `modalua.task` are the modules below; `modalua.version` is a '
    .. "string." },
  client = { "Client", "One Orthanc server: `orthanc = modalua.connect(url)`." },
  modality = { "Modality", 'A remote modality, by the name that the server has for it: `pacs = orthanc:modality "pacs"`. `pacs.client` is '
    .. "the client, and `pacs.modality` the name." },
  peer = { "Peer", 'Another Orthanc, by the name that the server has for it: `clinic = orthanc:peer "clinic"`. `clinic.client` is the '
    .. "client, and `clinic.peer` the name." },
  found = { "Result of find", "`found = pacs:find { … }`. It has `found.ID`, `found.answers`, and the other fields that the help of "
    .. "`modality:find` lists." },
  query = { "Query", "A query whose answers the server still keeps: `query = orthanc:query(found.ID)`." },
  job = { "Job", "A job of the server: `job = orthanc:job(id)`." },
  commitment = { "Commitment", "A storage commitment: `commitment = pacs:storage_commitment(ids)`." },
  task = { "task", '`task = require "modalua.task"`. The tasks of a script take turns: while one waits for a server, the others '
    .. "run." },
  json = { "json", '`json = require "modalua.json"`. `json.null` is the null of JSON.' },
  transfer = { "transfer", '`transfer = require "modalua.transfer"`: finds and sends at any size, over many nights. A sandboxed script '
    .. "does not have it." },
  doc = { "doc", '`doc = require "modalua.doc"`: the rows from which this page is generated.' },
  arguments = { "arguments", '`arguments = require "modalua.arguments"`: the arguments of a script, with --help and --dry-run.' },
  letters = { "letters", '`letters = require "modalua.letters"`: texts of any writing system on a terminal.' },
  table = { "table", '`tables = require "modalua.table"`: rows as a table, as lines, as CSV.' },
  playground = { "playground", '`playground = require "modalua.playground"`: the servers of `modalua playground`.' },
  samples = { "samples", '`samples = require "modalua.samples"`: the studies of the playground.' },
  evaluate = { "evaluate", '`require "modalua.evaluate"`: a prompt without terminal code, for a C program with a console of its own.' },
  completion = { "completion", '`require "modalua.completion"`: the candidates for TAB, for such a program.' },
  help = { "help", '`require "modalua.help"`: the texts of `help(x)`, for such a program.' },
  time_zone = { "time_zone", '`require "modalua.time_zone"`: the local time of a zone.' },
  printing = { "printing", '`require "modalua.printing"`: values as text, for such a program.' },
}

local HEAD = [[
# The Lua reference

This page lists every public function. At the prompt, `?pacs.find` shows the same text. The page is generated from the descriptor rows of
the functions. After a change of a row, generate it again:

    build/release/bin/modalua lua/reference.lua > lua/README.md

In a signature, `[x]` is optional, and the results stand after `->`. An operation that fails returns `nil, err`. `err.kind` is `network`,
`timeout`, `http`, `auth`, `orthanc`, `dicom`, `decode`, `refused`, `unknown` or `host`; `err.code` is often more precise; `tostring(err)`
is a message of one line. `unknown` means that it is not known whether the work was done, and `err.code` says why: `network`, `timeout`,
`auth`, `http` or `decode` where an answer is missing, `unproven` where a comparison is. A list has its warning as `list.warning`. A wrong
call throws an error, such as a wrong type or an unknown name, and the message says what would be right.
Tables that go to Orthanc have Orthanc's own names (`Level`, `TargetAet`); modalua's own options are `lower_case`.

Each public function has one row. For methods, and for the functions of `modalua`, `json`, `task`, `transfer` and `doc`, the row is in C
(`doc_row` in `src/binding/doc.h`); in the other modules it is a call of `doc.describe` after the function. `spec/doc_spec.lua` and
`spec/examples_spec.lua` check the rows. How the Lua half is built is in [modalua/README.md](modalua/README.md).

The examples use these variables, at the prompt of `modalua playground` or in a script. `clinic` is another Orthanc that the server knows
(the playground has none), and `image.dcm` is a DICOM file:

```lua
%s
```
]]

local function anchor(title)
  return "#" .. title:lower():gsub("[^%w_ ]", ""):gsub(" ", "-")
end

-- Escapes the characters that would begin a tag, an emphasis or a new cell in Markdown.
local function escaped(text)
  return (text:gsub("[<*|]", "\\%0"))
end

local function write_options(row)
  local argument
  for _, option in ipairs(row.options or {}) do
    if option.argument ~= argument then
      argument = option.argument
      print(("\n| `%s` | | |\n|---|---|---|"):format(argument))
    end
    print(("| `%s` | %s | %s |"):format(option.name, option.type or "", escaped(option.help)))
  end
end

print((HEAD:format(help.context)))
local sections = help.sections()
for _, section in ipairs(sections) do
  local names = {}
  for i, entry in ipairs(section.entries) do
    names[i] = "`" .. entry.method .. "`"
  end
  print(("- [%s](%s): %s"):format(SECTIONS[section.name][1], anchor(SECTIONS[section.name][1]), table.concat(names, ", ")))
end
for _, section in ipairs(sections) do
  print(("\n## %s\n\n%s"):format(table.unpack(SECTIONS[section.name])))
  for _, entry in ipairs(section.entries) do
    local row = entry.row
    print(("\n### %s\n\n`%s`\n\n%s"):format(entry.name, row.signature, escaped(row.help)))
    write_options(row)
    print(("\n```lua\n%s\n```"):format(row.example))
  end
end
