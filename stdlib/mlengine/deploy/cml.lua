--- A release to a CML model: build and deployment are CML's, gate and smoke are as everywhere.
---
--- Route "files", from anywhere: model and a scoring script are uploaded to the project, built by file and function.
--- Route "registry", for models of CML's experiments: registered there, built from the registered version.
---
--- A build's comment says which model it is of, so the same call again goes on with what is there, and the live
--- model is known. CML serves the old deployment until the new one is deployed.

local check = require "mlengine.check"
local cml = require "mlengine.cml"
local errors = require "mlengine.error"
local http = require "mlengine.http"
local json = require "mlengine.json"
local log = require "mlengine.log"
local scoring = require "mlengine.deploy.scoring"
local supervise = require "mlengine.jobs.supervise"
local system = require "mle.system"

local M = {}

---@class mlengine.deploy.CML
---@field kind "cml"
---@field model? string            CML's model; default the release's endpoint
---@field route? "files"|"registry" default "registry" where the model is of CML's experiments
---@field client mlengine.cml.Client

local known <const> = {
  url = "string|nil", key = "string|nil", project = "string|nil", ca_file = "string|nil", model = "string|nil",
  route = "string|nil", runtime = "string|nil", kernel = "string|nil", addons = "table|nil", cpu = "number|nil",
  memory = "number|nil", gpu = "integer|nil", replicas = "integer|nil", environment = "table|nil",
  authentication = "boolean|nil", model_key = "string|nil", modelservice = "string|nil",
  build_timeout = "string|integer|nil", deploy_timeout = "string|integer|nil",
}

local POLL <const>, POLL_MAX <const>, POLL_GROWTH <const> = 0.2, 15, 1.5
local SETTLE_SECONDS <const> = 60  -- for what a gateway gave up on to show in the lists
local ANSWER_SECONDS <const> = 30  -- for modelservice to find a free replica

local BUILD_READY <const> = { built = true, succeeded = true }
local BUILD_FAILED <const> = { ["build failed"] = true, failed = true, timedout = true }
local DEPLOYMENT_FAILED <const> = { failed = true, stopped = true, stopping = true }

--- Model keys by target: a handle that is printed or logged has none.
local model_keys = setmetatable({}, { __mode = "k" })

---A model of Cloudera Machine Learning as the target of a release.
---@param options? { project?: string, model?: string, route?: "files"|"registry", runtime?: string, kernel?: string, addons?: string[], cpu?: number, memory?: number, gpu?: integer, replicas?: integer, environment?: table<string, string>, authentication?: boolean, model_key?: string, modelservice?: string, build_timeout?: string|integer, deploy_timeout?: string|integer, url?: string, key?: string, ca_file?: string }
---@return mlengine.deploy.CML
function M.target(options)
  options = check.options(options, known, "deploy.cml")
  if options.route and options.route ~= "files" and options.route ~= "registry" then
    errors.raise("invalid", "route of deploy.cml must be \"files\" or \"registry\", not '%s'", options.route)
  end
  local target = { kind = "cml" }
  for name, value in pairs(options) do
    if name ~= "key" and name ~= "model_key" then target[name] = value end
  end
  target.client = cml.client { url = options.url, key = options.key, project = options.project, ca_file = options.ca_file }
  target.build_seconds = supervise.timeout(options.build_timeout or "30m")
  target.deploy_seconds = supervise.timeout(options.deploy_timeout or "30m")
  target.environment = require("mlengine.pipeline.fields").env(options.environment, "deploy.cml")
  model_keys[target] = options.model_key or os.getenv "MLENGINE_CML_MODEL_KEY"
  return target
end

-- ====== Waiting ======

local function passing(problem)
  return type(problem) == "table" and (problem.retryable or problem.status == nil or problem.status >= 500)
end

local function pause(wait)
  if system.cancelled() then errors.raise("cancelled", "interrupted while waiting for CML; the same release goes on with what is there") end
  system.sleep(wait)
  return math.min(wait * POLL_GROWTH, POLL_MAX)
end

--- Asks until `ready` says so or `failed` does; a gateway that fails in passing is asked again.
local function await(at, what, seconds, ask, ready, failed)
  local deadline, wait, last = system.monotonic_ns() + seconds * 1e9, POLL, nil
  while true do
    local ok, item = pcall(ask)
    if not ok and not passing(item) then error(item, 0) end
    local status = ok and item.status or errors.message(item)
    if ok and status ~= last then log.info("CML: %s is %s", what, status) end
    if ok and ready(status) then return item end
    if ok and failed(status) then
      errors.raise("refused", "CML: %s ended as '%s'; its log is at %s", what, status, cml.model_page(at.client, at.model.id))
    end
    last = status
    if system.monotonic_ns() > deadline then
      errors.raise("timeout", "CML: %s is still '%s' after %s; its log is at %s", what, status, supervise.span(seconds),
        cml.model_page(at.client, at.model.id))
    end
    wait = pause(wait)
  end
end

--- Does what a gateway may give up on while CML goes on with it: then it is looked for.
local function settle(what, create, look)
  local ok, made = pcall(create)
  if ok then return made end
  if not passing(made) then error(made, 0) end
  log.warning("CML: %s; looking whether %s was made", errors.message(made), what)
  local deadline, wait = system.monotonic_ns() + SETTLE_SECONDS * 1e9, POLL
  repeat
    local found, item = pcall(look)
    if found and item then return item end
    wait = pause(wait)
  until system.monotonic_ns() > deadline
  error(made, 0)
end

-- ====== What is there ======

local function find_model(at)
  for _, model in ipairs(at.client:list_models { search_filter = { name = at.name } }) do
    if model.name == at.name then return model end
  end
end

--- Newest first.
local function builds_of(at)
  local builds = at.client:list_model_builds { model_id = at.model.id }
  table.sort(builds, function(a, b) return (a.created_at or "") > (b.created_at or "") end)
  return builds
end

local function deployments_of(at, build)
  local list = at.client:list_model_deployments { model_id = at.model.id, build_id = build.id }
  table.sort(list, function(a, b) return (a.created_at or "") > (b.created_at or "") end)
  return list
end

--- The build and deployment that answer now.
local function live_of(at)
  for _, build in ipairs(builds_of(at)) do
    for _, deployment in ipairs(deployments_of(at, build)) do
      if deployment.status == "deployed" then return { build = build, deployment = deployment } end
    end
  end
end

local PREFIX <const> = "mlengine: "

local function comment_of(found, digest) return ("%s%s sha256:%s"):format(PREFIX, found.uri, digest) end

--- The folder of the model that answers now; a gate must not pass one that it cannot see.
local function champion_of(live, gated)
  if not live then return nil end
  local uri = (live.build.comment or ""):match("^" .. PREFIX .. "(.*) sha256:%x+$")
  if uri then
    local ok, model = pcall(require("mlengine.deploy.model").find, uri)
    if ok then return model.folder end
    if gated then error(model, 0) end
    return nil
  end
  if gated then
    errors.raise("refused", "the gate cannot judge what CML serves now: build %s was not made by mlengine; release without a gate once",
      live.build.id)
  end
end

-- ====== Build and deployment ======

local function ensure_model(at, registered_model_id)
  if at.model then return end
  at.model = settle("the model", function()
    return at.client:create_model {
      name = at.name, description = "made by mlengine", disable_authentication = at.target.authentication == false,
      registered_model_id = registered_model_id, project_id = at.client:project_id(),
    }
  end, function() return find_model(at) end)
end

--- The build request's part by route.
local function upload(at, found)
  local folder = ("mlengine_models/%s/%s"):format(at.name:gsub("[^%w_-]", "-"), at.digest:sub(1, 16))
  local files = scoring.files(found.folder, folder)
  for _, file in ipairs(files) do at.client:upload_file(folder .. "/" .. file.name, file.bytes) end
  return { file_path = folder .. "/score.py", function_name = "predict", build_script_path = folder .. "/cdsw-build.sh" }
end

local function register(at, found)
  local store = require("mlengine.mlflow.here").store()
  if type(store.registered_version) ~= "function" then
    errors.raise("invalid", "route \"registry\" is for models of CML's experiments (tracking URI cml://localhost), not of %s", found.uri)
  end
  local version = store:registered_version(found.uri, at.name)
  return { registered_model_version_id = version.model_version_id }, version.model_id
end

--- Whether a build is of this model, by this route, for this runtime.
local function is_ours(at, build)
  local by_registry = (build.registered_model_version_id or "") ~= ""
  local target = at.target
  return build.comment == at.comment and by_registry == (at.route == "registry") and not BUILD_FAILED[build.status]
    and (not target.runtime or build.runtime_identifier == target.runtime) and (not target.kernel or build.kernel == target.kernel)
    and table.concat(build.runtime_addon_identifiers or {}, ",") == table.concat(target.addons or {}, ",")
end

local function find_build(at)
  for _, build in ipairs(at.model and builds_of(at) or {}) do
    if is_ours(at, build) then return build end
  end
end

local function make_build(at, found)
  local request, registered_model_id
  if at.route == "registry" then request, registered_model_id = register(at, found) else request = upload(at, found) end
  ensure_model(at, registered_model_id)
  request.model_id, request.comment = at.model.id, at.comment
  request.runtime_identifier, request.kernel = at.target.runtime, at.target.kernel
  request.runtime_addon_identifiers = at.target.addons and json.array(at.target.addons)
  return settle("the build", function() return at.client:create_model_build(request) end, function() return find_build(at) end)
end

local function await_build(at, build)
  return await(at, "build " .. build.id, at.target.build_seconds, function()
    return at.client:get_model_build { model_id = at.model.id, build_id = build.id }
  end, function(status) return BUILD_READY[status] end, function(status) return BUILD_FAILED[status] end)
end

local function size_of(target)
  return { cpu = target.cpu or 1, memory = target.memory or 2, nvidia_gpu = target.gpu or 0, replicas = target.replicas or 1 }
end

--- Whether a deployment has the size and the environment that are asked for.
local function is_as_asked(at, deployment)
  for name, value in pairs(size_of(at.target)) do
    if (deployment[name] or 0) ~= value then return false end
  end
  for name, value in pairs(at.target.environment) do
    if (deployment.environment or {})[name] ~= value then return false end
  end
  return not DEPLOYMENT_FAILED[deployment.status]
end

local function find_deployment(at, build)
  for _, deployment in ipairs(deployments_of(at, build)) do
    if is_as_asked(at, deployment) then return deployment end
  end
end

local function make_deployment(at, build)
  local target, size = at.target, size_of(at.target)
  return settle("the deployment", function()
    return at.client:create_model_deployment {
      model_id = at.model.id, build_id = build.id, cpu = size.cpu, memory = size.memory, replicas = size.replicas,
      nvidia_gpus = target.gpu, environment = next(target.environment) and target.environment or nil, -- here it is plural
    }
  end, function() return find_deployment(at, build) end)
end

local function await_deployment(at, deployment)
  return await(at, "deployment " .. deployment.id, at.target.deploy_seconds, function()
    return at.client:get_model_deployment {
      model_id = at.model.id, build_id = deployment.build_id, deployment_id = deployment.id,
    }
  end, function(status) return status == "deployed" end, function(status) return DEPLOYMENT_FAILED[status] end)
end

-- ====== The test request ======

local function service_url(at)
  if at.target.modelservice then return at.target.modelservice end
  local domain = os.getenv "CDSW_DOMAIN"
  if not domain or domain == "" then domain = at.client.url:match "^https?://(.*)$" end
  return ("%s://modelservice.%s/model"):format(at.client.url:match "^https?", domain)
end

local function ask(at, request)
  local headers = {}
  if at.model.auth_enabled then
    local key = model_keys[at.target]
    if not key or key == "" then
      errors.raise("refused", "CML's model %s wants a key for the smoke request: option 'model_key', or $MLENGINE_CML_MODEL_KEY", at.name)
    end
    headers.Authorization = "Bearer " .. key
  end
  local deadline, wait = system.monotonic_ns() + ANSWER_SECONDS * 1e9, POLL
  while true do
    local answer = http.post(service_url(at), {
      json = { accessKey = at.model.access_key, request = request }, headers = headers, idempotent = true, ca_file = at.target.ca_file,
    })
    if answer.status < 500 or system.monotonic_ns() > deadline then return answer end
    wait = pause(wait)
  end
end

--- JSON may carry a float32 with more or fewer digits; it is the same number all the same.
local function same(a, b)
  if type(a) == "table" and type(b) == "table" then
    if #a ~= #b then return false end
    for i = 1, #a do
      if not same(a[i], b[i]) then return false end
    end
    return true
  end
  if type(a) ~= "number" or type(b) ~= "number" then return a == b end
  return string.pack("f", a) == string.pack("f", b)
end

local function smoke(at, found, report)
  local example = json.decode(system.read(found.folder .. "/serving_input_example.json"))
  local answer = ask(at, example)
  local ok, body = pcall(answer.json)
  if answer.status ~= 200 or not ok or type(body) ~= "table" or body.success == false then
    errors.raise("refused", "smoke: CML's model %s answered the logged example with %d: %s", at.name, answer.status, answer.body:sub(1, 500))
  end
  local response = type(body.response) == "table" and body.response or {}
  if not same(response.prediction or body.response, report.scores) then
    errors.raise("refused", "smoke: CML's model %s scores the logged example otherwise than the engine", at.name)
  end
end

--- What answered before answers again; a model that had nothing is stopped.
local function go_back(at, live, deployment)
  if live then
    at.client:restart_model_deployment {
      model_id = at.model.id, build_id = live.build.id, deployment_id = live.deployment.id,
    }
    await_deployment(at, live.deployment)
    return "the old deployment answers again"
  end
  at.client:stop_model_deployment { model_id = at.model.id, build_id = deployment.build_id, deployment_id = deployment.id }
  return "the new deployment was stopped"
end

local function prove(at, found, report, live, deployment)
  local ok, problem = pcall(smoke, at, found, report)
  if ok then return end
  local text = errors.message(problem)
  local back, outcome = pcall(go_back, at, live, deployment)
  errors.raise("refused", "%s; %s", text, back and outcome or "going back failed, too: " .. errors.message(outcome))
end

-- ====== The release ======

local function check_release(options, report)
  for _, name in ipairs { "canary", "shadow" } do
    if options[name] then errors.raise("unsupported", "a release to CML has no %s: its models have one deployment that answers", name) end
  end
  if options.smoke and report.scores == json.null then
    errors.raise("refused", "%s has no input example for the smoke request; log the model with input_example, or release with smoke = false",
      options.model)
  end
end

local function open(options, found)
  local target = options.target
  local route = target.route or (found.uri:find "^%a[%w+.-]*:/" and
    type(require("mlengine.mlflow.here").store().registered_version) == "function") and "registry" or "files"
  local at = { target = target, client = target.client, name = target.model or options.endpoint, route = route or "files" }
  at.digest = scoring.digest(found.folder)
  at.comment = comment_of(found, at.digest)
  at.model = find_model(at)
  return at
end

---Builds and deploys, unless it is there; what was live before comes along.
local function put(at, found, live)
  if live and is_ours(at, live.build) and is_as_asked(at, live.deployment) then return live.deployment end
  local build = find_build(at) or make_build(at, found)
  build = await_build(at, build)
  return await_deployment(at, find_deployment(at, build) or make_deployment(at, build))
end

---@param options mlengine.deploy.Release
---@param found mlengine.deploy.Model
---@param steps { columns_in_the_way: fun(...): string?, pass_gate: fun(...): boolean, string }
---@param rehearsal boolean
---@return { outcome: "live"|"rejected"|"rehearsed", text: string, deployment?: string, url?: string }
function M.release(options, found, steps, rehearsal)
  local report = require("mlengine.serve").check(found.folder)
  check_release(options, report)
  local at = open(options, found)
  local live = at.model and live_of(at)
  local champion = champion_of(live, options.gate ~= nil)
  local refused = steps.columns_in_the_way(found.folder, champion, options)
  if not refused then
    local passes, text = steps.pass_gate(options.gate, found.folder, champion)
    refused = not passes and text or nil
  end
  if rehearsal then
    local would = refused and "would be rejected: " .. refused or "would go live as CML's model " .. at.name
    log.info("rehearsal: %s %s; nothing was deployed", found.uri, would)
    return { outcome = "rehearsed", text = would }
  end
  if refused then
    log.info("rejected: %s; CML's model %s keeps what it has", refused, at.name)
    return { outcome = "rejected", text = "rejected: " .. refused }
  end
  local deployment = put(at, found, live)
  if options.smoke then prove(at, found, report, live, deployment) end
  log.info("live: CML's model %s answers with %s at %s", at.name, found.uri, service_url(at))
  return { outcome = "live", text = "live", deployment = deployment.id, url = service_url(at) }
end

return M
