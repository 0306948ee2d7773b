--- Releases: a model goes live behind an endpoint, or the old one stays.
---
---     deploy.release {
---       endpoint = "fraud", model = "models:/FraudCLF/3", alias = "champion",
---       gate = deploy.not_worse { metric = "auc", by = 0.01, on = test },
---       smoke = true, canary = { steps = { 0.1, 0.5 }, hold = 60 },
---     }
---
--- The order: intent, verify (in a process that may die of it), gate, smoke over HTTP, shadow, canary,
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
local trial = require "mlengine.deploy.trial"

local M = {}

local gates = require "mlengine.deploy.gate"
local targets = require "mlengine.deploy.target"

M.not_worse = gates.not_worse
M.better = gates.better
M.local_server = targets.local_server
M.server = targets.server
---A model of Cloudera Machine Learning; see mlengine.deploy.cml.
---@param options? table
---@return mlengine.deploy.CML
function M.cml(options) return require("mlengine.deploy.cml").target(options) end

---@class mlengine.deploy.Release
---@field endpoint string
---@field model string                 models:/NAME/VERSION or @ALIAS, runs:/RUN/NAME, a folder
---@field alias? string                moved to the version once it answers
---@field target? mlengine.deploy.Target default: this project's server
---@field gate? mlengine.deploy.Gate|fun(candidate: mlengine.deploy.Side, live: mlengine.deploy.Side?): boolean, string?
---@field canary? mlengine.deploy.Canary a share of the traffic first
---@field shadow? mlengine.deploy.Shadow a copy of the traffic first, never answered with
---@field new_columns? boolean         columns that the live model does not have are right; else they refuse the model
---@field smoke? boolean               the logged example must score over HTTP as in the engine

---@class mlengine.deploy.Result
---@field outcome "live"|"rejected"|"rehearsed"
---@field text string
---@field deployment? integer|string CML's is a text
---@field url? string
---@field shadow? table                what the shadow told

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

local function invocations_url(at, endpoint)
  return at.url .. (at.endpoints == 1 and "/invocations" or ("/endpoints/%s/invocations"):format(endpoint))
end

--- What curl needs beside the request: a certificate that the system does not know, a key.
local function curl_options(at, endpoint)
  local options = ""
  if at.ca_file then options = " --cacert " .. shell_quote(at.ca_file) end
  if at.insecure and at.url:find "^https:" then options = " -k" end
  if at.has_keys(endpoint) then options = options .. " -H 'Authorization: Bearer KEY'" end
  return options
end

--- The live URL, and a line that can be pasted.
local function announce(at, d, folder)
  local url = invocations_url(at, d.endpoint)
  log.info("live: %s answers with %s", url, d.uri)
  local body = folder and example_body(folder)
  if body then
    log.info("  curl%s %s -H 'Content-Type: application/json' -d %s", curl_options(at, d.endpoint), url, shell_quote(body))
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

--- The folder of the model that answers now, and its deployment; nil when none does.
local function champion_of(at, endpoint)
  local live = at.records:slot(endpoint)
  return live and at.champion(live) or nil, live and live.id
end

local function encode_scores(scores) return scores ~= json.null and json.encode(scores) or nil end

--- Stages the model where it is to answer; its scores of the logged example, and the key to what is staged.
local function verify(at, d)
  local reply = at.command("load", { endpoint = d.endpoint, deployment = d.id })
  if reply.warm then return json.decode(d.scores), reply.smoke_key end
  at.records:advance(d.id, "verified", encode_scores(reply.report.scores))
  return reply.report.scores, reply.smoke_key
end

--- Why today's clients could not be answered: columns that they do not send. Nil when they can be.
local function columns_in_the_way(folder, champion, options)
  if not champion or options.new_columns then return nil end
  local known, new = {}, {}
  for _, name in ipairs(serve.look(champion).columns) do known[name] = true end
  for _, name in ipairs(serve.look(folder).columns) do
    if not known[name] then new[#new + 1] = name end
  end
  if #new == 0 then return nil end
  return ("column '%s'%s is new: clients of the live model do not send it; new_columns = true takes that"):format(
    new[1], #new > 1 and (" and %d more"):format(#new - 1) or "")
end

local function pass_gate(gate, folder, champion)
  if not gate then return true, "no gate" end
  if type(gate) == "function" then gate = gates.of_function(gate) end
  local passes, text = gate.check(folder, champion)
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
local function smoke(at, d, folder, scores, key)
  if scores == json.null then
    errors.raise("refused", (
      "%s has no input example for the smoke request; log the model with input_example, or " ..
      "release with smoke = false"
    ):format(d.uri))
  end
  local answer = http.post(("%s/endpoints/%s/staged/invocations"):format(at.url, d.endpoint), {
    body = system.read(folder .. "/serving_input_example.json"),
    headers = { ["Content-Type"] = "application/json", Authorization = "Bearer " .. key }, idempotent = true,
    ca_file = at.ca_file, insecure = at.insecure, proxy = at.proxy,
  })
  local answered_by = answer.headers["x-model-deployment"]
  if answer.status == 404 or (answer.status == 200 and answered_by ~= tostring(d.id)) then
    errors.raise("conflict", "another release to endpoint %s is under way, or was; release %s again when it is over",
      d.endpoint, d.uri)
  end
  if answer.status ~= 200 then
    errors.raise("refused", ("smoke: %s answered its logged example with %d: %s"):format(
      d.uri, answer.status, answer.body))
  end
  if not same(answer.json().predictions, scores) then
    errors.raise("refused", (
      "smoke: %s scores its logged example otherwise over HTTP than in the engine"
    ):format(d.uri))
  end
end

--- A failure on the way leaves the old model, and says so in the records.
local function abandon(at, d, problem)
  pcall(at.command, "unload", { endpoint = d.endpoint, deployment = d.id })
  pcall(at.records.advance, at.records, d.id, "failed", errors.message(problem))
  error(problem, 0)
end

local function reject(at, d, text)
  local outcome = "rejected: " .. text
  at.command("unload", { endpoint = d.endpoint, deployment = d.id })
  at.records:advance(d.id, "rejected", outcome)
  note(d, outcome)
  log.info("%s; endpoint %s keeps what it has", outcome, d.endpoint)
  return { outcome = "rejected", text = outcome, deployment = d.id }
end

--- Makes the server follow the slot record. One of ours that died meanwhile does so as it starts.
local function swap(at, d)
  local ok, problem = pcall(at.command, "swap", { endpoint = d.endpoint })
  if ok then return end
  if at.command ~= serve.command or problem.kind ~= "not found" or serve.status() then error(problem, 0) end
  serve.ensure()
  serve.command("swap", { endpoint = d.endpoint })
end

--- From the slot record on: each step may be repeated.
local function complete(at, d, folder)
  swap(at, d)
  if d.alias then
    require("mlengine.mlflow").set_alias(d.name, d.alias, model.version_number(d))
  end
  at.records:finish(d.id)
  at.prune()
  note(d, "live")
  at.endpoints = #at.command("status", {}).endpoints
  local url = announce(at, d, folder)
  return { outcome = "live", text = "live", deployment = d.id, url = url }
end

--- A shadow and a canary need a live model to be compared with.
local function try_on_traffic(at, d, options, champion)
  if not (options.canary or options.shadow) then return nil, {} end
  if champion then return trial.run(at.command, d, options) end
  log.info("no model is live at endpoint %s yet: nothing to try the new one against", d.endpoint)
  return nil, {}
end

--- What was compared with one model says nothing beside another.
local function check_unchanged(at, d, options, live)
  local now = at.records:slot(d.endpoint)
  local compared = options.gate or options.canary or options.shadow
  if not compared or (now and now.id) == live then return end
  errors.raise("conflict", "endpoint %s got %s meanwhile, which %s was not compared with; release it again",
    d.endpoint, now and now.uri or "no model", d.uri)
end

--- Up to the slot record; the result when the candidate is refused, and what a shadow told.
local function examine(at, d, options, folder)
  local scores, key = verify(at, d)
  local champion, live = champion_of(at, d.endpoint)
  local in_the_way = columns_in_the_way(folder, champion, options)
  if in_the_way then return reject(at, d, in_the_way) end
  local passes, text = pass_gate(options.gate, folder, champion)
  if not passes then return reject(at, d, text) end
  local passed = { options.gate and "gate: " .. text or nil }
  at.records:advance(d.id, "accepted", passed[1])
  if options.smoke then
    smoke(at, d, folder, scores, key)
    passed[#passed + 1] = ("smoke: %d %s over HTTP scored as in the engine"):format(#scores, #scores == 1 and "row" or "rows")
  end
  if options.smoke then at.records:advance(d.id, "accepted", table.concat(passed, "; ")) end
  local refused, said, figures = try_on_traffic(at, d, options, champion)
  if refused then return reject(at, d, refused) end
  table.move(said, 1, #said, #passed + 1, passed)
  if #said > 0 then at.records:advance(d.id, "accepted", table.concat(passed, "; ")) end
  check_unchanged(at, d, options, live)
  at.records:point(d.id)
  return nil, figures
end

-- ====== Releasing ======

local function check_release(options)
  check.options(options, {
    endpoint = "string", model = "string", alias = "string|nil",
    target = "table|nil", gate = "table|function|nil", smoke = "boolean|nil",
    canary = "table|nil", shadow = "table|nil", new_columns = "boolean|nil",
  }, "deploy.release")
  require("mle.serve").check_endpoint(options.endpoint)
  if options.alias then require("mle.mlflow").check_alias(options.alias) end -- it is moved when there is no way back
  if options.target and not targets.is(options.target) then
    errors.raise("unsupported", "option 'target' of deploy.release must be deploy.local_server(), deploy.server { url = ... } or deploy.cml { ... }")
  end
  if type(options.gate) == "table" and type(options.gate.check) ~= "function" then
    errors.raise("invalid", "option 'gate' of deploy.release must be a gate or a function; see deploy.not_worse")
  end
  trial.check(options.canary, options.shadow)
end

--- Asks, but starts nothing: the live model of this project's records, or of the other server.
local function champion_in_rehearsal(options)
  if options.target and options.target.kind == "server" then
    return champion_of(targets.open(options.target), options.endpoint)
  end
  local records <close> = targets.local_records()
  local live = records:slot(options.endpoint)
  return live and live.folder or nil
end

--- Says what a release would do, and does nothing that lasts.
local function rehearse(options, found)
  local report = serve.check(found.folder)
  log.info("rehearsal: %s passes its check (%d features)", found.uri, #report.columns)
  local champion = champion_in_rehearsal(options)
  local in_the_way = columns_in_the_way(found.folder, champion, options)
  local passes, text = false, in_the_way
  if not in_the_way then passes, text = pass_gate(options.gate, found.folder, champion) end
  local would = "would be rejected: " .. text
  if passes then would = "would go live at endpoint " .. options.endpoint end
  log.info("rehearsal: %s %s; nothing was deployed", found.uri, would)
  return { outcome = "rehearsed", text = would }
end

local function wanted_of(options, found)
  return {
    endpoint = options.endpoint, uri = found.uri, name = found.name, version = found.version,
    run_id = found.run_id, snapshot_id = found.snapshot_id, alias = options.alias,
  }
end

local function require_version(options, found)
  if options.alias and not found.version then
    errors.raise("invalid", (
      "alias '%s' needs a registered version (models:/NAME/VERSION), but the model is %s"
    ):format(options.alias, found.uri))
  end
end

--- CML builds and serves it; what it was is noted here.
local function release_to_cml(options, found, ctx)
  require_version(options, found)
  local steps = { columns_in_the_way = columns_in_the_way, pass_gate = pass_gate }
  local result = require("mlengine.deploy.cml").release(options, found, steps, (ctx and ctx.rehearsal) ~= nil)
  if result.outcome == "live" and options.alias then
    require("mlengine.mlflow").set_alias(found.name, options.alias, model.version_number(found))
  end
  if ctx and result.outcome ~= "rehearsed" then
    local text = ("%s: %s %s"):format(options.endpoint, found.uri, result.text)
    ctx:note("deployment", { text = text, endpoint = options.endpoint, uri = found.uri, version = found.version, outcome = result.text })
  end
  return result
end

---Releases a model to an endpoint.
---@param options mlengine.deploy.Release
---@return mlengine.deploy.Result
function M.release(options)
  check_release(options)
  local found = model.find(options.model)
  local ctx = context.current()
  local to_cml = options.target and options.target.kind == "cml"
  if ctx and ctx.rehearsal and not to_cml then return rehearse(options, found) end
  if ctx and not ctx.rehearsal then ctx:acts "it releases a model" end
  if to_cml then return release_to_cml(options, found, ctx) end
  require_version(options, found)
  local at = targets.open(options.target)
  local records <close> = at.records
  local d = records:get(at.begin(wanted_of(options, found), found.folder))
  local figures
  if d.state ~= "recorded" and d.state ~= "live" then
    local ok, rejected, told = pcall(examine, at, d, options, found.folder)
    if not ok then abandon(at, d, rejected) end
    if rejected then return rejected end
    figures = told
  end
  local result = complete(at, d, found.folder)
  result.shadow = figures
  return result
end

---Deploys without a gate and without a server: what `mlengine serve --model` starts with.
---@param uri string
---@param endpoint string
function M.prepare(uri, endpoint)
  require("mle.serve").check_endpoint(endpoint)
  local found = model.find(uri)
  local records <close> = targets.local_records()
  local wanted = wanted_of({ endpoint = endpoint }, found)
  local path, sha256 = native.plan(found.folder, project.current().state .. "/models")
  wanted.folder, wanted.sha256 = path, sha256
  local d = records:get(records:begin(wanted))
  native.copy(found.folder, path, sha256)
  if d.state == "live" then return end
  if d.state ~= "recorded" then
    records:advance(d.id, "verified", encode_scores(serve.check(d.folder).scores))
    records:advance(d.id, "accepted", nil)
    records:point(d.id)
  end
  records:finish(d.id)
  records:prune(project.current().state .. "/models")
end

---The newest deployments, of one endpoint or of all.
---@param endpoint? string
---@param options? { target?: mlengine.deploy.Target }
---@return table[]
function M.history(endpoint, options)
  options = check.options(options, { target = "table|nil" }, "deploy.history")
  if options.target and options.target.kind ~= "local" then return targets.open(options.target).records:list(endpoint) end
  if not system.stat(project.current().state .. "/state.db") then return {} end
  local records <close> = targets.local_records()
  return records:list(endpoint, 100)
end

-- ====== Going back ======

local function earlier_of(records, endpoint, at)
  local now = records:slot(endpoint)
  if not now then
    local of_server = at and at.command ~= serve.command and " --server " .. at.url or ""
    errors.raise("not found", "there is no endpoint '%s'; mlengine deployments%s lists them", endpoint, of_server)
  end
  if not now.previous then
    errors.raise("refused", ("endpoint '%s' has no version before %s"):format(endpoint, now.uri))
  end
  return now, records:get(now.previous)
end

local BACK <const> = "back from "

--- A rollback that died behind its slot record: what is left of it is to be done, and not another one.
local function half_back(records, endpoint)
  local now = records:slot(endpoint)
  if now and now.state == "recorded" and (now.outcome or ""):sub(1, #BACK) == BACK then return now end
end

--- What was deployed there before, deployed again: its copy is still here, and mostly its model in memory.
local function begin_again(at, now, earlier)
  local wanted = wanted_of({ endpoint = now.endpoint, alias = earlier.version and now.alias or nil }, earlier)
  wanted.folder, wanted.sha256 = earlier.folder, earlier.sha256
  if at.command ~= serve.command then wanted.copy_of = earlier.id end
  local id = at.records:begin(wanted)
  if earlier.scores then at.records:advance(id, "verified", earlier.scores) end
  return at.records:get(id)
end

--- Up to the slot record.
local function go_back(at, endpoint)
  local now, earlier = earlier_of(at.records, endpoint, at)
  local d = begin_again(at, now, earlier)
  local ok, problem = pcall(verify, at, d)
  if not ok then abandon(at, d, problem) end
  at.records:advance(d.id, "accepted", BACK .. now.uri)
  at.records:point_back(d.id, earlier.id)
  return d
end

--- The records of a target, asked without starting anything; to be closed.
local function records_of(target)
  if target and target.kind ~= "local" then return targets.open(target).records end
  return targets.local_records()
end

local function rehearsed(endpoint, would)
  log.info("rehearsal: endpoint %s %s; nothing was done", endpoint, would)
  return { outcome = "rehearsed", text = would }
end

local function rehearse_rollback(endpoint, target)
  local records <close> = records_of(target)
  local now, earlier = earlier_of(records, endpoint)
  return rehearsed(endpoint, ("would go from %s back to %s"):format(now.uri, earlier.uri))
end

---Makes an endpoint answer with what it had before, and moves the alias back too.
---@param endpoint string
---@param options? { target?: mlengine.deploy.Target }
---@return mlengine.deploy.Result
function M.rollback(endpoint, options)
  options = check.options(options, { target = "table|nil" }, "deploy.rollback")
  local ctx = context.current()
  if ctx and ctx.rehearsal then return rehearse_rollback(endpoint, options.target) end
  if ctx then ctx:acts "it rolls an endpoint back" end
  local ours = not options.target or options.target.kind == "local"
  if ours then -- before a server is started for nothing
    local records <close> = targets.local_records()
    if not half_back(records, endpoint) then earlier_of(records, endpoint) end
  end
  local at = targets.open(options.target)
  local records <close> = at.records
  local d = half_back(records, endpoint) or go_back(at, endpoint)
  return complete(at, d, ours and d.folder or nil)
end

-- ====== Ending an endpoint ======

---Ends an endpoint: it has no model from now on, also after the server's next start. Its history and keys stay.
---@param endpoint string
---@param options? { target?: mlengine.deploy.Target }
---@return { outcome: "retired"|"rehearsed" }
function M.retire(endpoint, options)
  options = check.options(options, { target = "table|nil" }, "deploy.retire")
  local ctx = context.current()
  if ctx and ctx.rehearsal then return rehearsed(endpoint, "would be retired") end
  if ctx then ctx:acts "it retires an endpoint" end
  if options.target and options.target.kind ~= "local" then
    local at = targets.open(options.target)
    at.records:retire(endpoint)
    at.command("retire", { endpoint = endpoint })
    return { outcome = "retired" }
  end
  local records <close> = targets.local_records()
  records:retire(endpoint)
  if serve.status() then serve.command("retire", { endpoint = endpoint }) end
  return { outcome = "retired" }
end

return M
