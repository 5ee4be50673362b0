local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local modalua = require "modalua"
local versions = require "spec.support.versions"

local eventually = expect.eventually

local function output_of(line)
  return (command.shell(line).out:gsub("\n$", ""))
end

-- Makes a TMPDIR for a playground. All its processes have the path in their environment, so the test can find them.
local function new_mark()
  return output_of "mktemp -d"
end

-- Lists the living processes and the files of the playgrounds with this TMPDIR. A zombie has no environment, so it is not listed.
local function remains(mark)
  return output_of(([[
    for p in $(grep -lzxsF TMPDIR=%s /proc/[0-9]*/environ); do tr '\0' ' ' <${p%%environ}cmdline; echo; done
    ls -A %s]]):format(mark, mark))
end

local function assert_nothing_remains(mark)
  eventually(function() return remains(mark) == "" end)
  assert.are.equal("", remains(mark))
  os.remove(mark)
end

-- Runs "modalua OPTIONS… playground SCRIPT", and asserts that no process and no file remains.
local function run(text, environment, ...)
  local mark, file = new_mark(), command.file(text)
  local result = command.shell(("TMPDIR=%s %s \"$M\" %s playground %s a b"):format(mark, environment or "", command.quote(...), file))
  os.remove(file)
  assert_nothing_remains(mark)
  return result
end

-- Opens a playground that lasts until close(). Reads its ports and passwords from its configuration files, which only their owner can read.
local function open_playground(version)
  local mark, ready = new_mark(), os.tmpname()
  local script = command.file(("assert(io.open(%q, 'w')):write('x'):close() io.read 'l'"):format(ready))
  local pipe = assert(io.popen(("TMPDIR=%s MODALUA_ORTHANC=%s exec %s playground %s"):format(
    mark, command.quote(version.binary or ""), command.quote(command.path), script), "w"))
  assert(eventually(function() return output_of("cat " .. ready) == "x" end), "the playground does not start")
  local playground = { mark = mark, folder = mark .. "/" .. output_of("ls " .. mark) }
  for _, name in ipairs { "local", "pacs", "archive" } do
    local file = assert(io.open(("%s/%s.json"):format(playground.folder, name)))
    local config = assert(json.decode(file:read "a"))
    file:close()
    local url = "http://127.0.0.1:" .. config.HttpPort
    playground[name] = { url = url, port = config.DicomPort, aet = config.DicomAet, password = config.RegisteredUsers.modalua,
      client = modalua.connect { url = url, username = "modalua", password = config.RegisteredUsers.modalua } }
  end
  function playground.close()
    pipe:close()
    os.remove(ready)
    os.remove(script)
    assert_nothing_remains(mark)
  end
  return playground
end

-- Returns the answers of a C-FIND that the server `local` sends to pacs.
local function find(client, level, filter)
  local query = assert(client:post("/modalities/pacs/query", { Level = level, Query = filter }))
  return assert(client:get(query.Path .. "/answers", { expand = true, simplify = true })), query
end

local function dicom(program, caller, called, port, host)
  return command.shell(("%s -to 60 -ta 60 -aet %s -aec %s %s %d"):format(program, caller, called, host or "127.0.0.1", port)).status
end

local first_instances -- the instances at pacs, with the first version

for _, version in ipairs(versions) do
  describe("The playground, with the Orthanc " .. version.name, function()
    local ground, client

    setup(function()
      ground = open_playground(version)
      client = ground["local"].client
    end)

    teardown(function()
      ground.close()
    end)

    it("has images only at pacs", function()
      local counts = assert(ground.pacs.client:get("/statistics"))
      assert.are.same({ 12, 23, 40, 94 }, { counts.CountPatients, counts.CountStudies, counts.CountSeries, counts.CountInstances })
      for _, name in ipairs { "local", "archive" } do
        assert.are.equal(0, assert(ground[name].client:get("/statistics")).CountInstances)
      end
    end)

    it("always has the same images", function()
      local instances = assert(ground.pacs.client:get("/instances"))
      table.sort(instances)
      first_instances = first_instances or instances
      assert.are.same(first_instances, instances)
    end)

    it("has servers that know each other", function()
      for _, name in ipairs { "local", "pacs", "archive" } do
        local server = ground[name].client
        assert.are.equal(ground[name].aet, assert(server:system()).DicomAet)
        for _, peer in ipairs(assert(server:modalities())) do
          assert.are_not.equal(name, peer)
          assert(server:post("/modalities/" .. peer .. "/echo", { Timeout = 60 }))
        end
        assert.are.equal(2, #server:modalities())
      end
    end)

    it("answers a C-FIND with the right studies", function()
      assert.are.equal(23, #find(client, "Study", { StudyInstanceUID = "" }))
      local smiths = find(client, "Study", { PatientName = "SMITH*", StudyDate = "", PatientID = "", StudyDescription = "" })
      table.sort(smiths, function(a, b) return a.StudyDate < b.StudyDate end)
      assert.are.equal(3, #smiths)
      assert.are.same({ "MOD-0002", "20200115", "CT CHEST W CONTRAST" },
        { smiths[1].PatientID, smiths[1].StudyDate, smiths[1].StudyDescription })
      assert.are.equal("MOD-0003", smiths[3].PatientID)
      assert.are.equal(3, #find(client, "Study", { PatientName = "Müller*" }))
      assert.are.equal(2, #find(client, "Study", { AccessionNumber = "A100702" }))
      assert.are.equal(3, #find(client, "Series", { PatientID = "MOD-0002", StudyDate = "20230322" , SeriesInstanceUID = "" }))
    end)

    it("stores names in every writing system, and loses characters at local as an Orthanc with the default encoding does", function()
      local names = {}
      for _, patient in ipairs(assert(ground.pacs.client:post("/tools/find", { Level = "Patient", Expand = true, Query = {} }))) do
        names[patient.MainDicomTags.PatientID] = patient.MainDicomTags.PatientName
      end
      assert.are.equal("Müller^Jörg", names["MOD-0001"])
      assert.are.equal("Yamada^Tarou=山田^太郎=やまだ^たろう", names["JP-77001"])
      assert.are.equal("Satou^Hanako=佐藤^花子=さとう^はなこ", names["JP-77002"])
      assert.are.equal("Иванов^Иван^Иванович", names["RU-5501"])
      assert.are.equal("Παπαδόπουλος^Νίκος", names["GR-204"])
      assert.are.equal("Wang^XiaoDong=王^小东", names["CN-8800"])

      local filter = { PatientID = "JP-77001", PatientName = "" }
      assert.are.equal("Yamada^Tarou=^=^", find(client, "Patient", filter)[1].PatientName)
      assert(client:put("/tools/default-encoding", "Utf8"))
      local whole = find(client, "Patient", filter)[1].PatientName
      assert(client:put("/tools/default-encoding", "Latin1"))
      assert.are.equal(names["JP-77001"], whole)
    end)

    it("moves studies to the archive", function()
      local found, query = find(client, "Study", { PatientID = "MOD-0002" })
      assert.are.equal(2, #found)
      assert(client:post(query.Path .. "/retrieve", { TargetAet = "ARCHIVE", Synchronous = true }))
      local counts = assert(ground.archive.client:get("/statistics"))
      assert.are.same({ 1, 2, 15 }, { counts.CountPatients, counts.CountStudies, counts.CountInstances })
    end)

    it("moves every kind of object that it has", function()
      local found, query = find(client, "Patient", { PatientID = "" })
      assert.are.equal(12, #found)
      assert(client:post(query.Path .. "/retrieve", { TargetAet = "MODALUA", Synchronous = true }))
      assert.are.equal(94, assert(client:get("/statistics")).CountInstances)
    end)

    it("rejects unknown callers at every DICOM port", function()
      local find_all = "findscu -S -k QueryRetrieveLevel=STUDY -k StudyInstanceUID"
      for _, name in ipairs { "local", "pacs", "archive" } do
        local server, friend = ground[name], name == "pacs" and "MODALUA" or "PACS"
        assert.are.equal(0, dicom("echoscu", friend, server.aet, server.port))
        assert.are.equal(0, dicom(find_all, friend, server.aet, server.port))
        assert.are_not.equal(0, dicom("echoscu", "STRANGER", server.aet, server.port))
        assert.are_not.equal(0, dicom(find_all, "STRANGER", server.aet, server.port))
        assert.are_not.equal(0, dicom("echoscu", friend, "ANY", server.port))
      end
    end)

    it("rejects unknown users at every HTTP port", function()
      for _, name in ipairs { "local", "pacs", "archive" } do
        local none, err = modalua.connect(ground[name].url):system()
        assert.is_nil(none)
        assert.are.same({ "auth", 401 }, { err.kind, err.status })
        none, err = modalua.connect(ground[name].url, { username = "modalua", password = "modalua" }):system()
        assert.is_nil(none)
        assert.are.equal(401, err.status)
      end
      assert.are_not.equal(ground.pacs.password, ground.archive.password)
    end)

    it("rejects every caller from another address", function()
      local host = output_of "hostname -I":match "%d+%.%d+%.%d+%.%d+"
      if not host then
        return pending "this machine has no other address"
      end
      assert.are_not.equal(0, dicom("echoscu", "MODALUA", "PACS", ground.pacs.port, host))
      local url = ground.pacs.url:gsub("127%.0%.0%.1", host)
      assert.is_nil((modalua.connect(url, { username = "modalua", password = ground.pacs.password }):system()))
    end)

    it("keeps its passwords secret", function()
      assert.are.equal("700", output_of("stat -c %a " .. ground.folder))
      assert.are.equal("600\n600\n600", output_of(("stat -c %%a %s/*.json"):format(ground.folder)))
      for _, name in ipairs { "local", "pacs", "archive" } do
        local pattern = command.file(ground[name].password .. "\n")
        assert.are.equal("", output_of(("grep -lsF -f %s /proc/[0-9]*/cmdline %s/*.log"):format(pattern, ground.folder)))
        assert.are_not.equal("", output_of(("grep -lsF -f %s %s/*.json"):format(pattern, ground.folder)))
        os.remove(pattern)
      end
    end)
  end)
end

describe("modalua playground", function()
  describe("gives a script", function()
    it("its arguments, the servers, and credentials for programs that it starts", function()
      local result = run([=[
        local servers = require "modalua.playground".servers()
        print(arg[-1], ...)
        print(require "modalua".connect():system().DicomAet, servers["local"]:system().DicomAet)
        print(#servers.pacs:get("/studies"), #servers.archive:get("/studies"))
        io.stdout:flush()
        os.execute('"$M" -e "print(require[[modalua]].connect():system().DicomAet)"')]=], "MODALUA_TOKEN=t MODALUA_URL=http://nowhere:1")
      assert.are.equal("playground\ta\tb\nMODALUA\tMODALUA\n23\t0\nMODALUA\n", result.out)
      assert.are.equal("", result.err)
      assert.are.equal(0, result.status)
    end)

    it("the options before the verb; their limits apply to the script only", function()
      local late = command.file "#!/bin/sh\nsleep 5\nPATH=$PATH:/usr/sbin exec Orthanc \"$@\"" -- longer than the script may take
      os.execute("chmod +x " .. late)
      local result = run("print(x, y) require 'modalua'.connect():system()", "MODALUA_ORTHANC=" .. late,
        "--time-limit", "5", "--verbose", "-ex = 1", "-e", "y = 2")
      os.remove(late)
      assert.are.equal("1\t2\n", result.out)
      assert.matches("^modalua: GET http://127.0.0.1:%d+/system 200 in [%d.]+ ms, %d+ B\n$", result.err)
    end)

    it("its own exit status", function()
      assert.are.equal(7, run("os.exit(7)").status)
      assert.are.equal(1, run("error 'no'").status)
    end)
  end)

  describe("without a script", function()
    local function shell(line)
      local mark = new_mark()
      local result = command.shell(("export TMPDIR=%s; %s"):format(mark, line))
      assert_nothing_remains(mark)
      return result
    end

    it("runs standard input, or only the given code", function()
      assert.are.equal("MODALUA\n", shell([[echo 'print(require "modalua".connect():system().DicomAet)' | "$M" playground]]).out)
      assert.are.equal("1\n", shell([["$M" -e 'print(1)' playground]]).out)
    end)

    it("is interactive, and lists the servers", function()
      local result = shell([[echo '1 + 1' | "$M" -i playground]])
      assert.matches("local.*AET MODALUA.*pacs +AET PACS.*23 studies\n +archive +AET ARCHIVE.*0 studies\n> 2\n", result.out)
    end)
  end)

  it("takes options behind its name, too", function()
    local result = command.shell([["$M" playground -lm=modalua -e 'print(m.connect():get("/statistics").CountStudies)']])
    assert.are.same({ "0\n", "", 0 }, { result.out, result.err, result.status })
  end)

  describe("is a verb", function()
    it("that wins over a file with its name", function()
      local result = command.shell([[d=$(mktemp -d); cd "$d"; echo 'print "file"' >playground
        "$M" ./playground; "$M" playground --help; s=$?; cd /; rm -r "$d"; exit $s]])
      assert.matches("^file\nusage: modalua %[options%] playground ", result.out)
      assert.are.equal(0, result.status)
      for _, words in ipairs { { "playground", "-h" }, { "help", "playground" }, { "playground", "-i", "--help" } } do
        assert.are.equal(command.run("playground", "--help").out, command.run(table.unpack(words)).out)
      end
    end)

    it("that rejects options that it cannot use", function()
      for why, words in pairs { ["cannot be used with playground"] = { "-u", "http://localhost", "playground" },
        ["which has its own servers"] = { "playground", "-uhttp://x" },
        ["cannot use the option '-x'"] = { "playground", "-x" }, ["cannot use the option '-e'"] = { "playground", "-e" },
        ["a verb runs no script"] = { "playground", "--sandbox", "find" } } do
        local result = command.run(table.unpack(words))
        assert.are.same({ "", 2 }, { result.out, result.status })
        assert.is_truthy(result.err:find(why, 1, true), result.err)
      end
    end)
  end)

  describe("without a usable Orthanc", function()
    it("says that there is no Orthanc", function()
      local result = run("print 'no'", "MODALUA_ORTHANC=no-such-program")
      assert.are.same({ "", 1 }, { result.out, result.status })
      assert.are.equal("modalua: the playground does not start: there is no program 'no-such-program' (MODALUA_ORTHANC)\n", result.err)
    end)

    it("shows why the server ended", function()
      local result = run("print 'no'", "MODALUA_ORTHANC=rmdir")
      assert.are.same({ "", 1 }, { result.out, result.status })
      assert.matches("local has ended by itself %(status 1%); the end of its log:\n.*rmdir.*local.json", result.err)
    end)
  end)

  it("takes other ports if another program has taken its ports first", function()
    local folder = new_mark()
    -- The first server that the playground starts gives its ports to another Orthanc, with another password, and ends as Orthanc then does.
    local program = command.file(([[#!/bin/sh
      PATH=$PATH:/usr/sbin
      mkdir %s/once 2>/dev/null || exec Orthanc "$1"
      cd %s/once && sed 's/"modalua": "/&x/' "$1" >other.json
      env -u TMPDIR setsid Orthanc $PWD/other.json >log 2>&1 & echo $! >pid
      until grep -q 'Orthanc has started' log; do sleep 0.02; done
      exit 1]]):format(folder, folder))
    os.execute("chmod +x " .. program)
    local result = run("print(require 'modalua'.connect():system().DicomAet)", "MODALUA_ORTHANC=" .. program)
    assert.are.equal("", output_of(([[
      p=$(cat %s/once/pid); kill -KILL $p 2>&1
      while kill -0 $p 2>/dev/null; do sleep 0.02; done
      rm -r %s]]):format(folder, folder)))
    os.remove(program)
    assert.are.same({ "MODALUA\n", "", 0 }, { result.out, result.err, result.status })
  end)

  it("gives no servers to a script that runs outside a playground", function()
    assert.matches("this script does not run in a playground", command.run("-e", "require 'modalua.playground'.servers()").err, 1, true)
  end)

  -- Starts a playground with a script that waits, runs the shell lines `attack` ($p is the process id), and returns the exit status.
  local function attacked(attack, text)
    local mark, ready = new_mark(), os.tmpname()
    local script = command.file(text or ("assert(io.open(%q, 'w')):write('x'):close() require 'modalua.task'.sleep(60)"):format(ready))
    local result = command.shell(([[
      mark=%s
      TMPDIR=$mark "$M" playground %s & p=$!
      until [ -s %s ]; do kill -0 $p || break; sleep 0.02; done
      %s
      wait $p]]):format(mark, script, text and script or ready, attack))
    os.remove(script)
    os.remove(ready)
    assert_nothing_remains(mark)
    return result.status
  end

  describe("leaves nothing", function()
    it("after Ctrl-C", function()
      assert.are.equal(130, attacked "kill -INT $p")
    end)

    it("after SIGTERM", function()
      assert.are.equal(143, attacked "kill -TERM $p")
    end)

    it("after SIGKILL", function()
      assert.are.equal(137, attacked "kill -KILL $p")
    end)

    it("after SIGKILL, while a child process of the script still runs", function()
      local pid = os.tmpname()
      local script = ("os.execute('sleep 60 & echo $! >%s') require 'modalua.task'.sleep(60)"):format(pid)
      local status = attacked(([[
        until [ -s %s ]; do sleep 0.02; done
        child=$(cat %s)
        kill -KILL $p
        while grep -lzxsF TMPDIR=$mark /proc/[0-9]*/environ | grep -vq "^/proc/$child/"; do sleep 0.02; done
        kill $child]]):format(pid, pid), script)
      os.remove(pid)
      assert.are.equal(137, status)
    end)

    it("after SIGKILL at any moment of its start", function()
      for hundredths = 0, 40, 4 do
        assert.are.equal(137, attacked(("sleep %g; kill -KILL $p"):format(hundredths / 100), "require 'modalua.task'.sleep(60)"))
      end
    end)

    it("after SIGKILL of the process that watches over the servers", function()
      local keeper = [[for d in /proc/[0-9]*; do
        read -r pid name state parent rest <$d/stat && [ "$parent" = $p ] && kill -KILL $pid; done;]]
      assert.are.equal(130, attacked(keeper .. " kill -INT $p"))
    end)
  end)
end)
