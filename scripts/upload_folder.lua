-- Stores all DICOM files below a folder in the Orthanc server. After an interruption of any kind the same command goes on.
--
--   modalua scripts/upload_folder.lua --folder /mnt/cd --journal cd.journal
--
-- The journal has a line for each file that is stored, and these are left out the next time. A file that is no DICOM file is reported, and
-- the script goes on. The exit status is 1 when a file was not stored.
local modalua = require "modalua"
local arguments = require "modalua.arguments"

local options <close> = arguments.read {
  about = "Stores all DICOM files below a folder in the server.",
  { "--folder PATH", "where the files are" },
  { "--journal FILE", "keeps which files are stored", default = "upload.journal" },
  { "--limit N", "how many files are sent at the same time", default = 4 },
}
local stored, files, failed = {}, {}, 0
local before = io.open(options.journal)
for line in before and before:lines() or function() end do
  stored[line] = true
end
local quoted = "'" .. options.folder:gsub("'", "'\\''") .. "'"
local pipe = assert(io.popen("find " .. quoted .. " -type f -print0"))
for path in pipe:read "a":gmatch "%Z+" do
  files[#files + 1] = not stored[path] and path or nil
end
if not pipe:close() then
  arguments.refuse "the folder cannot be read"
end
table.sort(files)
if not arguments.announce(options, "store %d files from %s", #files, options.folder) then
  return
end

local orthanc = modalua.connect()
local journal = arguments.open(options, "journal", "a")
modalua.task.map(files, function(path)
  local answer, err = orthanc:upload(path)
  if answer then
    assert(journal:write(path, "\n"))
    assert(journal:flush())
  else
    failed = failed + 1
    io.stderr:write(("%s: %s\n"):format(path, err.message))
  end
end, { limit = options.limit })
print(("%d files stored, %d failed"):format(#files - failed, failed))
os.exit(failed > 0 and 1 or 0)
