-- transfer.process: which process on which machine a worker is. A worker that was killed need not be waited for when its process is gone.
--
-- The host of a worker is a text of four words: the name of the machine, the ID of its boot, when the first process of the PID namespace
-- began, and when this process began. Processes in two containers may have one number; they do not have one first process.
local process = {}

local function line_of(path)
  local file <close> = io.open(path)
  return file and file:read "l"
end

-- Returns the number of a process and when it began, in the kernel's ticks; nil when it does not exist, or has ended.
local function read(pid)
  local text = line_of(("/proc/%s/stat"):format(pid)) or ""
  -- the name of the program stands in parentheses, and may have blanks and parentheses
  local number, state, rest = text:match "^(%d+) %(.*%) (%a) (.*)$"
  if not number or state == "Z" or state == "X" then
    return nil
  end
  local words = {}
  for word in rest:gmatch "%S+" do
    words[#words + 1] = word
  end
  return math.tointeger(tonumber(number)), words[19] -- field 22 of proc(5)
end

-- The boot and the PID namespace of this process.
local function place()
  return line_of "/proc/sys/kernel/random/boot_id", (select(2, read(1)))
end

-- Returns the host of this process, and its number.
function process.here()
  local pid, began = read "self"
  local boot, first = place()
  return ("%s %s %s %s"):format(line_of "/proc/sys/kernel/hostname" or "unknown", boot or "-", first or "-", began or "-"), pid
end

-- Whether a process with that host and number is known to have ended. False also when it is on another machine.
function process.is_gone(host, pid)
  local boot, first, began = (host or ""):match " (%S+) (%S+) (%S+)$"
  local own_boot, own_first = place()
  if not boot or boot == "-" or first == "-" or boot ~= own_boot or first ~= own_first then
    return false
  end
  local number, now = read(pid)
  return not number or now ~= began
end

-- The name of the machine alone, for people.
function process.machine(host)
  return (host or ""):match "^%S+" or ""
end

return process
