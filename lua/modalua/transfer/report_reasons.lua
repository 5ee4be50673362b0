-- transfer.report_reasons: the reasons of failures: what each means, and what to do.
local require = ...
local native = require "core.native"

local report_reasons = {}

-- By the code or the kind of an error (docs of errors in lua/README.md), or a word of the transfer itself.
local REASONS <const> = {
  short = { "fewer images are at the destination than the source has, although the transfer ended well",
    "look for refused images in the destination's log, then retry" },
  gone = { "the source does not have it any more", "nothing, if it was deleted; else search anew with a new ledger" },
  vanished = { "it had arrived, and at the end it was not at the destination any more, twice",
    "check the quota and the rules for deleting of the destination, then retry" },
  grown = { "the source got more images of it while it was sent, twice", "retry, when nothing is added to it any more" },
  unproven = { "its transfer was interrupted, and the destination cannot be asked whether it arrived",
    "look at the destination, or retry: what is there is sent once more" },
  unknown = { "the outcome of the transfer is not known: its answer was lost", "look at the destination, or retry" },
  network = { "the Orthanc server could not be reached", "check that it runs, then retry" },
  timeout = { "there was no answer in time", "check the load of both sides, then retry with a smaller concurrency" },
  http = { "the Orthanc server gave an error", "read the message and the log of Orthanc, then retry" },
  decode = { "an answer could not be read", "report it with the message" },
  refused = { "modalua refused to send it", "read the message" },
  dicom = { "the DICOM exchange failed", "read the message and the logs of both sides, then retry" },
  not_found = { "the source, or the server, does not know it", "check whether it was deleted, then retry" },
  peer_failed = { "the peer could not be reached, or refused the data", "check the peer's address, login and free space, then retry" },
  unsupported = { "one of the sides does not support this", "read the message" },
  permissive = { "some images were not accepted by the destination", "look for refused images in the destination's log" },
  job_gone = { "the server does not know the job of this transfer any more", "raise JobsHistorySize of Orthanc, then retry" },
}

-- Returns the meaning of a reason and what to do about it. The words of a DIMSE status have both.
function report_reasons.explain(reason)
  local status = tostring(reason or ""):match "^0x(%x%x%x%x)$"
  local words = status and native.move_words(tonumber(status, 16))
  if words then
    local meaning, check = words:match "^(.-): (.*)$"
    return meaning or words, check and check .. "; then retry" or "retry"
  end
  local row = REASONS[reason]
  if row then
    return row[1], row[2]
  end
  return status and "a status that DICOM does not define, or of this product alone" or "see the message", "read the message, then retry"
end

return report_reasons
