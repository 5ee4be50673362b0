-- core.described: what a person should know of a function that an operation has returned, such as an iterator. The prompt shows it instead
-- of an address.
local described = {}

local texts = setmetatable({}, { __mode = "k" }) -- function -> { text =, use = }

-- Stores what the function is, and how it is used: Lua code, in which "%s" stands for a variable that has the function. Returns the
-- function.
function described.add(f, text, use)
  texts[f] = { text = text, use = use }
  return f
end

-- An iterator over things of that name: "change".
function described.iterator(f, item)
  return described.add(f, ("an iterator over %ss"):format(item), "for " .. item .. " in %s do pp(" .. item .. ") end")
end

-- Returns the text for such a function, and how it is used when the variable `name` has it; nil: it is no such function.
function described.of(f, name)
  local row = texts[f]
  return row and row.text, row and name and row.use:format(name) or nil
end

return described
