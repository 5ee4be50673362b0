-- core.character_set: client:use_utf8, which changes the DefaultEncoding of the server.
local character_set = {}

function character_set.use_utf8(client)
  local before, err = client:default_encoding()
  local done = before
  if before then
    done, err = client:put("/tools/default-encoding", "Utf8")
  end
  if not done then
    return nil, err
  end
  return function()
    local restored, restore_error = client:put("/tools/default-encoding", before)
    return restored and true, restore_error
  end
end

return character_set
