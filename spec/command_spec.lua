local command = require "spec.support.command"
local expect = require "spec.support.expect"

describe("The command", function()
  local files = {}

  local function script(text)
    files[#files + 1] = command.file(text)
    return files[#files]
  end

  after_each(function()
    for i = #files, 1, -1 do
      os.remove(files[i])
      files[i] = nil
    end
  end)

  local function gives(out, status, result)
    assert.are.equal(out, result.out)
    assert.are.equal(status, result.status, result.err)
    return result.err
  end

  describe("runs, like lua,", function()
    it("a script with its arguments", function()
      local path = script("#!/usr/bin/env modalua\nprint(...)\nprint(#arg, arg[1], arg[-1] ~= nil)")
      gives("a\tb c\n2\ta\ttrue\n", 0, command.run(path, "a", "b c"))
    end)

    it("code and libraries, in the order given", function()
      gives("1\n2\n", 0, command.run("-e", "print(1)", "-eprint(2)"))
      gives("table\ttable\n", 0, command.run("-l", "modalua", "-lj=modalua.json", "-e", "print(type(modalua), type(j))"))
      gives("7\n8\n", 0, command.run("-e", "x = 7", script("print(x) x = 8 print(x)")))
    end)

    it("standard input", function()
      gives("5\n", 0, command.shell([[echo 'print(5)' | "$M"]]))
      gives("a\tb\n", 0, command.shell([[echo 'print(...)' | "$M" - a b]]))
    end)

    it("with options, which end at the script or at --", function()
      gives("-x\n", 0, command.run("--", script("print(...)"), "-x"))
      gives("-x\n", 0, command.run(script("print(...)"), "-x"))
      assert.matches("^modalua %d+%.%d+%.%d+\n$", command.run("-v").out)
      assert.matches("^usage:", command.run("--help").out)
      assert.are.equal("Lua warning: w1\n", command.run("-W", "-e", "warn('w', '1') warn '@off' warn 'w2'").err)
      assert.are.equal("", command.run("-e", "warn 'w'").err)
    end)

    it("with modules from the folder of the script, but not from the working directory", function()
      gives("beside\n", 0, command.shell([[
        d=$(mktemp -d); mkdir "$d/a" "$d/b"
        echo 'return "beside"' >"$d/a/helper_module.lua"
        echo 'return "stray"' >"$d/b/helper_module.lua"
        echo 'return 1' >"$d/b/stray_module.lua"
        echo 'print((require "helper_module")) assert(not pcall(require, "stray_module"))' >"$d/a/main.lua"
        cd "$d/b" && "$M" ../a/main.lua; s=$?
        cd / && rm -r "$d"; exit $s]]))
    end)
  end)

  describe("fails, like lua,", function()
    it("with the message and a traceback of the script on standard error", function()
      local path = script("local function f()\n  error('boom')\nend\nf()\n")
      local err = gives("", 1, command.run(path))
      assert.matches("^modalua: .-:2: boom\nstack traceback:\n\t%[C%]: in function 'error'\n\t.-:2: in .-f'\n\t.-:4: in main chunk\n", err)
    end)

    it("with error values of any type", function()
      assert.matches("^modalua: %(error object is a table value%)", gives("", 1, command.run("-e", "error({})")))
      assert.matches("^modalua: full %(kind disk, code 7%)\n", gives("", 1, command.run("-e",
        "error { message = 'full', kind = 'disk', code = 7 }")))
      assert.matches("^modalua: %(error object is a table value%) %(kind disk%)\n", gives("", 1, command.run("-e",
        "error({ kind = 'disk', message = {} })")))
      assert.matches("^modalua: 5\n", gives("", 1, command.run("-e", "error({ message = 5 })")))
      assert.matches("^modalua: nice\n", gives("", 1, command.run("-e",
        "error(setmetatable({}, {__tostring = function() return 'nice' end}))")))
      assert.matches("^modalua: system /system: http://127.0.0.1:1: no connection.*stack traceback", gives("", 1, command.run("-e",
        "assert(require'modalua'.connect'http://127.0.0.1:1':system())")))
    end)

    it("if code does not compile or a file does not exist", function()
      assert.matches("^modalua: .*unexpected symbol", gives("", 1, command.run("-e", "x =")))
      assert.matches("^modalua: cannot open /nosuch/file", gives("", 1, command.run("/nosuch/file")))
      assert.matches("binary", gives("", 1, command.run(script(string.dump(function() end)))))
    end)

    it("with status 2 for wrong usage", function()
      for _, words in ipairs { { "-x" }, { "--nosuch" }, { "-e" }, { "-e", "-v" }, { "-l" }, { "--time-limit=x" },
        { "--memory-limit", "lots" }, { "--time-limit", "0" }, { "-u" } } do
        local result = command.run(table.unpack(words))
        assert.are.equal(2, result.status)
        assert.is_truthy(result.err:find("modalua: cannot use the option '" .. words[1]:match("[^=]+") .. "'", 1, true), result.err)
        assert.matches("\n`modalua %-%-help` explains the options\n$", result.err)
        assert.are.equal(2, select(2, result.err:gsub("\n", "")))
      end
      for word, near in pairs { ["--profle=x"] = "--profile", ["--verbos"] = "--verbose", ["--memory-limt"] = "--memory-limit" } do
        assert.matches("; did you mean " .. near:gsub("%-", "%%-") .. "%?\n", command.run(word).err)
      end
      assert.is_nil(command.run("--time-limit=x").err:find "did you mean")
      assert.matches("cannot start: %-%-url is 'ftp://h': url must be a URL", gives("", 2, command.run("-u", "ftp://h", "-e", "print 1")))
      for value, source in pairs { ["127.0.0.1:22423"] = "MODALUA_URL is '127.0.0.1:22423'", ["u:s3cret@h"] = "MODALUA_URL",
        ["ftp://u:s3cret"] = "MODALUA_URL" } do
        local err = gives("", 2, command.shell(([[MODALUA_URL=%s "$M" -e 'print(1)']]):format(value)))
        assert.matches("^modalua: cannot start: " .. source:gsub("%p", "%%%0") .. ": url must be a URL", err)
        assert.is_nil(err:find("s3cret", 1, true))
      end
      assert.matches("\nExit status: 0 success, 1 [^\n]* 2 wrong usage, 130 interrupted[^\n]*, 141 ", command.run("--help").out)
      assert.matches("\nExit status: 0 success, 1 [^\n]* 2 wrong usage, 130 interrupted", command.run("find", "--help").out)
    end)

    it("but with -i the prompt follows, so that what was done can be looked at", function()
      local err = gives("modalua " .. require("modalua").version .. "\n> on\n> \n", 0,
        command.shell([[echo 'print "on"' | "$M" -i -e 'error(1)']]))
      assert.matches("^modalua: 1\n", err)
    end)

    it("if its output cannot be written", function()
      assert.matches("standard output cannot be written", gives("", 1, command.shell([["$M" -e 'print "lost"' >/dev/full]])))
    end)

    it("without a word if the reader of its output has gone, as other programs in a pipe", function()
      for _, words in ipairs { "manual", [[-e 'for i = 1, 1e6 do print(i) end']], [[-e 'for i = 1, 1e5 do io.write(i, "\n") end']] } do
        assert.are.equal("141\n", command.shell(([[{ "$M" %s; echo $? >&2; } | head -1 >/dev/null]]):format(words)).err, words)
      end
    end)

    it("if a task fails that no other task joined", function()
      local err = gives("", 1, command.run("-e", "require'modalua.task'.spawn(error, 'lost', 0)"))
      assert.matches("^modalua: lost", err)
    end)
  end)

  it("keeps what it needs of Lua, so a script can replace any global", function()
    local code = "local names, all, print, require, string = {}, _G, print, require, string "
      .. "for name in pairs(all) do names[#names + 1] = name end "
      .. "for i = 1, #names do all[names[i]] = 'CT' end "
      .. "print(require 'modalua.table'.csv({ 'a' }, { { a = 1 } }, { line_end = string.char(10) }))"
    gives("a\n1\n\n", 0, command.run("-e", code))
  end)

  describe("os.exit", function()
    it("ends the run with its code, runs <close> handlers, and runs no further code", function()
      local close = "local t <close> = setmetatable({}, {__close = function() print 'closed' end}) "
      gives("closed\n", 3, command.run("-e", close .. "pcall(os.exit, 3) print 'no'"))
      gives("closed\n", 0, command.run("-e", close .. "xpcall(os.exit, print, true) print 'no'"))
      gives("closed\n", 1, command.run("-e", close .. "coroutine.wrap(os.exit)(false) print 'no'"))
      gives("", 7, command.run("-e", "require'modalua.task'.spawn(os.exit, 7) require'modalua.task'.sleep(60)"))
      gives("", 9, command.run("-e", "string.gsub('x', 'x', function() os.exit(9) end) print 'no'"))
      gives("", 4, command.run("-e", "os.exit(4)", "-e", "print 'no'"))
      gives("", 3, command.run("-e", "coroutine.resume(coroutine.create(os.exit), 3) print 'no'"))
      gives("", 5, command.run("-e", "local co = coroutine.create(function() local t <close> = setmetatable({}, {__close = function() " ..
        "os.exit(5) end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co) print 'no'"))
      gives("", 6, command.run("-e", "local t <close> = setmetatable({}, {__close = function() os.exit(7) end}) os.exit(6)"))
    end)
  end)

  describe("Ctrl-C", function()
    -- Starts the command and interrupts it `times` times, each time after it has printed one more line. The next instruction can throw the
    -- error, so a script that is to catch the error prints its line inside the pcall.
    local function interrupt(code, times)
      return command.shell(([[
        f=$(mktemp -u); mkfifo "$f"
        "$M" -e %s >"$f" & p=$!
        exec 3<"$f"
        for i in %s; do read -r line <&3; echo "$line"; kill -INT $p; done
        cat <&3
        wait $p; s=$?
        rm "$f"; exit $s]]):format(command.quote(code), string.rep("x ", times)))
    end
    local caught = "pcall(function() print 'ready' require'modalua.task'.sleep(60) end) "
    local close = "local t <close> = setmetatable({}, {__close = function() print 'closed' end}) "

    it("throws an error into a task that waits", function()
      gives("ready\nclosed\n", 130, interrupt(close .. "print 'ready' require'modalua.task'.sleep(60)", 1))
    end)

    it("throws an error into Lua code that does not wait", function()
      gives("ready\nclosed\n", 130, interrupt(close .. "print 'ready' while true do end", 1))
    end)

    it("throws an error into a loop inside a coroutine", function()
      gives("ready\nclosed\n", 130, interrupt(close .. "coroutine.wrap(function() print 'ready' while true do end end)()", 1))
    end)

    it("throws an error into an xpcall with a handler that never ends", function()
      gives("ready\non\n", 130, interrupt("local function spin() while true do end end " ..
        "xpcall(function() print 'ready' spin() end, spin) print 'on'", 1))
    end)

    it("does not affect the handlers of other errors", function()
      local handle = "print(xpcall(error, function(e) return 'handled ' .. e end, 'E', 0))"
      gives("ready\nfalse\thandled E\n", 130, interrupt("local t <close> = setmetatable({}, {__close = function() " .. handle ..
        " end}) print 'ready' while true do end", 1))
    end)

    it("kills the script after the grace time if a coroutine caught the error", function()
      gives("ready\n", 130, interrupt("print 'ready' pcall(coroutine.wrap(function() while true do end end)) while true do end", 1))
    end)

    it("throws an error into one of several tasks", function()
      gives("ready\nclosed\n", 130, interrupt("local task = require 'modalua.task' task.spawn(task.sleep, 60) " ..
        "task.spawn(function() " .. close .. "print 'ready' while true do end end)", 1))
    end)

    it("kills the script the second time, whatever the script catches", function()
      gives("ready\nagain\n", 130, interrupt("pcall(function() print 'ready' while true do end end) print 'again' " ..
        "while true do pcall(function() while true do end end) end", 2))
      gives("ready\nagain\n", 130, interrupt(caught .. "print 'again' " ..
        "coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()", 2))
      gives("ready\nagain\n", 130, interrupt(caught .. "print 'again' " ..
        "local function spin() while true do end end while true do xpcall(spin, spin) end", 2))
    end)

    it("ends the process one second later if a C function cannot be interrupted", function()
      gives("ready\nagain\n", 130, interrupt(caught ..
        "local t = error for _ = 1, 200000 do t = setmetatable({}, { __call = t }) end print 'again' t()", 2))
    end)
  end)

  describe("--sandbox", function()
    it("gives scripts, code and standard input a library without files and programs", function()
      local look = "print(io, os.execute, debug, package, arg ~= nil, require 'modalua'.version ~= nil)"
      gives("nil\tnil\tnil\tnil\ttrue\ttrue\n", 0, command.run("--sandbox", script(look)))
      gives("nil\tnil\tnil\tnil\ttrue\ttrue\n", 0, command.run("--sandbox", "-e", look))
      gives("nil\tnil\tnil\tnil\ttrue\ttrue\n", 0, command.shell(('echo %s | "$M" --sandbox'):format(command.quote(look))))
      assert.matches("no module 'lfs'", gives("", 1, command.run("--sandbox", "-l", "lfs")))
    end)

    it("lets connect() reach its default server, and no other server", function()
      local where = "print(require 'modalua'.connect())"
      local elsewhere = "require 'modalua'.connect 'http://127.0.0.1:9'"
      gives("modalua.Client (http://localhost:8042)\n", 0, command.run("--sandbox", "-e", where))
      gives("modalua.Client (http://h:1)\n", 0, command.shell(('MODALUA_URL=http://h:1 "$M" --sandbox -e %s'):format(command.quote(where))))
      gives("modalua.Client (http://h:2)\n", 0, command.run("--sandbox", "-u", "http://h:2", "-e", where))
      assert.matches("allows no connection to http://127.0.0.1:9 ", gives("", 1, command.run("--sandbox", "-e", elsewhere)))
      assert.matches("allows no connection to http://localhost:8042 ", gives("", 1, command.run("--sandbox", "-u", "http://h:2", "-e",
        "require 'modalua'.connect 'http://localhost:8042'")))
    end)

    it("cannot be used with verbs", function()
      assert.matches("for scripts", gives("", 2, command.run("--sandbox", "echo")))
    end)
  end)

  describe("limits", function()
    it("of time end a run that waits or loops, with status 1", function()
      local err = gives("", 1, command.run("--time-limit", "0.2", "-e", "while true do pcall(function() while true do end end) end"))
      assert.matches("longer than 0.2 s", err)
      gives("", 1, command.run("--time-limit", "0.2", "-e", "require'modalua.task'.sleep(60)"))
    end)

    it("of time cannot be evaded by chains of tasks, nested pcalls, error objects, finalizers or handlers", function()
      for _, code in ipairs {
        "local task = require 'modalua.task' local function s() task.spawn(s) end s()",
        "local function f() while true do pcall(f) end end f()",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
        "local function spin() while true do end end xpcall(spin, spin)",
        "local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
        "local co = coroutine.create(function() local t <close> = setmetatable({}, {__close = function() while true do end end}) " ..
          "coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "load(function() while true do end end)",
        "print((('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40))))",
      } do
        gives("", 1, command.run("--time-limit", "0.3", "-e", code))
      end
    end)

    it("of time also end the <close> handlers after os.exit, and keep its exit code", function()
      gives("", 3, command.run("--time-limit", "3", "-e", -- in which it exits
        "local t <close> = setmetatable({}, {__close = function() while true do end end}) os.exit(3)"))
    end)

    it("of time leave <close> handlers a moment to finish", function()
      gives("20000\n", 1, command.run("--time-limit=0.2", "-e", "local t <close> = setmetatable({}, {__close = function() local n = 0 " ..
        "for i = 1, 20000 do n = n + 1 end print(n) end}) while true do end"))
    end)

    it("of memory are errors that a script can catch", function()
      gives("false\tnot enough memory\n", 0, command.run("--memory-limit", "4M", "-e", "print(pcall(string.rep, 'x', 1 << 24))"))
      assert.matches("^modalua: not enough memory", gives("", 1, command.run("--memory-limit", "4M", "-e",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end")))
    end)
  end)

  describe("the server of connect() without a URL", function()
    local show = "local c = require'modalua'.connect() print(c)"

    it("comes from the option, else from the environment, else is localhost", function()
      gives("modalua.Client (http://localhost:8042)\n", 0, command.shell("env -u MODALUA_URL \"$M\" -e " .. command.quote(show)))
      gives("modalua.Client (http://env:1)\n", 0, command.shell("MODALUA_URL=http://env:1 \"$M\" -e " .. command.quote(show)))
      gives("modalua.Client (http://option:2)\n", 0,
        command.shell("MODALUA_URL=http://env:1 \"$M\" -u http://option:2 -e " .. command.quote(show)))
      gives("modalua.Client (http://localhost:8042)\n", 0,
        command.shell("MODALUA_URL=http://env:1 \"$M\" -E -e " .. command.quote(show)))
    end)

    it("is the only one that gets the credentials of the environment, and no secret is shown", function()
      local faultd = require "spec.support.faultd"
      local server = faultd.start()
      local ask = ("print(require'modalua'.connect(...):get('/echo').headers.authorization)"):gsub("%.%.%.", "%%s")
      local environment = "MODALUA_URL=" .. server.url .. " MODALUA_USERNAME=u MODALUA_PASSWORD=hunter2 "
      local from_environment = command.shell(environment .. "\"$M\" --verbose -e " .. command.quote(ask:format("")))
      local named = command.shell(environment .. "\"$M\" --verbose -e " .. command.quote(ask:format("'" .. server.url .. "'")))
      local option = command.shell(environment .. "\"$M\" -u " .. server.url .. " -e " .. command.quote(ask:format("")))
      server:close()
      assert.are.equal("Basic dTpodW50ZXIy\n", from_environment.out)
      assert.matches("^modalua: GET http://127.0.0.1:%d+/echo 200 in [%d.]+ ms, %d+ B\n$", from_environment.err)
      assert.are.equal("nil\n", named.out)
      assert.are.equal("nil\n", option.out)
    end)

    it("says in a 401 which credentials were given and not sent", function()
      local faultd = require "spec.support.faultd"
      local server <close> = faultd.start()
      local function says(message, environment, arguments)
        local result = command.shell(('unset MODALUA_URL; %s "$M" %s'):format(environment, arguments))
        assert.are.equal(1, result.status)
        if message then
          expect.contains(result.err, message)
        end
        assert.is_nil(result.err:find("hunter2", 1, true), result.err)
        return result.err
      end
      local own, get = ("MODALUA_USERNAME=me MODALUA_PASSWORD=hunter2 "), "api GET '/auth?user=u&password=p'"
      local unsent = "MODALUA_USERNAME and MODALUA_PASSWORD are set, but were not sent: they are for the server in MODALUA_URL"
      says("a user name and a password (HTTP 401); " .. unsent, own .. "MODALUA_URL=http://127.0.0.1:1",
        ("-u %s %s"):format(server.url, get))
      says(unsent, own, ("-u %s %s"):format(server.url, get))
      says("MODALUA_TOKEN is set, but was not sent", "MODALUA_TOKEN=hunter2", ("-u %s %s"):format(server.url, get))
      for _, sent in ipairs { own .. "MODALUA_URL=" .. server.url, "" } do
        assert.is_nil(says(nil, sent, (sent == "" and "-u " .. server.url or "") .. " " .. get):find("not sent", 1, true))
      end
      local code = ("-e " .. command.quote("assert(require 'modalua'.connect('%s'):get '/auth?user=u&password=p')")):format(server.url)
      says("the credentials of the default server were not sent", own .. "MODALUA_URL=http://127.0.0.1:1", code)
    end)

    it("hides a password on the command line: in the process list, in arg, in errors", function()
      local reveal = command.quote('print(io.open("/proc/self/cmdline"):read("a")) for _, word in pairs(arg) do print(word) end')
      for _, url in ipairs { "-u http://u:hunter2@localhost", "-uhttp://u:hun@ter2@localhost", "--url=http://u:hunter2@localhost/a" } do
        local result = command.shell('"$M" ' .. url .. " -e " .. reveal)
        assert.is_nil(result.out:find("ter2", 1, true), result.out)
        assert.are.equal(0, result.status, result.err)
      end
      assert.is_nil(command.shell('"$M" -xhttp://u:hunter2@localhost').err:find("hunter2", 1, true))
      assert.is_nil(command.shell('"$M" --proxy=http://u:hunter2@localhost').err:find("hunter2", 1, true))
    end)

    it("is reached without the proxy of the environment if it is this machine", function()
      local faultd = require "spec.support.faultd"
      local server = faultd.start()
      local ask = command.quote("print(require'modalua'.connect('" .. server.url .. "'):get('/ok') ~= nil)")
      local result = command.shell("http_proxy=http://127.0.0.1:1 \"$M\" -e " .. ask)
      local far = command.shell("http_proxy=" .. server.url .. " \"$M\" -e " ..
        command.quote("print(require'modalua'.connect('http://orthanc.invalid'):get('/echo').headers.host)"))
      server:close()
      assert.are.equal("true\n", result.out)
      assert.are.equal("orthanc.invalid\n", far.out)
    end)
  end)

  describe("interactive mode", function()
    it("prints expressions, accepts code of several lines, and continues after errors", function()
      local result = command.shell([[printf 'x = 20\nx + 1, nil\nfor i = 1, 2 do\nprint(i)\nend\nerror("e", 0)\n{1,\n2}\nx\n' | "$M" -i]])
      assert.are.equal(0, result.status)
      assert.matches("21\tnil\n", result.out)
      assert.matches("1\n2\n", result.out)
      assert.matches("20\n", result.out)
      assert.matches("^e\n", result.err)
    end)

    it("starts after the script, and os.exit ends it", function()
      gives("modalua " .. require("modalua").version .. "\n1\n> ", 5,
        command.shell([[echo 'os.exit(5)' | "$M" -i -e 'print(1)']]))
    end)
  end)
end)
