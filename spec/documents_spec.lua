-- Tests the documents: runs every script, transcript and program in them, and follows every link.
local command = require "spec.support.command"
local terminal = require "spec.support.terminal"

local COLUMNS = 118 -- the width of the terminal in the transcripts

local function read_file(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

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
    assert.is_true(select(2, read_file "README.md":gsub("\n", "")) <= 150)
  end)
end)

describe("Every script in", function()
  for _, path in ipairs { "README.md", "scripts/README.md" } do
    it(path .. " does what the text says", function()
      local count = 0
      for code, rest in read_file(path):gmatch "\n```lua\n(.-)\n```\n\n?([^\n]*\n?[^\n]*\n?[^\n]*\n?[^\n]*\n?)" do
        count = count + 1
        if code:find "^return " then
          assert(load(code)) -- this block is a configuration file
        else
          local file = command.file(code)
          local result = command.run("playground", file)
          os.remove(file)
          assert.are.same({ "", 0 }, { result.err, result.status }, code)
          local shown = {}
          for line in rest:gmatch "([^\n]*)\n" do
            if not line:find "^    " then
              break
            end
            table.insert(shown, line:sub(5))
          end
          if #shown > 0 then
            assert.are.same(sorted_lines(table.concat(shown, "\n")), sorted_lines(result.out))
          end
        end
      end
      assert.is_true(count > 0)
    end)
  end
end)

describe("Every transcript in", function()
  for _, path in ipairs { "README.md", "src/command/README.md" } do
    it(path .. " shows what a terminal shows", function()
      local count = 0
      for _, block in ipairs(indented_blocks(read_file(path))) do
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
      for _, block in ipairs(indented_blocks(read_file(path))) do
        if block[1]:find "^> " then
          count = count + 1
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
          assert.are.equal(expected, out:match "\n(> .*\n)> \n$")
        end
      end
      assert.is_true(count >= 1)
    end)
  end
end)

describe("src/embed/README.md", function()
  it("quotes the first program completely, and parts of the others exactly", function()
    local page, shown = read_file "src/embed/README.md", {}
    for name, block in page:gmatch "%[[%w.]+%]%(%.%./%.%./spec/embed/([%w.]+)%)[^\n%[]*:\n\n```c[p]*\n(.-)```" do
      local program = read_file("spec/embed/" .. name)
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
      for link in read_file(path):gmatch "%]%(([^%s)]+)%)" do
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
