-- command.verbs.completion: completion of the command line for shells.
local require = ...
local scripts = require "command.shell_scripts"
local words = require "command.words"

-- For the scripts: the words of a command line come from standard input, each with a NUL behind it, so that a password among them is in no
-- list of processes. Each line of the output is a candidate, a TAB, and its description. A line with no candidate says that names of files
-- are completed.
local function print_candidates(about)
  local given = {}
  for word in io.read "a":gmatch "([^\0]*)\0" do
    given[#given + 1] = word
  end
  local list = words.candidates(about, given)
  if list == words.FILES then
    print "\t"
    return
  end
  for _, candidate in ipairs(list) do
    print(candidate[1] .. "\t" .. (candidate[2] or ""))
  end
end

local function run_completion(self)
  if self.options.shell == "words" then
    print_candidates(self.terminal)
  else
    io.write(scripts[self.options.shell])
  end
  return true
end

local SHELLS <const> = { "bash", "zsh", "fish" }

local function to_shell(text)
  if scripts[text] or text == "words" then
    return text
  end
  return nil, ("there is a completion for %s, not for '%s'"):format(table.concat(SHELLS, ", "), text)
end

return {
  run = run_completion,
  is_plain = true,
  usage = "bash|zsh|fish",
  summary = "writes the completion for a shell",
  description = "Writes a script that makes TAB complete the words of modalua in a shell: verbs, options, the modalities of the server, "
    .. "tags of the level, dates, and names of files. `cmake --install` and the package put it in its place, where shells find it. With "
    .. "`words`, for such scripts, it writes what can stand at the end of a command line, which it reads from standard input.",
  examples = {
    { "modalua completion bash >~/.local/share/bash-completion/completions/modalua", "for bash, with its package bash-completion" },
    { "modalua completion zsh >~/.zfunc/_modalua", "for zsh, when fpath has ~/.zfunc before compinit runs" },
    { "modalua completion fish >~/.config/fish/completions/modalua.fish", "for fish" },
  },
  arguments = { { "argument", name = "SHELL", argname = "SHELL", target = "shell", convert = to_shell, complete = SHELLS,
    description = "bash, zsh or fish" } },
}
