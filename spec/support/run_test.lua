-- Runs one test as ctest does, for scripts/spec.sh: lua5.4 run_test.lua TESTS NAME [ARGUMENT…]. TESTS is a file with the output of
-- `ctest --show-only=json-v1`. Further arguments are passed to busted. It does not need modalua, because modalua may be broken.
local cjson = require "cjson"

local file <close> = assert(io.open(arg[1]))
local tests, names = {}, {}
for _, test in ipairs(cjson.decode(file:read "a").tests) do
  test.is = {}
  for _, property in ipairs(test.properties) do
    test.is[property.name] = property.value
  end
  tests[test.name] = test
  names[#names + 1] = test.name
end
table.sort(names)

local function quoted(words)
  local list = {}
  for i, word in ipairs(words) do
    list[i] = "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(list, " ")
end

-- Runs a test and returns its exit status.
local function run(test, arguments)
  local words = { "env", "--chdir=" .. test.is.WORKING_DIRECTORY }
  for _, list in ipairs { test.is.ENVIRONMENT or {}, test.command, arguments } do
    table.move(list, 1, #list, #words + 1, words)
  end
  local _, how, status = os.execute("exec " .. quoted(words))
  return how == "exit" and status or 128 + status
end

local function has(list, value)
  for _, one in ipairs(list or {}) do
    if one == value then
      return true
    end
  end
  return false
end

-- Runs the tests that set up the fixtures of a test, such as a newer Orthanc. Exits if one of them fails.
local function set_up(test)
  for _, fixture in ipairs(test.is.FIXTURES_REQUIRED or {}) do
    for _, name in ipairs(names) do
      if has(tests[name].is.FIXTURES_SETUP, fixture) then
        local status = run(tests[name], {})
        if status ~= 0 then
          os.exit(status)
        end
      end
    end
  end
end

local test = tests[arg[2]] or tests["spec-" .. (arg[2] or "")]
if not test then
  io.stderr:write(arg[2] and ("There is no test '%s'. "):format(arg[2]) or "", "The tests are:\n  ",
    table.concat(names, "\n  "), "\n")
  os.exit(2)
end
set_up(test)
-- busted hands its own words on to a shell as they are.
local arguments = { table.unpack(arg, 3) }
for i, word in ipairs(arguments) do
  arguments[i] = quoted { word }
end
os.exit(run(test, arguments))
