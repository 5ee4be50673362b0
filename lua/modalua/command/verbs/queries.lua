-- command.verbs.queries: lists the queries whose answers the server keeps.
local require = ...
local task = require "modalua.task"

local REQUESTS_AT_ONCE = 8

-- The row of a query; nil and an error on failure.
local function query_row(client, id)
  local named, query = pcall(client.query, client, id)
  if not named then
    return nil, "the server lists it as a query, but it is no identifier of one"
  end
  local modality, answers
  local level, err = query:level()
  if level then
    modality, err = query:modality()
  end
  if modality then
    answers, err = client:get(("/queries/%s/answers"):format(id))
  end
  if answers and type(answers) ~= "table" then
    return nil, "unexpected response: its answers are no list"
  end
  return answers and { id = id, modality = modality, level = level, answers = #answers }, err
end

local function run_queries(self)
  local client = self:client()
  local ids = self:must(client:queries())
  local found, errors = task.map(ids, function(id) return query_row(client, id) end, { limit = REQUESTS_AT_ONCE })
  local rows = {}
  for i = 1, found.n do
    rows[#rows + 1] = found[i]
    local err = errors and errors[i]
    if err and not (type(err) == "table" and err.code == "query_gone") then
      self:report_error(ids[i], err)
    end
  end
  self:show({ { name = "id", whole = true }, "modality", "level", { name = "answers", right = true } }, rows)
  return true
end

return {
  run = run_queries,
  usage = "",
  summary = "lists the queries whose answers the server keeps",
  description = "Lists the queries whose answers the server still keeps: identifier, modality, level and number of answers.",
  examples = { { "modalua queries", "all queries" } },
  arguments = {},
}
