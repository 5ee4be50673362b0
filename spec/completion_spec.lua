-- Tests `modalua completion`: what `completion words` says for a command line, and the scripts, in bash, zsh and fish.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local served = require "spec.support.served"
local terminal = require "spec.support.terminal"

local contains = expect.contains

-- A shell line that makes the folder $D, with the command in it under its own name, and one with the scripts; and removes it at the end.
local function in_folder(line)
  return command.shell(([[D=$(mktemp -d); ln -s "$M" "$D/modalua"; export PATH="$D:$PATH"
    for s in bash zsh fish; do "$M" completion $s >"$D/script.$s"; done; cd "$D"; touch image.dcm
    { %s
    }; s=$?; cd /; rm -r "$D"; exit $s]]):format(line))
end

-- What completes the last of the words: a list of texts, or "files".
local function words(given, environment)
  local result = command.shell(("printf '%%s\\0' %s | %s \"$M\" completion words"):format(command.quote(table.unpack(given)),
    environment or ""))
  assert.are.same({ 0, "" }, { result.status, result.err })
  if result.out == "\t\n" then
    return "files"
  end
  local list = {}
  for text in result.out:gmatch "([^\t\n]*)\t[^\n]*\n" do
    list[#list + 1] = text
  end
  return list
end

local function set_of(list)
  local set = {}
  for _, text in ipairs(list) do
    set[text] = true
  end
  return set
end

describe("What completes a command line", function()
  it("is verbs first, then what the rows of the verb say", function()
    for _, case in ipairs {
      { { "fi" }, { "find" } },
      { { "playg" }, { "playground" } },
      { { "playground", "echo", "" }, { "archive", "pacs" } },
      { { "--verbose", "playground", "move", "pacs", "--to", "a" }, { "archive" } },
      { { "find", "pacs", "--li" }, { "--limit" } },
      { { "find", "pacs", "-L", "S" }, { "Study", "Series" } },
      { { "find", "pacs", "--level=S" }, { "--level=Study", "--level=Series" } },
      { { "find", "pacs", "PatientN" }, { "PatientName=" } },
      { { "find", "-L", "Patient", "pacs", "StudyInst" }, { "StudyInstanceUID=" } }, -- the level lacks it, the dictionary does not
      { { "find", "pacs", "patientn" }, { "PatientName=" } },
      { { "find", "pacs", "PatientSex=" }, { "PatientSex=F", "PatientSex=M", "PatientSex=O" } },
      { { "find", "pacs", "StudyDate=t" }, { "StudyDate=today", "StudyDate=tomorrow" } },
      { { "find", "pacs", "StudyDate=2024-01-01..to" }, { "StudyDate=2024-01-01..today", "StudyDate=2024-01-01..tomorrow" } },
      { { "find", "pacs", "PatientID=..to" }, {} },
      { { "find", "pacs", "--columns", "StudyDate,PatientN" }, { "StudyDate,PatientName" } },
      { { "find", "pacs", "--sort=-StudyDat" }, { "--sort=-StudyDate" } },
      { { "transfer", "st" }, { "status" } },
      { { "transfer", "run", "x.ledger", "--order", "" }, { "newest", "oldest" } },
      { { "job", "4711", "re" }, { "resume", "resubmit" } },
      { { "configure", "pacs", "AllowG" }, { "AllowGet=false", "AllowGet=true" } },
      { { "help", "fol" }, { "follow" } },
      { { "completion", "" }, { "bash", "zsh", "fish" } },
      { { "version", "x" }, {} },
      { { "find", "pacs", "--", "--li" }, {} },
      { { "--ca", "" }, "files" },
      { { "find", "pacs", "--ca=" }, "files" },
      { { "transfer", "run", "" }, "files" },
      { { "upload", "a.dcm", "" }, "files" },
      { { "nosuchverb" }, "files" },
      { { "./script.lua", "--l" }, "files" },
    } do
      assert.are.same(case[2], words(case[1]), table.concat(case[1], " "))
    end
  end)

  it("has all verbs", function()
    local verbs = set_of(words { "" })
    for name in command.shell "ls lua/modalua/command/verbs".out:gmatch "([%w_]+)%.lua" do
      assert.is_true(verbs[name], name)
    end
  end)

  it("has the modalities of the server that the line means, with its credentials in no list of processes", function()
    local settings = json.encode { pacs = { AET = "PACS", Host = "h", Port = 1 }, post = { AET = "POST", Host = "h", Port = 1 } }
    local server <close> = faultd.start { { path = "/modalities", to = faultd.route("/status", { code = 200, type = "application/json",
      body = settings }) } }
    assert.are.same({ "pacs", "post" }, words({ "find", "p" }, "MODALUA_URL=" .. server.url))
    assert.are.same({ "post" }, words { "-u", server.url, "echo", "po" })
    assert.are.same({ "post" }, words { "echo", "--url=" .. server.url, "po" })
    assert.are.same({}, words { "-u", "http://127.0.0.1:1", "find", "p" })
    assert.are.same({}, words { "-u", "nonsense", "find", "p" })
    local folder = served.folder "completion"
    os.execute(("mkdir '%s/modalua'"):format(folder))
    served.write_file(folder .. "/modalua/config.lua", ("\xEF\xBB\xBFreturn { servers = { ward = { url = %q }, test = { url = 'x' } } }")
      :format(server.url))
    local environment = ("XDG_CONFIG_HOME='%s'"):format(folder)
    assert.are.same({ "test", "ward" }, words({ "--profile", "" }, environment))
    assert.are.same({ "pacs" }, words({ "--profile", "ward", "move", "pa" }, environment))
    local asks = 'return { servers = { ward = { url = %q, token_command = "touch %s/asked; echo" } } }'
    served.write_file(folder .. "/modalua/config.lua", asks:format(server.url, folder))
    assert.are.same({}, words({ "--profile", "ward", "move", "pa" }, environment))
    assert.is_nil(io.open(folder .. "/asked")) -- TAB runs no command of the user
    served.write_file(folder .. "/modalua/config.lua", "return nonsense.x")
    assert.are.same({}, words({ "--profile", "" }, environment))
    os.execute(("rm -r '%s'"):format(folder))
  end)
end)

-- The options that a text lists, each at the beginning of a line that matches `line`, in alphabetical order, without --help.
local function options_in(text, line)
  local list = {}
  for names in text:gmatch(line) do
    for name in names:gmatch "%-%-?[%w-]+" do
      list[#list + 1] = name ~= "-h" and name ~= "--help" and name or nil
    end
  end
  table.sort(list)
  return list
end

describe("The options of every verb, and of every command of a verb,", function()
  local HELP_LINE <const> = "\n +(%-[^\n]*)"
  local page, everywhere, common -- the manual page; the options that may follow each verb; those that most verbs take

  setup(function()
    page = command.run "manual".out:gsub("\\%-", "-"):gsub("\\f.", "")
    everywhere = set_of(words { "version", "-" })
    everywhere["-u"], everywhere["--help"] = true, true
    common = set_of(options_in(page:match "\n%.SH VERBS\n(.-)\n%.SS ", "\n%.TP\n(%-[^\n]*)"))
  end)

  -- Compares the three lists of options of a verb, { "find" }, or of a command, { "transfer", "run" }.
  local function agree(name)
    local text = table.concat(name, " ")
    local help = command.run("help", table.unpack(name)).out:match "\nOptions:(.-)\n\n[^ \n]" or ""
    local heads = help:gsub("\n" .. (" "):rep(20) .. "[^\n]*", ""):gsub("(\n +%-[^\n]-)  [^\n]*", "%1") -- without what explains them
    local given = options_in(heads, HELP_LINE)
    local own, long, candidates = {}, {}, {} -- after "-", the completion has the long names alone
    local takes_common = set_of(given)["--safe-csv"] -- otherwise --json is an option of its own
    for _, option in ipairs(given) do
      own[#own + 1] = not (takes_common and common[option]) and option or nil
      long[#long + 1] = #option > 2 and option or nil
    end
    local line = table.move(name, 1, #name, 1, {})
    line[#line + 1] = "-"
    for _, option in ipairs(words(line)) do
      candidates[#candidates + 1] = not everywhere[option] and option or nil
    end
    table.sort(candidates)
    local section = assert((page .. "\n.SS \n"):match("\n%.SS " .. text .. "\n(.-)\n%.S[SH] "), text)
    assert.are.same(own, options_in(section, "\n%.TP\n(%-[^\n]*)"), "the manual page, " .. text)
    assert.are.same(long, candidates, "the completion, " .. text)
    return #given
  end

  it("are the same in its help, in the manual page and in the completion", function()
    local count = 0
    for verb in command.shell "ls lua/modalua/command/verbs".out:gmatch "([%w_]+)%.lua" do
      count = count + agree { verb }
      for name in (command.run("help", verb).out:match "\nCommands:(.-)\n\n" or ""):gmatch "\n   (%l+)" do
        count = count + agree { verb, name }
      end
    end
    assert.is_true(count > 150)
    assert.is_true(everywhere["--url"] and everywhere["--insecure"] and not everywhere["--sandbox"])
  end)
end)

describe("The completion of", function()
  -- The lines that a shell prints for the command lines, each completed by `complete` of that shell.
  local function prints(shell, code)
    local result = in_folder(("%s -c %s"):format(shell, command.quote(code)))
    assert.are.same({ 0, "" }, { result.status, result.err })
    return result.out
  end

  it("bash puts the words together that bash divides at '=' and ':'", function()
    local out = prints("bash --norc", [==[
      source ./script.bash
      try() { # the words as bash divides them
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"$(sed 's/[=:]/ & /g' <<<"$1")"
        [[ $1 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _modalua
        echo "${COMPREPLY[*]}"
      }
      compopt() { echo "compopt $*"; }
      try "modalua fi"; try "modalua playground find "; try "modalua find pacs StudyDate=t"; try "modalua find pacs --level=S"
      try "modalua -u http://127.0.0.1:1 vers"; try "./modalua find pacs PatientN"; try "modalua upload i"]==])
    assert.are.equal("find\narchive pacs\ntoday tomorrow\nStudy Series\nversion\ncompopt -o nospace\nPatientName=\n"
      .. "compopt -o default\n\n", out)
  end)

  it("bash works at a prompt", function()
    local result = command.file(([==[D=$(mktemp -d); ln -s %s "$D/modalua"; cd "$D"; touch image.dcm; PATH="$D:$PATH"; PS1='ready> '
      source <(modalua completion bash); trap 'rm -r "$D"' EXIT
      modalua() { if [[ $1 == completion ]]; then command modalua "$@"; else printf '<%%s>' "$@"; echo; fi; }]==]):format(
        command.quote(command.path)))
    local out, status, err = terminal.run({ arguments = "--rcfile " .. result .. " -i", columns = 200,
      environment = "LC_CTYPE=C.UTF-8 M=/bin/bash" }, {
      { wait = "ready> " }, { send = "modalua playgr\tfin\tpa\tPatientN\tX* StudyDate=tod\t--lim\t3\r" },
      { wait = "<playground><find><pacs><PatientName=X*><StudyDate=today><--limit><3>" }, { wait = "ready> " },
      { send = "modalua upl\tima\t\r" }, { wait = "<upload><image.dcm>" }, { wait = "ready> " }, { send = "exit\r" } })
    os.remove(result)
    assert.are.equal(0, status, err .. out)
  end)

  local function is_there(shell)
    return command.shell(("command -v %s"):format(shell)).status == 0
  end

  it("zsh shows candidates with their descriptions", function()
    if not is_there "zsh" then
      pending "zsh is not installed: apt install zsh"
      return
    end
    contains(prints("zsh -f", "zsh -n ./script.zsh && echo good"), "good")
    local out = prints("zsh -f", [[
      compdef() { print -r -- compdef "$@" }
      compadd() { local list=${@[-1]}; print -r -- "$1" "$2" "${(j:,:)${(P)list}}" "${(j:,:)shown}" }
      _files() { print files }
      source ./script.zsh
      words=(modalua fi) CURRENT=2 PREFIX=fi; _modalua
      words=(modalua find pacs StudyDate=t) CURRENT=4 PREFIX=StudyDate=t; _modalua
      words=(modalua find pacs PatientN) CURRENT=4 PREFIX=PatientN; _modalua
      words=(modalua --ca '') CURRENT=3 PREFIX=; _modalua]])
    contains(out, "compdef _modalua modalua\n-l -d find find -- searches a modality\n")
    contains(out, "-l -d StudyDate=today,StudyDate=tomorrow ")
    contains(out, "-S  PatientName= ") -- no blank behind it
    assert.matches("\nfiles\n$", out)
  end)

  it("fish shows candidates with their descriptions", function()
    if not is_there "fish" then
      pending "fish is not installed: apt install fish"
      return
    end
    local out = prints("HOME=$D fish --no-config", [[
      source ./script.fish
      for line in "modalua fi" "modalua find pacs StudyDate=to" "modalua playground move pacs --to a" "modalua upload ima" \
          "modalua find pacs 'PatientN" 'modalua find pacs "PatientN'
        complete -C $line
      end]])
    assert.are.equal("find\tsearches a modality\nStudyDate=today\nStudyDate=tomorrow\narchive\nimage.dcm\n"
      .. "PatientName=\nPatientName=\n", out)
  end)

  it("a shell that it does not know is refused", function()
    local result = command.run("completion", "tcsh")
    assert.are.same({ 2, "" }, { result.status, result.out })
    contains(result.err, "there is a completion for bash, zsh, fish, not for 'tcsh'")
  end)
end)
