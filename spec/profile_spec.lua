-- Tests the servers in the user's configuration file. Their credentials are sent only to them.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local served = require "spec.support.served"

local contains = expect.contains

describe("The configuration file", function()
  local server, folder, file

  setup(function()
    server = faultd.start()
    folder = served.folder "profile"
    os.execute(("mkdir '%s/modalua'"):format(folder))
    file = folder .. "/modalua/config.lua"
  end)

  teardown(function()
    server:close()
    os.execute(("rm -rf -- '%s'"):format(folder))
  end)

  -- Runs the shell line `words` with this configuration file, and returns the result.
  local function run(text, words, mode)
    os.remove(file)
    if text then
      served.write_file(file, (text:gsub("URL", server.url)))
      os.execute(("chmod %s '%s'"):format(mode or "600", file))
    end
    return command.shell(("export XDG_CONFIG_HOME='%s'; unset MODALUA_URL; %s"):format(folder, words))
  end

  local function code(arguments)
    return "-e " .. command.quote(([[
      local client = require "modalua".connect(%s)
      print(client, client:get("/echo").headers.authorization)]]):format(arguments or ""))
  end

  local function gives(client, authorization, result)
    assert.are.same({ 0, ("modalua.Client (%s)\t%s\n"):format(client, authorization) }, { result.status, result.out }, result.err)
  end

  local function fails(part, result)
    assert.are.equal(1, result.status, result.out)
    contains(result.err, part)
    assert.is_nil(result.err:find("hunter2", 1, true), result.err)
  end

  local BOTH = [[
    -- two servers
    return { default = "ward", servers = {
      ward = { url = "URL/prefix", username = "u", password = "hunter2", timeout = 5 },
      test = { url = "URL" },
    } }]]
  local WARD = "Basic dTpodW50ZXIy"

  it("names the default server of connect(), and other servers", function()
    gives(server.url .. "/prefix", WARD, run(BOTH, '"$M" ' .. code()))
    gives(server.url, "nil", run(BOTH, '"$M" ' .. code '{ profile = "test" }'))
    gives(server.url, "nil", run(BOTH, '"$M" --profile test ' .. code()))
    gives(server.url .. "/prefix", WARD, run(BOTH, '"$M" --profile=ward ' .. code()))
    gives(server.url .. "/prefix", WARD, run(BOTH, '"$M" --profile test ' .. code '{ profile = "ward" }'))
  end)

  it("has an only server, which is the default by itself", function()
    local one = [[return { servers = { ward = { url = "URL/prefix", username = "u", password = "hunter2" } } }]]
    gives(server.url .. "/prefix", WARD, run(one, '"$M" ' .. code()))
    fails("the server 'ward' is not a table with a url", run("return { servers = { ward = {} } }", '"$M" ' .. code()))
  end)

  it("has no key twice in a table, of which Lua would take the last one", function()
    for text, key in pairs {
      ['return { servers = { a = { url = "http://127.0.0.1:1" }, a = { url = "URL", password = "hunter2" } } }'] = "a",
      ['return { servers = { a = { url = "URL", ["url"] = "URL" } } }'] = "url",
      ["return { default = 'a'; servers = {}, --[[ x ]] default = 'b' }"] = "default",
      [ [[local function url(x) while x do repeat if x then x = nil end until not x end return "URL" end
        for _ = 1, 2 do url(1) end return { servers = { a = { url = url(), url = "x" } } }]] ] = "url",
      [ [[return { servers = { a = { url = (function(x) return x or "URL" end)(), url = "x" } } }]] ] = "url",
      [("return { servers = { a = { url = 'URL', x = %s } }, default = 'a', default = 'a' }"):format(("{"):rep(100) .. ("}"):rep(100))] =
        "default",
      [("return { servers = { a = { url = 'URL', x = %sb = 1, b = 2%s } } }"):format(("{"):rep(100), ("}"):rep(100))] = "b",
    } do
      fails(("it has '%s' twice in a table"):format(key), run(text, '"$M" ' .. code()))
    end
    for _, text in ipairs {
      [=[return { servers = { a = { url = "URL", ca = nil }, -- b = 1, b = 2
        b = { url = "URL" }, ["c"] = { url = [==[x, a = 1, a = ]] ]==] .. "\", b = {", headers = { a = "x", b = 'a = 1, a = 2' } } },
        --[==[ default = 1, ]==] default = "a" }]=], -- the same keys in comments, in strings and in other tables
      [[return { servers = { a = { url = (function() local a, url = 1, 2 a, url = 3, "URL" return url end)() } } }]],
      [[local a = { url = "URL" } return { servers = { a = a, b = { url = a.url == a.url and "x" } }, default = "a" }]],
    } do
      gives(server.url, "nil", run(text, '"$M" ' .. code()))
    end
  end)

  it("has several servers, of which one must be chosen", function()
    local several = [[return { servers = { b = { url = "URL" }, a = { url = "URL" } } }]]
    for _, line in ipairs { '"$M" ' .. code(), '"$M" echo', '"$M" move pacs --to archive PatientID=1' } do
      local result = run(several, line)
      assert.are.equal(1, result.status)
      contains(result.err, " has several servers (a, b) and no `default`: name one of them as profile, or give a URL")
    end
    gives(server.url, "nil", run(several, '"$M" --profile b ' .. code()))
    gives(server.url, "nil", run(several, ('"$M" -u %s %s'):format(server.url, code())))
    assert.are.equal("modalua.Client (http://localhost:8042)\n", run("return { servers = {} }",
      '"$M" -e ' .. command.quote "print(require'modalua'.connect())").out)
  end)

  it("has a lower priority than options, environment and arguments", function()
    gives(server.url, "nil", run(BOTH, ('"$M" -u %s %s'):format(server.url, code())))
    gives(server.url, "nil", run(BOTH, ('MODALUA_URL=%s "$M" %s'):format(server.url, code())))
    gives(server.url, "nil", run(BOTH, ('"$M" %s'):format(code(("%q"):format(server.url)))))
    gives(server.url .. "/prefix", WARD, run(BOTH, ('MODALUA_URL=%s "$M" --profile ward %s'):format(server.url, code())))
  end)

  it("is not read with -E, and need not exist", function()
    local show = "-e " .. command.quote "print(require'modalua'.connect())"
    assert.are.equal("modalua.Client (http://localhost:8042)\n", run(BOTH, '"$M" -E ' .. show).out)
    assert.are.equal("modalua.Client (http://localhost:8042)\n", run(nil, '"$M" ' .. show).out)
    fails("there is no configuration file here", run(BOTH, '"$M" -E ' .. code '{ profile = "ward" }'))
    fails("cannot be used: there is no such file", run(nil, '"$M" ' .. code '{ profile = "ward" }'))
  end)

  it("gives its credentials only to its own URL", function()
    fails("a profile's credentials are for its own URL", run(BOTH, '"$M" ' .. code '{ profile = "ward", url = "http://127.0.0.1:1" }'))
    fails("a profile's credentials are for its own URL", run(BOTH, '"$M" ' .. code '"http://127.0.0.1:1", { profile = "ward" }'))
    local result = run(BOTH, ('"$M" -u %s --profile ward %s'):format(server.url, code()))
    assert.are.equal(2, result.status)
    contains(result.err, "not both")
    gives(server.url .. "/prefix", "Basic bWU6bWluZQ==",
      run(BOTH, '"$M" ' .. code '{ profile = "ward", username = "me", password = "mine" }'))
    gives(server.url .. "/prefix", "Bearer mine", run(BOTH, '"$M" ' .. code '{ profile = "ward", token = "mine" }'))
  end)

  it("can set all options of connect, which the script can override", function()
    local text = [[return { servers = { s = { url = "URL", timeout = 2, retries = 0, headers = { ["X-Ward"] = "7" } } } }]]
    local ask = "-e " .. command.quote [[
      local modalua = require "modalua"
      local client = modalua.connect { profile = "s" }
      print(client:get("/echo").headers["x-ward"], (select(2, client:get "/hang").kind))
      print(modalua.connect { profile = "s", timeout = 9 }:get("/delay?s=2.2&body={}") ~= nil)
      print(modalua.connect { profile = "s", headers = { ["X-Bed"] = "1" } }:get("/echo").headers["x-ward"])]]
    local result = run(text, '"$M" ' .. ask)
    assert.are.equal("7\ttimeout\ntrue\nnil\n", result.out, result.err)
  end)

  it("must be readable only by its owner if it contains a secret", function()
    for _, secret in ipairs { 'username = "u", password = "hunter2"', 'token = "hunter2"', 'headers = { A = "hunter2" }' } do
      local text = ([[return { servers = { open = { url = "URL" }, closed = { url = "URL", %s } } }]]):format(secret)
      for _, mode in ipairs { "644", "640", "604" } do
        fails("chmod 600 " .. file, run(text, '"$M" ' .. code '{ profile = "open" }', mode))
      end
      assert.are.equal(0, run(text, '"$M" ' .. code '{ profile = "open" }', "400").status)
    end
    local in_url = [[return { servers = { s = { url = "http://u:hunter2@127.0.0.1:1" } } }]]
    fails("chmod 600", run(in_url, '"$M" ' .. code '{ profile = "s" }', "644"))
    local in_proxy = [[return { servers = { s = { url = "URL", proxy = "http://u:hunter2@127.0.0.1:1" } } }]]
    fails("chmod 600", run(in_proxy, '"$M" ' .. code '{ profile = "s" }', "644"))
    gives(server.url, "nil", run([[return { servers = { s = { url = "URL" } } }]], '"$M" ' .. code '{ profile = "s" }', "644"))
  end)

  it("is checked, with messages that name the mistake", function()
    local function says(part, text)
      fails(part, run(text, '"$M" ' .. code '{ profile = "ward" }'))
    end
    says("unexpected symbol", "return {{")
    says("config.lua:1: unfinished string", 'return { servers = { ward = { url = "URL", password = "hunter2 } } }')
    says("config.lua:1: invalid escape sequence", [[return { servers = { ward = { password = "hunter2\h" } } }]])
    says("returns no table (does it begin with `return`?)", "servers = {}")
    says("it has no table `servers`", "return { ward = {} }")
    says("there is no server 'ward' in " .. file .. "; did you mean 'wards'?", "return { servers = { wards = { url = 'URL' } } }")
    says("there is no server 'ward' in " .. file .. "; it has archive, pacs, x",
      "return { servers = { x = {}, pacs = {}, archive = {} } }")
    says("there is no server 'ward' in " .. file .. "; it has none", "return { servers = {} }")
    says("the server 'ward' is not a table with a url", "return { servers = { ward = { username = 'u' } } }")
    says("connect, by " .. file .. ": unknown option 'pasword'; did you mean 'password'?",
      "return { servers = { ward = { url = 'URL', pasword = 'hunter2' } } }")
    says("attempt to load a binary chunk", "\27Lua")
    says("larger than 64 KB", "return { servers = { ward = { url = 'URL' } } } --" .. ("x"):rep(1 << 16))
    says("a profile cannot have a `profile`", "return { servers = { ward = { url = 'URL', profile = 'other' } } }")
    says("cannot be used: " .. file .. ":1: attempt to call a nil value", "return require 'os'")
    says("cannot be used: " .. file .. ":1: attempt to perform arithmetic", "return { servers = { ward = { password = hunter2-x } } }")
    says("unknown key 'defualt'; did you mean 'default'?", "return { defualt = 'ward', servers = { ward = { url = 'URL' } } }")
    says("unknown key '1'; it can have `default` and `servers`", "return { 'ward', servers = { ward = { url = 'URL' } } }")
    says("a server has no name: write servers = { name = { url = … } }", "return { servers = { { url = 'URL' } } }")
    fails("`default` must be the name of a server", run("return { default = 3, servers = {} }", '"$M" ' .. code()))
    os.remove(file)
    os.execute(("mkdir '%s'"):format(file))
    local result = command.shell(('export XDG_CONFIG_HOME=%q; "$M" %s'):format(folder, code '{ profile = "x" }'))
    os.execute(("rmdir '%s'"):format(file))
    fails("cannot be used: Is a directory", result)
  end)

  it("may begin with a byte order mark", function()
    gives(server.url .. "/prefix", WARD, run("\xEF\xBB\xBF" .. BOTH:gsub("^%s+", ""), '"$M" ' .. code()))
  end)

  describe("takes a secret", function()
    local function with(option, more)
      local text = ('return { default = "s", servers = { s = { url = "URL", %s } } }'):format(option)
      return run(text, (more or "") .. ' "$M" ' .. code(), "644")
    end

    it("from the first line of a file, beside itself, in the home folder, or anywhere", function()
      served.write_file(folder .. "/modalua/secret", "hunter2\r\nsecond\n")
      os.execute(("chmod 600 '%s/modalua/secret'"):format(folder))
      local own = ("HOME='%s/modalua'"):format(folder)
      for _, name in ipairs { "secret", "~/secret", folder .. "/modalua/secret" } do
        gives(server.url, WARD, with(('username = "u", password_file = %q'):format(name), own))
      end
      gives(server.url, "Bearer hunter2", with 'token_file = "secret"')
      served.write_file(folder .. "/modalua/secret", "\xEF\xBB\xBFhunter2\r\n") -- as some editors write it
      gives(server.url, "Bearer hunter2", with 'token_file = "secret"')
    end)

    it("from a command, which gets no standard input", function()
      gives(server.url, WARD, with [[username = "u", password_command = "cat; echo hunter2; echo second"]])
      gives(server.url, "Bearer hunter2", with [[token_command = "printf hunter2"]])
      gives(server.url, "Bearer hunter2", with(("token_command = 'sleep 600 & echo $! >%s/pid; echo hunter2'"):format(folder)))
      assert(os.execute(("kill $(cat %s/pid)"):format(folder))) -- it has been left in the background
      gives(server.url, "Bearer mine", run([[return { servers = { s = { url = "URL", token_command = "kill $PPID" } } }]],
        '"$M" ' .. code '{ profile = "s", token = "mine" }'))
    end)

    it("or says what is wrong, without the secret", function()
      served.write_file(folder .. "/modalua/open", "hunter2\n")
      served.write_file(folder .. "/modalua/empty", "\nhunter2\n")
      os.execute(("chmod 600 '%s/modalua/empty'; chmod 644 '%s/modalua/open'; chown 1 '%s/modalua/open'"):format(folder, folder, folder))
      for option, message in pairs {
        ["password_file = 'nosuch'"] = "the secret of 'password_file' cannot be read: No such file or directory",
        ["password_file = '.'"] = "it is not a regular file",
        ["password_file = 'open'"] = "other users may read it",
        ["password_file = 'empty'"] = "its first line is empty",
        ["password_file = 3"] = "option 'password_file' must be a string",
        ["password_command = 'echo hunter2; exit 3'"] = "the secret of 'password_command' cannot be read: its exit status is 3",
        ["password_command = 'nosuch-program'"] = "the shell does not find the program (exit status 127)",
        ["password_command = 'kill -9 $$'"] = "it ended with the signal 9",
        ["password_command = 'true'"] = "its first line is empty",
        ["password_command = 'head -c 9999 /dev/zero | tr \\\\0 x'"] = "its first line is longer than 4 KB",
        ["password_command = 'yes hunter2'"] = "it is longer than 1 MB", -- neither of these two ends by itself
        ["password_command = 'cat /dev/zero'"] = "its first line is longer than 4 KB",
        ["password_comand = 'hunter2'"] = "unknown option 'password_comand'; did you mean 'password_command'?",
        ["tokenfile = 'hunter2'"] = "unknown option 'tokenfile'; did you mean 'token_file'?",
        ["pasword = 'hunter2'"] = "unknown option 'pasword'; did you mean 'password'?",
      } do
        fails(message, with("username = 'u', " .. option))
      end
      fails("give 'password' or 'password_file', not both", run([[return { default = "s", servers = { s = { url = "URL", username = "u",
        password = "hunter2", password_file = "x" } } }]], '"$M" ' .. code()))
    end)
  end)

  it("has a command that SIGTERM ends, together with the verb that waits for it", function()
    for _, waits in ipairs { "", "exec >&-; " } do -- for what it prints, and for its end
      os.remove(folder .. "/pid")
      local secret = ("echo $$ >%s/pid; %sexec sleep 600"):format(folder, waits)
      local text = ('return { servers = { s = { url = "URL", username = "u", password_command = %q } } }'):format(secret)
      local result = run(text, ([["$M" api GET / & p=$!; until [ -s %s/pid ]; do sleep 0.01; done; kill -TERM $p; wait $p; s=$?
        kill -0 $(cat %s/pid) 2>/dev/null && echo "the command runs"; exit $s]]):format(folder, folder))
      assert.are.same({ 143, "", "modalua: cancelled\n" }, { result.status, result.out, result.err })
    end
  end)

  it("has a command that is ended with all that it has started, where there is no terminal", function()
    os.remove(folder .. "/pid")
    served.write_file(folder .. "/waits", ("echo $$ >%s/pid; exec sleep 600\n"):format(folder))
    local text = ([[return { servers = { s = { url = "URL", username = "u", password_command = "sh %s/waits | cat; echo x" } } }]])
      :format(folder)
    local result = run(text, ([[setsid "$M" api GET / & p=$!; until [ -s %s/pid ]; do sleep 0.01; done; kill -TERM $p; wait $p
      n=0; while grep -qs "^State:[^ZX]*$" /proc/$(cat %s/pid)/status && [ $n -lt 500 ]; do n=$((n + 1)); sleep 0.01; done
      [ $n -lt 500 ] || { echo "it runs"; kill $(cat %s/pid); }]]):format(folder, folder, folder))
    assert.are.same({ "", "modalua: cancelled\n" }, { result.out, result.err })
  end)

  it("is in the home folder if XDG_CONFIG_HOME is not set", function()
    os.execute(("mkdir -p '%s/.config/modalua'"):format(folder))
    served.write_file(folder .. "/.config/modalua/config.lua", ([[return { servers = { s = { url = %q } } }]]):format(server.url))
    local line = ('unset XDG_CONFIG_HOME; HOME=%q "$M" %s'):format(folder, code '{ profile = "s" }')
    gives(server.url, "nil", command.shell(line))
  end)
end)
