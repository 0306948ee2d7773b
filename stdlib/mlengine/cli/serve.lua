--- `mlengine serve`: this project's model server, in the foreground.

local usage <const> = "mlengine serve [--model URI | --follow URI] [--endpoint NAME] [--listen HOST:PORT] [--stop]"

local options <const> = {
  ["--model"] = "URI", ["--endpoint"] = "NAME", ["--listen"] = "HOST:PORT", ["--stop"] = "flag",
  ["--check"] = "FOLDER", ["--ready-fd"] = "FD", ["--workers"] = "N",
  ["--tls-cert"] = "FILE", ["--tls-key"] = "FILE",
  ["--follow"] = "URI", ["--every"] = "SECONDS", ["--access-log"] = "SHARE",
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

local function number(text, what, least, most)
  local value = text and tonumber(text)
  if text and not (value and value >= least and value <= most) then
    require("mlengine.error").raise("usage", ("%s must be from %g to %g, not '%s'; usage: %s"):format(
      what, least, most, text, usage))
  end
  return value
end

local function stop(given)
  for option in pairs(given) do
    if option ~= "stop" then require("mlengine.error").raise("usage", "--stop goes alone; usage: " .. usage) end
  end
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
  local raise = require("mlengine.error").raise
  if given.endpoint and not (given.model or given.follow) then
    raise("usage", "--endpoint says where --model or --follow goes; usage: " .. usage)
  end
  if given.every and not given.follow then raise("usage", "--every is for --follow; usage: " .. usage) end
  if given.model and given.follow then raise("usage", "--model and --follow exclude each other; usage: " .. usage) end
  if (given.tls_cert == nil) ~= (given.tls_key == nil) then
    raise("usage", "--tls-cert and --tls-key go together; usage: " .. usage)
  end
  local configured = config.serving()
  local log_share = number(given.access_log, "--access-log", 0, 1)
  local every = number(given.every, "--every", 1, 86400)
  local running = (given.model or given.follow) and serve.status()
  if running then
    raise("busy", (
      "this project's server runs already, on %s; deploy.release puts a model there, " ..
      "mlengine serve --stop ends it"
    ):format(running.url))
  end
  if given.model then
    require("mlengine.deploy").prepare(given.model, given.endpoint or "default")
  end
  local follow = given.follow and require("mlengine.deploy.follow").start(given.follow, given.endpoint or "default")
  serve.run {
    log_share = log_share, follow = follow, follow_seconds = every,
    listen = given.listen or serve.listen_text(configured),
    tls_cert = given.tls_cert or configured.tls_cert, tls_key = given.tls_key or configured.tls_key,
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

--follow models:/NAME@ALIAS asks MLflow every 10 seconds (--every) what the alias names, and serves that,
checked first, without a pause between versions. --access-log 0.01 writes a line of JSON for one request
in a hundred. --tls-cert and --tls-key, PEM files, make it speak HTTPS. --workers N threads answer requests,
one for each processor by default.

    curl localhost:8700/invocations -H 'Content-Type: application/json' \
      -d '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, null]]}}']==],
  run = function(args)
    local given = require("mlengine.arguments").parse(args, options, usage)
    if given.stop then return stop(given) end
    if given.check then return check(given.check) end
    return run(given)
  end,
}
