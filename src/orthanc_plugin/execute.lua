-- plugin.execute: compiles and runs the script that a person has sent (execute.c).
local execute = {}

function execute.run(source)
  return assert(load(source, "=script", "t"))()
end

return execute
