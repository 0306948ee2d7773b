local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local system = require "mle.system"

local usage <const> = "mlengine push cml FILE.lua [--project NAME] [--env NAME] [--yes] [--delete] [--dry-run] [--json]"

local options <const> = {
  ["--project"] = "NAME", ["--env"] = "NAME", ["--yes"] = "flag", ["--delete"] = "flag", ["--dry-run"] = "flag", ["--json"] = "flag",
}

local signs <const> = { create = "+", update = "~", same = "=", delete = "-" }

local function show(changes, delete)
  for _, change in ipairs(changes) do
    local stays = change.kind == "delete" and not delete and "; --delete deletes it" or ""
    print(("%s %s%s"):format(signs[change.kind], change.name, change.kind == "same" and "  as it is there" or ""))
    for _, line in ipairs(change.lines) do print("    " .. line .. stays) end
  end
end

local function count(changes, delete)
  local n = 0
  for _, change in ipairs(changes) do
    if change.kind ~= "same" and (change.kind ~= "delete" or delete) then n = n + 1 end
  end
  return n
end

local function print_json(changes)
  local list = json.array {}
  for i, change in ipairs(changes) do
    list[i] = { kind = change.kind, name = change.name, differences = json.array(change.kind == "same" and {} or change.lines) }
  end
  print(json.encode(list))
end

return {
  summary = "make or update a pipeline's jobs in Cloudera Machine Learning",
  usage = usage,
  details = [[
Prints what is different there; with --yes it is done: + makes a job, ~ changes one in place, - is no longer in the
pipeline and is deleted by --delete. $CDSW_API_URL and $CDSW_APIV2_KEY say where and who; --project, or $CDSW_PROJECT_ID,
which project. mlengine help cml says what a job's `cml` holds.]],
  run = function(args)
    local given, names = arguments.parse(args, options, usage, { 2, 2 })
    if names[1] ~= "cml" then errors.raise("usage", "a pipeline is pushed to 'cml', not '%s'; usage: %s", names[1], usage) end
    if given.yes and given.dry_run then errors.raise("usage", "--yes and --dry-run cannot both be") end
    if not system.stat(names[2]) then errors.raise("usage", "there is no pipeline '%s'", names[2]) end
    require("mlengine.project").use(names[2])
    local pipeline = require("mlengine.jobs.loader").load(names[2], given.env)
    local client = require("mlengine.cml").client { project = given.project }
    local push = require "mlengine.cml.push"
    local changes = push.plan(client, pipeline, require("mlengine.jobs.files").in_project(names[2]))
    if given.json then print_json(changes) else show(changes, given.delete) end
    local n = count(changes, given.delete)
    if given.yes then push.apply(client, changes, given.delete or false) end
    if not given.json then
      local done = n == 0 and "nothing to change" or given.yes and ("%d changed"):format(n) or ("%d to change; --yes does it"):format(n)
      print(("%s in CML's project %s at %s"):format(done, client:project_id(), client.url))
    end
    return 0
  end,
}
