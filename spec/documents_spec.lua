-- Tests the documents: runs every script, transcript and program in them, checks every command, and follows every link.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local modalua = require "modalua"
local playground = require "spec.support.playground"
local served = require "spec.support.served"
local terminal = require "spec.support.terminal"

local COLUMNS = 118 -- the width of the terminal in the transcripts

local function documents()
  local pipe <close> = assert(io.popen "git ls-files '*.md' 2>/dev/null || find . -name '*.md' -not -path './build*'")
  local paths = {}
  for path in pipe:lines() do
    table.insert(paths, path)
  end
  return paths
end

-- Returns the indented blocks of a document, each as a list of lines.
local function indented_blocks(page)
  local blocks, block = {}, nil
  for line in page:gmatch "([^\n]*)\n" do
    local inside = line:match "^    (.*)$"
    if inside and not block then
      block = {}
      table.insert(blocks, block)
    end
    block = inside and block
    if inside then
      table.insert(block, inside)
    end
  end
  return blocks
end

-- Replaces what differs from run to run: ports, which have five digits, and milliseconds.
local function stable(text)
  return (text:gsub(":%d%d%d%d%d", ":PORT"):gsub("yes +%d+", "yes MILLISECONDS"))
end

local function sorted_lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    table.insert(lines, line)
  end
  table.sort(lines)
  return lines
end

local function on_a_terminal(words)
  local inner = ("stty -echo cols %d; %s"):format(COLUMNS, words)
  return (command.shell("export TERM=xterm NO_COLOR=1; script -qec " .. command.quote(inner) .. " /dev/null").out:gsub("\r\n", "\n"))
end

describe("The README", function()
  it("has at most 150 lines", function()
    assert.is_true(select(2, served.read_file "README.md":gsub("\n", "")) <= 150)
  end)
end)

-- Whether the text is the expected one, in which "…" stands for anything.
local function is_like(expected, actual)
  return actual:find("^" .. expected:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("…", ".*") .. "$") ~= nil
end

describe("With the playground's servers,", function()
  local play

  setup(function()
    play = playground.start()
    assert(play.servers["local"]:put("/modalities/away", { AET = "AWAY", Host = "127.0.0.1", Port = 1 }))
  end)

  teardown(function()
    play:close()
  end)

  before_each(function()
    assert(play.servers["local"]:put("/tools/default-encoding", "Latin1"))
    archive.empty(play.servers.archive)
  end)

  -- The indented lines at the beginning of a text.
  local function shown_at(rest)
    local shown = {}
    for line in rest:gmatch "([^\n]*)\n" do
      if not line:find "^    " then
        break
      end
      shown[#shown + 1] = line:sub(5)
    end
    return table.concat(shown, "\n")
  end

  local function check_script(code, rest)
    local file = command.file(code)
    archive.empty(play.servers.archive)
    local result = play:shell('"$M" ' .. file)
    os.remove(file)
    assert.are.same({ "", 0 }, { result.err, result.status }, code)
    local shown = shown_at(rest)
    if shown ~= "" then
      assert.are.same(sorted_lines(shown), sorted_lines(result.out))
    end
  end

  for _, path in ipairs { "README.md", "src/command/README.md", "scripts/README.md", "scripts/tutorial.md", "scripts/shapes.md",
    "scripts/pyorthanc.md" } do
    it("every script in " .. path .. " does what the text says", function()
      local count = 0
      for code, rest in served.read_file(path):gmatch "\n```lua\n(.-)\n```\n\n?([^\n]*\n?[^\n]*\n?[^\n]*\n?[^\n]*\n?)" do
        count = count + 1
        if code:find "^return " then
          assert(load(code)) -- this block is a configuration file, or rules
        else
          check_script(code, rest)
        end
      end
      assert.is_true(count > 0)
    end)
  end

  it("every command in scripts/troubleshooting.md prints what the text says", function()
    local count = 0
    for _, block in ipairs(indented_blocks(served.read_file "scripts/troubleshooting.md")) do
      local line = block[1]:match "^%$ (.*)$"
      if line then
        count = count + 1
        local result = play:shell('modalua() { "$M" "$@"; }; ' .. line)
        local expected, actual = table.concat(block, "\n", 2), (result.err .. result.out):gsub("\n$", "")
        assert.is_true(is_like(expected, actual), line .. "\nprinted\n" .. actual .. "\nand not\n" .. expected)
      end
    end
    assert.is_true(count >= 20)
  end)
end)

describe("scripts/troubleshooting.md", function()
  it("quotes messages that the program has", function()
    local source, count = served.output_of "cat $(find src lua -name '*.c' -o -name '*.h' -o -name '*.lua')":gsub('"\n *"', ""), 0
    for quote in served.read_file "scripts/troubleshooting.md":gmatch "[^`]`(%l[^`\n]*)`" do
      if select(2, quote:gsub(" ", "")) >= 4 and not quote:find "^modalua " then
        count = count + 1
        assert.is_truthy(source:find(quote, 1, true), quote)
      end
    end
    assert.are.equal(3, count)
  end)
end)

-- Types the lines that begin with a prompt in the playground. Returns the lines as a text, and what the terminal shows.
local function session_of(block)
  local steps, expected = { { wait = "\n> " } }, ""
  for i, line in ipairs(block) do
    local typed = line:match "^>>? (.*)$"
    expected = expected .. line .. "\n"
    if typed then
      table.insert(steps, { send = typed .. "\r" })
      table.insert(steps, { wait = block[i + 1] and block[i + 1]:find "^>> " and "\n>> " or "\n> " })
    end
  end
  table.insert(steps, { send = "\4" })
  local options = { columns = COLUMNS, arguments = "playground", environment = "LC_CTYPE=C.UTF-8 NO_COLOR=1" }
  local out, status = terminal.run(options, steps)
  assert.are.equal(0, status)
  return expected, out:match "\n(> .*\n)> [%^D\n]*$" -- libedit shows ^D at the end
end

-- ---- commands ----

-- The help of a verb, of a command of a verb, or of a script; nil when it is none of these.
local helps = {}
local function help_of(words)
  if helps[words] == nil then
    local result = command.shell('"$M" ' .. words .. " --help")
    helps[words] = result.status == 0 and result.out
  end
  return helps[words]
end

-- Why a command line is wrong; nil when the verb or the script exists, and has the options.
local function fault_of(line)
  local words = line:gsub("^playground ", ""):gsub("[>|].*$", ""):gsub("^%-%-profile %S+ ", "")
  local first, second = words:match "^(%S+) *(%S*)"
  if not first or first:find "^%-" or first == "playground" or first:find "^%w+%.lua$" then
    return nil -- an option of the command itself, which spec/command_spec.lua tests, or a script of the reader
  end
  local known = first ~= "scripts/first_steps.lua" and help_of(first == "transfer" and first .. " " .. second or first)
  if not known and not io.open(first) then
    return "there is no " .. first
  end
  for option in known and words:gmatch "%f[%S]%-%-%l[%l-]*" or function() end do
    if option ~= "--help" and not known:find(option, 1, true) then
      return first .. " has no option " .. option
    end
  end
end

describe("Every command in the documents", function()
  it("names a verb or a script, and options that it has", function()
    local wrong, count = {}, 0
    local function check(path, line)
      count = count + 1
      local fault = fault_of(line)
      wrong[#wrong + 1] = fault and ("%s: %s: %s"):format(path, line, fault) or nil
    end
    for _, path in ipairs { "README.md", "src/command/README.md", "scripts/README.md", "scripts/tutorial.md",
      "scripts/questions.md" } do
      local page = served.read_file(path)
      for line in page:gmatch "\n    modalua ([^\n]*)" do
        check(path, (line:gsub("  +#.*$", "")))
      end
      for line in page:gmatch "[^`]`modalua ([%l/][^`\n…]*)`" do
        check(path, line)
      end
    end
    for path in served.output_of "ls scripts/*.lua":gmatch "[^\n]+" do
      for line in served.read_file(path):gmatch "\n%-%-   modalua ([^\n]*)" do
        check(path, (line:gsub("   +.*$", "")))
      end
    end
    for path in served.output_of "ls scripts/systemd/*.env":gmatch "[^\n]+" do
      check(path, ("scripts/%s.lua %s"):format(path:match "([%w_]+)%.env$", served.read_file(path):match "\nOPTIONS=([^\n]*)"))
    end
    assert.are.same({}, wrong)
    assert.is_true(count > 50)
  end)
end)

-- The part of a page below the heading with this anchor, as the usual hosts make anchors; without an anchor, the whole page.
local function section_of(path, anchor)
  local page = "\n" .. served.read_file(path)
  for marks, heading, rest in anchor ~= "" and page:gmatch "\n(#+) ([^\n]+)()" or function() end do
    if heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-") == anchor then
      local next_heading = page:find("\n" .. ("#?"):rep(#marks - 1) .. "# ", rest) or #page
      return page:sub(rest, next_heading)
    end
  end
  return anchor == "" and page or nil
end

-- Clicks on links, one after the other, in the part of a page that the link before has led to; "#heading" is on the page itself. Returns
-- the text at the end.
local function click(links)
  local path, text = "README.md", served.read_file "README.md"
  for _, link in ipairs(links) do
    local file, anchor = link:match "^([^#]*)#?(.*)$"
    assert.is_truthy(file == "" or text:find("](" .. link .. ")", 1, true), ("%s has no link to %s"):format(path, link))
    local names = {}
    for name in (file == "" and path or (path:match "^.*/" or "") .. file):gmatch "[^/]+" do
      names[#names + (name == ".." and 0 or 1)] = name ~= ".." and name or nil
    end
    path = table.concat(names, "/")
    text = assert(section_of(path, anchor), link)
  end
  return text
end

-- What a new user asks: the word to search for, the links to click from the README to the answer, and a part of the answer. Each question
-- also has an answer in scripts/questions.md, of which the links lead on: more_of is the last of them, and what is found there.
local QUESTIONS = {
  { "install", { "#install" }, "cmake --install", "how-do-i-install-it", "../README.md#install", "scripts/package.sh" },
  { "password", { "#connect" }, "MODALUA_PASSWORD", "where-does-my-password-go", "../src/command/README.md#which-server",
    "password_command" },
  { "CA", { "#connect" }, "MODALUA_CA", "our-ca-is-private-what-now", "../src/command/README.md#which-server", "--ca FILE" },
  { "prefetch", { "scripts/README.md#nightly-prefetch-from-the-worklist" }, "nightly_prefetch.lua",
    "how-do-i-prefetch-each-night-what-the-worklist-needs", "README.md#run-them-unattended", "modalua-timed@nightly_prefetch.timer" },
  { "CSV", { "scripts/README.md#a-cohort-from-a-csv-file" }, "pull_cohort.lua", "how-do-i-bring-a-cohort-that-a-csv-file-names",
    "README.md#a-cohort-from-a-csv-file", "--column AccessionNumber" },
  { "monitor", { "scripts/README.md#echo-and-monitor-all-modalities" }, "--nagios", "how-do-i-monitor-the-modalities-and-the-jobs",
    "README.md#watch-for-failing-jobs", "watch_jobs.lua" },
  { "worklist", { "scripts/README.md#a-worklist-as-a-table" }, "modalua worklist", "how-do-i-see-the-worklist",
    "README.md#a-worklist-as-a-table", "find_worklist" },
  { "commitment", { "scripts/README.md#forward-what-becomes-stable" }, "modalua commit archive",
    "how-do-i-ask-for-storage-commitment", "README.md#forward-what-becomes-stable", "commit = 600" },
  { "forward", { "scripts/README.md#forward-what-becomes-stable" }, "route_stable_studies.lua", "how-do-i-forward-what-arrives",
    "README.md#forward-what-becomes-stable", "rules.lua" },
  { "resume", { "src/command/README.md#bulk-transfer" }, "goes on: after Ctrl-C", "it-was-interrupted-how-do-i-resume",
    "../src/command/README.md#bulk-transfer", "modalua transfer run lung.ledger  " },
  { "function", { "lua/README.md" }, "This page lists every public function", "which-function-does-it", "../lua/README.md",
    "pacs:find" },
  { "version", { "scripts/README.md#versions-of-orthanc" }, "1.12.7", "which-version-do-i-have-and-what-can-mine-do",
    "README.md#versions-of-orthanc", "RetrieveMethod" },
}

describe("The questions of a new user", function()
  for _, question in ipairs(QUESTIONS) do
    local word, links, answer, anchor, more, more_answer = table.unpack(question)
    it("are answered by one search in the README, one click from it, or three: " .. word, function()
      assert.is_truthy(served.read_file "README.md":find("%f[%w]" .. word .. "%f[%W]"), word)
      assert.is_truthy(click(links):find(answer, 1, true), answer)
      assert.is_truthy(section_of("scripts/questions.md", anchor), anchor)
      assert.is_truthy(section_of("scripts/questions.md", anchor):find("](" .. more .. ")", 1, true), more)
      assert.is_truthy(click({ "scripts/questions.md", more }):find(more_answer, 1, true), more_answer)
    end)
  end

  it("are all on the page of twelve questions", function()
    assert.are.equal(12, select(2, served.read_file "scripts/questions.md":gsub("\n## ", "")))
    assert.are.equal(12, #QUESTIONS)
  end)
end)

local module = os.getenv "MODALUA_MODULES" -- not under a sanitizer, whose runtime cannot be loaded into stock Lua
local describe_stock = module and describe or function() end

describe_stock("The page about stock Lua", function()
  it("has a command that prints the version, and names all modules", function()
    local page = served.read_file "scripts/README.md"
    local line = assert(page:match "`(LUA_CPATH=[^`]*)`"):gsub("build/release/module", module)
    assert.are.equal(modalua.version .. "\n", command.shell(line).out)
    for name in assert(page:match "It has (.-)%. The recipes run"):gmatch "`([%w.]+)`" do
      assert.are.equal("", command.shell(('LUA_CPATH="%s/?.so;;" lua5.4 -e \'require "%s"\''):format(module, name)).err)
    end
    local result = command.shell(('LUA_CPATH="%s/?.so;;" lua5.4 scripts/echo_all.lua --help'):format(module))
    assert.are.same({ "", 0 }, { result.err, result.status })
  end)
end)

describe("The units of systemd", function()
  it("are what systemd expects", function()
    local folder = served.folder "units"
    for path in served.output_of "ls scripts/systemd/modalua-*":gmatch "[^\n]+" do
      local file = folder .. "/" .. path:match "[^/]+$"
      served.write_file(file, (served.read_file(path):gsub("ExecStart=modalua", "ExecStart=" .. command.path)))
      local result = command.shell("systemd-analyze verify " .. command.quote((file:gsub("@", "@echo_all", 1))))
      assert.are.same({ "", "", 0 }, { result.out, result.err, result.status })
    end
    served.output_of("exec rm -r " .. served.quoted { folder })
  end)
end)

describe("Every transcript in", function()
  for _, path in ipairs { "README.md", "src/command/README.md" } do
    it(path .. " shows what a terminal shows", function()
      local count = 0
      for _, block in ipairs(indented_blocks(served.read_file(path))) do
        local words, shown = nil, nil
        for i = 1, #block + 1 do
          local next_words = block[i] and block[i]:match "^%$ modalua (playground .*)$"
          if words and (next_words or not block[i]) then
            count = count + 1
            assert.are.equal(stable(shown), stable(on_a_terminal('"$M" ' .. words)))
          end
          if next_words then
            words, shown = next_words, ""
          elseif words and block[i] then
            shown = shown .. block[i] .. "\n"
          end
        end
      end
      assert.is_true(count >= 2)
    end)

    it(path .. " shows what the prompt shows", function()
      local count = 0
      for _, block in ipairs(indented_blocks(served.read_file(path))) do
        if block[1]:find "^> " then
          count = count + 1
          local expected, shown = session_of(block)
          assert.are.equal(expected, shown)
        end
      end
      assert.is_true(count >= 1)
    end)
  end

  it("scripts/tutorial.md shows what one session at the prompt shows", function()
    local lines = {}
    for _, block in ipairs(indented_blocks(served.read_file "scripts/tutorial.md")) do
      if block[1]:find "^> " then
        table.move(block, 1, #block, #lines + 1, lines)
      end
    end
    assert.is_true(#lines > 20)
    local expected, shown = session_of(lines)
    assert.is_true(is_like(expected, shown), shown)
  end)
end)

describe("src/embed/README.md", function()
  it("quotes the first program completely, and parts of the others exactly", function()
    local page, shown = served.read_file "src/embed/README.md", {}
    for name, block in page:gmatch "%[[%w.]+%]%(%.%./%.%./spec/embed/([%w.]+)%)[^\n%[]*:\n\n```c[p]*\n(.-)```" do
      local program = served.read_file("spec/embed/" .. name)
      if name == "ten.c" then
        assert.are.equal(program, block)
      end
      for part in (block:gsub("%s*…\n", "\0")):gmatch "%Z+" do
        assert.is_truthy(program:find(part:match "^(.-)%s*$", 1, true), name .. " has no\n" .. part)
      end
      table.insert(shown, name)
    end
    local programs = "ten.c poll.c glib.c function.c bytes.c viewer.cpp uv.c streams.c function.c watchdog.c"
    assert.are.equal(programs, table.concat(shown, " "))
  end)
end)

describe("Every link between the documents", function()
  -- Returns the anchors of the headings of a page, as the usual hosts make them.
  local function anchors_of(page)
    local anchors = {}
    for heading in page:gmatch "\n#+ ([^\n]+)" do
      anchors[heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")] = true
    end
    return anchors
  end

  it("leads to an existing file or folder, and to an existing heading", function()
    local wrong, count = {}, 0
    for _, path in ipairs(documents()) do
      local folder = path:match "^(.*/)[^/]*$" or ""
      for link in served.read_file(path):gmatch "%]%(([^%s)]+)%)" do
        local file, anchor = link:match "^([^#]*)#?(.*)$"
        if not link:find "^%a+:" then
          count = count + 1
          local target = file == "" and path or folder .. file
          local found = io.open(target)
          if not found or anchor ~= "" and not anchors_of("\n" .. found:read "a")[anchor] then
            table.insert(wrong, path .. ": " .. link)
          end
          if found then
            found:close()
          end
        end
      end
    end
    assert.are.same({}, wrong)
    assert.is_true(count > 10)
  end)
end)
