-- Two halves of spec/support/walk.sh: runs an operation between two calls of modalua.is_error, which mark its part of the trace; and, with
-- --count, prints the functions and files of that part.
package.path = "./?.lua;" .. package.path

local function run(name)
  local modalua = require "modalua"
  local orthanc = require "spec.support.orthanc"
  local samples = require "modalua.samples"
  local servers <close> = orthanc.network { "LOCAL", "PACS", "ARCHIVE" }
  assert(samples.store(modalua.connect(servers.PACS.url)))
  local client = modalua.connect(servers.LOCAL.url)
  local pacs = client:modality "pacs"
  local query = { Level = "Study", Query = { PatientName = "SMITH*", StudyDate = "" } }
  local found = name ~= "find" and assert(pacs:find(query))
  local operations = {
    find = function() return pacs:find(query) end,
    move = function() return pacs:move(found, { to = "local" }) end,
    verified_move = function() return pacs:move(found, { to = "local", verify = true }) end,
    get = function() return pacs:get("Study", found.answers) end,
    store = function() return client:modality("archive"):store(client:get "/studies") end,
    worklist = function() return pacs:find_worklist { PatientID = "" } end,
  }
  if name == "store" then
    assert(pacs:move(found, { to = "local" }))
  end
  local operation = assert(operations[name], "unknown operation " .. name)
  modalua.is_error(nil)
  local value, err = operation()
  modalua.is_error(nil)
  print(name .. ": " .. tostring(value or err))
end

local function lines(path)
  local list = {}
  for line in io.lines(path) do
    list[#list + 1] = line
  end
  return list
end

-- From each address of the trace to its function and file.
local function read_names(root)
  local names, text = {}, lines "build/walk/names"
  for i, address in ipairs(lines "build/walk/addresses") do
    local file = text[2 * i]:gsub(":%d+.*$", "")
    names[address] = { name = text[2 * i - 1], file = file:sub(1, #root) == root and file:sub(#root + 1) or file }
  end
  return names
end

-- The functions between the two marks, each once.
local function read_walk(root)
  local names, walk, seen, marks = read_names(root), {}, {}, 0
  for _, address in ipairs(lines "build/walk/trace") do
    local f = names[address]
    if f.name == "error_l_is" then
      marks = marks + 1
    elseif marks == 1 and not seen[address] then
      seen[address] = true
      walk[#walk + 1] = f
    end
  end
  return walk
end

local function print_count(walk, patterns, title)
  local functions, files, returns, seen, last = 0, 0, 0, {}, nil
  for _, f in ipairs(walk) do
    local counted = false
    for _, pattern in ipairs(patterns) do
      counted = counted or f.file:find(pattern)
    end
    if counted then
      functions = functions + 1
      if f.file ~= last then
        files, returns = files + (seen[f.file] and 0 or 1), returns + (seen[f.file] and 1 or 0)
      end
      seen[f.file], last = true, f.file
    end
  end
  print(("%-24s %4d functions in %2d files, %3d returns to a file"):format(title, functions, files, returns))
end

local function count(listed, pattern, root)
  local walk, last = read_walk(root), nil
  for _, f in ipairs(listed == "yes" and walk or {}) do
    if f.file ~= last then
      print(f.file)
    end
    print("    " .. f.name)
    last = f.file
  end
  print_count(walk, { "" }, "all")
  if pattern == "" then
    print_count(walk, { "^src/api/", "^src/request/" }, "src/api src/request")
  else
    print_count(walk, { pattern }, pattern)
  end
end

if ... == "--count" then
  count(select(2, ...))
else
  run(...)
end
