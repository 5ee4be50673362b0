local command = require "spec.support.command"
local modalua = require "modalua"
local doc = require "modalua.doc"

local OPTION_TABLES = { options = true, data = true, settings = true, format = true }

-- Returns the names of the arguments in a signature.
local function arguments_of(signature)
  local list = {}
  for name in signature:match("%((.-)%)"):gmatch "[%a_][%w_]*" do
    list[#list + 1] = name
  end
  return list
end

local function check_row(name, row)
  assert.is_true(#row.help > 20, name .. ": no help")
  assert.is_string(row.example, name .. ": no example")
  assert.is_true(select(2, row.example:gsub("\n", "")) < 6, name .. ": the example has more than six lines")
  local tables, arguments = {}, {}
  for _, option in ipairs(row.options or {}) do
    assert.is_true(#option.name > 0 and #option.help > 3, name .. ": an option has no name or no help")
    tables[option.argument] = true
  end
  assert.is_nil(row.signature:match("%((.-)%)"):find("{", 1, true), name .. ": options stand in the signature")
  for _, argument in ipairs(arguments_of(row.signature)) do
    arguments[argument] = true
    assert.is_true(tables[argument] or not OPTION_TABLES[argument], ("%s: no options for %s"):format(name, argument))
  end
  for argument in pairs(tables) do
    assert.is_true(arguments[argument], ("%s has options for %s, which is no argument"):format(name, argument))
  end
end

describe("Every public function", function()
  local function each(name, value, seen)
    if type(value) == "function" then
      local row = doc.of(value)
      assert.is_table(row, name .. " has no descriptor row")
      assert.is_truthy((row.signature .. row.help):find(name:match "[%w_]+$", 1, true), name .. ": its row does not name it")
      check_row(name, row)
      seen[#seen + 1] = name
    elseif type(value) == "table" then
      for key, field in pairs(value) do
        each(name .. "." .. tostring(key), field, seen)
      end
    end
  end

  it("has a descriptor row with its signature and help", function()
    local seen = {}
    for name in pairs(package.preload) do
      if name:find "^modalua%f[^%w]" and name ~= "modalua" then
        local before = #seen
        each(name, require(name), seen)
        assert.is_true(#seen > before, name .. " has no function")
      end
    end
    seen = {}
    each("modalua", modalua, seen)
    each("modalua.doc", doc, seen)
    table.sort(seen)
    assert.are.equal("modalua.Modality modalua.RemoteModality modalua.bar modalua.connect modalua.doc.describe modalua.doc.nearest "
      .. "modalua.doc.of modalua.doc.rows modalua.error_text modalua.is_error modalua.json.array modalua.json.decode modalua.json.encode "
      .. "modalua.json.get modalua.json.object modalua.task.map modalua.task.now modalua.task.race modalua.task.sleep modalua.task.spawn "
      .. "modalua.task.timeout modalua.transfer.add modalua.transfer.check modalua.transfer.items modalua.transfer.pause "
      .. "modalua.transfer.report modalua.transfer.resume modalua.transfer.retry modalua.transfer.run modalua.transfer.set "
      .. "modalua.transfer.status", table.concat(seen, " "))
  end)

  it("has a row too if it is a method of an object", function()
    local client = modalua.connect()
    for _, name in ipairs { "get", "post", "put", "delete", "system", "modalities", "modality", "peers", "peer", "query", "queries", "job",
      "jobs", "commitment", "default_encoding", "use_utf8", "changes", "find", "upload", "download" } do
      assert.matches("client:" .. name, doc.of(client[name]).signature)
    end
    local t = modalua.task.spawn(function() end)
    for _, name in ipairs { "join", "cancel", "detach" } do
      assert.matches("task:" .. name, doc.of(t[name]).signature)
    end
    local objects = {
      modality = { client:modality "pacs", "echo", "find", "query", "get_query_answers", "move", "get", "store", "move_resources",
        "configuration", "configure", "remove", "find_each", "studies", "series", "instances", "find_worklist",
        "storage_commitment", "store_straight" },
      peer = { client:peer "far", "system", "store", "configuration", "configure", "remove" },
      query = { client:query "0-0", "answers", "move", "level", "modality", "close" },
      commitment = { client:commitment "1.2", "status", "wait", "remove" },
      job = { client:job "0-0", "status", "wait", "cancel", "pause", "resume", "resubmit" },
    }
    for kind, names in pairs(objects) do
      for i = 2, #names do
        local row = doc.of(names[1][names[i]])
        assert.matches(kind .. ":" .. (names[i] == "query" and "find" or names[i]) .. "%(", row.signature)
        check_row(names[i], row)
      end
      assert.is_false(getmetatable(names[1]))
    end
    assert.is_nil(doc.of(print))
    assert.is_nil(doc.of(nil))
  end)

  it("says what it expects when it gets a wrong object or wrong arguments", function()
    local client = modalua.connect("http://127.0.0.1:1", { retries = 0 })
    local objects = { client, client:modality "pacs", client:peer "far", client:query "0-0", client:commitment "1.2", client:job "0-0" }
    local wrong = { {}, 5, "text", true, print, client, modalua.json.null, { answers = { {} } }, { 1 } }
    local tried = 0
    local function try(name, f, ...)
      tried = tried + 1
      local good, err = pcall(f, ...)
      assert.is_true(good or not (tostring(err):find "attempt to [cipa]" or tostring(err):find "modalua/"), name .. ": " .. tostring(err))
    end
    for _, row in ipairs(doc.rows()) do
      local name = row.signature:match "^%l+:([%w_]+)"
      for _, object in ipairs(name and name ~= "wait" and objects or {}) do -- it would wait
        local _, f = pcall(function() return object[name] end)
        for _, value in ipairs(type(f) == "function" and wrong or {}) do
          try(name, f)
          try(name, f, value)
          try(name, f, object, value)
        end
      end
    end
    assert.is_true(tried > 1000)
  end)

  -- Functions in C use the rows themselves to check their options.
  it("accepts exactly the options that its row names, if it is written in Lua", function()
    local client = modalua.connect "http://127.0.0.1:1"
    local pacs = client:modality "pacs"
    local calls = {
      [client.changes] = function(options) client:changes(options) end,
      [pacs.find_each] = function(options) pacs:find_each("PatientID", {}, options) end,
      [pacs.studies] = function(options) pacs:studies({}, {}, options) end,
      [pacs.series] = function(options) pacs:series({}, {}, options) end,
      [pacs.instances] = function(options) pacs:instances({}, {}, options) end,
      [pacs.move_resources] = function(options) pacs:move_resources("Study", {}, options) end,
      [modalua.task.map] = function(options) modalua.task.map({}, print, options) end,
    }
    for f, call in pairs(calls) do
      for _, option in ipairs(doc.of(f).options) do
        local _, why = pcall(call, { [option.name] = io.stdout })
        assert.is_nil(tostring(why):find("unknown", 1, true), why)
      end
    end
    assert.matches("unknown option 'nosuch'", select(2, pcall(calls[pacs.series], { nosuch = 1 })))
  end)

  it("can be described with options and an example, if it is a function of a script", function()
    local function double(x) return 2 * x end
    assert.are.equal(double, doc.describe(double, "double(x [, options])", "Returns two times x.",
      { options = { { "options", "round", "boolean", "true: whole" }, { "options", "unit", false, "any" } }, example = "double(2)" }))
    assert.are.same({ signature = "double(x [, options])", help = "Returns two times x.", example = "double(2)", options = {
      { argument = "options", name = "round", type = "boolean", help = "true: whole" },
      { argument = "options", name = "unit", help = "any" } } }, doc.of(double))
    assert.has_error(function() doc.describe(double, "x", "y", { options = { 1 } }) end,
      "describe: option 1 must be a table (a number was given)")
    assert.has_error(function() doc.describe(double, "x", "y", { exmaple = "" }) end,
      "describe: unknown option 'exmaple'; did you mean 'example'?")
  end)

  it("occurs among all rows", function()
    local signatures = {}
    for _, row in ipairs(doc.rows()) do
      signatures[row.signature] = row.help
    end
    for _, f in ipairs { modalua.connect, doc.rows, modalua.connect():modality "pacs".move_resources } do
      assert.are.equal(doc.of(f).help, signatures[doc.of(f).signature])
    end
  end)

  it("belongs to an object with a metatable that scripts cannot reach", function()
    assert.is_false(getmetatable(modalua.connect()))
    assert.is_false(getmetatable(modalua.task.spawn(function() end)))
  end)
end)

local function text(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

describe("lua/README.md", function()
  it("is exactly what lua/reference.lua generates from the rows", function()
    local result = command.run "lua/reference.lua"
    assert.are.same({ "", 0 }, { result.err, result.status })
    assert.is_true(result.out == text "lua/README.md", "make it again: build/release/bin/modalua lua/reference.lua > lua/README.md")
  end)
end)

describe("doc.nearest", function()
  it("finds no name for a word of 10 MB", function()
    local word = ("archive "):rep(1250000)
    assert.is_nil(doc.nearest(word, { "archive", "pacs" }))
    assert.are.equal("archive", doc.nearest("archvie", { word, "archive" }))
  end)
end)
