-- The Orthancs that specs run against: the installed one, and those of newer Debian suites that scripts/test.sh fetches.
-- MODALUA_ORTHANCS lists the latter's programs, parted by ':'.
local list = assert(os.getenv("MODALUA_ORTHANCS"),
  "MODALUA_ORTHANCS is not set: ctest sets it; by hand, make a folder with spec/support/fetch_orthanc.sh and name its `run`")

local versions = { { name = "as installed" } }
for program in list:gmatch("[^:]+") do
  versions[#versions + 1] = { name = "of Debian " .. program:match("orthanc%-(%w+)/run$"), binary = program }
end
return versions
