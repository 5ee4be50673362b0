-- command.verbs.upload: stores files in the server itself.

local function state_colour(value)
  return value == "FAILED" and "red" or value == "stored" and "green" or nil
end

-- What Orthanc says of an instance, as a word of ours: "stored", "already_stored", …
local function word_for(status)
  return status == "Success" and "stored" or tostring(status):gsub("%f[%u]%u", "_%0"):gsub("^_", ""):lower()
end

-- Adds a row for each instance that a file gave: a DICOM file gives one, a ZIP archive several.
local function add_rows(rows, file, answer)
  for _, stored in ipairs(answer.ID and { answer } or answer) do
    rows[#rows + 1] = { file = file, state = word_for(stored.Status), id = stored.ID, study = stored.ParentStudy }
  end
end

local function run_upload(self)
  local rows = {}
  for _, file in ipairs(self.options.files) do
    local answer, err = self:client():upload(file, { progress = self.terminal.errors })
    if answer then
      add_rows(rows, file, answer)
    else
      rows[#rows + 1] = { file = file, state = self:loud "failed", error = err.message, kind = err.kind, code = err.code }
      self:report_error(err.code == "file" and err or ("'%s': %s"):format(file, tostring(err)))
    end
  end
  local columns = { "file", { name = "state", colour = state_colour }, "id", "study" }
  if self.options.csv then
    table.move({ "error", "kind", "code" }, 1, 3, #columns + 1, columns)
  end
  self:show(columns, rows)
  return true
end

return {
  run = run_upload,
  usage = "FILE…",
  summary = "stores DICOM files in the server",
  description = "Stores DICOM files, or ZIP archives of DICOM files, in the server itself. It prints a row for each instance: file, state "
    .. "(stored, already_stored or FAILED; in JSON and CSV: failed), Orthanc's identifiers of the instance and of its study. "
    .. "The exit status is 1 when a file was not stored.",
  examples = { { "modalua upload image.dcm", "one file" }, { "modalua upload study/*.dcm --jsonl", "an object for each file" } },
  arguments = { { "argument", name = "FILE", argname = "FILE", target = "files", args = "+", description = "a DICOM file, or a ZIP "
    .. "archive" } },
}
