-- Tests the prompt on a terminal: the editing of lines, and the commands that have to do with files and other programs.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local screen = require "spec.support.screen"
local terminal = require "spec.support.terminal"

local contains = expect.contains

local DEAD <const> = "-u http://127.0.0.1:1"
local LEFT <const>, HOME <const>, END <const>, UP <const> = "\27[D", "\27[H", "\27[F", "\27[A"
local MORE <const> = { wait = "\n>> " }

local function lacks(text, part)
  assert.is_nil(text:find(part, 1, true), ("%q is in %q"):format(part, text))
end

local folder

-- The text of a file in the folder; nil when there is none.
local function file(name)
  local f = io.open(folder .. "/" .. name)
  local text = f and f:read "a"
  return text, f and f:close()
end

local function write(name, text)
  local f = assert(io.open(folder .. "/" .. name, "w"))
  f:write(text)
  f:close()
  return folder .. "/" .. name
end

-- Plays a session. `environment` are assignments of the shell.
local function session(steps, environment, options)
  options = options or {}
  options.arguments = options.arguments or DEAD
  options.environment = ("LC_CTYPE=C.UTF-8 HOME=%s INPUTRC=%s/inputrc %s"):format(folder, folder, environment or "")
  return terminal.session(options, steps)
end

local function pasted(text)
  return "\27[200~" .. text:gsub("\n", "\r") .. "\27[201~"
end

-- A line as a terminal of this width shows it.
local function broken(line, width)
  local rows = {}
  for i = 1, #line, width do
    rows[#rows + 1] = line:sub(i, i + width - 1)
  end
  return table.concat(rows, "\n")
end

describe("At the prompt", function()
  before_each(function()
    folder = command.shell("mktemp -d").out:gsub("\n", "")
  end)

  after_each(function()
    command.shell("rm -r " .. folder)
  end)

  it("a pasted text is one input, and its TABs stay", function()
    session {
      { pasted "local a = 20\nlocal b =\ta + 1\nreturn\tb * 2\n" .. "\r", "\n42\n" },
      { pasted "return\t5" .. "\r", "\n5\n" },
      { pasted "x = '1\t2'" .. "\r" }, { "#x\r", "\n3\n" },
      { "\27[200~y = [[a\r\nb]]\27[201~\r" }, { "#y\r", "\n3\n" },
    }
  end)

  it("the script of the README runs when it is pasted", function()
    local script = assert(io.open "README.md"):read "a":match "\n## A script\n.-```lua\n(.-)```"
    contains(session { { pasted(script) .. "\r", "no connection", "(stdin:5)" } }, "print(#archived.answers")
  end)

  it("a pasted text that is taller than the terminal is one input", function()
    local lines = {}
    for i = 1, 50 do
      lines[i] = ("local x%d = %d"):format(i, i)
    end
    session({
      { pasted(table.concat(lines, "\n") .. "\nreturn x1 + x50\n") .. "\r", "\n51\n" },
      { UP .. "\r", "x50\n", "\n51\n" },
    }, nil, { rows = 10 })
  end)

  it("the keys of every usual terminal move the cursor and edit", function()
    local KEYS <const> = { -- 1 is typed behind 22 * 34 and one of the keys
      [122 * 34] = { HOME, "\27OH", "\27[1~", "\27[7~", "\1" },
      [22 * 341] = { END, "\27OF", "\27[4~", "\27[8~", "\27[15~", "\27[1;6P" }, -- the last two have no meaning
      [22 * 134] = { "\27[1;5D", "\27[5D", "\27Od", "\27[1;3D", "\27\27[D", "\27b" },
      [22 * 314] = { LEFT, "\27OD", "\27[1;2D" },
      [221 * 34] = { HOME .. "\27[1;5C", HOME .. "\27Oc", HOME .. "\27\27[C" },
    }
    local steps = {}
    for value, keys in pairs(KEYS) do
      for _, key in ipairs(keys) do
        steps[#steps + 1] = { "22 * 34" .. key .. "1\r", ("%d\n"):format(value) }
      end
    end
    for _, term in ipairs { "xterm-256color", "screen-256color", "tmux-256color", "linux", "rxvt", "vt100" } do
      session(steps, "TERM=" .. term)
    end
  end)

  it("changes can be undone", function()
    session { { "4 * 5\1\11\31\r", "\n20\n" }, { "4 * 5\27\8\24\21\r", "\n20\n" } }
  end)

  it("Ctrl-X Ctrl-E and .edit open $EDITOR, and the edited text can be edited further", function()
    local editor = "EDITOR=" .. write("editor", "sed -i s/one/#\\'twelve\\'\\\\n+/ \"$1\"\n")
    command.shell("chmod +x " .. folder .. "/editor")
    session({
      { "one 100\24\5", open = { wait = "\n+ 100" } }, { "0\r", "\n1006\n" },
      { "one = 3\r" }, { ".edit 2\r", open = { wait = "+ = 3" } }, { "\3" },
      { ".edit 7\r", "there is no input 7" },
    }, "VISUAL= " .. editor)
  end)

  it("the user's inputrc is read, also for vi mode", function()
    write("inputrc", 'set editing-mode vi\n$if modalua\n"\\C-o": "6 * 7\\n"\n$endif\n')
    session { { "\15", "\n42\n" }, { "2 + 2\0270i1\r", "14\n" } }
  end)

  it("Up searches the history for what begins as the line does", function()
    session { { "#'aaa'\r" }, { "1 + 1\r" }, { "#'bbbb'\r" }, { "2 + 2\r" }, { "#'a" .. UP .. "\r", "\n3\n" },
      { "1" .. UP .. " + 5\r", "\n7\n" }, { "\27[5~\27[5~\27[6~\r", "\n7\n" } }
  end)

  it("Up moves within an entry of several lines, and takes the lines of the present input back", function()
    session {
      { "for i = 1, 2 do\r", open = MORE }, { "print(i * 7)\r", open = MORE }, { "end\r", "7\n14\n" },
      { UP .. UP .. UP .. END .. " print 'k'\r", "k\n7\nk\n14\n" },
      { "for i = 3, 4 do\r", open = MORE }, { "print(i)" .. UP .. END .. " print 'm'\r", open = MORE }, { "end\r", "m\n3\nm\n4\n" },
    }
  end)

  it("Ctrl-D drops an input of several lines, and Alt-Enter begins a line of the same input", function()
    local out = session { { "for i = 1, 2 do\r", open = MORE }, { "\4" }, { "local x = 8\27\rreturn x\r", "\n8\n" }, { "3 + 4\r" } }
    contains(out, "> 3 + 4\n7\n") -- without an empty row
    contains(out, "return x\n8\n")
  end)

  it("the greeting and errors are broken at words", function()
    local out = session({ { "orthanc:modalites()\r", "stdin:1: a client has no 'modalites'; did\nyou mean 'modalities'?\n" } }, nil,
      { columns = 42 })
    contains(out, "\nhelp shows how to start, .help lists the\ncommands, TAB completes, Ctrl-D leaves\n")
  end)

  it("a line that wraps is drawn right after a change at its beginning, and in a window of another size", function()
    local digits = ("0123456789"):rep(14)
    screen.run({ columns = 60, rows = 12, arguments = DEAD }, function(s)
      s:shows "\n>"
      s:send("xy" .. digits)
      s:shows(digits:sub(-20))
      s:send "\1AB"
      s:shows(broken("> ABxy" .. digits, 60))
      s:resize(40, 12)
      s:shows(broken("> ABxy" .. digits, 40))
      s:send "CD"
      s:shows(broken("> ABCDxy" .. digits, 40))
      s:resize(100, 12)
      s:shows(broken("> ABCDxy" .. digits, 100))
    end)
  end)

  it("a line says what takes over a second, and is gone before anything else is printed", function()
    local hold = faultd.route("/hold", { name = "system", body = '{"Name":"held"}' })
    local server <close> = faultd.start { { path = "/system", to = hold } }
    screen.run({ columns = 40, rows = 14, arguments = "-u " .. server.url }, function(s)
      s:shows "\n>"
      s:send "print 'begin' x = orthanc:get '/system'; io.write('end\\n') print(x.Name)\r"
      s:matches "\nbegin\nget … %d+ s  %(Ctrl%-C cancels%)\n\n"
      modalua.connect(server.url):get(faultd.route("/release", { name = "system" }))
      s:shows "\nbegin\nend\nheld\n>"
      s:send "for _ = 1, 3 do modalua.task.spawn(modalua.task.sleep, 60) end\r"
      s:matches "\nsleep and 2 more … %d+ s\n" -- the rest does not fit
      s:send "\3"
      s:shows "60) end\ncancelled\n>"
      s:send "io.write 'part' io.flush() modalua.task.sleep(60)\r"
      s:matches "\npart\nsleep … %d+ s"
      s:send "\3"
      s:shows "\npart\ncancelled\n>"
    end)
  end)

  -- The text in a form that all versions of tmux have in common: a colour that goes on in the next row does not end and begin there, an
  -- end of everything is enough, and it is not needed at the end of a row.
  local function common(text)
    local n
    text = text:gsub("\27%[0m\27%[39m\27%[49m", "\27[0m"):gsub("\27%[0m\n", "\n")
    repeat
      text, n = text:gsub("(\27%[3%dm)([^\27]*)\27%[39m\n%1", "%1%2\n")
    until n == 0
    return text
  end

  -- Asserts that the screen shows the text with its colours; a newline in it is the end of a row.
  local function looks(s, text)
    local shown
    local found = expect.eventually(function()
      shown = common(s:view(true))
      return shown:find(text, 1, true)
    end)
    assert(found, ("%q is not on the screen:\n%s"):format(text, shown))
  end

  it("a line has colours while it is typed, and a hint of the signature below it", function()
    screen.run({ columns = 60, rows = 12, arguments = DEAD }, function(s)
      s:shows "\n>"
      s:send "modalua.connect {\r" -- more is needed
      s:shows "\n> modalua.connect {\n>>\nmodalua.connect([url] [, options]) -> client "
      s:send "\3"
      s:shows "\n> modalua.connect {\n>> ^C\n>\n\n"
      s:send "local x = 'a' .. 0x1F -- it"
      looks(s, "> \27[35mlocal\27[39m x = \27[32m'a'\27[39m .. \27[36m0x1F\27[39m \27[2m-- it")
      s:send "\1\11x = { 'it) "
      looks(s, "> x = { \27[31m'it)")
      s:send "\1\11.mode 'it"
      looks(s, "> \27[35m.mode\27[39m 'it")
      s:send "\1\11f(x]) [[\27\r2\27\r]] orthanc" -- lines of one input
      looks(s, "> f(x\27[31m]\27[39m) \27[32m[[\n2\n]]\27[39m \27[1morthanc")
      s:send ":modality"
      looks(s, "]]\27[39m \27[1morthanc\27[0m:modality\n")
      s:send "("
      looks(s, ":modality(\n\27[2mclient:modality(name [, options]) -> modality\n")
      s:send "'x'):find { Level = 'Study'"
      s:shows "\nmodality:find(data [, format]) -> found | nil, err   { Que…\n"
      s:send "\3"
      s:shows "\n> f(x]) [[\n2\n]] orthanc:modality('x'):find { Level = 'Study'^C\n>"
    end)
  end)

  -- Asserts that both screens show the same, and this text.
  local function same(a, b, text)
    local plain, coloured
    assert(expect.eventually(function()
      plain, coloured = { a:view() }, { b:view() }
      return plain[1] == coloured[1] and plain[2] == coloured[2] and plain[1]:find(text, 1, true)
    end), ("%s at %s\n%s at %s"):format(plain[1], plain[2], coloured[1], coloured[2]))
  end

  it("a prompt begins a row, also behind a part of a line", function()
    screen.run({ columns = 60, rows = 16, arguments = DEAD }, function(s)
      s:shows "\n>"
      s:send ".shell printf 'a part'\r"
      s:shows "\na part\n>"
      s:send "io.write 'another' x = y.z\r"
      s:shows "\nanother\nstdin:1: attempt to index"
      s:send ".once | cat; printf third\r"
      s:send "5\r"
      s:shows "\n5\nthird\n>"
      s:send "local x"
      looks(s, "\nthird\n> \27[35mlocal\27[39m x\n")
    end)
  end)

  it("the line is there again after Ctrl-Z", function()
    screen.run({ columns = 60, rows = 16, environment = "PS1='shell$ '", shell = true }, function(s)
      s:shows "shell$"
      s:send('"$M" ' .. DEAD .. "\r")
      s:shows "\n>"
      s:send "local x = 5"
      s:shows "> local x = 5"
      s:send "\26"
      s:matches "Stopped.*shell%$\n"
      s:send "fg\r"
      s:matches "shell%$ fg\n.*\n> local x = 5\n"
      s:send " return x\r"
      s:shows "> local x = 5 return x\n5\n>"
    end)
  end)

  it("what is typed faster than it is drawn gets its colours at the end", function()
    local raw, words = folder .. "/raw", ("local \5"):rep(50) -- each of these keys draws the line
    session({ { words .. "modalua.connect(", "-> client", open = { send = "\3" } }, { "" } }, "NO_COLOR= TERMINAL_RAW=" .. raw)
    local painted = select(2, file "raw":gsub("\27%[0;35m", "")) -- 2600 when each does; the terminal may give the keys in parts
    assert.is_true(painted >= 50 and painted < 300, painted)
  end)

  it("colours change nothing but colours, in windows of 40, 80 and 200 columns", function()
    local KEYS <const> = { ("local 漢字 = { 'e\u{301}', [[x]], "):rep(3), LEFT, LEFT, "漢", HOME, "漢 ", "\27f\27f", "'", "\127\127", END,
      "\23", pasted "a\tb\tc漢\td\nif 'x' then\n", UP, "word ", "\18x =", "\7", "\1\11", "\25", "\31",
      "\27\r", ("漢"):rep(50), UP, END, "--", "\12" }
    local options = { columns = 40, rows = 40, arguments = DEAD, environment = "NO_COLOR=1" }
    screen.run(options, function(a)
      options.environment = nil
      screen.run(options, function(b)
        for _, columns in ipairs { 40, 80, 200 } do
          for _, s in ipairs { a, b } do
            s:resize(columns, 40)
            s:shows "\n>"
            s:send(table.concat(KEYS) .. "done")
          end
          same(a, b, "done")
          for _, s in ipairs { a, b } do
            s:send "\3\12"
            s:shows "\n>\n\n"
          end
        end
      end)
    end)
  end)

  it("a line has colours beside the editing mode in the prompt, which change nothing else", function()
    local PLACE <const> = "\nset vi-ins-mode-string \"\\1\\e[1m\\2+漢\\1\\e[0m\\2\"\nset vi-cmd-mode-string -\nset keyseq-timeout 10"
    for mode, shown in pairs { [""] = { "@", "@" }, ["\nset editing-mode vi" .. PLACE] = { "+漢", "-" } } do
      local options = { columns = 40, rows = 20, arguments = DEAD,
        environment = "NO_COLOR=1 INPUTRC=" .. write("inputrc", "set show-mode-in-prompt on" .. mode) }
      screen.run(options, function(a)
        options.environment = options.environment:gsub("NO_COLOR=1", "")
        screen.run(options, function(b)
          for _, s in ipairs { a, b } do
            s:shows("\n" .. shown[1] .. ">\n")
            s:send("local x = 'a' " .. ("y"):rep(30) .. HOME .. "'q'")
          end
          same(a, b, "\n" .. shown[1] .. "> 'q'local x")
          looks(b, "> \27[32m'q'\27[35mlocal\27[39m x")
          for _, s in ipairs { a, b } do
            s:send "\27"
          end
          same(a, b, "\n" .. shown[2] .. "> 'q'local x")
          looks(b, "> \27[32m'q'\27[35mlocal\27[39m x")
        end)
      end)
    end
  end)

  it("colours change nothing when the window changes during a search of the history", function()
    local options = { columns = 60, rows = 30, arguments = DEAD, environment = "NO_COLOR=1" }
    screen.run(options, function(a)
      options.environment = nil
      screen.run(options, function(b)
        for _, s in ipairs { a, b } do
          s:shows "\n>"
          s:send(("#'漢字x %s y'\r"):format(("漢"):rep(70)))
          s:shows "\n220\n"
          s:send "\18漢字"
          s:shows "漢字':"
        end
        for _, columns in ipairs { 40, 80 } do
          for _, s in ipairs { a, b } do
            s:resize(columns, 30)
          end
          same(a, b, "漢字': #'漢字x")
        end
      end)
    end)
  end)

  it("a signal that ends the command does so when what it runs has ended", function()
    for _, wait in ipairs { ".shell kill -TERM $PPID; echo se''nt", "os.execute 'kill -TERM $PPID' modalua.task.sleep(600)" } do
      local _, status, err = terminal.run({ arguments = DEAD }, { { wait = "> " }, { send = wait .. "\r" } })
      assert.are.same({ 0, "" }, { status, err })
    end
  end)

  it("the end of the terminal is the end of the programs that were started", function()
    local loop = "; while :; do sleep 0.01; done"
    for _, line in ipairs { ".shell echo be''gun" .. loop, ('p = io.popen "echo be\'\'gun >/dev/tty%s"'):format(loop) } do
      local _, status, err = terminal.run({ arguments = DEAD },
        { { wait = "> " }, { send = line .. "\r" }, { wait = "begun" }, { hang = "up" } })
      assert.are.same({ 1, "" }, { status, err }) -- the command waits for both; then it cannot write to the terminal
    end
  end)

  it("the end of the terminal after Ctrl-C closes the variables of a script", function()
    local code = ([[local f <close> = setmetatable({}, { __close = function() io.open('%s/closed', 'w'):close() end })
      local function wait(text) io.write(text) modalua.task.sleep(600) end
      pcall(wait, 'first\n') pcall(wait, 'second\n') while true do pcall(wait, '') end]]):format(folder)
    local _, status = terminal.run({ arguments = DEAD .. " -e " .. command.quote(code) }, { { wait = "first\n" }, { send = "\3" },
      { wait = "second\n" }, { hang = "up" } })
    assert.are.same({ 129, "" }, { status, (file "closed") })
  end)

  it("a SIGHUP from another process does not end the programs that were started", function()
    local result = command.shell("setsid -w \"$M\" -e " .. command.quote "os.execute 'kill -HUP $PPID; echo goes on'")
    assert.are.same({ 129, "goes on\n" }, { result.status, result.out })
  end)

  it("a terminal that can do nothing has a prompt without an editor", function()
    local out = session({ { "1 + 1\r", "\n2\n" }, { "for i = 1, 2 do\r", open = MORE }, { "\4" }, { "3 + 3\r", "\n6\n" },
      { ".history\r", "the history is empty" } }, "TERM=dumb")
    contains(out, "help shows how to start")
  end)

  it("a line with a NUL is not run", function()
    local result = command.shell([[printf 'x = 1\nx = 2\0 y = 3\nprint(x)\n' | "$M" -E -i]])
    assert.are.same({ "the line is not UTF-8, or has a NUL, and was not run: does the terminal use another encoding?\n", 0 },
      { result.err, result.status })
    contains(result.out, "> 1\n")
    session { { "\27[200~x = 2\0\27[201~\r", "has a NUL" }, { "x\r", "nil\n" } }
  end)

  it("libedit edits the lines where readline is not installed", function()
    write("libreadline.so.8", "")
    local out = session({
      { "1 + 1\r", "2\n" }, { UP .. "\r", "2\n" }, { "orthanc:sys\t()\r", "orthanc:system()\n" },
      { "for i = 1, 2 do\r", open = MORE }, { "\4" }, { "3 + 3\r", "\n6\n" },
    }, "LD_LIBRARY_PATH=" .. folder)
    lacks(out, "cannot")
  end)

  it("results go to a file or a program", function()
    session({
      { "rows = { { A = 'x,y', B = 1 }, { A = '山\\27', B = 2 } }\r" }, { ".mode csv\r" }, { ".once " .. folder .. "/once.csv\r" },
      { ".time off\r" }, { "rows\r" }, { "rows\r", '\n"x,y",1\n山\\x1B,2\n' },
      { ".output " .. folder .. "/all\r" }, { "print 'printed'\r" }, { "5 + 5\r" }, { ".output\r" }, { "6 + 6\r", "\n12\n" },
      { ".once | tr a-z A-Z\r" }, { "'loud'\r", '"LOUD"\n' },
      { ".mode lines\r" }, { "rows[1]\r", "\nA  x,y\nB  1\n" },
      { ".once /nosuch/file\r", "/nosuch/file: No such file" },
    })
    assert.are.equal('A,B\n"x,y",1\n山\27,2\n', file "once.csv")
    assert.are.equal("printed\n10\n", file "all")
  end)

  it("a program begins when there is something for it to read, and not at once", function()
    session { { ".once | echo begun >>" .. folder .. "/log; cat\r" }, { "x = io.open '" .. folder .. "/log'\r" },
      { "x == nil and 'late'\r", "late" } }
    assert.are.equal("begun\n", file "log")
  end)

  it("a program that does not read its output to the end does no harm", function()
    session { { ".once | head -1\r" }, { "print(('x\\n'):rep(500000))\r", "x\n" }, { "1 + 1\r", "\n2\n" } }
  end)

  it("the signal of a broken pipe ends what a program or the pager starts", function()
    local program = write("pipe", "kill -PIPE $$; echo it goes on\n")
    local started = ("sh %s; cat >/dev/null; echo read to its end"):format(program)
    local out = session({ { ".once | " .. started .. "\r" }, { "print 'x'\r", "read to its end\n" },
      { "{ ('x'):rep(150), ('x'):rep(150), ('x'):rep(150) }\r", "read to its end\n" } }, ("PAGER='%s'"):format(started), { rows = 5 })
    lacks(out, "it goes on\n")
  end)

  it("nothing is written to the terminal while a program has it", function()
    session({ { (".once | echo be''gun >/dev/tty; touch %s/begun; cat; echo en''ded\r"):format(folder) },
      { ("print 'x' os.execute 'until [ -e %s/begun ]; do sleep 0.01; done'\r"):format(folder), "ended\n" } },
      "TERMINAL_RAW=" .. folder .. "/raw")
    assert.matches("begun\r\nx\r\nended\r\n", (file "raw"))
  end)

  it("output is not lost when its program cannot be started", function()
    session({ { "files = {} repeat files[#files + 1] = io.open '/dev/null' until not io.open '/dev/null'\r" },
      { ".once | cat\r" }, { "print 'kept'\r", "Too many open files", "kept\n" }, { "1 + 1\r", "\n2\n" } }, "X=; ulimit -n 64")
  end)

  it(".save makes a script of what has succeeded, without secrets; .load runs a script", function()
    local path = folder .. "/saved.lua"
    session {
      { "x = 20\r" }, { "error 'no'\r" }, { "local y = 2 return x + y\r", "22" }, { "x + 1\r", "21" }, { "_4 + 1;\r" },
      { "z = { password = 'hunter2' }\r" }, { "print 'p'\r", "p\n" }, { "if x then return end\r" }, { "_ + 1\r", "23" },
      { "help(modalua.json)\r" }, { "pp(In[1], Out[4])\r", '"x = 20"\n21\n' }, { "_err\r" },
      { "goto l ::l:: w = x\r" }, { "goto l ::l:: w = w\r" },
      { ".save " .. path .. "\r", "has 11 inputs; what may hold a secret" },
      { "x = 1\r" }, { ".load " .. path .. "\r", "\n22\n21\np\n23\n" }, { "x + _\r", "\n43\n" },
      { ".save " .. path .. "\r", "inputs" }, { ".save " .. write("other.lua", "mine") .. "\r", "it stays as it is" },
      { ".load " .. write("bad.lua", "#!/bin/modalua\nerror 'bad'") .. "\r", "bad.lua:2: bad" }, { ".load /nosuch\r", "No such file" },
    }
    assert.are.equal("mine", file "other.lua")
    lacks(file "saved.lua", "hunter2")
    assert.matches('^22\n21\np\n23\njson:\n.*\n"x = 20"\n21\n24\n$', command.run("-u", "http://127.0.0.1:1", path).out)
  end)

  it(".save leaves an input about the last error out, also the first one, and quotes none", function()
    local path = folder .. "/errors.lua"
    session { { "c, _err = nil, { password = 'hunter2' }\r" }, { "x = 1\r" }, { "_err\r" }, { ".save " .. path .. "\r", "has 1 input" } }
    lacks(file "errors.lua", "hunter2")
    assert.are.equal(2, select(2, file "errors.lua":gsub("\n%-%- An input about the last error was left out%.\n", "")))
  end)

  it(".save keeps inputs apart from one another", function()
    local path = folder .. "/apart.lua"
    session { { "x = print\r" }, { "(print or x)('q') x = x\r", "q\n" }, { "goto l ::l:: x('r')\r" }, { "goto l ::l:: x('s')\r" },
      { ".save " .. path .. "\r", "has 4 inputs" } }
    assert.are.same({ "q\nr\ns\n", "", 0 }, { command.run(path).out, command.run(path).err, command.run(path).status })
  end)

  it(".watch shows a value again and again, until Ctrl-C", function()
    session { { "n = 0\r" },
      { ".watch 0.05 (function() n = n + 1 return 'n' .. n end)()\r", '"n1"\n', '"n2"\n', '"n3"\n', open = { send = "\3" } },
      { "", open = { wait = "\n> " } }, { "n > 2\r", "true" }, { ".watch soon 1\r", "use .watch SECONDS" } }
  end)

  it("inputs have numbers, a traceback comes on demand, and .schema lists the tags of a level", function()
    session({
      { "6 * 7\r", "42" }, { ".numbers on\r", open = { wait = "\n2> " } }, { "for i = 1, 1 do\r", open = { wait = "\n2>> " } },
      { "end\r", open = { wait = "\n3> " } }, { "_1 + #In[1]\r", "47", open = { wait = "4> " } }, { ".numbers off\r" },
      { "function f() error 'deep' end\r" }, { "f()\r", "stdin:1: deep\n" }, { ".trace\r", "in function 'f'" },
      { ".schema series\r", "SeriesInstanceUID", "0020,000e", "identifies the series" }, { ".schema table\r", "the levels are" },
    }, nil, { rows = 200 })
  end)

  it("init.lua of the configuration runs first, and its failure is no end", function()
    command.shell("mkdir -p " .. folder .. "/modalua")
    write("modalua/init.lua", "greeting = 'hello ' .. tostring(orthanc ~= nil)\nerror 'broken'")
    session({ { "greeting\r", '"hello true"' } }, "XDG_CONFIG_HOME=" .. folder, { arguments = DEAD })
    local out = session({ { "greeting\r", "nil" } }, "XDG_CONFIG_HOME=" .. folder, { arguments = "-E " .. DEAD })
    lacks(out, "broken")
  end)

  it("-i stays after a script that has failed", function()
    local script = write("failing.lua", "x = 5 error 'boom'")
    local result = command.shell(([[printf 'print(x + 1)\n' | "$M" -i %s %s]]):format(DEAD, script))
    contains(result.err, "boom")
    contains(result.out, "6")
    assert.are.equal(0, result.status)
  end)
end)

describe("LUA_INIT", function()
  local function out(environment, options)
    return command.shell(environment .. ' "$M" ' .. options).out
  end

  it("is code, or a file, that runs before everything else, as with lua", function()
    local path = command.file "x = 'from a file'"
    assert.are.equal("5\n", out("LUA_INIT='x = 5'", "-e 'print(x)'"))
    assert.are.equal("6\n", out("LUA_INIT_5_4='x = 6' LUA_INIT='x = 5'", "-e 'print(x)'"))
    assert.are.equal("from a file\n", out("LUA_INIT=@" .. path, "-e 'print(x)'"))
    assert.are.equal("nil\n", out("LUA_INIT='x = 5'", "-E -e 'print(x)'"))
    assert.are.equal("nil\n", out("LUA_INIT='x = 5'", "--sandbox -e 'print(x)'"))
    os.remove(path)
  end)

  it("ends the command when it fails, as with lua", function()
    local result = command.shell [[LUA_INIT='error "no"' "$M" -e 'print(1)']]
    assert.are.same({ "", 1 }, { result.out, result.status })
    contains(result.err, "LUA_INIT:1: no")
  end)
end)
