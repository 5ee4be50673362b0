-- The table of figures in README.md beside this file: modalua spec/bench/table.lua FIGURES.tsv [README.md]
-- Prints it, or puts it between the two comments that mark its place in the file.
local ROWS = {
  { "move, delayed ACKs, 1.10.1, retrieve", 100 }, { "move, delayed ACKs, 1.12.7, retrieve", 100 },
  { "move, delayed ACKs, 1.13.0, retrieve", 100 }, { "move, delayed ACKs, 1.10.1, retrieve", 1000 },
  { "move, delayed ACKs, 1.10.1, movescu", 100 }, { "move, TCP_NODELAY, 1.10.1, retrieve", 100 },
  { "move, TCP_NODELAY, 1.12.7, retrieve", 100 }, { "move, TCP_NODELAY, 1.13.0, retrieve", 100 },
  { "move, TCP_NODELAY, 1.13.0, retrieve", 10 }, { "move, TCP_NODELAY, 1.13.0, retrieve", 1000 },
  { "move, TCP_NODELAY, 1.10.1, movescu", 100 },
  { "find, Orthanc as PACS", 1000 }, { "find, Orthanc as PACS, CPU", 1000 }, { "answers, without the C-FIND", 1000 },
  { "find, the server 20 ms away", 1000 }, { "find, a fast modality", 1000 }, { "find, a fast modality", 10000 },
  { "find, a fast modality, CPU", 10000 }, { "memory", 10000 }, { "memory each", 1000 }, { "memory each", 10000 },
  { "find beside curl", 1000 }, { "find CPU beside curl", 1000 }, { "find beside findscu", 1000 }, { "find CPU beside findscu", 1000 },
  { "echo 8", 1000 }, { "echo 16", 1000 }, { "echo 1", 100 }, { "echo 1, curl", 1000 },
  { "dead", 8 }, { "dead, others", 8 }, { "dead", 16 }, { "dead, others", 16 },
  { "switch", 1 }, { "switch", 1000 }, { "live tasks", 10000 },
  { "first prompt" }, { "completion of a modality among 1,000" }, { "first completion of a tag" },
  { "start wall" }, { "start peak memory" }, { "json.decode", 1000 },
  { "create" }, { "create sandbox" }, { "cancel move 1.10.1" }, { "cancel move 1.10.1, slowest" },
  { "cancel move 1.13.0" }, { "cancel move 1.13.0, slowest" }, { "cancel spin" }, { "cancel spin, slowest" },
  { "cancel hold" }, { "cancel hold, slowest" },
  { "transfer, moves", 2000 }, { "transfer, ledger", 2000 }, { "transfer, finds", 2000 }, { "transfer, join", 100 },
  { "transfer, list 1.10.1", 100 }, { "transfer, list 1.12.7", 100 }, { "transfer, list 1.13.0", 100 },
  { "transfer, postgresql", 2000 }, { "transfer, claim", 1000000 }, { "transfer, status", 1000000 }, { "transfer, memory", 100000 },
  { "plugin, receiver", 1000 }, { "plugin, own Lua", 1000 }, { "plugin, events", 200 },
  { "plugin, burst", 10000 }, { "plugin, misbehaving", 300 },
}

local function figures(path)
  local by_key = {}
  for line in io.lines(path) do
    local fields = {}
    for field in (line .. "\t"):gmatch "([^\t]*)\t" do
      fields[#fields + 1] = field
    end
    by_key[fields[1] .. "\t" .. fields[2]] = fields
  end
  return by_key
end

local function row(fields)
  local _, _, what, ours, beside, theirs, ratio, goal, verdict = table.unpack(fields)
  return ("| %s | %s | %s | %s | %s |"):format(what:match "^%s*(.*)", ours, theirs ~= "" and theirs .. ": " .. beside or "", ratio,
    goal .. (verdict == "NOT reached" and ": **not reached**" or ""))
end

local by_key = figures(arg[1])
local lines = { "| | modalua | beside | ratio | goal |", "|---|---|---|---|---|" }
for _, key in ipairs(ROWS) do
  local fields = by_key[key[1] .. "\t" .. (key[2] or "")]
  lines[#lines + 1] = fields and row(fields)
end
local text = table.concat(lines, "\n") .. "\n"
if not arg[2] then
  io.write(text)
  os.exit()
end

local file = assert(io.open(arg[2]))
local page = file:read "a"
file:close()
local before, after = page:match "^(.*<!%-%- figures %-%->\n).-(<!%-%- end of figures %-%->\n.*)$"
assert(before, arg[2] .. " has no place for the figures")
file = assert(io.open(arg[2], "w"))
assert(file:write(before, text, after))
assert(file:close())
