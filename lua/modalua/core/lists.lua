-- core.lists: functions on lists and tables that several parts need.
local lists = {}

-- Whether a value is in a list.
function lists.has(list, value)
  for _, one in ipairs(list) do
    if one == value then
      return true
    end
  end
  return false
end

-- The keys of a table, which are texts, in alphabetical order.
function lists.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

return lists
