-- Draws the figures by number of items: modalua spec/bench/chart.lua FIGURES.tsv >FIGURES.svg
-- Both axes of each panel are logarithmic.
local WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 470, 380, 62, 40, 16, 116 -- of a panel, and what surrounds its plot
local COLOURS = { "#3987e5", "#d97706", "#199e70", "#c8518f" }
local DASHES = { "none", "7 4", "2 4", "9 3 2 3" }

-- A line of the chart: subject, which of its two figures, name.
local OURS, THEIRS = 10, 11 -- columns
local MOVES = "one study each, 8 in flight"
local PANELS = {
  { title = "find", x = "answers", y = "seconds", lines = {
    { "find, a fast modality", OURS, "modalua" },
    { "find, a fast modality", THEIRS, "Python, a request for each answer" },
    { "find, the server 20 ms away", OURS, "modalua, the server 20 ms away" },
    { "find, the server 20 ms away", THEIRS, "Python, the same" },
  } },
  { title = "echo (TCP_NODELAY)", x = "echoes", y = "echoes a second", lines = {
    { "echo 8", OURS, "modalua, 8 in flight" },
    { "echo 8", THEIRS, "wrk, 8 connections" },
    { "echo 16", OURS, "modalua, 16 in flight" },
    { "echo 16", THEIRS, "wrk, 16 connections" },
  } },
  { title = "move, Orthanc 1.10.1", x = "studies", y = "seconds", lines = {
    { "move, TCP_NODELAY, 1.10.1, retrieve", OURS, "modalua, " .. MOVES .. "; TCP_NODELAY" },
    { "move, TCP_NODELAY, 1.10.1, retrieve", THEIRS, "one synchronous retrieve; TCP_NODELAY" },
    { "move, delayed ACKs, 1.10.1, retrieve", OURS, "modalua; delayed ACKs" },
    { "move, delayed ACKs, 1.10.1, retrieve", THEIRS, "one synchronous retrieve; delayed ACKs" },
  } },
  { title = "move, Orthanc 1.13.0", x = "studies", y = "seconds", lines = {
    { "move, TCP_NODELAY, 1.13.0, retrieve", OURS, "modalua, " .. MOVES .. "; TCP_NODELAY" },
    { "move, TCP_NODELAY, 1.13.0, retrieve", THEIRS, "one synchronous retrieve; TCP_NODELAY" },
    { "move, delayed ACKs, 1.13.0, retrieve", OURS, "modalua; delayed ACKs" },
    { "move, delayed ACKs, 1.13.0, retrieve", THEIRS, "one synchronous retrieve; delayed ACKs" },
  } },
}

-- ---- the figures: subject -> list of { n =, [OURS] =, [THEIRS] = } ----

local function read(path)
  local subjects = {}
  for line in io.lines(path) do
    local columns = {}
    for column in (line .. "\t"):gmatch "(.-)\t" do
      columns[#columns + 1] = column
    end
    local subject = subjects[columns[1]] or {}
    subjects[columns[1]] = subject
    table.insert(subject, { n = tonumber(columns[2]), [OURS] = tonumber(columns[OURS]), [THEIRS] = tonumber(columns[THEIRS]) })
  end
  return subjects
end

-- ---- SVG ----

local function put(format, ...)
  io.write(format:format(...), "\n")
end

local function text(x, y, anchor, content, more)
  put('<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>', x, y, anchor, more or "", content)
end

-- The powers of ten that enclose the values.
local function decades(values)
  local low, high = math.huge, -math.huge
  for _, value in ipairs(values) do
    low, high = math.min(low, math.log(value, 10)), math.max(high, math.log(value, 10))
  end
  low, high = math.floor(low + 1e-9), math.ceil(high - 1e-9)
  return low, math.max(high, low + 1)
end

local function label(exponent)
  return exponent >= 0 and ("%.0f"):format(10 ^ exponent):reverse():gsub("(%d%d%d)(%d)", "%1,%2"):reverse()
    or ("%%.%df"):format(-exponent):format(10.0 ^ exponent)
end

local function panel(spec, subjects, left, top)
  local xs, ys = {}, {}
  for _, line in ipairs(spec.lines) do
    for _, point in ipairs(subjects[line[1]] or {}) do
      xs[#xs + 1], ys[#ys + 1] = point.n, point[line[2]]
    end
  end
  if #xs == 0 then
    return
  end
  local x_low, x_high = decades(xs)
  local y_low, y_high = decades(ys)
  local width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
  local function x_of(value) return left + LEFT + (math.log(value, 10) - x_low) / (x_high - x_low) * width end
  local function y_of(value) return top + TOP + height - (math.log(value, 10) - y_low) / (y_high - y_low) * height end

  text(left + LEFT, top + 24, "start", spec.title, ' font-weight="bold" font-size="15"')
  for exponent = x_low, x_high do
    local x = x_of(10 ^ exponent)
    put('<path class="grid" d="M%.1f %.1fv%.1f"/>', x, top + TOP, height)
    text(x, top + TOP + height + 17, "middle", label(exponent))
  end
  for exponent = y_low, y_high do
    local y = y_of(10 ^ exponent)
    put('<path class="grid" d="M%.1f %.1fh%.1f"/>', left + LEFT, y, width)
    text(left + LEFT - 7, y + 4, "end", label(exponent))
  end
  text(left + LEFT + width / 2, top + TOP + height + 34, "middle", spec.x)
  local middle = top + TOP + height / 2
  text(left + 15, middle, "middle", spec.y, (' transform="rotate(-90 %.1f %.1f)"'):format(left + 15, middle))

  for i, line in ipairs(spec.lines) do
    local stroke, places = ('stroke="%s" stroke-dasharray="%s"'):format(COLOURS[i], DASHES[i]), {}
    for j, point in ipairs(subjects[line[1]] or {}) do
      local x, y = x_of(point.n), y_of(point[line[2]])
      places[j] = ("%.1f,%.1f"):format(x, y)
      put('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>', x, y, COLOURS[i])
    end
    put('<polyline points="%s" fill="none" stroke-width="2" %s/>', table.concat(places, " "), stroke)
    local y = top + HEIGHT - BOTTOM + 36 + 17 * i
    put('<path d="M%d %.1fh26" stroke-width="2" %s/>', left + LEFT, y - 4, stroke)
    text(left + LEFT + 33, y, "start", line[3])
  end
end

local subjects = read(assert(arg[1], "usage: modalua spec/bench/chart.lua FIGURES.tsv"))
local columns = 2
local rows = math.ceil(#PANELS / columns)
put('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">', WIDTH * columns, HEIGHT * rows)
put "<title>modalua beside other clients, as the work grows</title>"
put [[<style>
.ground { fill: #ffffff } text { fill: #1f2328 } .grid { stroke: #d1d9e0; fill: none }
@media (prefers-color-scheme: dark) { .ground { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } }
</style>]]
put '<rect class="ground" width="100%%" height="100%%"/>'
for i, spec in ipairs(PANELS) do
  panel(spec, subjects, (i - 1) % columns * WIDTH, (i - 1) // columns * HEIGHT)
end
put "</svg>"
