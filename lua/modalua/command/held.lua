-- command.held: how the verbs store and commit name what the server itself holds: identifiers that Orthanc has given, or filters.
local require = ...
local search = require "command.search"

local held = {}

held.words = { "argument", name = "ID|Tag=Value", argname = "ID|Tag=Value", target = "tags", args = "+",
  description = "what the server holds: identifiers that Orthanc has given, or filters that search it, such as PatientID=4711; dates as "
    .. "in find" }

-- The rest of the arguments Tag=Value, and the words that are identifiers.
local function split(words)
  local filters, ids = {}, {}
  for _, word in ipairs(words) do
    local list = word:find("=", 1, true) and filters or ids
    list[#list + 1] = word
  end
  return filters, ids
end

-- Returns a list of Orthanc's identifiers; or nil after an error, when it is printed. `columns`: of the rows that programs get; they get
-- none when nothing is found.
function held.identifiers(self, columns)
  local filters, ids = split(self.options.tags)
  if #filters == 0 then
    return ids
  elseif #ids > 0 then
    self:usage_error("'%s' is an identifier, which cannot be given together with filters", ids[1])
  end
  local query = search.read(self, true)
  local found = self:must(self:client():find { Level = self.options.level, Query = query, keep = self.options.keep })
  self:note("the server has %s", search.count(#found, self.options.level))
  if #found == 0 then
    if self:is_for_programs() then
      self:show(columns, {})
    end
    return self:report_error "nothing was found"
  end
  return found
end

return held
