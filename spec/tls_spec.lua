-- Uses the server of OpenSSL, because Debian's Orthancs (1.10.1, 1.12.7, 1.13.0) crash at the first request over HTTPS.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"

local native, machine = part "core.native", part "transfer.native"

describe("TLS", function()
  local folder
  local files = {} -- name -> { key =, pem = }: the files of its key and certificate
  local plain, asking, asking_later, elsewhere -- the servers, each { url =, pipe = }

  -- Makes a key and a self-signed certificate.
  local function make_certificate(name, host)
    local key, pem = folder .. "/" .. name .. ".key", folder .. "/" .. name .. ".pem"
    assert(os.execute(("exec openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=%s' " ..
      "-addext 'subjectAltName=%s' -keyout %s -out %s 2>%s.log"):format(name, host, key, pem, key)))
    files[name] = { key = key, pem = pem }
  end

  local function start(who, extra)
    local port = orthanc.free_ports(1)[1]
    local pipe = assert(io.popen(("exec %s %d 10 -- openssl s_server -accept 127.0.0.1:%d -cert %s -key %s -www %s")
      :format(os.getenv "MODALUA_SERVE", port, port, who.pem, who.key, extra)))
    assert.are.equal("ready", pipe:read("l"))
    return { url = "https://127.0.0.1:" .. port, port = port, pipe = pipe }
  end

  setup(function()
    local pipe = assert(io.popen("exec mktemp -d"))
    folder = pipe:read("l")
    pipe:close()
    make_certificate("server", "IP:127.0.0.1")
    make_certificate("client", "DNS:client")
    make_certificate("other", "DNS:elsewhere")
    plain = start(files.server, "")
    elsewhere = start(files.other, "")
    asking = start(files.server, "-tls1_2 -Verify 1 -verify_return_error -CAfile " .. files.client.pem)
    asking_later = start(files.server, "-tls1_3 -Verify 1 -verify_return_error -CAfile " .. files.client.pem)
  end)

  teardown(function()
    plain.pipe:close()
    elsewhere.pipe:close()
    asking.pipe:close()
    asking_later.pipe:close()
    os.execute("exec rm -r '" .. folder .. "'")
  end)

  local function fails(url, options)
    local ok, err = modalua.connect(url, options):get("/")
    assert.is_nil(ok)
    assert.are.same({ "network", "tls", false }, { err.kind, err.code, err.retryable }, tostring(err)) -- a retry cannot help
    return err
  end

  it("rejects a certificate that no known authority has signed", function()
    assert.matches("certificate cannot be verified", fails(plain.url).message)
    fails(plain.url, { ca = files.other.pem })
  end)

  it("accepts a certificate that the option ca confirms, only for the right host", function()
    assert.matches("s_server", assert(modalua.connect(plain.url, { ca = files.server.pem }):get("/")))
    fails(elsewhere.url, { ca = files.other.pem })
  end)

  it("is checked at the shell by --ca, MODALUA_CA or SSL_CERT_FILE, in this order, and with a client's certificate", function()
    local function run(environment, ...)
      return command.shell(environment .. ' "$M" ' .. command.quote("api", "GET", "/", ...))
    end
    local right, wrong = files.server.pem, files.other.pem
    for environment, options in pairs { ["MODALUA_CA=" .. wrong] = { "--ca", right },
      ["MODALUA_CA=" .. right .. " SSL_CERT_FILE=" .. wrong] = {}, ["MODALUA_CA= SSL_CERT_FILE=" .. right] = {} } do
      local result = run(environment, "--url", plain.url, table.unpack(options))
      assert.are.equal(0, result.status, environment .. result.err)
      assert.matches("s_server", result.out)
      assert.are.equal(0, run(environment .. " MODALUA_URL=" .. plain.url, table.unpack(options)).status)
    end
    local refused = run("", "--url", plain.url)
    assert.are.same({ 1, "" }, { refused.status, refused.out })
    assert.matches("%-%-ca or MODALUA_CA", refused.err)
    assert.are.equal(1, run("MODALUA_CA=" .. right, "--url", plain.url, "--ca", wrong).status)
    assert.are.equal(1, run("", "--url", asking.url, "--ca", right).status)
    assert.are.equal(0, run("", "--url", asking.url, "--ca", right, "--cert", files.client.pem, "--key", files.client.key).status)
  end)

  it("verifies nothing with the option insecure", function()
    assert.matches("s_server", assert(modalua.connect(plain.url, { insecure = true }):get("/")))
  end)

  it("sends the client's certificate if the server asks for it", function()
    local function as(who)
      return { ca = files.server.pem, cert = who.pem, key = who.key }
    end
    for _, server in ipairs { asking, asking_later } do
      assert.matches("CN *= *client", assert(modalua.connect(server.url, as(files.client)):get("/")))
    end
    fails(asking.url, { ca = files.server.pem })
    fails(asking.url, as(files.other))
    for alert, options in pairs { ["certificate required"] = { ca = files.server.pem }, ["unknown ca"] = as(files.other) } do
      assert.matches(alert, fails(asking_later.url, options).message, 1, true) -- by TLS 1.3 the server says so behind the handshake
    end
  end)

  it("names the option with a file that cannot be used", function()
    assert.matches("option ca", fails(plain.url, { ca = folder .. "/nosuch.pem" }).message)
    assert.matches("option cert", fails(plain.url,
      { ca = files.server.pem, cert = folder .. "/nosuch.pem", key = files.client.key }).message)
  end)

  it("that is not ready in time lets no transfer leave", function()
    local slow <close> = lag.start(plain.port, 100)
    local modality = modalua.connect("https://127.0.0.1:" .. slow.port, { ca = files.server.pem }):modality "nobody"
    local id = ("0"):rep(8) .. ("-00000000"):rep(4)
    native.set_latest(modality, machine.boot() + 100)
    local options = { wait_timeout = 2 } -- that server never answers a POST
    expect.fails({ kind = "refused", code = "late" }, modality:store({ id }, options))
    native.set_latest(modality, machine.boot() + 3600000)
    local _, err = modality:store({ id }, options)
    assert.are_not.equal("late", err.code)
  end)
end)
