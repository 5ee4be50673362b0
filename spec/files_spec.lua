-- Tests downloads and uploads: files are complete or absent, can have any size, and need constant memory.
local big = require "spec.support.big"
local command = require "spec.support.command"
local empty = require "spec.support.archive".empty
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local served = require "spec.support.served"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local MEGABYTES = math.tointeger(os.getenv "MODALUA_BIG_MB" or 48)
local MEMORY_MAX = 8 -- the most megabytes of memory that a transfer of any size may take

local STORED <const> = '{"ID":"00000000-00000000-00000000-00000000-00000000","Status":"Success"}'

local contains, fails, eventually = expect.contains, expect.fails, expect.eventually

local read = served.read_file

local function size_of(path)
  local file = io.open(path, "rb")
  local size = file and file:seek "end"
  return size, file and file:close()
end

local folder

setup(function()
  folder = served.folder "files"
end)

teardown(function()
  os.execute(("rm -rf -- '%s'"):format(folder))
end)

local function path(name)
  return folder .. "/" .. name
end

describe("download", function()
  local server, client, target

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
  end)

  before_each(function()
    client = modalua.connect(server.url, { timeout = 30, retries = 0 })
    assert(client:post "/reset")
    target = path "target"
    os.remove(target)
  end)

  local function nothing_is_left()
    assert.is_nil(read(target))
    assert.is_nil(read(target .. ".part"))
  end

  -- Starts a task that downloads "ab". Returns it when "a" is written; the server holds the other byte until it is asked to release `name`.
  local function downloading(name)
    local download = task.spawn(client.download, client, faultd.route("/hold", { name = name, body = "ab", send = 1 }), target)
    assert.is_truthy(eventually(function() return read(target .. ".part") == "a" end))
    return download
  end

  it("creates the file only when it is complete", function()
    local download = downloading "complete"
    assert.is_nil(read(target))
    assert(client:get("/release", { name = "complete" }))
    assert.are.equal(2, download:join())
    assert.are.equal("ab", read(target))
    assert.is_nil(read(target .. ".part"))
  end)

  it("replaces an existing file, and does not change it if it fails", function()
    served.write_file(target, "old")
    for _, route in ipairs { "/status?code=404&body=gone", "/short?say=100&send=50", "/reset-body?bytes=50", "/drop" } do
      local err = fails({ op = "download", method = "GET", path = route, file = target }, client:download(route, target))
      assert.are.equal("old", read(target), tostring(err))
      assert.is_nil(read(target .. ".part"))
    end
    assert.are.equal(3, client:download("/status?code=200&type=text/plain&body=new", target))
    assert.are.equal("new", read(target))
  end)

  it("checks that an archive is complete by its end, because Orthanc sends archives without a length", function()
    local function archive(body)
      return client:download(faultd.route("/status", { code = 200, type = "application/zip", body = body }), target)
    end
    local function in_memory(body)
      return client:get("/status", { code = 200, type = "application/zip", body = body })
    end
    local entry, ending = "PK\3\4" .. ("x"):rep(40), "PK\5\6" .. ("x"):rep(16) .. "\1\1" -- the ending announces a comment of 257 bytes
    for _, body in ipairs { "", entry, entry .. ending } do
      local err = fails({ kind = "network", code = "connection_lost", retryable = true, file = target }, archive(body))
      contains(err.message, "in the middle of the archive")
      nothing_is_left()
      fails({ kind = "network", code = "connection_lost", retryable = true, op = "get" }, in_memory(body))
    end
    assert.are.equal(44 + 22 + 257, archive(entry .. ending .. ("c"):rep(257)))
    assert.are.equal(44 + 22 + 257, #assert(in_memory(entry .. ending .. ("c"):rep(257))))
  end)

  it("does not write the text of an error to the file, and returns the error", function()
    local err = fails({ kind = "orthanc", status = 404, orthanc_status = 17 }, client:download("/nosuch", target))
    contains(err.message, "has nothing at this path")
    nothing_is_left()
  end)

  it("rejects a login page", function()
    fails({ kind = "decode", code = "not_orthanc", file = target },
      client:download("/status?code=200&type=text/html&body=%3Chtml%3ELog%20in", target))
    nothing_is_left()
  end)

  it("starts again from the beginning when it is retried", function()
    local patient = modalua.connect(server.url, { retries = 2 })
    assert(client:get(faultd.map { path = "/file", times = 2, to = "/short?say=100&send=70" }))
    assert(client:get(faultd.map { path = "/file", to = faultd.route("/status", { code = 200, type = "text/plain", body = "whole" }) }))
    assert.are.equal(5, patient:download("/file", target))
    assert.are.equal("whole", read(target))
    assert.are.equal(3, assert(client:get("/count", { of = "/file" })))
  end)

  it("replaces what a killed process has left", function()
    served.write_file(target .. ".part", ("x"):rep(1000))
    assert.are.equal(3, client:download("/status?code=200&type=text/plain&body=new", target))
    assert.are.equal("new", read(target))
    assert.is_nil(read(target .. ".part"))
  end)

  it("does not write a file that another download is writing", function()
    local first = downloading "alone"
    local err = fails({ kind = "refused", code = "file" }, client:download("/ok", target))
    contains(err.message, "another process is writing it")
    assert(client:get("/release", { name = "alone" }))
    assert.are.equal(2, first:join())
    assert.are.equal("ab", read(target))
  end)

  it("leaves no file if its task is cancelled", function()
    local download = downloading "cancelled"
    download:cancel()
    fails({ kind = "cancelled" }, download:join())
    nothing_is_left()
  end)

  it("leaves no file if the process is interrupted", function()
    local line = ([["$M" -u %s -e 'require"modalua".connect():download("/hold?name=interrupted&body=ab&send=1", "%s")' & pid=$!
      while [ ! -s '%s.part' ]; do sleep 0.02; done; kill -INT $pid; wait $pid]]):format(server.url, target, target)
    assert.are.equal(130, command.shell(line).status)
    nothing_is_left()
  end)

  it("says which file cannot be written, before it sends a request", function()
    for name, why in pairs { ["nowhere/target"] = "No such file or directory", [""] = "Is a directory" } do
      local err = fails({ kind = "refused", code = "file", file = path(name) }, client:download("/ok", path(name)))
      contains(err.message, ("'%s' cannot be written: %s"):format(path(name), why))
    end
    assert.are.equal(0, assert(client:get("/count", { of = "/ok" })))
  end)

  it("refuses to replace a pipe or a device", function()
    os.execute(("mkfifo '%s'"):format(target))
    contains(fails({ kind = "refused", code = "file" }, client:download("/ok", target)).message, "it is not a regular file")
    assert.is_true(os.execute(("test -p '%s'"):format(target)))
    assert.are.equal(0, assert(client:get("/count", { of = "/ok" })))
  end)

  it("keeps a private file private", function()
    served.write_file(target, "old")
    os.execute(("chmod 600 '%s'"):format(target))
    assert(client:download("/ok", target))
    assert.is_true(os.execute(("test $(stat -c %%a '%s') = 600"):format(target)))
  end)

  it("fails if the disk is full", function()
    local line = ([[trap '' XFSZ; ulimit -f 8; "$M" -u %s -e 'print(require"modalua".connect():download("/big?bytes=1000000", "%s"))']])
      :format(server.url, target)
    local run = command.shell(line)
    contains(run.out, ("'%s': the file cannot be written: File too large"):format(target))
    nothing_is_left()
  end)

  it("can wait long for the first byte, and take long in total, but fails if the server stops in the middle", function()
    local quick = modalua.connect(server.url, { timeout = 2, retries = 0 })
    assert.are.equal(2, quick:download("/delay?s=2.5&body={}", target)) -- as for an archive, which the server makes first
    assert.are.equal(25, quick:download("/drip?bytes=25&s=0.1", target))
    os.remove(target)
    local err = fails({ kind = "timeout" }, quick:download("/hold?name=silent&body=ab&send=1", target))
    contains(err.message, "nothing came through for 2.0 s")
    nothing_is_left()
  end)

  it("ends with wait_timeout", function()
    fails({ kind = "timeout" }, client:download("/drip?bytes=100&s=0.2", target, { wait_timeout = 0.5 }))
    nothing_is_left()
  end)

  it("accepts the parameters of a route, or a body", function()
    assert(client:download("/echo", target, { query = { a = 1, flag = true } }))
    assert.are.equal("/echo", modalua.json.decode(read(target)).path)
    assert.are.equal("GET", modalua.json.decode(read(target)).method)
    assert(client:download("/echo", target, { body = { Resources = { "x" } } }))
    local seen = modalua.json.decode(read(target))
    assert.are.same({ "POST", '{"Resources":["x"]}' }, { seen.method, seen.body })
  end)

  it("is sent only once if it has a body", function()
    local patient = modalua.connect(server.url, { retries = 2 })
    for _, route in ipairs { "/drop", "/status?code=503" } do
      assert(client:post "/reset")
      fails({ retryable = false }, patient:download(route, target, { body = {} }))
      assert.are.equal(1, assert(client:get("/count", { of = route:match "^[^?]+" })))
    end
  end)

  it("does not overwrite a file that only has the name of its temporary file", function()
    served.write_file(path "other", "precious")
    os.execute(("ln '%s' '%s.part'"):format(path "other", target))
    local err = fails({ kind = "refused", code = "file" }, client:download("/ok", target))
    contains(err.message, "there is something else with its name and .part")
    assert.are.equal("precious", read(path "other"))
    assert.are.equal("precious", read(target .. ".part"))
    os.remove(target .. ".part")
  end)

  it("throws an error if it is called wrongly", function()
    expect.throws("name of a file expected", client.download, client, "/ok")
    expect.throws("name of a file expected", client.download, client, "/ok", "")
    expect.throws("unknown option 'querry'; did you mean 'query'?", client.download, client, "/ok", target, { querry = {} })
    expect.throws("must be true or a function", client.download, client, "/ok", target, { progress = 3 })
    expect.throws("holds a NUL", client.download, client, "/ok", "a\0b")
  end)
end)

describe("upload", function()
  local server, client

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
  end)

  before_each(function()
    client = modalua.connect(server.url, { timeout = 30 })
    assert(client:post "/reset")
    assert(client:get(faultd.map { path = "/instances" }))
  end)

  local function answers(times, route, parameters)
    assert(client:get(faultd.map { path = "/instances", times = times, to = faultd.route(route, parameters) }))
  end

  local function uploads()
    return assert(client:get("/count", { of = "/instances" }))
  end

  it("is sent only once, even if it fails", function()
    for _, route in ipairs { "/drop", "/status?code=503" } do
      assert(client:post "/reset")
      assert(client:get(faultd.map { path = "/instances" }))
      answers(nil, route)
      fails({ retryable = false }, client:upload { data = "x" })
      assert.are.equal(1, uploads())
    end
  end)

  it("is sent again if the server stored nothing because a folder was made or removed at that moment", function()
    local race = { code = 500, body = '{"HttpStatus":500,"OrthancStatus":2001,"Message":"Unable to create a subdirectory"}' }
    local gone = { code = 500, body = [[{"HttpStatus":500,"OrthancStatus":-1,"Message":"Internal error",
      "Details":"Error while accessing the filesystem: /var/lib/orthanc/db/af/34"}]] }
    local stored = { code = 200, body = STORED }
    served.write_file(path "source", "instance")
    answers(1, "/status", race)
    answers(1, "/status", gone)
    answers(nil, "/status", stored)
    assert.are.equal("Success", assert(client:upload(path "source")).Status)
    assert.are.equal(3, uploads())
    assert.are.equal("instance", assert(client:get("/last", { of = "/instances" })).body)
    assert(client:get(faultd.map { path = "/instances" }))
    answers(nil, "/status", race)
    fails({ kind = "orthanc", orthanc_status = 2001 }, client:upload(path "source"))
    assert.are.equal(3 + 4, uploads())
  end)

  it("fails if the server has not stored the file", function()
    for body, outcome in pairs {
      ['{"Status":"FilteredOut"}'] = { kind = "orthanc", code = "not_stored" },
      ['[' .. STORED .. ',{"Status":"Failure"}]'] = { kind = "orthanc", code = "not_stored" },
      ['{"Status":"Success"}'] = { kind = "unknown", code = "decode" }, -- without the ID of what is stored
      ['{"Status":"AlreadyStored","ID":null}'] = { kind = "unknown", code = "decode" },
      ['[' .. STORED .. ',{"Status":"Success","ID":""}]'] = { kind = "unknown", code = "decode" },
      ["{}"] = { kind = "unknown", code = "decode" }, ["[]"] = { kind = "unknown", code = "decode" },
    } do
      answers(1, "/status", { code = 200, body = body })
      local err = fails(outcome, client:upload { data = "x" })
      assert.are.equal(modalua.json.encode(modalua.json.decode(body)), modalua.json.encode(err.result))
    end
  end)

  it("can be answered late, once everything has been sent", function()
    local quick = modalua.connect(server.url, { timeout = 2 })
    served.write_file(path "source", "instance")
    answers(1, "/delay", { s = 2.5, body = STORED })
    assert.are.equal("Success", assert(quick:upload(path "source")).Status)
  end)

  it("says which file cannot be read, and sends nothing", function()
    for name, why in pairs { nowhere = "No such file or directory", [""] = "it is a folder" } do
      local err = fails({ kind = "refused", code = "file", file = path(name), path = "/instances" }, client:upload(path(name)))
      contains(err.message, ("'%s' cannot be read: %s"):format(path(name), why))
    end
    os.execute(("mkfifo '%s'"):format(path "pipe"))
    contains(fails({ code = "file" }, client:upload(path "pipe")).message, "it is not a regular file")
    assert.are.equal(0, uploads())
  end)

  it("throws an error if it is called wrongly", function()
    expect.throws("the name of a file, or {data = string}, is expected (a nil was given)", client.upload, client)
    expect.throws("'data' must be a string (a number was given)", client.upload, client, { data = 3 })
    expect.throws("unknown option 'date'; did you mean 'data'?", client.upload, client, { date = "x" })
    expect.throws("unknown option 'wait'", client.upload, client, path "x", { wait = 1 })
  end)
end)

for _, version in ipairs(versions) do
  describe("Files, with the Orthanc " .. version.name, function()
    local servers, client, at_pacs, instances

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary })
      client, at_pacs = modalua.connect(servers.LOCAL.url), modalua.connect(servers.PACS.url)
      assert(samples.store(at_pacs))
      instances = assert(at_pacs:get "/instances")
    end)

    teardown(function()
      servers:close()
    end)

    before_each(function()
      empty(client)
    end)

    it("are downloaded unchanged, and can be uploaded again", function()
      local route = ("/instances/%s/file"):format(instances[1])
      local bytes = assert(at_pacs:get(route))
      assert.are.equal(#bytes, at_pacs:download(route, path "one.dcm"))
      assert.are.equal(bytes, read(path "one.dcm"))
      local first = assert(client:upload(path "one.dcm"))
      assert.are.same({ "Success", instances[1] }, { first.Status, first.ID })
      assert.are.equal("AlreadyStored", assert(client:upload { data = bytes }).Status)
      assert.are.equal(1, assert(client:system()) and assert(client:get "/statistics").CountInstances)
    end)

    it("can be archives, of one study or of several", function()
      local studies = assert(at_pacs:get "/studies")
      assert(at_pacs:download(("/studies/%s/archive"):format(studies[1]), path "study.zip"))
      assert(at_pacs:download("/tools/create-archive", path "two.zip", { body = { Resources = { studies[1], studies[2] } } }))
      assert.are.equal("PK", read(path "two.zip"):sub(1, 2))
      local stored = assert(client:upload(path "two.zip"))
      assert.is_true(#stored > 1)
      assert.are.equal(#stored, assert(client:get "/statistics").CountInstances)
      assert.are.equal(2, assert(client:get "/statistics").CountStudies)
    end)

    it("are refused with the server's reason if they are not DICOM", function()
      served.write_file(path "text", "no DICOM")
      local err = fails({ kind = "orthanc", code = "bad_request", status = 400, orthanc_status = 15, file = path "text" },
        client:upload(path "text"))
      contains(err.message, "DICOM")
    end)

    it("can be stored at a modality without storing them here", function()
      assert(at_pacs:download(("/instances/%s/file"):format(instances[1]), path "one.dcm"))
      local uid = assert(at_pacs:get("/instances/" .. instances[1])).MainDicomTags.SOPInstanceUID
      assert.are.equal(uid, assert(client:modality("pacs"):store_straight(path "one.dcm")).SOPInstanceUID)
      assert.are.equal(uid, assert(client:modality("pacs"):store_straight { data = read(path "one.dcm") }).SOPInstanceUID)
      assert.are.equal(0, assert(client:get "/statistics").CountInstances)
      fails({ op = "store_straight", code = "unknown_modality" }, client:modality("nosuch"):store_straight(path "one.dcm"))
      fails({ op = "store_straight", code = "file" }, client:modality("pacs"):store_straight(path "nowhere"))
      fails({ op = "store_straight", status = 400 }, client:modality("pacs"):store_straight { data = "no DICOM" })
    end)

    describe("of any size", function()
      local template, uid

      setup(function()
        uid = assert(at_pacs:get("/instances/" .. instances[1])).MainDicomTags.SOPInstanceUID
        template = assert(at_pacs:get(("/instances/%s/file"):format(instances[1])))
      end)

      -- Runs a script in its own process. Returns its output, and the most memory that it used, in megabytes.
      local function run(code, ...)
        local script = command.file(code .. [[
          print(math.tointeger(io.open("/proc/self/status"):read("a"):match("VmHWM:%s*(%d+)")) / 1024)]])
        local run_ = command.run("-u", servers.LOCAL.url, script, ...)
        os.remove(script)
        assert.are.equal(0, run_.status, run_.err)
        local lines = {}
        for line in run_.out:gmatch "[^\n]+" do
          lines[#lines + 1] = line
        end
        return tonumber(lines[#lines]), lines
      end

      local upload <const> = [[
        local client = require "modalua".connect()
        for i = 2, #arg do print(assert(client:upload(arg[i], { wait_timeout = 600 })).ParentStudy) end
      ]]
      local download <const> = [[
        print(assert(require "modalua".connect():download("/studies/" .. arg[2] .. "/archive", arg[1], { wait_timeout = 600 })))
      ]]

      it("need no more memory than small ones", function()
        local PART <const> = math.max(16, MEGABYTES // 64) -- size of one instance in megabytes
        local names = {}
        big.write(path "small.dcm", template, uid, 0, 0)
        for i = 1, MEGABYTES // PART do
          names[i] = path(("big-%d.dcm"):format(i))
          big.write(names[i], template, uid, i, PART)
        end
        local small, lines = run(upload, "", path "small.dcm")
        local study = lines[1]
        local small_down = run(download, path "small.zip", study)
        local large = run(upload, "", table.unpack(names))
        local large_down = run(download, path "big.zip", study)
        assert.is_true(size_of(path "big.zip") > #names * PART * 1e6)
        assert.is_true(large - small < MEMORY_MAX, ("uploads of %d MB took %.1f MB more"):format(MEGABYTES, large - small))
        assert.is_true(large_down - small_down < MEMORY_MAX,
          ("a download of %d MB took %.1f MB more"):format(MEGABYTES, large_down - small_down))
        if os.getenv "MODALUA_BIG_MB" then
          print(("archive of %.0f MB: %.1f MB more memory than a small one; uploads: %.1f MB more"):format(
            size_of(path "big.zip") / 1e6, large_down - small_down, large - small))
        end
        for _, name in ipairs(names) do
          os.remove(name)
        end
        os.remove(path "big.zip")
      end)

      it("are given up if the server hangs in the middle, or if the file changes during the upload", function()
        local impatient = modalua.connect(servers.LOCAL.url, { timeout = 1 })
        big.write(path "big.dcm", template, uid, 1, 32)
        servers.LOCAL:signal "STOP"
        local first = task.spawn(impatient.upload, impatient, path "big.dcm")
        local second = task.spawn(impatient.upload, impatient, { data = read(path "big.dcm") })
        fails({ kind = "timeout", file = path "big.dcm" }, first:join())
        fails({ kind = "timeout" }, second:join())
        local shortened
        local upload_ = task.spawn(client.upload, client, path "big.dcm", { progress = function(p)
          if p.done and p.done > 0 and not shortened then
            shortened = true
            os.execute(("truncate -s 100 '%s'"):format(path "big.dcm"))
            servers.LOCAL:signal "CONT"
          end
        end })
        local err = fails({ kind = "refused", code = "file" }, upload_:join())
        contains(err.message, "became shorter")
        os.remove(path "big.dcm")
      end)
    end)
  end)
end
