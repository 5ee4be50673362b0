-- The versions of Orthanc against which the specs run, the oldest first: the installed one, then those of newer Debian suites, which
-- scripts/test.sh downloads. MODALUA_ORTHANCS lists the programs of the newer ones, separated by ':'. Each version has
--    binary   the path of the program; nil for the installed one, which orthanc.start finds by itself
--    name     the version as text: "1.12.7"
--    number   the version as a number that can be compared: 11207. Specs use it to decide what a server supports.
-- With MODALUA_ORTHANC_ENDS=yes, which ctest sets under the sanitizers, the list has only the oldest and the newest one: what a version
-- answers is tested in the release build, and with these two the C code has met old and new answers. MODALUA_EVERY_ORTHANC=yes prevails.
-- The field `few` is a shorter list, for specs of what hardly depends on the version: the newest one; with MODALUA_EVERY_ORTHANC=yes all.
local served = require "spec.support.served"

local list = assert(os.getenv("MODALUA_ORTHANCS"),
  "MODALUA_ORTHANCS is not set. scripts/spec.sh sets it; otherwise set it to programs made by spec/support/fetch_orthanc.sh: FOLDER/run")

local INSTALLED <const> = "PATH=$PATH:/usr/sbin Orthanc"

local function version_of(binary)
  local text = served.output_of(("%s --version"):format(binary and served.quoted { binary } or INSTALLED))
  local major, minor, patch = text:match "(%d+)%.(%d+)%.(%d+)"
  return { binary = binary, name = ("%d.%d.%d"):format(major, minor, patch), number = major * 10000 + minor * 100 + patch }
end

local every, ends = os.getenv "MODALUA_EVERY_ORTHANC" == "yes", os.getenv "MODALUA_ORTHANC_ENDS" == "yes"
local versions = { version_of() }
for program in (ends and not every and list:match "[^:]*$" or list):gmatch "[^:]+" do
  versions[#versions + 1] = version_of(program)
end
versions.few = every and versions or { versions[#versions] }
return versions
