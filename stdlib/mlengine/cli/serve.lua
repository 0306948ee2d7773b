--- `mlengine serve`: this project's model server, in the foreground.

local usage <const> = "mlengine serve [--model URI] [--endpoint NAME] [--listen HOST:PORT] [--stop]"

local options <const> = {
  ["--model"] = "URI", ["--endpoint"] = "NAME", ["--listen"] = "HOST:PORT", ["--stop"] = "flag",
  ["--check"] = "FOLDER", ["--ready-fd"] = "FD", ["--workers"] = "N",
}

local function whole(text, what)
  local number = text and math.tointeger(tonumber(text))
  if text and not number then
    require("mlengine.error").raise("usage", (
      "%s must be a whole number, not '%s'; usage: %s"
    ):format(what, text, usage))
  end
  return number
end

local function stop()
  local serve = require "mlengine.serve"
  print(serve.stop() and "stopped" or "this project's server is not running")
end

--- For the server itself: looks at a model in this process, which may die of it.
local function check(folder)
  local report = require("mle.serve").check(folder)
  require("mlengine.deploy.library").compare(folder, require("mlengine.json").decode(report))
  print(report)
end

local function run(given)
  local serve = require "mlengine.serve"
  local config = require "mlengine.config"
  if given.endpoint and not given.model then
    require("mlengine.error").raise("usage", "--endpoint says where --model goes; usage: " .. usage)
  end
  local running = given.model and serve.status()
  if running then
    require("mlengine.error").raise("busy", (
      "this project's server runs already, on %s; deploy.release puts a model there, " ..
      "mlengine serve --stop ends it"
    ):format(running.url))
  end
  if given.model then
    require("mlengine.deploy").prepare(given.model, given.endpoint or "default")
  end
  serve.run {
    listen = given.listen or serve.listen_text(config.serving()),
    workers = whole(given.workers, "--workers"), ready_fd = whole(given.ready_fd, "--ready-fd"),
  }
end

return {
  summary = "serve this project's models over HTTP",
  usage = usage,
  details = [==[
Serves what was deployed, on 127.0.0.1:8700 unless --listen or the configuration
says otherwise. --model (models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/NAME, or
a folder) deploys a model first, to the endpoint `default` or --endpoint. --stop ends
the project's server once the requests under way are answered.

    curl localhost:8700/invocations -H 'Content-Type: application/json' \
      -d '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, null]]}}']==],
  run = function(args)
    local given = require("mlengine.arguments").parse(args, options, usage)
    if given.stop then return stop() end
    if given.check then return check(given.check) end
    return run(given)
  end,
}
