-- core.progress_bar: the progress of an operation as a line of text, for the option progress = true and for modalua.bar.
local require = ...
local native = require "core.native"

local progress_bar = {}

local WIDTH = 12
local UNITS = { "B", "kB", "MB", "GB", "TB" }

-- "103.2 MB".
function progress_bar.bytes_text(n)
  local unit = 1
  while n >= 1000 and unit < #UNITS do
    n, unit = n / 1000, unit + 1
  end
  return (unit == 1 and "%.0f %s" or "%.1f %s"):format(n, UNITS[unit])
end

local function amount_text(n, unit)
  return unit == "bytes" and progress_bar.bytes_text(n) or ("%.0f"):format(n)
end

-- "0:03", "1:02:03".
function progress_bar.duration_text(seconds)
  seconds = math.floor(seconds)
  if seconds < 3600 then
    return ("%d:%02d"):format(seconds // 60, seconds % 60)
  end
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
end

-- "[#####        ]  21 %", with so many columns for the bar itself.
function progress_bar.share_text(done, total, width)
  local share = math.max(0, math.min(done / total, 1))
  local full = math.floor(share * width)
  return ("[%s%s] %3d %%"):format(("#"):rep(full), (" "):rep(width - full), math.floor(share * 100))
end

local FIELDS <const> = { op = "string", state = "string", unit = "string", seconds = "number", done = "number", total = "number",
  failed = "number" }

-- Returns the fields that a line shows. A number that is not finite is not known. Throws when one has a wrong type.
local function fields_of(p)
  if type(p) ~= "table" then
    native.usage(("bar: a table such as { op = \"move\", done = 1, total = 2 } is expected (a %s was given)"):format(type(p)))
  end
  local known = {}
  for name, kind in pairs(FIELDS) do
    local value = p[name]
    if value ~= nil and type(value) ~= kind then
      native.usage(("bar: field '%s' must be a %s (a %s was given)"):format(name, kind, type(value)))
    elseif kind == "string" or value and value - value == 0 then
      known[name] = value
    end
  end
  return known
end

-- "download [#####        ]  21 %  103.2 MB of 480.0 MB, 34.1 MB/s  0:03". A part that is unknown is left out.
local function bar_line(p)
  local parts = { p.op }
  local has_share = p.done and p.total and p.total > 0
  if has_share then
    parts[#parts + 1] = progress_bar.share_text(p.done, p.total, WIDTH)
  end
  local unit = p.unit and p.unit ~= "bytes" and " " .. p.unit or ""
  if has_share then
    parts[#parts + 1] = ("%s of %s%s"):format(amount_text(p.done, p.unit), amount_text(p.total, p.unit), unit)
  elseif p.done or p.total then
    parts[#parts + 1] = amount_text(p.done or p.total, p.unit) .. unit
  end
  if p.unit == "bytes" and p.done and p.seconds and p.seconds > 0 then
    parts[#parts] = parts[#parts] .. (", %s/s"):format(progress_bar.bytes_text(p.done / p.seconds))
  end
  if p.failed and p.failed > 0 then
    parts[#parts + 1] = ("%d failed"):format(p.failed)
  end
  if p.state ~= "Running" then
    parts[#parts + 1] = p.state
  end
  parts[#parts + 1] = p.seconds and progress_bar.duration_text(p.seconds)
  return table.concat(parts, "  ")
end

function progress_bar.bar(p)
  local known = fields_of(p)
  native.show(p.over and "" or bar_line(known))
end

-- Returns a value for <close> that removes the bar, so that a cancelled operation leaves no bar behind.
function progress_bar.scope()
  return setmetatable({}, { __close = function() native.show "" end })
end

-- Calls f(...), which gives the results of an operation, then makes the last report to `tell`, and returns the results.
-- request/progress.c calls it with `report`: op, begun, done, total, unit, and bar = true when `tell` draws the bar.
function progress_bar.report_after(tell, report, f, ...)
  local _ <close> = report.bar and progress_bar.scope() or nil
  local results = table.pack(f(...))
  local good = results[1]
  tell { op = report.op, state = good and "Success" or "Failure", seconds = native.now() - report.begun, over = true,
    done = good and report.total or report.done, total = report.total, unit = report.unit }
  return table.unpack(results, 1, results.n)
end

return progress_bar
