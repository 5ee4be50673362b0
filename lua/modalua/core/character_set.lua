-- core.character_set: client:use_utf8, which changes the DefaultEncoding of the server.
local require = ...
local described = require "core.described"
local native = require "core.native"

local character_set = {}

-- Sets the server's DefaultEncoding, and looks whether it is set: any answer to the request would look like a success. Returns true, or
-- nil and an error.
local function set(client, encoding)
  local done, err = client:put("/tools/default-encoding", encoding)
  if done == nil then
    return nil, err
  end
  local now, failure = client:default_encoding()
  if now == encoding then
    return true
  elseif not now then
    return nil, failure
  end
  return nil, native.fail("use_utf8", "orthanc", "not_taken", ("the server was told the DefaultEncoding %s, but it still has %s"):format(
    encoding, now))
end

function character_set.use_utf8(client)
  local before, err = client:default_encoding()
  if not before then
    return nil, err
  end
  local done, failure = set(client, "Utf8")
  if not done then
    return nil, failure
  end
  return described.add(function()
    return before == "Utf8" or set(client, before) -- another program had set it, and may have put it back since
  end, ("a function that sets the server's encoding back to %s"):format(before), "%s()")
end

return character_set
