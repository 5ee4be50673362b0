-- command.verbs.modalities: lists the modalities of the server.
local require = ...
local session = require "command.session"

local function run_modalities(self)
  local rows = session.modality_rows(self:must(self:client():modalities { expand = true }))
  self:show({ "name", "AET", "address", "Manufacturer" }, rows)
  if #rows == 0 then
    self:note "the server knows no modalities"
  end
  return true
end

return {
  run = run_modalities,
  usage = "",
  summary = "the modalities that the server knows",
  description = "The modalities that the server knows: a row of name, AE title, address and manufacturer for each.",
  examples = { { "modalua modalities", "of the server in MODALUA_URL" },
    { "modalua modalities --profile ward --json | jq -r '.[].name'", "the names of those of another server" } },
  words = {},
}
