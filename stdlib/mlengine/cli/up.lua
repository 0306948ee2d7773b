local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"

local usage <const> = "mlengine up [FILE.lua]... [--listen HOST:PORT] [--runs N] [--grace SECONDS] [--no-serve]"

local RUNS <const>, GRACE <const> = 4, 60

local function whole(value, name, fallback, least, most)
  if not value then return fallback end
  local number = math.tointeger(tonumber(value))
  if number and number >= least and number <= most then return number end
  errors.raise("usage", "%s takes a whole number from %d to %d, not '%s'", name, least, most, value)
end

return {
  summary = "start what is due, answer the API, mind the model server",
  usage = usage,
  details = [[
Runs the pipelines' schedules until it is stopped. FILE.lua are pipelines; without one, all that the project's
folder holds. They are read again after a save. The API listens on 127.0.0.1:8701, or where --listen or the
configuration says: /api/v1/openapi.json describes it, /metrics is for Prometheus. A change needs the token in
.mlengine/up.token, which mlengine trigger takes from there.

  --runs N         pipelines that run at a time (4)
  --grace SECONDS  what runs has so long to end when this process is asked to stop (60); a second signal ends it
  --no-serve       no model server

Killed, it leaves its runs going; started again, it finds them. mlengine help scheduling says more.]],
  run = function(args)
    local given, files = arguments.parse(args, {
      ["--listen"] = "HOST:PORT", ["--runs"] = "N", ["--grace"] = "SECONDS", ["--no-serve"] = "flag",
    }, usage, { 0, math.huge })
    for _, file in ipairs(files) do
      if not require("mle.system").stat(file) then errors.raise("usage", "there is no script '%s'", file) end
    end
    require("mlengine.up").run {
      files = files, listen = given.listen, serve = not given.no_serve,
      runs = whole(given.runs, "--runs", RUNS, 1, 1000), grace = whole(given.grace, "--grace", GRACE, 0, 366 * 86400),
    }
  end,
}
