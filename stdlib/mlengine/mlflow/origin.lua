--- What a run says of where it comes from: tags as MLflow's clients set them,
--- and those of the job it is part of.

local context = require "mlengine.context"
local native = require "mle.mlflow"

local M = {}

local LEVELS_MAX <const> = 100

--- The innermost script that led here, the standard library left out.
local function script()
  for level = 2, LEVELS_MAX do
    local info = debug.getinfo(level, "S")
    if not info then return nil end
    local path = info.source:match "^@(.+)$"
    if path and not path:find("stdlib/mlengine/", 1, true) then return path end
  end
end

local function add_source(tags)
  local path = script()
  tags["mlflow.source.type"] = "LOCAL"
  tags["mlflow.source.name"] = path or "mlengine"
  local commit, branch = native.git_head(path or ".")
  tags["mlflow.source.git.commit"] = commit
  tags["mlflow.source.git.branch"] = branch
  tags["mlengine.version"] = require "mlengine.version"
end

--- The rows a run was given, as one text that is equal for an equal range.
local function range_of(tags)
  local to = tags.iceberg_snapshot_id
  if not to then return nil end
  return ("%s:%s..%s"):format(tags.iceberg_table_uuid or "", tags.iceberg_parent_id or "", to)
end

--- A rehearsal consumes nothing, so it names no consumer.
local function add_job(tags)
  local job = context.current()
  if not job then return end
  tags["mlengine.run_id"] = job.run_id and tostring(job.run_id) -- the prompt has none
  tags["mlengine.attempt"] = tostring(job.attempt)
  if job.rehearsal then
    tags["mlengine.rehearsal"] = job.rehearsal
    tags["mlengine.reproduces"] = job.pinned and tostring(job.pinned.run)
  else
    tags["mlengine.consumer"] = job.consumer
    tags["mlengine.range"] = range_of(tags)
  end
end

---Adds to a run's own tags; those given by the script stay.
---@param given table<string, string>
---@return table<string, string>
function M.tags(given)
  local tags = {}
  for key, value in pairs(given) do tags[key] = value end
  add_source(tags)
  add_job(tags)
  for key, value in pairs(given) do tags[key] = value end
  return tags
end

---The tags that a version takes from the run that made it.
---@param of_run table<string, string>
---@return table<string, string>
function M.version_tags(of_run)
  local tags = {}
  for _, key in ipairs { "mlengine.run_id", "mlengine.attempt", "mlengine.consumer", "mlengine.range" } do
    tags[key] = of_run[key]
  end
  return tags
end

return M
