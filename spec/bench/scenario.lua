-- The work whose instructions spec/bench/instructions.lua counts: without network, and the same each time.
local json = require "modalua.json"
local modalua = require "modalua"
local task = require "modalua.task"

local parts = {}

function parts.start()
  modalua.connect("http://localhost:8042"):modality "pacs"
end

-- Lua seeds its hash at random when it starts, so the place of a key in a table differs from run to run. Many keys average this out.
function parts.json()
  local answers = {}
  for i = 1, 500 do
    local answer = {}
    for element = 1, 6 do
      answer[("%04x,%04x"):format(i % 100, element)] = ("value %d of %d"):format(element, i)
    end
    answers[i] = answer
  end
  for _ = 1, 20 do
    answers = json.decode(json.encode(answers))
  end
  assert(#answers == 500 and answers[7]["0007,0006"] == "value 6 of 7")
end

function parts.tasks()
  local list = {}
  for i = 1, 2000 do
    list[i] = i
  end
  local results, errors = task.map(list, function(i)
    for _ = 1, 10 do
      task.sleep(0)
    end
    return 2 * i
  end, { limit = 8 })
  assert(not errors and results[2000] == 4000)
end

parts[arg[1]]()
