-- prompt.kinds: the kinds of objects that modalua has, such as "modality". No metamethod is called.
local require = ...
local modalua = require "modalua"
local native = require "core.native"

local kinds = {}

local samples -- kind -> an object of it

kinds.of = native.kind

-- The methods of an object of modalua: the __index of the metatable, or an upvalue of that function.
function kinds.methods_of(object)
  local meta = debug.getmetatable(object)
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) ~= "function" then
    return type(index) == "table" and index or nil
  end
  if kinds.of(object) then
    local _, kept = debug.getupvalue(index, 2)
    return type(kept) == "table" and kept or nil
  end
end

-- An object of the kind. Making it sends no request.
function kinds.sample(kind)
  if not samples then
    local client = modalua.connect "http://localhost"
    local modality = client:modality "x"
    samples = { client = client, modality = modality, peer = client:peer "x", query = client:query "0-0", job = client:job "0-0",
      commitment = client:commitment "1.2", task = modalua.task.spawn(function() end), error = native.fail("x", "refused", nil, "x"),
      found = native.found { client = client, id = "0-0", modality = "x", level = "Study", answers = {}, notes = {} } }
  end
  return samples[kind]
end

-- The fields of a kind of object: list of { name =, help = }.
function kinds.fields(kind)
  local sample = kinds.sample(kind)
  return sample and native.fields(sample) or {}
end

return kinds
