local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"

local usage <const> = "mlengine run FILE.lua [-p name=value]... [--job NAME] [--from JOB] [--env NAME] [--json]\n"
  .. "                    [--skip-code N] [--no-reuse] [--again | --range FROM..TO | --full | --dry-run]"

local options <const> = {
  ["-p"] = "list", ["--job"] = "NAME", ["--from"] = "JOB", ["--env"] = "NAME", ["--json"] = "flag", ["--skip-code"] = "N",
  ["--no-reuse"] = "flag",
  ["--again"] = "flag", ["--range"] = "FROM..TO", ["--full"] = "flag", ["--dry-run"] = "flag",
}

local function read_range(text)
  local from, to = text:match "^(%d*)%.%.(%d*)$"
  if not from then
    errors.raise("usage", "--range takes FROM..TO, two snapshot ids of which one may be left out, not '%s'",
      text)
  end
  return { from = math.tointeger(tonumber(from)), to = math.tointeger(tonumber(to)) }
end

--- The rehearsal that was asked for; one at most.
local function read_rehearsal(given)
  local kind
  for _, name in ipairs { "again", "range", "full", "dry_run" } do
    if given[name] then
      if kind then
        errors.raise("usage", "--%s and --%s cannot both be",
          kind, (name:gsub("_", "-")))
      end
      kind = name:gsub("_", "-")
    end
  end
  return kind
end

local function read_skip_code(text)
  if not text then return nil end
  local code = math.tointeger(tonumber(text))
  if code and code >= 0 and code <= 255 then return code end
  errors.raise("usage", "--skip-code takes an exit code from 0 to 255, not '%s'", text)
end

return {
  summary = "run a job script, or a pipeline of jobs",
  usage = usage,
  details = "--again, --range, --full and --dry-run rehearse: nothing is consumed, registered or deployed.\n"
    .. "--no-reuse runs jobs that say reuse = true even when nothing they depend on has changed.\n"
    .. "mlengine run FILE.lua --help prints the script's own parameters.\n"
    .. "Exit codes: 0 done, or skipped (--skip-code N tells apart), 1 failed, 2 wrong usage, 124 timed out, 130 interrupted.",
  help = function(args)
    local file = args[1]
    if not file or file:find "^%-" then return false end
    print("usage: " .. usage .. "\n\n" .. require("mlengine.runner").describe(file))
    return true
  end,
  run = function(args)
    local given, names = arguments.parse(args, options, usage, { 1, 1 })
    local code = require("mlengine.runner").run(names[1], {
      params = given.p, job = given.job, from = given.from, environment = given.env, json = given.json,
      skip_code = read_skip_code(given.skip_code), rehearsal = read_rehearsal(given),
      no_reuse = given.no_reuse, rehearsal_range = given.range and read_range(given.range), trace = errors.tracing(),
    })
    return code
  end,
}
