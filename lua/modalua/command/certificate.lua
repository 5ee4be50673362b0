-- command.certificate: until when the certificate of the server is valid, for the verb check.
local require = ...
local native = require "core.native"

local certificate = {}

local MONTHS <const> = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }
local DAYS_LEFT <const> = 30 -- with fewer days, check warns

-- A time as OpenSSL writes it, "Nov 28 12:00:00 2026 GMT", as { year =, month =, day =, hour =, min =, sec = }; nil when it is none.
local function fields_of(text)
  local month, day, hour, minute, second, year = text:match "^(%a%a%a) +(%d+) (%d+):(%d+):(%d+) (%d+) GMT"
  return MONTHS[month] and { year = year, month = MONTHS[month], day = day, hour = hour, min = minute, sec = second, isdst = false }
end

-- The days from now until such a time.
local function days_until(fields)
  local now = os.date "!*t"
  now.isdst = false
  return os.difftime(os.time(fields), os.time(now)) // 86400
end

-- Adds a row when the server can be reached by https.
function certificate.check(add, client)
  local text = native.certificate_end(client)
  local fields = text and fields_of(text)
  if fields then
    local days = days_until(fields)
    local detail = ("valid until %d-%02d-%02d (%d %s)"):format(fields.year, fields.month, fields.day, days, days == 1 and "day" or "days")
    if days < 0 then -- of a client that checks no certificate
      add("certificate", "failed", detail, "it has expired: install a new one on the server, or on the proxy in front of it")
    elseif days < DAYS_LEFT then
      add("certificate", "warning", detail, "install a new one soon on the server, or on the proxy in front of it")
    else
      add("certificate", "ok", detail)
    end
  elseif text then
    add("certificate", "unknown", text, "this TLS library writes it in a form that modalua does not know")
  end
end

return certificate
