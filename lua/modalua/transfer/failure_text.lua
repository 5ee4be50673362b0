-- transfer.failure_text: the message of a failure in two parts: what has happened, which fits into a line, and what it means and how it is
-- mended, which is the same for many items.
local failure_text = {}

-- Returns the first part, and the other one, or nil when there is none. Before the other one, a message has the status of Orthanc.
function failure_text.divided(message)
  local short, advice = message:match "^(.-) %([^()]*OrthancStatus %d+%); (.+)$"
  short = (short or message):gsub("^the exchange with the remote modality failed: ", "")
  return (short:gsub("^C%-%u+ SCU to AET \".-\" has failed with (DIMSE status 0x%x+)", "%1")), advice
end

-- A row of transfer.items with the first part of its message.
function failure_text.row(row)
  row.message = row.message and (failure_text.divided(row.message))
  return row
end

return failure_text
