-- transfer.report_chart: what a transfer sent and failed over time, as a picture in SVG.
local require = ...
local page = require "transfer.report_page"
local text = require "transfer.view_text"

local report_chart = {}

local MINUTE <const> = 60000
local STEPS <const> = { 1, 5, 15, 60, 360, 1440 } -- minutes of a column
local MOST_COLUMNS <const>, MOST_SHADES <const> = 240, 400
local WIDTH <const>, HEIGHT <const>, BELOW <const>, LEFT <const> = 960, 190, 60, 46 -- of the picture: columns above the axis, and below it
local NICE <const> = { 1, 2, 5, 10 }

-- Sums the minutes of all workers in columns of equal length: { from =, step =, n =, done = {}, failed = {}, most = }.
local function columns_of(minutes)
  local from, to = minutes[1].minute, minutes[#minutes].minute + MINUTE
  local step = STEPS[#STEPS]
  for _, candidate in ipairs(STEPS) do
    if (to - from) / (candidate * MINUTE) <= MOST_COLUMNS then
      step = candidate
      break
    end
  end
  while (to - from) / (step * MINUTE) > MOST_COLUMNS do
    step = step * 2
  end
  local c = { from = from, step = step * MINUTE, n = math.max(math.ceil((to - from) / (step * MINUTE)), 12), done = {}, failed = {},
    most = 0 }
  local hourly = 60 / step
  for _, row in ipairs(minutes) do
    local i = (row.minute - from) // c.step + 1
    c.done[i] = (c.done[i] or 0) + row.done * hourly
    c.failed[i] = (c.failed[i] or 0) + row.failed * hourly
    c.most = math.max(c.most, c.done[i], c.failed[i])
  end
  return c
end

-- The next round number above n.
local function round_up(n)
  local power = 10 ^ math.floor(math.log(math.max(n, 1), 10))
  for _, factor in ipairs(NICE) do
    if factor * power >= n then
      return factor * power
    end
  end
end

local function rectangle(class, x, y, width, height, title)
  return ('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f">%s</rect>\n'):format(class, x, y, width, height,
    title and "<title>" .. page.escape(title) .. "</title>" or "")
end

local function label(x, y, words, anchor)
  return ('<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>\n'):format(x, y, anchor, page.escape(words))
end

-- The times in which the hours allow nothing.
local function shades(c, P, x_of)
  local closed, list = P:closed(c.from, c.from + c.n * c.step), {}
  for i = 1, math.min(#closed, MOST_SHADES) do
    local x = x_of(closed[i].from)
    list[i] = rectangle("shut", x, 0, x_of(closed[i].to) - x, HEIGHT + BELOW)
  end
  return table.concat(list)
end

local function bars(c, P, x_of, top)
  local list = {}
  local width = (WIDTH - LEFT) / c.n
  for i = 1, c.n do
    local done, failed = c.done[i] or 0, c.failed[i] or 0
    local x, at = x_of(c.from + (i - 1) * c.step), c.from + (i - 1) * c.step
    local title = text.full_time(P, at):sub(1, 16)
    if done > 0 then
      local height = math.max(done / top * HEIGHT, 1)
      list[#list + 1] = rectangle("done", x, HEIGHT - height, width * 0.9, height, ("%s: %s an hour"):format(title, text.count(done)))
    end
    if failed > 0 then
      local height = math.min(math.max(failed / top * HEIGHT, 2), BELOW)
      list[#list + 1] = rectangle("lost", x, HEIGHT + 1, width * 0.9, height, ("%s: %s failed an hour"):format(title, text.count(failed)))
    end
  end
  return table.concat(list)
end

local function labels(c, P, x_of, top)
  local list = { label(LEFT - 6, 10, text.count(top), "end"), label(LEFT - 6, HEIGHT, "0", "end"),
    label(LEFT - 6, HEIGHT + 14, "failed", "end") }
  local last = ""
  for i = 0, 5 do
    local at = c.from + c.n * c.step * i // 6
    local full = text.full_time(P, at)
    local words = full:sub(1, 10) == last and full:sub(12, 16) or full:sub(1, 16)
    last = full:sub(1, 10)
    list[#list + 1] = label(x_of(at), HEIGHT + BELOW + 14, words, "start")
  end
  return table.concat(list)
end

-- Returns the picture for rows of L:minutes, of which there must be one. noun: what is counted.
function report_chart.svg(minutes, P, noun)
  local c = columns_of(minutes)
  local top = round_up(c.most)
  local function x_of(instant)
    return LEFT + (instant - c.from) / (c.n * c.step) * (WIDTH - LEFT)
  end
  return table.concat { ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">\n'):format(WIDTH, HEIGHT + BELOW + 20,
    page.escape(("%s sent and failed an hour, over time"):format(noun))), shades(c, P, x_of), bars(c, P, x_of, top),
    ('<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>\n'):format(LEFT, WIDTH, HEIGHT, HEIGHT), labels(c, P, x_of, top), "</svg>\n" }
end

return report_chart
