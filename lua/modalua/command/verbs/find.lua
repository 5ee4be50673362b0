-- command.verbs.find: searches a modality with a C-FIND.
local require = ...
local search = require "command.search"

local function run_find(self)
  local query, order = search.read(self)
  local modality = query and self:modality(self.options.name)
  if not modality then
    return false
  end
  self:note("%s", self:resolved(self.options.name))
  local found <close>, columns, level = search.find(self, modality, query, order)
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
  summary = "searches a modality",
  description = "Searches a modality (C-FIND). It prints all answers: on a terminal as a table, elsewhere as lines with tabs between the "
    .. "cells. The columns are those of the level, and the tags of the command line.",
  examples = {
    { "modalua find pacs PatientName='Müller*' StudyDate=2024-01-01..", "studies since 2024" },
    { "modalua find pacs StudyDate=-7d ModalitiesInStudy=CT", "of the last seven days" },
    { "modalua find pacs -L Series StudyInstanceUID=1.2.3 BodyPartExamined", "the series of a study, with one more column" },
    { "modalua find pacs AccessionNumber=A1234 --json | jq -r '.[].StudyInstanceUID'", "the identifiers, for another program" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", description = "the modality's name at the server" },
    search.tags,
    search.level,
    search.keep,
  },
}
