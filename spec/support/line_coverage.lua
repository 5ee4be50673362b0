-- Prints for each file of the Lua half the percentage of executed lines, the lowest first, then the percentage of all, and writes each file
-- with marks: lua5.4 line_coverage.lua FOLDER OUTPUT [LEAST]. FOLDER has what spec/support/line_hook.c has recorded. A line that
-- was not executed begins with ##### in OUTPUT. Exits with 1 when the percentage of all is below LEAST.
--
-- A line counts when luac lists an instruction for it. Lines with nothing but an `end`, `else`, or closing brackets do not count: Lua
-- attributes instructions to them that are never reached, such as the return after a return.
local folder, output, least = arg[1], arg[2], tonumber(arg[3])

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command .. " failed")
  return text
end

local function is_only_closing(text)
  local rest = text:gsub("%-%-.*", ""):gsub("%f[%w_]end%f[^%w_]", ""):gsub("%f[%w_]else%f[^%w_]", "")
  return not rest:find "[^%s%(%){},;]"
end

-- Returns the numbers of the lines that can be executed, as the keys of a table.
local function executable_lines(path, lines)
  local found = {}
  for number, name in output_of("luac5.4 -l -p -- '" .. path .. "'"):gmatch "\n\t%d+\t%[(%d+)%]\t(%u+)" do
    number = math.tointeger(number)
    if name ~= "VARARGPREP" and not is_only_closing(lines[number]) then
      found[number] = true
    end
  end
  return found
end

-- Returns the number of executed lines, and of all.
local function count(path)
  local place, lines, executed, all = path:match "^lua/modalua/(.*)$", {}, 0, 0
  for line in read(path):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  local good, hits = pcall(read, folder .. "/" .. place:gsub("/", "."))
  local executable = executable_lines(path, lines)
  local marked <close> = assert(io.open(("%s/%s"):format(output, (place:gsub("/", "."))), "w"))
  for i, line in ipairs(lines) do
    local hit = good and hits:byte(i + 1) == 1
    local mark = "-"
    if executable[i] then
      executed, all, mark = executed + (hit and 1 or 0), all + 1, hit and "1" or "#####"
    end
    marked:write(("%5s %4d %s\n"):format(mark, i, line))
  end
  return executed, all
end

local rows, executed, all = {}, 0, 0
for path in output_of "find lua/modalua -name '*.lua'":gmatch "[^\n]+" do
  local own_executed, own_all = count(path)
  rows[#rows + 1] = { path = path, share = own_all == 0 and 100 or 100 * own_executed / own_all, all = own_all }
  executed, all = executed + own_executed, all + own_all
end
table.sort(rows, function(a, b) return a.share < b.share end)
for _, row in ipairs(rows) do
  print(("%6.2f %% of %5d  %s"):format(row.share, row.all, row.path))
end
local share = 100 * executed / all
print(("%6.2f %% of %5d  all of lua/modalua"):format(share, all))
if least and share < least then
  io.stderr:write(("%.2f %% of the Lua lines are executed, and %g %% is the least\n"):format(share, least))
  os.exit(1)
end
