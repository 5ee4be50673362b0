-- transfer.metrics: the state of a transfer in the text format of Prometheus, for its node exporter's folder of text files.
local require = ...
local letters = require "text.letters"
local native = require "core.native"

local metrics = {}

local STATES <const> = { "todo", "sending", "sent", "done", "present", "failed", "unknown" }

-- Control characters, and what is not UTF-8, are escaped first.
local function label(text)
  return '"' .. letters.shown(text):gsub("\\", "\\\\"):gsub('"', '\\"') .. '"'
end

-- Adds a metric with its samples, { labels, value }; it is left out when it has none.
local function add(lines, ledger, name, help, samples)
  if #samples == 0 then
    return
  end
  lines[#lines + 1] = ("# HELP modalua_transfer_%s %s"):format(name, help)
  lines[#lines + 1] = ("# TYPE modalua_transfer_%s gauge"):format(name)
  for _, sample in ipairs(samples) do
    lines[#lines + 1] = ("modalua_transfer_%s{ledger=%s%s} %.14g"):format(name, ledger, sample[1], sample[2])
  end
end

local function by_state(totals, field)
  local samples = {}
  for i, state in ipairs(STATES) do
    samples[i] = { (',state="%s"'):format(state), totals[state] and totals[state][field] or 0 }
  end
  return samples
end

local function one(value)
  if type(value) == "boolean" then
    value = value and 1 or 0
  end
  return { value and { "", value } }
end

-- The text for the facts (transfer.view_text).
function metrics.text(facts)
  local lines, ledger, status = {}, label(facts.name), facts.status
  local open = facts.P:window(facts.now)
  add(lines, ledger, "items", "Items of the transfer by state.", by_state(facts.totals, "items"))
  add(lines, ledger, "instances", "Images of the items by state, as far as their number is known.", by_state(facts.totals, "instances"))
  add(lines, ledger, "bytes", "Bytes of the items by state, as far as they are known.", by_state(facts.totals, "bytes"))
  add(lines, ledger, "found_all", "1: the search has ended.", one(facts.found_all))
  add(lines, ledger, "complete", "1: the search has ended, and it is proven that it found everything.", one(status.complete))
  add(lines, ledger, "unproven", "Parts of the search that are not proven to be complete.", one(status.unproven))
  add(lines, ledger, "retries", "Items that wait for another try, 1000 at most.", one(facts.retries))
  add(lines, ledger, "under_way", "Transfers of this worker that are under way.", one(facts.under_way and #facts.under_way))
  add(lines, ledger, "workers", "Workers that are alive.", one(#status.workers))
  add(lines, ledger, "open", "1: the hours allow to send.", one(open))
  add(lines, ledger, "paused", "1: the transfer is paused.", one(status.paused ~= nil))
  add(lines, ledger, "waiting", "1: nothing is sent because a side does not answer.", one((facts.waiting or status.waiting) ~= nil))
  add(lines, ledger, "left_seconds", "Seconds of allowed time until the end.", one(status.left))
  add(lines, ledger, "time_seconds", "When this was written, in seconds since 1970.", one(facts.now / 1000))
  return table.concat(lines, "\n") .. "\n"
end

-- Replaces the file in one step. Returns true, or nil and a message. The other name does not end in .prom, so that no exporter reads it.
function metrics.write(path, text)
  local file <close>, why = native.whole_file(path)
  if file then
    why = select(2, file:write(text)) or select(2, file:commit())
  end
  if why then
    return nil, ("the metrics '%s' cannot be written: %s"):format(native.text_shown(path), why)
  end
  return true
end

return metrics
