-- Changes one answer of a real Orthanc in one way, and looks at what each operation then returns: a value of the promised shape, or nil and
-- an error object; and an operation that truly failed never returns a success. spec/README.md says how to run all changes.
local command = require "spec.support.command"
local help = require "modalua.help"
local archive = require "spec.support.archive"
local rows = require "spec.support.mutate_rows"
local runs = require "spec.support.mutate_runs"
local task = require "modalua.task"
local versions = require "spec.support.versions"
local world = require "spec.support.mutate_world"

-- By default the short form: operations of each kind, with some changes that the seed chooses, and the newest version. "all": everything.
-- A number: so many changes of each operation, with all operations and versions.
local WISH <const> = os.getenv "MODALUA_MUTATIONS" or ""
local SHORT <const> = WISH == ""
local MANY <const> = SHORT and 40 or tonumber(WISH) or math.huge
local SEED <const> = tonumber(os.getenv "MODALUA_SEED" or "1")
local TRACE <const> = os.getenv "MODALUA_TRACE" -- prints each change before it is tried: the last ones before a crash
local WORLDS <const> = 6
local SHOWN <const> = 20 -- faults of one operation

local total

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local function shuffle(random, list)
  for i = 1, #list do
    local k = random:between(i, #list)
    list[i], list[k] = list[k], list[i]
  end
end

-- Chooses `count` changes at random: of each answer as many, and of its places as many as of the whole answer.
local function chosen(list, count)
  if count >= #list then
    return list
  end
  local random, groups, names = archive.random(SEED), {}, {}
  for _, change in ipairs(list) do
    local name = runs.describe { change = change.place and "place" or "answer", method = change.method, route = change.route,
      nth = change.nth, containing = change.containing }
    if not groups[name] then
      groups[name], names[#names + 1] = {}, name
    end
    table.insert(groups[name], change)
  end
  shuffle(random, names)
  for _, name in ipairs(names) do
    shuffle(random, groups[name])
  end
  local few = {}
  while #few < count do
    for _, name in ipairs(names) do
      if #few < count and groups[name][1] then
        few[#few + 1] = table.remove(groups[name])
      end
    end
  end
  return few
end

-- Runs f(w, item) for each item, each in a world that no other run uses at this time.
local function in_worlds(worlds, items, f)
  local free = table.move(worlds, 1, #worlds, 1, {})
  local _, errors = task.map(items, function(item)
    local w = table.remove(free)
    local good, why = pcall(f, w, item)
    free[#free + 1] = w
    if not good then
      error(tostring(why), 0)
    end
  end, { limit = #worlds })
  assert(errors == nil)
end

-- Tries one case of an operation with all chosen changes. Asserts that there is no fault.
local function try_case(ground, row, case, failing, many, title)
  local w = ground.worlds[1]
  ground:keep_modalities_of(function(in_world) runs.record(in_world, case) end)
  local targets, outcome = runs.record(w, case)
  local fault = runs.fault(row, outcome, failing)
  assert(not fault, ("without a change: %s"):format(fault))
  assert(failing or outcome.result, "without a change: " .. tostring(outcome.err))
  assert(#targets > 0, "without a change: nothing was asked")
  assert(not failing or outcome.err.kind ~= "timeout", "without a change: " .. tostring(outcome.err))
  local faults, changed = {}, 0
  local list = runs.changes_of(w, targets)
  local possible = #list
  list = chosen(list, many)
  total.possible = total.possible + possible
  in_worlds(row.verb and { w } or ground.worlds, list, function(in_world, change)
    if TRACE then
      io.stderr:write(("%s, %s: %s\n"):format(row[1], title, runs.describe(change)))
    end
    local run = runs.try(in_world, row, case, failing, change)
    changed = changed + (run.changed and 1 or 0)
    if run.fault then
      faults[#faults + 1] = runs.describe(change) .. "\n      " .. run.fault
    end
  end)
  total.runs, total.changed, total.faults = total.runs + #list, total.changed + changed, total.faults + #faults
  table.sort(faults)
  local report = ("%d of %d changes (seed %d):\n    %s"):format(#faults, changed, SEED,
    table.concat(faults, "\n    ", 1, math.min(#faults, SHOWN)))
  if not SHORT then -- a long run shows at once what it finds
    io.stderr:write(("%s %s: %d of %d changes tried: %s\n"):format(row[1], title, #list, possible, #faults > 0 and report or "no fault"))
  end
  assert(#faults == 0, report)
end

describe("The table of operations", function()
  local function has_row(name)
    for _, row in ipairs(rows) do
      if row[1] == name then
        return true
      end
    end
    return rows.silent[name] or false
  end

  it("has a row for each method of the objects that talk to a server", function()
    local methods = 0
    for _, section in ipairs(help.sections()) do
      for _, entry in ipairs(section.entries) do
        local kind = entry.name:match "^(%l+):"
        if kind and kind ~= "task" then
          methods = methods + 1
          assert.is_true(has_row(entry.name), entry.name .. " has no row in spec/support/mutate_rows.lua")
        end
      end
    end
    assert.is_true(methods > 50)
  end)

  it("has a row for each verb", function()
    local verbs = 0
    for name in command.shell "ls lua/modalua/command/verbs".out:gmatch "([%w_]+)%.lua" do
      verbs = verbs + 1
      assert.is_true(has_row("modalua " .. name), name .. " has no row in spec/support/mutate_rows.lua")
    end
    assert.is_true(verbs > 5)
  end)
end)

for i, version in ipairs(versions) do
  if not SHORT or i == #versions then
    describe("With one answer changed, with the Orthanc " .. version.name .. ",", function()
      local ground

      setup(function()
        ground = world.open(version, WORLDS)
        total = { possible = 0, runs = 0, changed = 0, faults = 0 }
      end)

      teardown(function()
        ground:close()
        print(("\n%s: %d of %d changes tried, %d took place, %d faults (seed %d)"):format(version.name, total.runs, total.possible,
          total.changed, total.faults, SEED))
      end)

      for _, row in ipairs(rows) do
        if (not SHORT or row.short) and version.number >= (row.since or 0) then
          local failures = sorted_keys(row.fails)
          local many = math.ceil(MANY / (1 + #failures))
          it(row[1] .. " that would succeed gives a result of the promised shape, or an error", function()
            try_case(ground, row, row.succeeds, false, many, "succeeds")
          end)
          for _, name in ipairs(failures) do
            it(("%s that fails (%s) is never a success"):format(row[1], name), function()
              try_case(ground, row, row.fails[name], true, many, "fails: " .. name)
            end)
          end
        end
      end
    end)
  end
end
