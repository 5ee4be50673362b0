-- command.verbs.worklist: asks a modality for its worklist, the procedures that are scheduled.
local require = ...
local characters = require "command.characters"
local json = require "modalua.json"
local search = require "command.search"

local SEQUENCE = "ScheduledProcedureStepSequence"
-- The tags inside of the sequence. All others stand beside it (PS3.4 K.6.1.2.2).
local STEP = { "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality", "ScheduledStationAETitle",
  "ScheduledProcedureStepDescription", "ScheduledPerformingPhysicianName", "ScheduledStationName", "ScheduledProcedureStepLocation",
  "ScheduledProcedureStepID", "ScheduledProcedureStepEndDate", "ScheduledProcedureStepEndTime", "ScheduledProcedureStepStatus",
  "PreMedication", "RequestedContrastAgent" }
local SHOWN = { "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality", "ScheduledStationAETitle", "PatientID",
  "PatientName", "ScheduledProcedureStepDescription", "AccessionNumber", "StudyInstanceUID" }

local is_of_step = {}
for _, name in ipairs(STEP) do
  is_of_step[name] = true
end

-- The query of the worklist, and the columns: those that are always shown, then the others that were asked for.
local function query_of(tags, order)
  local query, step, columns = {}, {}, {}
  for i, name in ipairs(SHOWN) do
    local part = is_of_step[name] and step or query
    part[name] = tags[name] or ""
    columns[i] = { name = name, spare = name == "StudyInstanceUID" }
  end
  for _, name in ipairs(order) do
    local part = is_of_step[name] and step or query
    if not part[name] then
      part[name] = tags[name]
      columns[#columns + 1] = { name = name, keep = true }
    end
  end
  query[SEQUENCE] = json.array { step }
  return query, columns
end

-- A row for each step of each answer.
local function rows_of(list)
  local rows = {}
  for _, answer in ipairs(list) do
    local steps = type(answer[SEQUENCE]) == "table" and answer[SEQUENCE] or {}
    for i = 1, math.max(#steps, 1) do
      local row = {}
      for _, part in ipairs { answer, type(steps[i]) == "table" and steps[i] or {} } do
        for name, value in pairs(part) do
          row[name] = name ~= SEQUENCE and value or nil
        end
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function run_worklist(self)
  local tags, order = search.read(self)
  local modality = self:modality(self.options.name)
  if not modality then
    return false
  end
  self:note("%s", self:resolved(self.options.name))
  local query, columns = query_of(tags, order)
  local options = { keep = self.options.keep[1] and self.options.keep }
  local list = self:must(characters.during(self, modality.find_worklist, modality, query, options))
  characters.warn(self, list)
  local rows = rows_of(list)
  if not rows[1] then
    search.explain_nothing(self, tags, order)
  end
  self:show(columns, rows)
  self:note("%d %s", #rows, #rows == 1 and "procedure" or "procedures")
  return true
end

return {
  run = run_worklist,
  usage = "NAME [Tag=Value…]",
  summary = "asks a modality for its worklist",
  description = "Asks a modality for its worklist, the procedures that are scheduled (C-FIND of a modality worklist), and prints a row "
    .. "for each. A filter by a tag of the scheduled procedure step, such as Modality, is written as any other.",
  examples = {
    { "modalua worklist ris ScheduledProcedureStepStartDate=today Modality=CT", "today's CT examinations" },
    { "modalua worklist ris PatientID=4711 --json", "what is scheduled for a patient" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality's name at the server" },
    search.tags,
    search.keep,
    search.utf8,
  },
}
