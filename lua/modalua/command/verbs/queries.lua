-- command.verbs.queries: lists the queries whose answers the server keeps.
local require = ...
local task = require "modalua.task"

local AT_ONCE = 8

-- What the server knows of a query; nil and an error when it does not tell.
local function describe_query(client, id)
  local query = client:query(id)
  local modality, answers
  local level, err = query:level()
  if level then
    modality, err = query:modality()
  end
  if modality then
    answers, err = client:get(("/queries/%s/answers"):format(id))
  end
  return answers and { ID = id, modality = modality, Level = level, answers = #answers }, err
end

local function run_queries(self)
  local client = self:client()
  local ids = self:must(client:queries())
  local found, errors = task.map(ids, function(id) return describe_query(client, id) end, { limit = AT_ONCE })
  local rows = {}
  for i = 1, found.n do
    rows[#rows + 1] = found[i]
    local err = errors and errors[i]
    if err and err.code ~= "query_gone" then
      self:complain(ids[i], err)
    end
  end
  self:show({ { name = "ID", whole = true }, "modality", "Level", { name = "answers", right = true } }, rows)
  return true
end

return {
  run = run_queries,
  usage = "",
  summary = "the queries whose answers the server keeps",
  description = "The queries whose answers the server still keeps: a row of identifier, modality, level and number of answers.",
  examples = { { "modalua queries", "all of them" } },
  words = {},
}
