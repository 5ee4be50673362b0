-- transfer.closing: how a run ended, in one line for people.
local require = ...
local shown_times = require "transfer.shown_times"

local closing = {}

-- closing.count(summary, state, …) -> the number of items in any of these states.
function closing.count(summary, ...)
  local n = 0
  for _, state in ipairs { ... } do
    n = n + (summary.items[state] or 0)
  end
  return n
end

local WITHOUT_ITEMS <const> = { "NOT FOUND", "AMBIGUOUS", "INVALID", "FAILED" }

-- closing.lines_without_items(summary) -> the number of lines of a list that name nothing that can be sent; how many there are of each
-- outcome, as text.
function closing.lines_without_items(summary)
  local n, parts = 0, {}
  for _, outcome in ipairs(WITHOUT_ITEMS) do
    local lines = (summary.lines or {})[outcome] or 0
    n = n + lines
    parts[#parts + 1] = lines > 0 and ("%d %s"):format(lines, outcome) or nil
  end
  return n, table.concat(parts, ", ")
end

-- Totals are of the whole transfer. What this run has done of it is said beside them, where it is not all.
local function counted(summary, word, state)
  local n, own = closing.count(summary, state), (summary.in_this_run or {})[state]
  if n == 0 and state ~= "done" then
    return nil
  elseif own and own ~= n and not summary.finished_before then
    return ("%d %s (%d of them in this run)"):format(n, word, own)
  end
  return ("%d %s"):format(n, word)
end

local function add_parts(parts, summary)
  for _, pair in ipairs { { "sent", "done" }, { "already there", "present" }, { "failed", "failed" }, { "unknown", "unknown" } } do
    parts[#parts + 1] = counted(summary, pair[1], pair[2])
  end
  local left = closing.count(summary, "todo", "sending", "sent")
  parts[#parts + 1] = left > 0 and ("%d left"):format(left) or nil
  if (summary.unfinished or 0) > 0 and summary.state ~= "finished" then
    parts[#parts + 1] = ("%d of what was begun not done"):format(summary.unfinished)
  end
  local n, outcomes = closing.lines_without_items(summary)
  if n > 0 then
    parts[#parts + 1] = "lines of the list: " .. outcomes
  end
  if summary.unproven > 0 then
    parts[#parts + 1] = ("%d parts of the search are not proven to be complete"):format(summary.unproven)
  end
end

-- closing.text(summary) -> "finished: 6 sent (4 of them in this run), 1 already there".
function closing.text(summary)
  local parts = {}
  if summary.state == "finished" and summary.found == 0 and not summary.lines then
    parts[1] = "nothing was found"
  else
    add_parts(parts, summary)
  end
  local text = table.concat(parts, ", ")
  if summary.finished_before then
    return ("finished before, at %s: %s; this run sent nothing, and looked at nothing again"):format(
      shown_times.text(summary.finished_before), text)
  end
  return summary.state .. ": " .. text
end

return closing
