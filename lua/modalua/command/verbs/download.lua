-- command.verbs.download: writes what the server holds, or the answer of any route, into a file.
local require = ...
local search = require "command.search"

local FOLDERS = { Patient = "patients", Study = "studies", Series = "series", Instance = "instances" }
local UID_TAGS = { Patient = "PatientID", Study = "StudyInstanceUID", Series = "SeriesInstanceUID", Instance = "SOPInstanceUID" }

-- The route of a resource of the level: an archive, or an instance's file. `name`: Orthanc's identifier, or DICOM's. Nil after an error.
local function route_of(self, name)
  local level = self.options.level
  local id = name
  if level ~= "Patient" and not name:find "^[%x.-]+$" then
    return self:report_error(("'%s' is no identifier of Orthanc, no %s, and no route such as /studies/ID/archive"):format(name,
      UID_TAGS[level]))
  elseif not name:find "^%x+%-%x+%-%x+%-%x+%-%x+$" then
    local found = self:must(self:client():find { Level = level, Query = { [UID_TAGS[level]] = name } })
    if #found ~= 1 then
      return self:report_error(("the server has %s with %s = %s"):format(search.count(#found, level), UID_TAGS[level], name))
    end
    id = found[1]
  end
  return ("/%s/%s/%s"):format(FOLDERS[level], id, level == "Instance" and "file" or "archive")
end

local function run_download(self)
  local what, file = self.options.what, self.options.file
  local route = what:find "^/" and what or route_of(self, what)
  if not route then
    return false
  end
  local bytes, err = self:client():download(route, file, { progress = self.terminal.errors })
  if not bytes then
    return self:report_error(err)
  end
  self:show({ "file", { name = "bytes", right = true } }, { { file = file, bytes = bytes } })
  return true
end

return {
  run = run_download,
  usage = "ID|UID|/ROUTE FILE",
  summary = "writes a study of the server into a file",
  description = "Writes a study that the server itself holds into a ZIP archive, or the answer of any route into a file. The file is "
    .. "called FILE.part until it is complete. It replaces a file of that name.",
  examples = {
    { "modalua download 1.2.840.113619.2.1 study.zip", "a study, by its StudyInstanceUID" },
    { "modalua download -L Instance 66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e image.dcm", "one image, by Orthanc's identifier" },
    { "modalua download /studies/66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e/media media.zip", "a route of the server" },
  },
  arguments = {
    { "argument", name = "ID|UID|/ROUTE", argname = "ID|UID|/ROUTE", target = "what",
      description = "an identifier that Orthanc has given, a UID (a PatientID for patients), or a route of the server" },
    { "argument", name = "FILE", argname = "FILE", target = "file", description = "the file that is written" },
    search.level,
  },
}
