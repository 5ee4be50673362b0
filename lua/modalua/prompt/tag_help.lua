-- prompt.tag_help: the keywords of DICOM, and the help text for each.
local require = ...
local lists = require "core.lists"
local native = require "core.native"

local tag_help = {}

-- From a value representation to: its name, and how a filter is written. %s in an example is the tag.
local VALUES = {
  AE = { "AE title", "up to 16 characters" },
  AS = { "age", '"045Y": three digits, and D, W, M or Y' },
  AT = { "tag", '"00100010"' },
  CS = { "code", "capital letters, digits, blanks and _; several in a list: \"CT\\\\MR\" finds either" },
  DA = { "date", '"20240131"; a range is "20240101-20240131", from a day on is "20240101-", up to a day is "-20240131"' },
  DS = { "decimal number", "such as \"1.5\"; Orthanc compares it as text" },
  DT = { "date and time", '"20240131120000"; ranges as of dates' },
  IS = { "whole number", "such as \"3\"" },
  LO = { "text of up to 64 characters", '* stands for any characters, ? for one: "CT*"' },
  LT = { "long text", "it cannot have wildcards" },
  PN = { "name of a person", 'FAMILY^GIVEN^MIDDLE; * stands for any characters, ? for one: "SMITH*"' },
  SH = { "text of up to 16 characters", '* stands for any characters, ? for one: "A12*"' },
  SQ = { "sequence", "a list of tables of tags; only worklist queries have them" },
  ST = { "short text", "it cannot have wildcards" },
  TM = { "time", '"133000" is 13:30:00; a range is "080000-120000"' },
  UC = { "text", "* stands for any characters, ? for one" },
  UI = { "UID", "digits and dots; several in a list: \"1.2.3\\\\1.2.4\" finds either" },
}
local EXAMPLES = { Modality = "CT", ModalitiesInStudy = "CT", PatientSex = "F", DA = "20240101-20240131", PN = "SMITH*",
  TM = "080000-120000", UI = "1.2.840.1", LO = "A*", SH = "A*", IS = "1" }

local function place_text(keyword, facts)
  local in_worklist = lists.has(native.level_tags "Worklist", keyword) and "In worklist queries."
    or lists.has(native.level_tags "Step", keyword) and "In worklist queries, in the item of ScheduledProcedureStepSequence."
  if #facts.levels == 0 or facts.vr == "SQ" then
    return in_worklist or "No level of a query has it; the option keep of find sends it anyway."
  end
  return ("In queries of the levels %s."):format(table.concat(facts.levels, ", "))
end

-- All keywords of the dictionary.
function tag_help.keywords()
  local names = {}
  for name in require "prompt.tags":gmatch "[^\n]+" do
    names[#names + 1] = name
  end
  return names
end

-- The text for a keyword; nil: the dictionary does not have it.
function tag_help.of(keyword)
  local facts = native.tag_facts(keyword)
  if not facts then
    return nil
  end
  local value = VALUES[facts.vr]
  local lines = { ("%s (%s), a DICOM tag%s"):format(keyword, facts.tag, value and (": %s (%s)"):format(value[1], facts.vr)
    or facts.vr and (" of the type " .. facts.vr) or "") }
  lines[#lines + 1] = place_text(keyword, facts) .. ' The value "" returns it and filters nothing.'
  if value then
    lines[#lines + 1] = "A filter: " .. value[2] .. "."
  end
  if #facts.levels > 0 and facts.vr ~= "SQ" then
    lines[#lines + 1] = ('\nexample:\n  pacs:find { Level = "%s", Query = { %s = "%s" } }'):format(facts.levels[1], keyword,
      EXAMPLES[keyword] or EXAMPLES[facts.vr] or "")
  end
  return table.concat(lines, "\n")
end

return tag_help
