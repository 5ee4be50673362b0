-- command.verbs.job: shows a job of the server, waits for it, or ends, pauses, resumes or repeats it.
local require = ...
local doc = require "modalua.doc"
local lists = require "core.lists"

local ACTIONS = { "status", "wait", "cancel", "pause", "resume", "resubmit" }

-- Returns the identifier and the action, which may stand in any order; and nil and what is wrong with the action.
local function read_words(id, action)
  if lists.has(ACTIONS, id) and action then
    id, action = action, id
  end
  action = action or "status"
  if lists.has(ACTIONS, action) then
    return id, action
  end
  local near = doc.nearest(action, ACTIONS)
  return nil, ("a job cannot be told to '%s'; %s"):format(action, near and ("did you mean %s?"):format(near)
    or "the actions are " .. table.concat(ACTIONS, ", "))
end

local function show_status(self, status)
  local rows = {}
  for i, name in ipairs(lists.sorted_keys(status)) do
    rows[i] = { field = name, value = status[name] }
  end
  self:show({ "field", "value" }, rows, status)
end

local function run_job(self)
  local id, action = read_words(self.options.id, self.options.action)
  if not id then
    self:usage_error("%s", action)
  end
  local named, job = pcall(self:client().job, self:client(), id)
  if not named then
    self:usage_error("'%s' is no identifier of a job", id)
  end
  local done, err = true, nil
  if action == "wait" then
    done, err = job:wait { progress = self.terminal.errors }
  elseif action ~= "status" then
    done, err = job[action](job)
  end
  if not done then
    self:report_error(err)
  end
  if action == "status" or action == "wait" or done and self:is_for_programs() then
    show_status(self, self:must(job:status()))
  end
  return done
end

return {
  run = run_job,
  usage = "ID [cancel|pause|resume|resubmit|wait]",
  summary = "shows a job, or tells it what to do",
  description = "Shows what the server knows of a job, or tells the job what to do: cancel ends it, pause and resume stop it for a "
    .. "while, resubmit runs a failed one again, wait waits for its end and looks at its outcome. `modalua jobs` lists the jobs.",
  examples = {
    { "modalua job 4f5ec3d6-3b2c-4b8e-9c9a-1f4a6a0f3c55", "what the server knows of it" },
    { "modalua job 4f5ec3d6-3b2c-4b8e-9c9a-1f4a6a0f3c55 cancel", "ends it" },
  },
  arguments = {
    { "argument", name = "ID", argname = "ID", target = "id", description = "the identifier of a job, as `modalua jobs` lists it" },
    { "argument", name = "ACTION", argname = "ACTION", target = "action", args = "?", complete = ACTIONS,
      description = "status (default), wait, cancel, pause, resume or resubmit; it may also stand before the ID" },
  },
}
