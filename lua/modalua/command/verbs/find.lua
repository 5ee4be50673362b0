-- command.verbs.find: finds what a modality has, with C-FIND.
local require = ...
local search = require "command.search"

local function run_find(self)
  local query, order = search.read(self)
  local modality = self:modality(self.options.name)
  if not modality then
    return false
  end
  self:note("%s", self:resolved(self.options.name))
  local found <close>, columns, level = search.ask(self, modality, query, order)
  if not found then
    return false
  end
  self:show(columns, found.answers)
  self:note("%s", search.count(#found.answers, level))
  return true
end

return {
  run = run_find,
  usage = "NAME [-L LEVEL] [Tag=Value…]",
  summary = "what a modality has",
  description = "Finds what a modality has (C-FIND): on a terminal a table; elsewhere a line for each answer, with tabs between cells, "
    .. "those of the level and the tags that were asked for. All answers are shown.",
  examples = {
    { "modalua find pacs PatientName='Müller*' StudyDate=20240101-", "studies since 2024" },
    { "modalua find pacs -L Series StudyInstanceUID=1.2.3 BodyPartExamined", "the series of a study, with a column more" },
    { "modalua find pacs AccessionNumber=A1234 --json | jq -r '.[].StudyInstanceUID'", "for another program" },
  },
  words = {
    { "argument", name = "NAME", argname = "NAME", target = "name", description = "the modality, by the server's name" },
    search.tags,
    search.level,
  },
}
