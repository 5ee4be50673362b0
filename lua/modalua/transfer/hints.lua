-- transfer.hints: messages about filters without advice that a transfer cannot follow: it has no option `keep`.
local require = ...
local native = require "core.native"

local hints = {}

local ADVICE <const> = { " %(keep = { \"[^\"]*\" } sends it as it is%)", " If the modality matches by it, add keep = { \"[^\"]*\" }%." }

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
