-- Tests the examples of the descriptor rows, which help(), the manual and lua/README.md show. Each example runs in a playground.
local command = require "spec.support.command"
local help = require "modalua.help"
local json = require "modalua.json"
local versions = require "spec.support.versions"

-- Examples that need something that the playground does not have. These are only compiled.
local ELSEWHERE = {
  ["playground.fill"] = "the address is not that of a playground",
}

-- The first version of Orthanc that an example needs, as ORTHANC_VERSION counts. With older versions the example is only compiled.
local SINCE = { ["modality:get"] = 11206 }

local function entries()
  local list = {}
  for _, section in ipairs(help.sections()) do
    table.move(section.entries, 1, #section.entries, #list + 1, list)
  end
  return list
end

describe("The example", function()
  for _, entry in ipairs(entries()) do
    it("of " .. entry.name .. " compiles", function()
      local row = entry.row
      assert.is_string(row.example)
      local _, ends = row.example:gsub("\n", "")
      assert.is_true(ends < 6, "it has more than six lines")
      assert(load(help.context .. "\n" .. row.example, "=" .. entry.name, "t"))
    end)
  end
end)

for _, version in ipairs(versions) do
  describe("With the Orthanc " .. version.name, function()
    local results

    -- Runs all examples in one playground. Returns a table from the name of each function to "" or to an error message.
    setup(function()
      local file = os.tmpname()
      local result = command.shell(([[d=$(mktemp -d); here=$PWD; cd "$d" && mkdir tmp
        LUA_PATH="$here/?.lua;;" TMPDIR=$d/tmp MODALUA_ORTHANC=%s "$M" playground "$here/spec/support/examples.lua" %s
        s=$?; cd /; rm -r "$d"; exit $s]]):format(command.quote(version.binary or ""), file))
      local read <close> = assert(io.open(file))
      results = assert(json.decode(read:read "a"), result.err)
      os.remove(file)
    end)

    for _, entry in ipairs(entries()) do
      local name = entry.name
      it("the example of " .. name .. " runs", function()
        if ELSEWHERE[name] then
          pending(ELSEWHERE[name])
        elseif SINCE[name] and results.version < SINCE[name] then
          pending "this version cannot do it"
        end
        assert.are.equal("", results[name])
      end)
    end
  end)
end
