-- core.find_notes: joins what several finds have to say about their answers. The fields are those of src/api/answer_notes.h.
local find_notes = {}

local function add_unproven(notes, names)
  local known = {}
  notes.unproven = notes.unproven or {}
  for _, name in ipairs(notes.unproven) do
    known[name] = true
  end
  for _, name in ipairs(names) do
    if not known[name] then
      table.insert(notes.unproven, name)
    end
  end
end

-- Adds `count` answers that contradict the filter of that name.
function find_notes.add_ignored(notes, name, count)
  notes.ignored = notes.ignored or {}
  notes.ignored[name] = (notes.ignored[name] or 0) + count
end

-- Adds to the notes what a result of find says.
function find_notes.add(notes, found)
  for name, count in pairs(found.ignored or {}) do
    find_notes.add_ignored(notes, name, count)
  end
  if found.unproven then
    add_unproven(notes, found.unproven)
  end
  if found.repeated then
    notes.repeated = (notes.repeated or 0) + found.repeated
  end
  if found.unreadable then
    notes.unreadable = table.move(found.unreadable, 1, #found.unreadable, #(notes.unreadable or {}) + 1, notes.unreadable or {})
  end
  notes.odd = notes.odd or found.odd
  notes.characters = notes.characters or found.characters
end

return find_notes
