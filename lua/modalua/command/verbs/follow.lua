-- command.verbs.follow: prints what happens on the server, as JSON lines.
local require = ...
local json = require "modalua.json"
local letters = require "text.letters"

local function whole_number(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 0 then
    return nil, ("the Seq of a change is expected, 0 or more, not '%s'"):format(text)
  end
  return n
end

local function run_follow(self)
  local options = self.options
  self:must(self:client():system()) -- a server that cannot be reached now is an error; one that is gone later is waited for
  local types = options.type[1] and options.type or nil
  for change in self:client():changes { follow = not options.once, since = options.since, type = types } do
    local text = json.encode(change)
    io.write(self.terminal.output and letters.shown(text, "json") or text, "\n")
    io.flush()
  end
  return true
end

return {
  run = run_follow,
  is_plain = true,
  usage = "[--since SEQ] [--type TYPE]",
  summary = "prints changes on the server as they happen",
  description = "Prints what happens on the server (GET /changes), a JSON object in each line: Seq, ChangeType, ResourceType, ID, Date. "
    .. "It begins with what happens from now on, and ends with Ctrl-C.",
  examples = {
    { "modalua follow --type StableStudy | jq -r --unbuffered .ID", "the identifier of each study that is complete" },
    { "modalua follow --since 0 --once", "everything up to now" },
  },
  arguments = {
    { "option", name = "--since", argname = "SEQ", convert = whole_number, description = "begins after the change with this Seq" },
    { "option", name = "--type", argname = "TYPE", count = "*", complete = { "NewStudy", "StableStudy", "StableSeries", "StablePatient",
      "NewInstance" }, description = "only changes of this ChangeType; may be given several times" },
    { "flag", name = "--once", description = "ends at the last change; without --since it begins at the first" },
  },
}
