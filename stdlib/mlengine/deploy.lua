--- Releases: a model goes live behind an endpoint, or the old one stays.
---
---     deploy.release {
---       endpoint = "fraud", model = "models:/FraudCLF/3", alias = "champion",
---       gate = deploy.not_worse { metric = "auc", by = 0.01, on = test },
---       smoke = true,
---     }
---
--- The order: intent, verify (in a process that may die of it), gate, smoke over HTTP,
--- the slot record, the swap, the alias, success. Whatever dies on the way, the same
--- call again takes up what is left. A refused candidate is an outcome, not an error.

local check = require "mlengine.check"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local http = require "mlengine.http"
local json = require "mlengine.json"
local log = require "mlengine.log"
local model = require "mlengine.deploy.model"
local native = require "mle.deploy"
local project = require "mlengine.project"
local serve = require "mlengine.serve"
local system = require "mle.system"

local M = {}

M.not_worse = require("mlengine.deploy.gate").not_worse

---@class mlengine.deploy.Target
---@field kind "local"
---@field host? string
---@field port? integer

---@class mlengine.deploy.Release
---@field endpoint string
---@field model string                 models:/NAME/VERSION or @ALIAS, runs:/RUN/NAME, a folder
---@field alias? string                moved to the version once it answers
---@field target? mlengine.deploy.Target default: this project's server
---@field gate? mlengine.deploy.Gate
---@field smoke? boolean               the logged example must score over HTTP as in the engine

---@class mlengine.deploy.Result
---@field outcome "live"|"rejected"|"rehearsed"
---@field text string
---@field deployment? integer
---@field url? string

---This project's server, started when it does not run.
---@param options? { host?: string, port?: integer } default: the configuration's
---@return mlengine.deploy.Target
function M.local_server(options)
  local known <const> = { host = "string|nil", port = "integer|nil" }
  options = check.options(options, known, "deploy.local_server")
  return { kind = "local", host = options.host, port = options.port }
end

local function address_of(target)
  local configured = require("mlengine.config").serving()
  return { host = target.host or configured.host, port = target.port or configured.port }
end

local function models_folder() return project.current().state .. "/models" end

local function open_records() return native.open(project.make_state()) end

-- ====== What users see ======

local ONE_LINE <const> = 2000

--- A request with the logged example's first row, when there is one and it is short.
local function example_body(folder)
  local report = serve.look(folder)
  if report.example == json.null or not report.example[1] then return nil end
  local split = { columns = report.columns, data = { report.example[1] } }
  local body = json.encode { dataframe_split = split }
  return #body <= ONE_LINE and body or nil
end

local function shell_quote(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

local function invocations_url(status, endpoint)
  local only = #status.endpoints == 1
  return status.url .. (only and "/invocations" or ("/endpoints/%s/invocations"):format(endpoint))
end

--- The live URL, and a line that can be pasted.
local function announce(status, d)
  local url = invocations_url(status, d.endpoint)
  log.info("live: %s answers with %s", url, d.uri)
  local body = example_body(d.folder)
  if body then
    log.info("  curl %s -H 'Content-Type: application/json' -d %s", url, shell_quote(body))
  end
  return url
end

local function note(d, outcome)
  local ctx = context.current()
  if not ctx then return end
  ctx:note("deployment", {
    text = ("%s: %s %s"):format(d.endpoint, d.uri, outcome),
    deployment = d.id, endpoint = d.endpoint, uri = d.uri, version = d.version, outcome = outcome,
  })
end

-- ====== Steps ======

--- The model that answers now: its folder, nil when none does.
local function champion_of(records, endpoint)
  local live = records:slot(endpoint)
  return live and live.folder or nil
end

local function encode_scores(scores) return scores ~= json.null and json.encode(scores) or nil end

local function verify(records, d)
  local reply = serve.command("load", { endpoint = d.endpoint, deployment = d.id })
  records:advance(d.id, "verified", encode_scores(reply.report.scores))
  return reply.report.scores
end

local function pass_gate(gate, d, champion)
  if not gate then return true, "no gate" end
  local passes, text = gate.check(d.folder, champion)
  log.info("gate: %s", text)
  return passes, text
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  for i = 1, #a do
    if not same(a[i], b[i]) then return false end
  end
  return true
end

--- The staged model must answer the logged example over HTTP as the engine scored it.
local function smoke(status, d, scores)
  if scores == json.null then
    errors.raise("refused", (
      "%s has no input example for the smoke request; log the model with input_example, or " ..
      "release with smoke = false"
    ):format(d.uri))
  end
  local answer = http.post(("%s/endpoints/%s/staged/invocations"):format(status.url, d.endpoint), {
    body = system.read(d.folder .. "/serving_input_example.json"),
    headers = { ["Content-Type"] = "application/json" }, idempotent = true,
  })
  if answer.status ~= 200 then
    errors.raise("refused", ("smoke: %s answered its logged example with %d: %s"):format(
      d.uri, answer.status, answer.body))
  end
  if answer.headers["x-model-deployment"] ~= tostring(d.id) then
    errors.raise("conflict", (
      "another release to endpoint %s is under way; try again when it is over"
    ):format(d.endpoint))
  end
  if not same(answer.json().predictions, scores) then
    errors.raise("refused", (
      "smoke: %s scores its logged example otherwise over HTTP than in the engine"
    ):format(d.uri))
  end
end

--- A failure on the way leaves the old model, and says so in the records.
local function abandon(records, d, problem)
  pcall(serve.command, "unload", { endpoint = d.endpoint })
  pcall(records.advance, records, d.id, "failed", errors.message(problem))
  error(problem, 0)
end

local function reject(records, d, text)
  local outcome = "rejected: " .. text
  serve.command("unload", { endpoint = d.endpoint })
  records:advance(d.id, "rejected", outcome)
  note(d, outcome)
  log.info("%s; endpoint %s keeps what it has", outcome, d.endpoint)
  return { outcome = "rejected", text = outcome, deployment = d.id }
end

--- Makes the server follow the slot record. One that died meanwhile does so as it starts.
local function swap(d)
  local ok, problem = pcall(serve.command, "swap", { endpoint = d.endpoint })
  if ok then return end
  if problem.kind ~= "not found" or serve.status() then error(problem, 0) end
  serve.ensure()
  serve.command("swap", { endpoint = d.endpoint })
end

--- From the slot record on: each step may be repeated.
local function complete(records, d, status)
  swap(d)
  if d.alias then
    require("mlengine.mlflow").set_alias(d.name, d.alias, model.version_number(d))
  end
  records:finish(d.id)
  records:prune(models_folder())
  note(d, "live")
  local url = announce(serve.status() or status, d)
  return { outcome = "live", text = "live", deployment = d.id, url = url }
end

local function examine(records, d, options, status)
  local scores = verify(records, d)
  local passes, text = pass_gate(options.gate, d, champion_of(records, d.endpoint))
  if not passes then return reject(records, d, text) end
  records:advance(d.id, "accepted", nil)
  if options.smoke then smoke(status, d, scores) end
  records:point(d.id)
  return nil
end

-- ====== Releasing ======

local function check_release(options)
  check.options(options, {
    endpoint = "string", model = "string", alias = "string|nil",
    target = "table|nil", gate = "table|nil", smoke = "boolean|nil",
  }, "deploy.release")
  require("mle.serve").check_endpoint(options.endpoint)
  if options.target and options.target.kind ~= "local" then
    errors.raise("unsupported", "option 'target' of deploy.release must be deploy.local_server()")
  end
  if options.gate and type(options.gate.check) ~= "function" then
    errors.raise("invalid", "option 'gate' of deploy.release must be a gate; see deploy.not_worse")
  end
end

--- Says what a release would do, and does nothing that lasts.
local function rehearse(options, found)
  local records <close> = open_records()
  local report = serve.check(found.folder)
  log.info("rehearsal: %s passes its check (%d features)", found.uri, #report.columns)
  local champion = champion_of(records, options.endpoint)
  local passes, text = pass_gate(options.gate, { folder = found.folder }, champion)
  local would = "would be rejected: " .. text
  if passes then would = "would go live at endpoint " .. options.endpoint end
  log.info("rehearsal: %s %s; nothing was deployed", found.uri, would)
  return { outcome = "rehearsed", text = would }
end

local function begin(records, options, found)
  local path, sha256 = native.plan(found.folder, models_folder())
  local id = records:begin {
    endpoint = options.endpoint, uri = found.uri, name = found.name, version = found.version,
    run_id = found.run_id, snapshot_id = found.snapshot_id, folder = path, sha256 = sha256,
    alias = options.alias,
  }
  native.copy(found.folder, path, sha256)
  return records:get(id)
end

local function require_version(options, found)
  if options.alias and not found.version then
    errors.raise("invalid", (
      "alias '%s' needs a registered version (models:/NAME/VERSION), but the model is %s"
    ):format(options.alias, found.uri))
  end
end

---Releases a model to an endpoint.
---@param options mlengine.deploy.Release
---@return mlengine.deploy.Result
function M.release(options)
  check_release(options)
  local found = model.find(options.model)
  local ctx = context.current()
  if ctx and ctx.rehearsal then return rehearse(options, found) end
  require_version(options, found)
  local records <close> = open_records()
  local d = begin(records, options, found)
  local status = serve.ensure(address_of(options.target or {}))
  if d.state ~= "recorded" and d.state ~= "live" then
    local ok, rejected = pcall(examine, records, d, options, status)
    if not ok then abandon(records, d, rejected) end
    if rejected then return rejected end
  end
  return complete(records, d, status)
end

---Deploys without a gate and without a server: what `mlengine serve --model` starts with.
---@param uri string
---@param endpoint string
function M.prepare(uri, endpoint)
  require("mle.serve").check_endpoint(endpoint)
  local found = model.find(uri)
  local records <close> = open_records()
  local d = begin(records, { endpoint = endpoint }, found)
  if d.state == "live" then return end
  if d.state ~= "recorded" then
    records:advance(d.id, "verified", encode_scores(serve.check(d.folder).scores))
    records:advance(d.id, "accepted", nil)
    records:point(d.id)
  end
  records:finish(d.id)
end

---The newest deployments, of one endpoint or of all.
---@param endpoint? string
---@return table[]
function M.history(endpoint)
  if not system.stat(project.current().state .. "/state.db") then return {} end
  local records <close> = open_records()
  return records:list(endpoint, 100)
end

-- ====== Going back ======

local function earlier_of(records, endpoint)
  local now = records:slot(endpoint)
  if not now then
    errors.raise("not found", ("there is no endpoint '%s'; mlengine deployments lists them"):format(
      endpoint))
  end
  if not now.previous then
    errors.raise("refused", ("endpoint '%s' has no version before %s"):format(endpoint, now.uri))
  end
  return now, records:get(now.previous)
end

---Makes an endpoint answer with what it had before, and moves the alias back too.
---@param endpoint string
---@return mlengine.deploy.Result
function M.rollback(endpoint)
  local records <close> = open_records()
  local now, earlier = earlier_of(records, endpoint)
  local id = records:begin {
    endpoint = endpoint, uri = earlier.uri, name = earlier.name, version = earlier.version,
    run_id = earlier.run_id, snapshot_id = earlier.snapshot_id, folder = earlier.folder,
    sha256 = earlier.sha256, alias = earlier.version and now.alias or nil,
  }
  local d = records:get(id)
  local status = serve.ensure()
  local ok, problem = pcall(verify, records, d)
  if not ok then abandon(records, d, problem) end
  records:advance(id, "accepted", ("back from %s"):format(now.uri))
  records:point_back(id, earlier.id)
  return complete(records, d, status)
end

return M
