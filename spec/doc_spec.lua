local modalua = require "modalua"
local doc = require "modalua.doc"

describe("Every public function", function()
  local function each(name, value, seen)
    if type(value) == "function" then
      local row = doc.of(value)
      assert.is_table(row, name .. " has no descriptor row")
      assert.is_truthy((row.signature .. row.help):find(name:match "[%w_]+$", 1, true), name .. ": its row does not name it")
      assert.is_true(#row.help > 20, name .. ": no help")
      seen[#seen + 1] = name
    elseif type(value) == "table" then
      for key, field in pairs(value) do
        each(name .. "." .. tostring(key), field, seen)
      end
    end
  end

  it("has a row with its signature and help", function()
    local seen = {}
    for name in pairs(package.preload) do
      if name:find "^modalua%f[^%w]" then
        each(name, require(name), seen)
      end
    end
    assert.is_true(#seen >= 12)
  end)

  it("of an object too", function()
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
        assert.is_true(#row.help > 20)
      end
      assert.is_false(getmetatable(names[1]))
    end
    assert.is_nil(doc.of(print))
    assert.is_nil(doc.of(nil))
  end)

  it("is among all rows", function()
    local signatures = {}
    for _, row in ipairs(doc.rows()) do
      signatures[row.signature] = row.help
    end
    for _, f in ipairs { modalua.connect, doc.rows, modalua.connect():modality "pacs".move_resources } do
      assert.are.equal(doc.of(f).help, signatures[doc.of(f).signature])
    end
  end)

  it("belongs to objects whose metatable a script cannot reach", function()
    assert.is_false(getmetatable(modalua.connect()))
    assert.is_false(getmetatable(modalua.task.spawn(function() end)))
  end)
end)
