-- core.character_set: client:use_utf8, which changes the DefaultEncoding of the server.
local require = ...
local native = require "core.native"
local steps = require "core.native_steps"

local character_set = {}

local PATH <const> = "/tools/default-encoding"

-- Sets the encoding. Returns true, or nil and an error. Orthanc answers with the encoding that it has now.
local function set(client, encoding)
  local said, err = client:put(PATH, encoding)
  if said == nil then
    return nil, err
  elseif said ~= encoding then
    return steps.unexpected({ client = client, op = "use_utf8" }, "PUT", PATH, ("it is %s, not '%s'"):format(native.said(said), encoding))
  end
  return true
end

function character_set.use_utf8(client)
  local before, err = client:default_encoding()
  local done = before
  if before then
    done, err = set(client, "Utf8")
  end
  if not done then
    return nil, err
  end
  return function()
    return set(client, before)
  end
end

return character_set
