-- Tests the command in poor surroundings: few descriptors, little memory, full disks, closed standard descriptors, a history that is no
-- file, signals without end, a clock that jumps, and a pause in the middle of a transfer. Each line of a table is a case.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local served = require "spec.support.served"
local task = require "modalua.task"
local terminal = require "spec.support.terminal"

local contains = expect.contains

local disturb = command.quote((assert(os.getenv "MODALUA_DISTURB", "set MODALUA_DISTURB to the library of spec/support/disturb.c")))

local function answer(path, value)
  return { path = path, to = faultd.route("/status", { code = 200, type = "application/json", body = json.encode(value) }) }
end

local read = served.read_file

local ID <const> = "12345678-1234-1234-1234-123456789abc"
local PACS <const> = { AET = "PACS", Host = "127.0.0.1", Port = 104 }
local ANSWERS <const> = {
  answer("/modalities", { pacs = PACS }), answer("/modalities/pacs/echo", {}),
  answer("/system", { Version = "1.12.7", DicomAet = "LOCAL" }),
  answer("/jobs", { { ID = ID, Type = "Archive", State = "Success", Progress = 100, CreationTime = "20240101T000000",
    Timestamp = "20240101T000001", Content = {} } }),
}

-- Does what most scripts do: a request, a file, a request by name, output.
local WORK <const> = command.quote [[
  local client = require "modalua".connect { retries = 0 }
  local ok, err = client:get "/ok"
  if ok then ok, err = client:download("/big?bytes=100000", os.getenv "TARGET") end
  print(ok and "done" or err)]]

describe("The command", function()
  local server, folder

  setup(function()
    server = faultd.start(ANSWERS)
    folder = served.folder "surroundings"
  end)

  teardown(function()
    server:close()
    os.execute("exec rm -r " .. folder)
  end)

  after_each(function()
    os.execute(("exec find %s -mindepth 1 -delete"):format(folder))
  end)

  -- Runs a line of the shell in which $W is the work of a script that writes $TARGET, $U are the options for the server, and $D is the
  -- folder.
  local function shell(line)
    return command.shell(("export D=%s TARGET=%s/target U='-u %s'; W=%s; %s"):format(folder, folder, server.url, WORK, line))
  end

  local function files_left()
    return (served.output_of("exec ls -A " .. folder))
  end

  -- ---- descriptors and memory ----

  describe("with few descriptors", function()
    local CLOSE <const> = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; " -- which this process had open

    for _, n in ipairs { 4, 5, 6, 7, 8, 9, 10, 12, 16, 20 } do
      it(("(%d) works, or says that there are too many open files"):format(n), function()
        local result = shell(CLOSE .. ('prlimit --nofile=%d "$M" $U -e "$W"'):format(n))
        local text = result.out .. result.err
        if n <= 4 then
          assert.are.same({ 1, "modalua: cannot start: Too many open files\n" }, { result.status, text })
        elseif n >= 16 or result.out == "done\n" then
          assert.are.same({ 0, "done\n", ("x"):rep(100000) }, { result.status, result.out, read(folder .. "/target") }, text)
        else
          assert.are.same({ 0, "" }, { result.status, files_left() })
          contains(result.out, "Too many open files")
        end
      end)
    end

    it("lists modalities, or says why it cannot", function()
      for n = 4, 20, 2 do
        local result = shell(CLOSE .. ('prlimit --nofile=%d "$M" $U modalities'):format(n))
        if n >= 16 or result.status == 0 then
          assert.are.same({ 0, "pacs\tPACS\t127.0.0.1:104\t\n" }, { result.status, result.out }, result.err)
        else
          assert.are.same({ 1, "" }, { result.status, result.out })
          contains(result.err, "Too many open files")
        end
      end
    end)
  end)

  it("with an address space of 24 to 30 MB works, or says what it lacks", function()
    for megabytes = 24, 30, 2 do
      local result = shell(('prlimit --as=%d "$M" $U -e "$W"'):format(megabytes << 20))
      assert.are.same({ 0, "done\n", "" }, { result.status, result.out, result.err })
      local greedy = command.quote "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end"
      result = shell(('prlimit --as=%d "$M" $U -e %s'):format(megabytes << 20, greedy))
      assert.are.equal(1, result.status)
      contains(result.err, "modalua: not enough memory\n")
    end
  end)

  -- ---- the size of files ----

  describe("with a limit of the size of files", function()
    it("fails a download, and leaves nothing", function()
      local result = shell 'echo old >"$TARGET"; prlimit --fsize=4096 "$M" $U -e "$W" | cat'
      assert.are.equal("download /big?bytes=100000: '" .. folder .. "/target': the file cannot be written: File too large "
        .. "((command line):3)\n", result.out)
      assert.are.equal("", result.err)
      assert.are.equal("target\n", files_left())
      assert.are.equal("old\n", read(folder .. "/target"))
    end)

    it("says that standard output is full", function()
      local result = shell 'prlimit --fsize=4096 "$M" -e "for i = 1, 1000 do print((\'x\'):rep(100)) end" >"$D/out"'
      assert.are.same({ 1, "modalua: standard output cannot be written: File too large\n" }, { result.status, result.err })
    end)

    it("does not start a playground, and leaves nothing", function()
      local result = shell 'TMPDIR="$D" prlimit --fsize=4096 "$M" playground modalities'
      assert.are.equal(1, result.status)
      assert.matches("^modalua: the playground does not start: ", result.err)
      assert.are.same({ "", "" }, { result.out, files_left() })
    end)

    it("gives the programs that a script starts the usual signal", function()
      local result = shell [[prlimit --fsize=4096 "$M" -e 'print(os.execute("exec yes >$D/yes"))']]
      assert.are.equal("nil\tsignal\t25\n", result.out) -- SIGXFSZ
    end)
  end)

  -- ---- full disks ----

  -- A shell line that runs another one where $D is a file system of 64 KB; nil and the reason when it cannot be mounted. The mount ends
  -- with the line.
  local function on_small_disk(line)
    local unshare = os.execute "exec unshare -m true 2>/dev/null" and "unshare -m" or "unshare -rm"
    local mount = "mount -t tmpfs -o size=64k modalua \"$D\""
    local result = shell(("exec %s sh -c %s"):format(unshare, command.quote(mount)))
    if result.status ~= 0 then
      return nil, "a file system cannot be mounted here: " .. result.err
    end
    return ("export W; exec %s sh -c %s"):format(unshare, command.quote(mount .. " && { " .. line .. "\n}"))
  end

  local function on_small_disk_or_pending(line)
    local small, why = on_small_disk(line)
    return small and shell(small) or pending(why)
  end

  describe("on a disk of 64 KB", function()
    it("fails a download, and leaves nothing", function()
      local result = on_small_disk_or_pending 'echo old >"$TARGET"; "$M" $U -e "$W"; ls -A "$D"; cat "$TARGET"'
      assert.are.equal("download /big?bytes=100000: '" .. folder .. "/target': the file cannot be written: No space left on device "
        .. "((command line):3)\ntarget\nold\n", result.out)
    end)

    it("does not start a playground, and leaves nothing", function()
      local result = on_small_disk_or_pending 'TMPDIR="$D" "$M" playground modalities; echo $?; ls -A "$D"'
      assert.matches("^modalua: the playground does not start: ", result.err)
      assert.are.equal("1\n", result.out)
    end)

    it("says that standard output is full", function()
      local result = on_small_disk_or_pending '"$M" -e "for i = 1, 1000 do print((\'x\'):rep(100)) end" >"$D/out"; echo $?'
      assert.are.same({ "1\n", "modalua: standard output cannot be written: No space left on device\n" }, { result.out, result.err })
    end)

    it("says once that the history cannot be written, and writes no half line", function()
      local environment = 'TERM=xterm; unset MODALUA_HISTORY XDG_STATE_HOME; export HOME="$D"'
      local line, script = terminal.line({ environment = environment }, {
        { wait = "> " }, { send = "1 + 1\r" }, { wait = "2\n> " },
        { send = ("x"):rep(5000) .. " = 2\r" }, { wait = "the history cannot be written" }, { wait = "No space left on device" },
        { wait = "\n> " }, { send = "3 + 3\r" }, { wait = "6\n> " }, { send = "\4" } })
      local fill = 'dd if=/dev/zero of="$D/fill" bs=1k count=60 2>/dev/null;'
      local result = on_small_disk_or_pending(fill .. line .. '; echo "status $?" >&2; cat "$D/.local/state/modalua/history" >&2')
      os.remove(script)
      assert.are.equal("status 0\n1 + 1\n", result.err)
      assert.are.equal(1, select(2, result.out:gsub("cannot be written", "")))
    end)
  end)

  -- ---- standard descriptors ----

  it("says for every verb, and for help, why standard output cannot be written", function()
    for _, words in ipairs { "modalities", "modalities --json", "modalities --csv", "jobs", "echo", "echo pacs", "manual", "find --help",
      "-e 'print(1)'", "-e 'io.write(1)'", "-e 'io.write((\"x\"):rep(1000000)) io.open \"/nosuch\"'", "--help", "-v",
      "playground --help" } do
      local result = shell('"$M" $U ' .. words .. " >/dev/full")
      assert.are.same({ 1, "modalua: standard output cannot be written: No space left on device\n" }, { result.status, result.err }, words)
    end
  end)

  it("writes only what belongs into a file, whichever of its standard descriptors are closed", function()
    for closed = 0, 7 do
      local redirections = (closed & 1 > 0 and " <&-" or " </dev/null") .. (closed & 2 > 0 and " >&-" or "")
        .. (closed & 4 > 0 and " 2>&-" or "")
      local result = shell('"$M" --verbose $U -e "print(1) io.stderr:write(2)" -e "$W" ' .. redirections)
      assert.are.equal(0, result.status, redirections)
      assert.are.equal(closed & 2 > 0 and "" or "1\ndone\n", result.out)
      assert.are.equal(closed & 4 > 0, result.err == "", result.err)
      assert.are.equal(("x"):rep(100000), read(folder .. "/target"))
      os.remove(folder .. "/target")
    end
  end)

  it("runs a verb and a playground without standard descriptors", function()
    assert.are.equal(0, shell('"$M" $U modalities <&- >&- 2>&-').status)
    served.write_file(folder .. "/script.lua", "assert(require 'modalua'.connect():system())")
    assert.are.equal(0, shell('"$M" playground "$D/script.lua" <&- >&- 2>&-').status)
  end)

  -- ---- the history ----

  describe("keeps a history only in a regular file of the user:", function()
    -- { what is there, how it is made, how it must look afterwards }
    local cases = {
      { "a folder", "mkdir -m 755 $H", "directory 755" },
      { "a FIFO", "mkfifo -m 644 $H", "fifo 644" },
      { "a device", "mknod -m 666 $H c 1 5", "character special file 666" },
      { "a link to a file", "echo precious >$D/other; chmod 644 $D/other; ln -s other $H", "symbolic link 777" },
      { "a link to nothing", "ln -s nothing $H", "symbolic link 777" },
      { "a file with two names", "echo precious >$D/other; chmod 644 $D/other; ln $D/other $H", "regular file 644" },
      { "a file below a file", "echo precious >$D/other; H=$D/other/history", nil },
    }
    for _, case in ipairs(cases) do
      it(case[1] .. " is left alone, and the prompt says so once", function()
        local made = shell("H=$D/history; " .. case[2])
        if made.status ~= 0 then
          pending("this cannot be made here: " .. made.err)
        end
        local path = case[3] and folder .. "/history" or folder .. "/other/history"
        local out = terminal.session({ environment = "MODALUA_HISTORY=" .. path }, { { "1 + 1\r", "2" }, { "2 + 2\r", "4" } })
        assert.are.equal(1, select(2, out:gsub("modalua: the history cannot be written:", "")), out)
        if case[3] then
          assert.are.equal(case[3] .. "\n", shell("stat -c '%F %a' $D/history").out)
        end
        assert.are.equal(case[2]:find "precious" and "precious\n" or nil, read(folder .. "/other"))
        assert.is_nil(read(folder .. "/nothing"))
      end)
    end

    it("/dev/null is left alone, and means that there is none", function()
      local made = shell "mknod -m 666 $D/null c 1 3" -- as /dev/null, which this must not spoil
      if made.status ~= 0 then
        pending("a device cannot be made here: " .. made.err)
      end
      local out = terminal.session({ environment = "MODALUA_HISTORY=" .. folder .. "/null" }, { { "1 + 1\r", "2" } })
      assert.is_nil(out:find "history")
      assert.are.equal("character special file 666\n", shell("stat -c '%F %a' $D/null").out)
    end)

    it("an entry of an earlier session is still read", function()
      served.write_file(folder .. "/history", "11 * 11\n")
      terminal.session({ environment = "MODALUA_HISTORY=" .. folder .. "/history" }, { { "\27[A\r", "121" } })
      assert.are.equal("regular file 600\n", shell("stat -c '%F %a' $D/history").out)
    end)

    it("a home folder that is missing or cannot be written changes nothing else", function()
      local homes = { ["unset HOME"] = 0, ["HOME="] = 0, ["HOME=relative"] = 0, ["HOME=/proc/nosuch"] = 1, ["HOME=/dev/null"] = 1 }
      for home, complaints in pairs(homes) do
        local environment = "TERM=xterm; unset MODALUA_HISTORY XDG_STATE_HOME XDG_CONFIG_HOME; " .. home .. "; export TERM"
        local out = terminal.session({ environment = environment }, { { "1 + 1\r", "2" }, { "2 + 2\r", "4" } })
        assert.are.equal(complaints, select(2, out:gsub("modalua: the history cannot be written:", "")), home .. ": " .. out)
      end
    end)
  end)

  -- ---- targets and sources that are no regular files ----

  it("does not write a download into a device, a pipe or a folder, or through what is called .part, and does not hang", function()
    local cases = {
      { "mkfifo $TARGET", "it is not a regular file" }, { "mknod $TARGET c 1 3", "it is not a regular file" },
      { "mkdir $TARGET", "Is a directory" },
      { "mkfifo $TARGET.part", "there is something else" }, { "mknod $TARGET.part c 1 5", "there is something else" },
      { "mkdir $TARGET.part", "there is something else" }, { "ln -s other $TARGET.part", "there is something else" },
    }
    for _, case in ipairs(cases) do
      local result = shell('rm -rf "$TARGET" "$TARGET.part"; ' .. case[1] .. " || exit 77; stat -c '%F %a' \"$D\"/*; \"$M\" $U -e \"$W\"; "
        .. "stat -c '%F %a' \"$D\"/*")
      if result.status == 77 then
        pending("this cannot be made here: " .. result.err)
      end
      local before, message, after = result.out:match "^([^\n]*)\n(.*)\n([^\n]*)\n$"
      assert.are.equal(before, after)
      contains(message, case[2])
    end
  end)

  it("does not hang at a source or a configuration file that is a pipe", function()
    local result = shell 'mkfifo "$D/p"; "$M" $U -e "print(require [[modalua]].connect():upload(os.getenv [[D]] .. [[/p]]))"'
    contains(result.out, "it is not a regular file")
    result = shell 'mkdir "$D/modalua"; mkfifo "$D/modalua/config.lua"; XDG_CONFIG_HOME="$D" "$M" -e "require [[modalua]].connect()"'
    contains(result.err, "it is not a regular file")
  end)

  -- ---- restless surroundings ----

  -- Nearly all operations, in a playground.
  local OPERATIONS <const> = [[
    local modalua = require "modalua"
    local task, json = modalua.task, modalua.json
    local client = modalua.connect()
    local pacs, archive = client:modality "pacs", client:modality "archive"
    local folder = os.getenv "D"
    assert(client:system()) assert(client:modalities()) assert(pacs:echo()) assert(client:default_encoding())
    local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-*" } })
    assert(#found.answers > 0)
    assert(pacs:move(found))
    assert(pacs:move_resources("Study", { found.answers[1] }, { to = "archive", verify = true }))
    local ids = assert(client:find { Level = "Study", Query = {} })
    assert(#ids > 0)
    assert(archive:store(ids[1]))
    local size = assert(client:download("/studies/" .. ids[1] .. "/archive", folder .. "/zip"))
    assert(size > 1000 and assert(client:upload(folder .. "/zip"))[1].Status == "AlreadyStored")
    assert(#assert(pacs:series(found.answers)) > 0)
    local n = 0
    for _ in pacs:find_all { Level = "Study", Query = { StudyDate = "19000101-20991231" } } do n = n + 1 end
    assert(n > 0)
    for change in client:changes { follow = false } do assert(change.Seq) break end
    local began = task.now()
    task.sleep(0.3)
    local slept = task.now() - began
    assert(slept >= 0.3 and slept < 60, slept)
    assert(task.timeout(0.2, task.sleep, 60) == nil)
    local results = assert(task.map({ 1, 2, 3 }, function() return client:system() end, { limit = 2 }))
    assert(#results == 3)
    assert(#assert(client:jobs()) > 0) assert(client:queries())
    print "done"]]

  for how, title in pairs { ticks = "a signal a thousand times a second", clock = "a wall clock that jumps by a day" } do
    it("carries out all operations with " .. title, function()
      served.write_file(folder .. "/operations.lua", OPERATIONS)
      local result = shell(('DISTURB=%s LD_PRELOAD=%s "$M" playground "$D/operations.lua"'):format(how, disturb))
      assert.are.same({ 0, "done\n", "" }, { result.status, result.out, result.err })
    end)

    it("edits lines with " .. title, function()
      local wrapper = folder .. "/modalua" -- so that the terminal itself is left alone
      served.write_file(wrapper, ('#!/bin/sh\nDISTURB=%s LD_PRELOAD=%s exec %s "$@"\n'):format(how, disturb, command.quote(command.path)))
      assert(os.execute("exec chmod +x " .. wrapper))
      terminal.session({ arguments = "-e 'task = require \"modalua.task\"' -i", environment = "M=" .. wrapper },
        { { "6 * 7\r", "42" }, { "task.sleep(0.3) return 'slept'\r", "slept" } })
    end)
  end
end)

-- ---- a client that is stopped ----

describe("A client that is stopped for longer than its timeout", function()
  local folder

  before_each(function()
    folder = served.folder "stopped"
  end)

  after_each(function()
    os.execute("exec rm -r " .. folder)
  end)

  -- The progress function of an operation, which stops the command itself when `begun`, an expression, is true for the first time: so the
  -- timeout cannot pass before.
  local STOPS <const> = [[progress = function(p)
    if not stopped and (%s) then
      stopped = true
      os.execute "exec kill -STOP $PPID"
    end
  end ]]

  -- Starts the command with this code, waits until it has stopped itself, calls meanwhile(), and continues the command after so many
  -- seconds, which are longer than its timeout. Calls `after` with the pipe from it and the time. Returns what it printed.
  local function stop_and_continue(url, code, seconds, meanwhile, after)
    local pipe = assert(io.popen(("%s -u %s -e %s 2>&1 & echo $!; wait"):format(command.quote(command.path), url, command.quote(code))))
    local pid = pipe:read "l"
    local function is_stopped()
      local file <close> = io.open(("/proc/%s/stat"):format(pid))
      return file and file:read("a"):match "^%d+ %(.*%) (%a)" == "T"
    end
    assert(expect.eventually(is_stopped), "it never began")
    meanwhile()
    task.sleep(seconds)
    local continued = task.now()
    assert(os.execute("exec kill -CONT " .. pid))
    if after then
      after(pipe, continued)
    end
    local text = pipe:read "a"
    pipe:close()
    return text
  end

  it("finishes a download that it was in the middle of", function()
    local server <close> = faultd.start()
    local path = faultd.route("/hold", { name = "x", body = ("x"):rep(1000), send = 10 })
    local out = stop_and_continue(server.url, ([[
      local client = require "modalua".connect { timeout = 1, retries = 0 }
      print(client:download(%q, %q, { %s }))]]):format(path, folder .. "/target", STOPS:format "p.done == 10"),
      2, function() assert(modalua.connect(server.url):get("/release", { name = "x" })) end)
    assert.are.equal("1000\n", out)
    assert.are.equal(("x"):rep(1000), read(folder .. "/target"))
    assert.is_nil(read(folder .. "/target.part"))
  end)

  it("waits for more of a download, as long as its timeout allows from then on", function()
    local server <close> = faultd.start()
    local path = faultd.route("/hold", { name = "x", body = ("x"):rep(1000), send = 10 })
    local out = stop_and_continue(server.url, ([[
      local client = require "modalua".connect { timeout = 5, retries = 0 }
      local task = require "modalua.task"
      local ticks = task.spawn(function() while true do task.sleep(0.05) print(task.now()) end end)
      print(client:download(%q, %q, { %s }))
      ticks:cancel()]]):format(path, folder .. "/target", STOPS:format "p.done == 10"),
      6, function() end,
      function(pipe, continued)
        repeat -- until it has looked at the transfer
          local line = pipe:read "l"
        until not tonumber(line) or tonumber(line) > continued + 0.3
        assert(modalua.connect(server.url):get("/release", { name = "x" }))
      end)
    assert.matches("\n1000\n$", "\n" .. out)
  end)

  it("finishes a move that it was in the middle of", function()
    local peer <close> = dicomd.start()
    local server <close> = orthanc.start { aet = "LOCAL", modalities = { held = peer:modality "HELD" } }
    local out = stop_and_continue(server.url, ([[
      local client = require "modalua".connect { timeout = 2 }
      local held = client:modality "held"
      local found = assert(require "modalua".connect():modality "held":find { Level = "Study", Query = { PatientID = "FP*" } })
      local result, err = held:move(found, { TargetAet = "ANY", %s })
      print(result and "moved" or err)]]):format(STOPS:format "true"),
      3, function()
        assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end))
        peer:let()
      end)
    assert.are.equal("moved\n", out)
  end)
end)
