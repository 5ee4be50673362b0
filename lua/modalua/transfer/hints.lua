-- transfer.hints: messages about filters without advice that a transfer cannot follow: it has no option `keep`.
local require = ...
local native = require "core.native"

local hints = {}

-- The texts of that advice as patterns: they have a %s for a tag.
local ADVICE <const> = { native.keep_advice() }
for i, text in ipairs(ADVICE) do
  ADVICE[i] = text:gsub("%p", "%%%0"):gsub("%%%%s", '[^"]*')
end

-- The message of another part without that advice.
function hints.plain(message)
  for _, pattern in ipairs(ADVICE) do
    message = message:gsub(pattern, "")
  end
  return message
end

-- Why the value is wrong for the tag; nil when it is right.
function hints.fault(tag, value)
  local message = native.fault(tag, value)
  return message and hints.plain(message)
end

return hints
