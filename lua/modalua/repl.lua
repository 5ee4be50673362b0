-- modalua.repl: evaluation at a prompt. No terminal code: a host can offer its own console with it.
local doc = require "modalua.doc"

local repl = {}

local function incomplete(message)
  return message:sub(-5) == "<eof>" and not message:find("unfinished string", 1, true)
end

local function show(n, ...)
  if n > 0 then
    print(...)
  end
end

-- An expression as it stands, else statements: `1 + 1` prints 2.
function repl.evaluate(text)
  local expression, expression_error = load("return " .. text, "=stdin", "t")
  local chunk, chunk_error = load(text, "=stdin", "t")
  if not expression and not chunk and (incomplete(expression_error) or incomplete(chunk_error)) then
    return "more"
  end
  local f = expression or chunk or error(chunk_error, 0)
  local results = table.pack(f())
  show(results.n, table.unpack(results, 1, results.n))
end

doc.describe(repl.evaluate, 'evaluate(text) -> "more" | nil',
  'Runs a line of input and prints what it gives; "more" when the line is not complete yet.')

return repl
