-- plugin.execute: compiles and runs the script that a person has sent (execute.c).
local execute = {}

function execute.run(source)
  local script, message = load(source, "=script", "t")
  return (script or error(message, 0))()
end

return execute
