-- The layers of the C code: a file includes headers of its own folder and of folders below it, so that each folder can be read without
-- those above it. The public header may be included from anywhere. The hosts (the command) include only it and src/base.
local RANKS = { orthanc_plugin = 10, command = 9, embed = 8, api = 7, database = 6, request = 6, engine = 5,
  http = 4, json = 4, binding = 4, orthanc = 3,
  base = 2, shared = 1 }
local ONLY_PUBLIC = { command = true, orthanc_plugin = true }

-- Returns the lines that a command prints.
local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do
    table.insert(lines, line)
  end
  assert(pipe:close())
  return lines
end

describe("The folders of src/", function()
  local files = lines_of "find src -name '*.[ch]'"

  it("all have a known layer", function()
    assert.is_true(#files > 100)
    for _, path in ipairs(files) do
      local folder = path:match "^src/([^/]+)/[^/]+$"
      assert.is_true(path == "src/modalua.h" or RANKS[folder] ~= nil, path .. " lies in no folder of a known layer")
    end
  end)

  it("include only headers of their own layer or of lower layers", function()
    local wrong = {}
    for _, path in ipairs(files) do
      local rank = RANKS[path:match "^src/([^/]+)/"] or 0
      for line in io.lines(path) do
        local header = line:match '^%s*#%s*include%s*"([^"]+)"'
        local folder = header and header:match "^([^/]+)/"
        if header and header ~= "modalua.h" and not (RANKS[folder] and RANKS[folder] <= rank) then
          table.insert(wrong, path .. " includes " .. header)
        end
      end
    end
    assert.are.same({}, wrong)
  end)

  it("include only the public header and src/base, if they are hosts", function()
    local wrong = {}
    for _, path in ipairs(files) do
      local own = path:match "^src/([^/]+)/"
      for line in io.lines(path) do
        local folder = ONLY_PUBLIC[own] and line:match '^%s*#%s*include%s*"([^"/]+)/'
        if folder and folder ~= own and folder ~= "base" then
          table.insert(wrong, path .. ": " .. line)
        end
      end
    end
    assert.are.same({}, wrong)
  end)

  -- A stack trace then shows which operation is at work.
  it("have steps whose names begin with the name of their file", function()
    local wrong, steps = {}, 0
    for _, path in ipairs(files) do
      local prefix = path:match "([^/]+)%.c$"
      for line in io.lines(path) do
        local name = line:match "^static int ([%w_]+)%(lua_State %*L, call %*c%)$"
        if name then
          steps = steps + 1
          if not (prefix and name:sub(1, #prefix + 1) == prefix .. "_") then
            table.insert(wrong, path .. ": " .. name)
          end
        end
      end
    end
    assert.is_true(steps > 40)
    assert.are.same({}, wrong)
  end)
end)
