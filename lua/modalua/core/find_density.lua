-- core.find_density: how many studies a search has in a day, and at which times of a day, as the answers so far show it. So core.find_walk
-- asks for slices of about the size that a modality gives at once.
--
-- The state is a table that json.encode can write: { rate = studies in a day, days = the number of days that the rate comes from,
-- peak = the highest rate so far, times = list of the numbers of studies in each quarter of an hour }.
local density = {}

local DAYS <const> = 7            -- of the rate: older days count less
local QUARTERS <const> = 96       -- of an hour in a day
local QUARTER <const> = 86400 // QUARTERS
local ENOUGH <const> = 20         -- studies with a time from which the times of other days can be guessed

function density.new()
  local times = {}
  for i = 1, QUARTERS do
    times[i] = 0
  end
  return { rate = 0, days = 0, peak = 0, times = times }
end

-- So many studies were found in so many days.
function density.add(state, days, studies)
  state.rate = (state.rate * state.days + studies) / (state.days + days)
  state.days = math.min(state.days + days, DAYS)
  state.peak = math.max(state.peak, studies / days)
end

-- A study was found at that second of a day.
function density.add_time(state, second)
  local i = second // QUARTER + 1
  state.times[i] = state.times[i] + 1
end

-- The first seconds of `n` parts of a day that probably have equally many studies. The first part begins at 0.
function density.parts(state, n)
  local total, starts = 0, { 0 }
  for _, count in ipairs(state.times) do
    total = total + count
  end
  local even = total < ENOUGH
  local place, sum = 1, 0 -- the quarter, and the number of studies before it
  for i = 1, n - 1 do
    local start
    if even then
      start = 86400 * i // n
    else
      local wanted = total * i / n
      while sum + state.times[place] < wanted do
        sum, place = sum + state.times[place], place + 1
      end
      start = ((place - 1) * QUARTER + QUARTER * (wanted - sum) / math.max(state.times[place], 1)) // 1 | 0
    end
    if start > starts[#starts] and start < 86400 then
      starts[#starts + 1] = start
    end
  end
  return starts
end

return density
