--- What MLflow's store has of a run, for the page: params, metrics with all their points, files it logged.

local errors = require "mlengine.error"
local json = require "mlengine.json"

local M = {}

local METRICS_MAX <const>, POINTS_MAX <const>, FILES_MAX <const>, DEPTH_MAX <const> = 64, 1000, 200, 3
local SHOWN_MAX <const> = 3 << 20
local IMAGES <const> = { svg = "svg", png = "png" }

local function mlflow_run_of(run)
  local state <close> = require("mlengine.jobs.state").open()
  local id = json.decode(state:details(run)).mlflow_run
  if id == json.null then return nil end
  return id
end

--- At most so many points, the last one among them.
local function thinned(points)
  local step = math.max(1, (#points + POINTS_MAX - 1) // POINTS_MAX)
  local list = {}
  for i = #points, 1, -step do list[#list + 1] = { points[i].step, points[i].value } end
  local ordered = {}
  for i = #list, 1, -1 do ordered[#ordered + 1] = json.array(list[i]) end
  return json.array(ordered)
end

local function curves_of(mlflow, id, metrics)
  local names, curves = {}, {}
  for name in pairs(metrics) do names[#names + 1] = name end
  table.sort(names)
  for i = 1, math.min(#names, METRICS_MAX) do
    curves[i] = { name = names[i], points = thinned(mlflow.get_metric_history(id, names[i])) }
  end
  return json.array(curves)
end

local function add_files(mlflow, id, path, depth, files)
  for _, file in ipairs(mlflow.list_artifacts(id, path)) do
    if #files >= FILES_MAX then return end
    if not file.is_dir then
      files[#files + 1] = { path = file.path, size = file.file_size }
    elseif depth < DEPTH_MAX then
      add_files(mlflow, id, file.path, depth + 1, files)
    end
  end
end

--- Where MLflow's own page shows the run; nil when its store is a file.
local function link_of(uri, info)
  local server = uri:match "^(https?://.*)$"
  return server and ("%s/#/experiments/%s/runs/%s"):format(server:gsub("^(%a+://)[^/@]*@", "%1"):gsub("/+$", ""), info.experiment_id, info.run_id)
end

---@param run integer ours
---@return table
function M.of_run(run)
  local id = mlflow_run_of(run)
  if not id then return { run_id = json.null, metrics = json.array {}, files = json.array {}, params = {} } end
  local mlflow = require "mlengine.mlflow"
  local past, files = mlflow.get_run(id), {}
  local ok = pcall(add_files, mlflow, id, nil, 1, files) -- files may be where only a server gets at them
  return {
    run_id = id, status = past.info.status, name = past.info.run_name, experiment_id = past.info.experiment_id,
    link = link_of(mlflow.get_tracking_uri(), past.info) or json.null, params = past.data.params,
    metrics = curves_of(mlflow, id, past.data.metrics), files = json.array(files), files_known = ok,
  }
end

---A file that a run logged, and how it may be shown.
---@param run integer
---@param path string
---@return string bytes, "svg"|"png"|"text"|"bytes" kind
function M.artifact(run, path)
  local id = mlflow_run_of(run) or errors.raise("not found", "run %d has no run in MLflow", run)
  local system = require "mle.system"
  local place = require("mlengine.mlflow").download(("runs:/%s/%s"):format(id, path))
  local info = system.stat(place)
  if not info or info.kind == "folder" then errors.raise("not found", "run %d logged no file '%s'", run, path) end
  if info.size > SHOWN_MAX then errors.raise("refused", "'%s' has %d bytes; the page shows at most %d", path, info.size, SHOWN_MAX) end
  local bytes = system.read(place)
  return bytes, IMAGES[path:lower():match "%.(%w+)$"] or (utf8.len(bytes) and not bytes:find "%z" and "text") or "bytes"
end

return M
