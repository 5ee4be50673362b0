-- The request that wrk repeats: wrk --script spec/bench/echo.wrk.lua URL/modalities/NAME/echo
-- luacheck: globals wrk
wrk.method = "POST"
wrk.body = "{}"
wrk.headers["Content-Type"] = "application/json"
