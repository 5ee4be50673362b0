-- Tests the internal parts written in Lua: scripts can require only the public modules, and a part is loaded when it is first needed.
local command = require "spec.support.command"
local completion = require "modalua.completion"
local doc = require "modalua.doc"
local faultd = require "spec.support.faultd"
local help = require "modalua.help"
local modalua = require "modalua"

local IN_SANDBOX = { "modalua", "modalua.doc", "modalua.json", "modalua.letters", "modalua.table", "modalua.task" }
local PUBLIC = { "modalua", "modalua.arguments", "modalua.completion", "modalua.doc", "modalua.evaluate", "modalua.help", "modalua.json",
  "modalua.letters", "modalua.playground", "modalua.printing", "modalua.samples", "modalua.table", "modalua.task", "modalua.time_zone",
  "modalua.transfer" }

local function output_of(line)
  local pipe = assert(io.popen(line))
  local text = pipe:read "a"
  assert(pipe:close())
  return text
end

-- Returns the names of all parts: of the files in lua/modalua, such as "core.changes", and of the parts without a file there.
local function part_names()
  local names = { "core.native", "core.native_steps", "transfer.native", "command.argparse", "prompt.tags" }
  for path in output_of "find lua/modalua -name '*.lua'":gmatch "lua/modalua/([^\n]+)%.lua" do
    names[#names + 1] = path:gsub("/", ".")
  end
  table.sort(names)
  return names
end

-- Returns every name by which a script could look for a part, for example core.arrival, modalua.core.arrival and modalua.arrival.
local function names_of_internals()
  local public, list = {}, { "modalua.verbs", "modalua.tags", "modalua.argparse" }
  for _, name in ipairs(PUBLIC) do
    public[name] = true
  end
  for _, part in ipairs(part_names()) do
    for _, name in ipairs { part, "modalua." .. part, "modalua." .. part:match "[^.]+$" } do
      list[#list + 1] = not public[name] and name or nil
    end
  end
  return list
end

local function gives(expected, ...)
  local result = command.run(...)
  assert.are.same({ expected, "", 0 }, { result.out, result.err, result.status })
end

describe("A script", function()
  it("can require each public module, and no other module of modalua", function()
    local names = {}
    for name in pairs(package.preload) do
      if name:find "^modalua%f[^%w]" then
        names[#names + 1] = name
        assert.is_table(require(name))
      end
    end
    table.sort(names)
    assert.are.same(PUBLIC, names)
  end)

  it("cannot require a part", function()
    local names = names_of_internals()
    assert.is_true(#names > 60)
    for _, name in ipairs(names) do
      local good, message = pcall(require, name)
      assert.is_false(good, name)
      assert.are.equal(("module '%s' not found:"):format(name), message:match "^[^\n]*")
    end
  end)

  it("cannot require a part in a sandbox", function()
    local list = {}
    for i, name in ipairs(names_of_internals()) do
      list[i] = ("%q"):format(name)
    end
    local code = ([[for _, name in ipairs { %s } do
      local good, message = pcall(require, name)
      assert(not good and message:find("a sandboxed script has no module '" .. name .. "'", 1, true), message)
    end]]):format(table.concat(list, ", "))
    gives("", "--sandbox", "-e", code)
    for _, name in ipairs(IN_SANDBOX) do
      gives("table\n", "--sandbox", "-e", ("print(type(require %q))"):format(name))
    end
  end)

  it("gets the public modules as completions, and no part", function()
    local function offered(text)
      return table.move(completion.complete { text = text }, 2, 100, 1, {})
    end
    local names = {}
    for i, name in ipairs(PUBLIC) do
      names[i] = name .. '"'
    end
    assert.are.same(names, offered 'require "modalua')
    for _, folder in ipairs { "core.", "text.", "command.", "prompt.", "playground." } do
      assert.are.same({}, offered('require "' .. folder))
    end
  end)
end)

-- Prints the names of the loaded parts, sorted.
local PRINT_LOADED = [[
  local names = {}
  for name in pairs(debug.getregistry()["modalua.parts"] or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  print(table.concat(names, " "))
]]

describe("A part is loaded", function()
  it("neither at the start of the command nor by require 'modalua'", function()
    gives("\n", "-e", "", "-e", PRINT_LOADED)
    gives("core.native\n", "-e", "require 'modalua'", "-e", PRINT_LOADED)
  end)

  it("neither by find, nor by echo, nor by a task", function()
    local ID = "12345678-1234"
    local function answer(body)
      return faultd.route("/status", { code = 200, type = "application/json", body = body })
    end
    local server <close> = faultd.start {
      { path = "/system", to = answer '{"Version":"1.12.7"}' },
      { path = "/modalities/pacs/echo", to = answer "{}" },
      { path = "/modalities/pacs/query", to = answer(('{"ID":"%s"}'):format(ID)) },
      { path = "/queries/" .. ID .. "/answers", to = answer '[{"PatientID":"X"}]' },
    }
    gives("1\ncore.native\n", "-e", ([[
      local modalua = require "modalua"
      local pacs = modalua.connect(%q):modality "pacs"
      assert(pacs:echo())
      local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "X" } })
      modalua.task.spawn(function() end):join()
      print(#found.answers)]]):format(server.url), "-e", PRINT_LOADED)
  end)

  it("by the first call of one of its functions", function()
    gives("core.native core.task_combinators\n", "-e", "require 'modalua'.task.map({}, print)", "-e", PRINT_LOADED)
  end)

  it("not by help, which knows its functions nevertheless", function()
    gives("true\ncore.native\n", "-e", [[
      local doc = require "modalua.doc"
      local pacs = require "modalua".connect("http://127.0.0.1:1"):modality "pacs"
      print(doc.of(pacs.find_each).signature:find("modality:find_each(", 1, true) == 1)]], "-e", PRINT_LOADED)
  end)
end)

describe("Each function that is written in Lua", function()
  -- The functions that load their part when they are first called, each as { part, name, function, object }. A method gets its object.
  local function lua_functions()
    local list, parts = {}, {}
    for _, name in ipairs(part_names()) do
      parts[name] = true
    end
    local function add(functions, object)
      for _, f in pairs(functions) do
        local _, part = debug.getupvalue(f, 1)
        local _, name = debug.getupvalue(f, 2)
        if type(f) == "function" and parts[part] then
          list[#list + 1] = { part, name, f, object }
        end
      end
    end
    local client = modalua.connect("http://127.0.0.1:1", { retries = 0, timeout = 1 }) -- no server is there
    for kind, object in pairs { client = client, modality = client:modality "x", peer = client:peer "x", query = client:query "0-0",
      job = client:job "0-0", commitment = client:commitment "1.2", task = modalua.task.spawn(function() end) } do
      add(help.methods(kind), object)
    end
    add { modalua.bar }
    add(modalua.task)
    for name, f in pairs(modalua.transfer) do
      add({ f }, name == "run" and { ledger = "/nowhere/ledger" } or "/nowhere/ledger")
    end
    return list
  end

  -- Arguments that the check of a row accepts; without, the part would not be loaded.
  local ACCEPTED <const> = { ["modality:move"] = "0-0", ["modality:find_all"] = { Level = "Study" }, ["client:find"] = { Level = "Study" } }

  it("is defined in the part that its row names", function()
    local list = lua_functions()
    assert.is_true(#list >= 17)
    for _, row in ipairs(list) do
      local part, name, f, object = table.unpack(row)
      local signature = doc.of(f).signature
      assert.is_truthy(signature:find(name .. "(", 1, true), name)
      pcall(f, object, ACCEPTED[signature:match "^[%w:]+"] or {}) -- most calls throw an error, but each call loads its part first
      assert.is_function((debug.getregistry()["modalua.parts"][part] or {})[name], part .. "." .. name)
    end
  end)
end)

describe("The parts", function()
  -- Returns the parts that each part requires while it is loaded: part -> list of parts.
  local function requirements()
    local needs = {}
    for _, part in ipairs(part_names()) do
      needs[part] = {}
    end
    for part, list in pairs(needs) do
      local file <close> = io.open("lua/modalua/" .. part:gsub("%.", "/") .. ".lua")
      for line in file and file:lines() or function() end do
        local name = line:match '^local .*require "([^"]+)"'
        list[#list + 1] = needs[name] and name or nil
      end
    end
    return needs
  end

  it("never require each other in a circle while they are loaded", function()
    local needs, done = requirements(), {}
    local function visit(part, path)
      assert.is_nil(path[part], part .. " requires itself, through others")
      if not done[part] then
        path[part] = true
        for _, name in ipairs(needs[part]) do
          visit(name, path)
        end
        path[part], done[part] = nil, true
      end
    end
    for part in pairs(needs) do
      visit(part, {})
    end
  end)

  it("in the folder core require only parts of core", function()
    for part, list in pairs(requirements()) do
      for _, name in ipairs(part:find "^core%." and list or {}) do
        assert.matches("^core%.", name)
      end
    end
  end)

  local module = os.getenv "MODALUA_MODULES" -- not under a sanitizer, whose runtime cannot be loaded into stock Lua

  if module then
    it("keep their globals in stock Lua, where a script has replaced its own", function()
      local script = command.file [[
        local modalua, write = require "modalua", io.write
        type, pairs, ipairs, table, string, tostring, assert = "CT", nil, 1, 2, 3, 4, 5
        local answers, err = modalua.connect "http://127.0.0.1:1":modality "x":configure { AET = "A", Host = "h", Port = 1, create = true }
        write(err.kind, " ", modalua.is_error(answers) and 1 or 0)]]
      local result = command.shell(('LUA_CPATH="%s/?.so;;" lua5.4 %s'):format(module, script))
      os.remove(script)
      assert.are.same({ "", "network 0" }, { result.err, result.out })
    end)
  end
end)
