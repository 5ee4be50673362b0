-- core.query_guard: a query that an operation keeps while it sends further C-FINDs.
local query_guard = {}

local REMOVE = { __close = function(guard)
  local _ <close> = guard.query
end }

-- Returns a value for <close>. What its field `query` is then, a result of find or a Query, is removed from the server; nil = nothing is.
function query_guard.new(query)
  return setmetatable({ query = query }, REMOVE)
end

return query_guard
