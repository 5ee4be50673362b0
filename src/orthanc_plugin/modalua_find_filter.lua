-- Asks the plugin of modalua what is to become of a C-FIND request, before the server answers it: the filter "IncomingFindRequest". The
-- plugin API has no such filter; Orthanc's own Lua has it. So this file belongs among the LuaScripts of the server's configuration.
-- luacheck: globals IncomingFindRequestFilter, read_globals DumpJson ParseJson RestApiPost
function IncomingFindRequestFilter(query, origin)
  local answer = RestApiPost("/modalua/find-filter", DumpJson({ query = query, origin = origin }, true), false)
  answer = answer and ParseJson(answer)
  if not answer or not answer.Accept then
    error(answer and "modalua rejects this C-FIND request: the log of its script says why"
      or "the plugin of modalua does not answer: is libOrthancModalua.so among the Plugins of the server?")
  end
  return answer.Query or query
end
