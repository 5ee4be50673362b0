-- command.verbs.modalities: lists the modalities of the server.
local require = ...
local session = require "command.session"

local function run_modalities(self)
  local rows = session.modality_rows(self:must(self:client():modalities { expand = true }))
  if self:is_for_programs() then
    self:show({ "name", "aet", "host", "port", "manufacturer" }, rows)
  else
    for _, row in ipairs(rows) do
      row.address = session.row_address(row)
    end
    self:show({ "name", { name = "aet", title = "AET" }, "address", { name = "manufacturer", title = "Manufacturer" } }, rows)
  end
  if #rows == 0 then
    self:note "the server knows no modalities"
  end
  return true
end

return {
  run = run_modalities,
  usage = "",
  summary = "lists the modalities that the server knows",
  description = "Lists the modalities that the server knows: name, AE title, address and manufacturer.",
  examples = { { "modalua modalities", "of the server in MODALUA_URL" },
    { "modalua modalities --profile ward --json | jq -r '.[].name'", "the names of the modalities of another server" } },
  arguments = {},
}
