-- command.verbs.api: one request to any route of the server.
local require = ...
local json = require "modalua.json"
local letters = require "text.letters"

local METHODS = { GET = "get", POST = "post", PUT = "put", DELETE = "delete" }

local function to_method(text)
  local method = METHODS[text:upper()]
  return method, ("the method is GET, POST, PUT or DELETE, not '%s'"):format(text)
end

local function to_route(text)
  if not text:find "^/" then
    return nil, ("a route begins with '/', as /system: '%s'"):format(text)
  end
  return text
end

-- The content of --input; "-" is standard input.
local function read_input(self, name)
  local file, why
  if name == "-" then
    file = io.stdin
  else
    file, why = io.open(name, "rb")
  end
  local text
  if file then
    text, why = file:read "a"
  end
  return self:must(text, why and ("'%s' cannot be read: %s"):format(name, why:match "([^:]-)$":match "^ ?(.*)$"))
end

local function print_answer(self, answer)
  local is_text = type(answer) == "string"
  local text = is_text and answer or json.encode(answer) .. "\n"
  if self.terminal.output then
    text = letters.shown(text, is_text and "lines" or "json")
    text = text:find "\n$" and text or text .. "\n"
  end
  self:write(text)
end

local function run_api(self)
  local method, input = self.options.method, self.options.input
  if input and method ~= "post" and method ~= "put" then
    self:usage_error "--input is for POST and PUT"
  end
  local client, body = self:client(), nil
  if method == "post" or method == "put" then
    body = input and read_input(self, input) or ""
  end
  local answer, err = client[method](client, self.options.route, body)
  if err then
    return self:report_error(err)
  end
  print_answer(self, answer)
  return true
end

return {
  run = run_api,
  is_plain = true,
  usage = "GET|POST|PUT|DELETE /ROUTE",
  summary = "sends a request to any route of the server",
  description = "Sends a request to any route of Orthanc's REST interface, with the credentials of the server, and prints the answer: "
    .. "JSON in one line, or another answer as it is. Passwords and tokens of jobs and peers in answers are replaced by \"…\". A status "
    .. "of 400 or more is an error.",
  examples = {
    { "modalua api GET /system", "the server's version and AE title" },
    { "modalua api GET '/changes?since=0&limit=10' | jq -r '.Changes[].ChangeType'", "the first changes" },
    { "modalua api POST /tools/find --input query.json", "the body is the content of a file" },
    { "modalua api DELETE /studies/66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e", "deletes a study" },
  },
  arguments = {
    { "argument", name = "METHOD", argname = "METHOD", target = "method", convert = to_method,
      complete = { "GET", "POST", "PUT", "DELETE" }, description = "GET, POST, PUT or DELETE" },
    { "argument", name = "/ROUTE", argname = "/ROUTE", target = "route", convert = to_route,
      description = "a route of the server, perhaps with ?NAME=VALUE" },
    { "option", name = "--input", argname = "FILE", description = "sends the content of this file, or of standard input (-), with POST "
      .. "or PUT" },
  },
}
