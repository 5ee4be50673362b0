-- What spec/bench/instructions.lua counts: no network, and the same work each time.
local json = require "modalua.json"
local modalua = require "modalua"
local task = require "modalua.task"

local parts = {}

function parts.start()
  modalua.connect("http://localhost:8042"):modality "pacs"
end

-- Where a key stands in a table is drawn by lot at Lua's start: many different keys, so that it evens out.
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
