-- text.wrapping: breaks text for people into lines, at blanks.
local require = ...
local letters = require "text.letters"
local native = require "core.native"

local wrapping = {}

local HANGING = 2 -- columns by which the rest of an indented line is indented more

-- The columns by which the rest of a line is indented: up to its second part, when blanks separate it from the first one.
local function hanging_of(line, width)
  local first = line:match "^ *%S.-   *%f[^ ]" or ""
  if first ~= "" and letters.width(first) <= width // 2 then
    return letters.width(first)
  end
  local indent = #line:match "^ *"
  return indent > 0 and indent + HANGING or 0
end

-- Where a line is broken so that it fits: the position of a blank; nil: there is none.
local function break_of(line, width)
  local most = #native.text_fitting(line, width)
  return line:sub(1, most + 1):match "^ *%S.*() " or line:match("^ *%S+() ")
end

-- The text in lines of at most `width` columns, except for words that are longer.
function wrapping.wrapped(text, width)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local indent = (" "):rep(hanging_of(line, width))
    while letters.width(line) > width do
      local blank = break_of(line, width)
      if not blank then
        break
      end
      lines[#lines + 1] = line:sub(1, blank - 1):gsub(" +$", "")
      line = indent .. line:sub(blank + 1):gsub("^ +", "")
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

return wrapping
