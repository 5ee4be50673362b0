-- The Orthancs that specs run against, the oldest first: the installed one, and those of newer Debian suites that scripts/test.sh fetches.
-- MODALUA_ORTHANCS lists the programs of the latter, separated by ':'. Each has
--    binary   the program; nil for the installed one, which orthanc.start finds by itself
--    name     its version as text: "1.12.7"
--    number   its version as a number that can be compared: 11207. Specs ask this one what a server can do.
local served = require "spec.support.served"

local list = assert(os.getenv("MODALUA_ORTHANCS"),
  "MODALUA_ORTHANCS is not set: scripts/spec.sh NAME sets it; by hand, make a folder with spec/support/fetch_orthanc.sh and name its `run`")

local INSTALLED <const> = "PATH=$PATH:/usr/sbin Orthanc"

local function version_of(binary)
  local text = served.output_of(("%s --version"):format(binary and served.quoted { binary } or INSTALLED))
  local major, minor, patch = text:match "(%d+)%.(%d+)%.(%d+)"
  return { binary = binary, name = ("%d.%d.%d"):format(major, minor, patch), number = major * 10000 + minor * 100 + patch }
end

local versions = { version_of() }
for program in list:gmatch("[^:]+") do
  versions[#versions + 1] = version_of(program)
end
return versions
