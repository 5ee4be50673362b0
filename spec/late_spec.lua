-- Tests that a transfer never leaves after the moment until which it may: another process may have its items by then. tls_spec.lua tests
-- the same of a connection that takes long.
local part = require "spec.support.part"
local native = part "core.native"
local expect = require "spec.support.expect"
local lag = require "spec.support.lag"
local machine = part "transfer.native"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"

local LAG <const> = 100 -- milliseconds each way
local LATE <const> = { kind = "refused", code = "late" }

describe("A transfer that may leave until a moment", function()
  local server, far

  setup(function()
    server = orthanc.start()
    far = lag.start(server.http_port, LAG)
  end)

  teardown(function()
    far:close()
    server:close()
  end)

  -- Moves with a modality that the server does not know. `left`: milliseconds until the moment.
  local function move(url, left)
    local modality = modalua.connect(url):modality "nobody"
    native.set_latest(modality, machine.boot() + left)
    return native.move_one(modality, "Study", { { StudyInstanceUID = "1.2" } }, { TargetAet = "US" },
      { op = "move_resources", level = "Study", resources = { { StudyInstanceUID = "1.2" } }, ignored = {} })
  end

  it("leaves before it", function()
    expect.fails({ code = "unknown_modality" }, move(far.url, 3600000))
  end)

  it("does not leave when it has passed", function()
    expect.fails(LATE, move(server.url, -1))
  end)

  it("does not leave when it passes during the look at the server's jobs", function()
    expect.fails(LATE, move(far.url, LAG))
  end)
end)
