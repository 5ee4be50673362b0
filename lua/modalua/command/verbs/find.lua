-- command.verbs.find: searches a modality with a C-FIND.
local require = ...
local search = require "command.search"

-- What standard error says of the answers: "23 studies", or "10 of 23 studies".
local function amount_of(shown, all, level)
  return (shown < all and ("%d of "):format(shown) or "") .. search.count(all, level)
end

local function run_find(self)
  for _, name in ipairs(self.options.count and { "limit", "columns", "sort" } or {}) do
    if self.options[name] then
      self:usage_error("--count and --%s contradict each other", name)
    end
  end
  local query, order = search.read(self)
  local modality = self:modality(self.options.name)
  if not modality then
    return false
  end
  self:note("%s", self:resolved(self.options.name))
  local found, columns, level = search.find(self, modality, query, order)
  if not found then
    return false
  elseif self.options.count and self.options.csv then
    self:show({ "count" }, { { count = #found.answers } })
    return true
  elseif self.options.count then
    print(#found.answers)
    return true
  end
  local shown, rows = search.shaped(self.options, columns, found.answers)
  self:show(shown, rows)
  self:note("%s", amount_of(#rows, #found.answers, level))
  return true
end

local shape = search.shape

return {
  run = run_find,
  usage = "NAME [-L LEVEL] [Tag=Value…]",
  summary = "searches a modality",
  description = "Searches a modality (C-FIND). It prints all answers: on a terminal as a table, elsewhere as lines with tabs between the "
    .. "cells. The columns are those of the level, and the tags of the command line.",
  examples = {
    { "modalua find pacs PatientName='Müller*' StudyDate=2024-01-01..", "studies since 2024" },
    { "modalua find pacs StudyDate=-7d ModalitiesInStudy=CT", "of the last seven days" },
    { "modalua find pacs -L Series StudyInstanceUID=1.2.3 BodyPartExamined", "the series of a study, with one more column" },
    { "modalua find pacs AccessionNumber=A1234 --json | jq -r '.[].StudyInstanceUID'", "the identifiers, for another program" },
    { "modalua find pacs StudyDate=-4w --columns StudyDate,PatientID --sort=-StudyDate --limit 20", "the newest twenty" },
    { "modalua find pacs StudyDate=today --count", "how many" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality's name at the server" },
    search.tags,
    search.level,
    search.keep,
    search.utf8,
    shape[1], shape[2], shape[3], shape[4],
  },
}
