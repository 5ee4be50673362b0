-- Uses the server of OpenSSL, because Debian's Orthancs (1.10.1, 1.12.7, 1.13.0) crash at the first request over HTTPS.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local terminal = require "spec.support.terminal"

local native, machine = part "core.native", part "transfer.native"

describe("TLS", function()
  local folder
  local files = {} -- name -> { key =, pem = }: the files of its key and certificate
  local plain, asking, asking_later, elsewhere -- the servers, each { url =, pipe = }

  -- Makes a key and a self-signed certificate.
  local function make_certificate(name, host, days)
    local key, pem = folder .. "/" .. name .. ".key", folder .. "/" .. name .. ".pem"
    assert(os.execute(("exec openssl req -x509 -newkey rsa:2048 -nodes -days %d -subj '/CN=%s' " ..
      "-addext 'subjectAltName=%s' -keyout %s -out %s 2>%s.log"):format(days or 2, name, host, key, pem, key)))
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
    assert.are.equal(1, run("MODALUA_CA=" .. right, "--url", plain.url, "--ca", wrong).status)
    assert.are.equal(1, run("", "--url", asking.url, "--ca", right).status)
    assert.are.equal(0, run("", "--url", asking.url, "--ca", right, "--cert", files.client.pem, "--key", files.client.key).status)
  end)

  -- Runs the shell line `words` with this configuration file.
  local function with_file(text, words)
    local path = folder .. "/modalua/config.lua"
    assert(os.execute(("mkdir -p '%s/modalua' && umask 077 && printf %%s %s >'%s'"):format(folder, command.quote(text), path)))
    return command.shell(("unset MODALUA_URL; export XDG_CONFIG_HOME='%s'; %s"):format(folder, words))
  end

  it("is checked by --ca, MODALUA_CA and --insecure with a profile and with the default server too", function()
    local right, wrong = files.server.pem, files.other.pem
    local text = ("return { default = 'plain', servers = { plain = { url = %q }, asking = { url = %q }, wrong = { url = %q, ca = %q } } }")
      :format(plain.url, asking.url, plain.url, wrong)
    local function status(options, environment)
      return with_file(text, ('%s "$M" api GET / %s'):format(environment or "", options)).status
    end
    assert.are.same({ 1, 0, 0 }, { status "", status("--ca " .. right), status "--insecure" })
    assert.are.same({ 1, 0, 0 }, { status "--profile plain", status("--profile plain --ca " .. right),
      status "--profile plain --insecure" })
    assert.are.same({ 0, 0 }, { status("", "MODALUA_CA=" .. right), status("--profile plain", "SSL_CERT_FILE=" .. right) })
    assert.are.same({ 1, 0 }, { status("--profile wrong", "MODALUA_CA=" .. right), status("--profile wrong --ca " .. right) })
    local mine = ("--profile asking --ca %s"):format(right)
    assert.are.same({ 1, 0 }, { status(mine), status(("%s --cert %s --key %s"):format(mine, files.client.pem, files.client.key)) })
  end)

  it("has its end in the verb check, with a warning in its last month", function()
    local function row(url, options)
      for _, one in ipairs(assert(json.decode(command.shell(('"$M" check --json -u %s %s'):format(url, options)).out))) do
        if one.check == "certificate" then
          return one
        end
      end
    end
    local short = row(plain.url, "--insecure")
    assert.matches("^valid until %d%d%d%d%-%d%d%-%d%d %(1 day%)$", short.detail)
    assert.are.equal("warning", short.state)
    make_certificate("long", "IP:127.0.0.1", 400)
    local server = start(files.long, "")
    local long = row(server.url, "--ca " .. files.long.pem)
    server.pipe:close()
    local pipe = assert(io.popen("exec openssl x509 -noout -enddate -dateopt iso_8601 -in " .. files.long.pem))
    local day = pipe:read("a"):match "=([%d-]+)"
    pipe:close()
    assert.are.equal("ok", long.state)
    assert.matches("valid until " .. day .. " (", long.detail, 1, true)
    assert.is_nil(row(plain.url, "")) -- it cannot be verified: the row of the server says so
  end)

  it("is named with its options in the error of the shell", function()
    assert.matches("--ca or MODALUA_CA, or --insecure", command.shell(('"$M" -u %s api GET /'):format(plain.url)).err, 1, true)
  end)

  describe("with a key that has a passphrase", function()
    local locked

    setup(function()
      locked = folder .. "/locked.key"
      assert(os.execute(("exec openssl rsa -aes128 -passout pass:hunter2 -in %s -out %s 2>/dev/null"):format(files.client.key, locked)))
      for name, text in pairs { right = "hunter2\n", marked = "\xEF\xBB\xBFhunter2\r\n", wrong = "hunter3\n", cut = "hunter2\0\n" } do
        local file = assert(io.open(folder .. "/" .. name, "w"))
        file:write(text)
        file:close()
      end
    end)

    local function options(more)
      return ("-u %s --ca %s --cert %s --key %s %s"):format(asking.url, files.server.pem, files.client.pem, locked, more)
    end

    it("needs it, says so, and never asks at the terminal", function()
      local text, status = terminal.run({ columns = 400, arguments = options "api GET /" },
        { { wait = "needs a passphrase: option key_password" } })
      assert.are.equal(1, status, text)
      assert.is_nil(text:find("Enter", 1, true), text)
      local err = fails(asking.url, { ca = files.server.pem, cert = files.client.pem, key = locked })
      assert.matches("the private key " .. locked .. " needs a passphrase", err.message, 1, true)
      err = fails(asking.url, { ca = files.server.pem, cert = files.client.pem, key = locked, key_password = "hunter3" })
      assert.matches("the passphrase does not fit the private key " .. locked, err.message, 1, true)
      assert.is_nil(tostring(err):find "hunter3")
    end)

    it("takes it from an option, a file, the environment, or the configuration file", function()
      assert(modalua.connect(asking.url, { ca = files.server.pem, cert = files.client.pem, key = locked,
        key_password = "hunter2" }):get "/")
      local function status(environment, more)
        return command.shell(('%s "$M" api GET / %s'):format(environment, options(more))).status
      end
      assert.are.equal(0, os.execute(("exec mkfifo '%s/pipe'"):format(folder)) and 0) -- which no program writes to
      for name, wanted in pairs { right = 0, marked = 0, wrong = 1, cut = 2, pipe = 2, nosuch = 2 } do
        assert.are.equal(wanted, status("", ("--key-password-file '%s/%s'"):format(folder, name)), name)
      end
      assert.are.same({ 0, 1 }, { status("MODALUA_KEY_PASSWORD=hunter2", ""), status("MODALUA_KEY_PASSWORD=hunter3", "") })
      local text = ([[return { default = "s", servers = { s = { url = %q, ca = %q, cert = %q, key = %q,
        key_password_command = "echo hunter2" } } }]]):format(asking.url, files.server.pem, files.client.pem, locked)
      local result = with_file(text, '"$M" api GET /')
      assert.are.equal(0, result.status, result.err)
    end)
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
    local id = ("0"):rep(8) .. ("-00000000"):rep(4)
    local function store(milliseconds, timeout)
      local client = modalua.connect("https://127.0.0.1:" .. slow.port, { ca = files.server.pem, timeout = timeout })
      local modality = client:modality "nobody"
      native.set_latest(modality, machine.boot() + milliseconds)
      return modality:store({ id }, { wait_timeout = 2 })
    end
    expect.fails({ kind = "refused", code = "late" }, store(100))
    local _, err = store(3600000, 3) -- that server never answers a POST
    assert.are_not.equal("late", err.code)
  end)
end)
