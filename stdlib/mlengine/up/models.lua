--- Endpoints and their releases, for the page: what answers, with which share and how fast, and a request to try.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local native = require "mle.deploy"

local M = {}

local RELEASES_MAX <const> = 30
local BODY_MAX <const> = 512 << 10

local records

--- What changes with any release: for those who follow.
---@param up mlengine.Up
---@return string JSON
function M.stamp(up)
  records = records or native.open(up.folder)
  local newest = records:list(nil, 20)
  local list = {}
  for i, d in ipairs(newest) do list[i] = { deployment = d.id, endpoint = d.endpoint, uri = d.uri, state = d.state, outcome = d.outcome } end
  return json.encode(json.array(list))
end

-- ====== In a child ======

local function null(value)
  if value == nil then return json.null end
  return value
end

--- { name, labels, value } of Prometheus' text.
local function samples_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    local name, labels, value = line:match "^([%w_:]+)(%b{}) (%S+)$"
    if name and labels:find 'version="' then
      local found = {}
      for key, of in labels:gmatch '([%w_]+)="([^"]*)"' do found[key] = of end
      list[#list + 1] = { name = name, labels = found, value = tonumber(value) or 0 }
    end
  end
  return list
end

--- What was counted of each version: requests, failures, seconds, buckets.
local function add_counts(by_version, sample)
  local key = (sample.labels.model or "") .. "\0" .. sample.labels.version
  local of = by_version[key] or { requests = 0, failed = 0, seconds = 0, buckets = {} }
  by_version[key] = of
  if sample.name == "mlengine_requests_total" then
    of.requests = of.requests + sample.value
    if not (sample.labels.code or ""):find "^2" then of.failed = of.failed + sample.value end
  elseif sample.name == "mlengine_request_duration_seconds_sum" then
    of.seconds = of.seconds + sample.value
  elseif sample.name == "mlengine_request_duration_seconds_bucket" then
    local bound = sample.labels.le or "+Inf"
    of.buckets[bound] = (of.buckets[bound] or 0) + sample.value
  end
end

local function counts_of(url)
  local own = require("mlengine.serve").OWN
  local ok, answer = pcall(require("mlengine.http").get, url .. "/metrics", { timeout = 5, insecure = own.insecure, proxy = own.proxy })
  if not ok or answer.status ~= 200 then return {} end
  local by_version = {}
  for _, sample in ipairs(samples_of(answer.body)) do add_counts(by_version, sample) end
  return by_version
end

local function traffic_of(by_version, endpoint)
  local list = {}
  for key, of in pairs(by_version) do
    local name, version = key:match "^(.-)%z(.*)$"
    if name == endpoint then
      of.version, list[#list + 1] = version, of
    end
  end
  table.sort(list, function(a, b) return a.version < b.version end)
  return json.array(list)
end

local function status_of_server()
  local ok, status = pcall(require("mlengine.serve").command, "status")
  return ok and status or nil
end

local function release_of(d)
  return {
    deployment = d.id, endpoint = d.endpoint, uri = d.uri, name = null(d.name), version = null(d.version), state = d.state,
    outcome = null(d.outcome), alias = null(d.alias), run_id = null(d.run_id), snapshot_id = null(d.snapshot_id),
    previous = null(d.previous), created = d.created_ms, updated = d.updated_ms,
  }
end

--- Only looked at: a trial ends by itself when the release that drives it is gone, whoever watches.
local function trial_of(status)
  if not status or not status.staged then return json.null end
  local serve = require "mlengine.serve"
  local ok, trial = pcall(serve.command, "trial", { endpoint = status.endpoint, deployment = status.staged, look = true })
  return ok and trial or json.null
end

local function endpoint_of(at, name, served, server, counts)
  local releases = {}
  for i, d in ipairs(at:list(name, RELEASES_MAX)) do releases[i] = release_of(d) end
  local slot = at:slot(name)
  return {
    endpoint = name, live = slot and release_of(slot) or json.null, served = served and null(served.uri) or json.null,
    staged = served and null(served.staged) or json.null, trial = trial_of(served), releases = json.array(releases),
    traffic = traffic_of(counts, name), url = server and server.url .. "/endpoints/" .. name .. "/invocations" or json.null,
  }
end

---@return table
function M.endpoints()
  local at <close> = native.open(require("mlengine.project").make_state())
  local server, served, list = status_of_server(), {}, {}
  for _, one in ipairs(server and server.endpoints or {}) do served[one.endpoint] = one end
  local names, seen = {}, {}
  for _, d in ipairs(at:list(nil, 1000)) do
    if not seen[d.endpoint] then
      seen[d.endpoint], names[#names + 1] = true, d.endpoint
    end
  end
  table.sort(names)
  local counts = server and counts_of(server.url) or {}
  for i, name in ipairs(names) do list[i] = endpoint_of(at, name, served[name], server, counts) end
  return { server = server and { url = server.url, pid = server.pid, version = server.version } or json.null, endpoints = json.array(list) }
end

local function live_of(endpoint)
  local at <close> = native.open(require("mlengine.project").make_state())
  return at:slot(endpoint) or errors.raise("not found", "there is no endpoint '%s'; mlengine deployments lists them", endpoint)
end

---A request with the logged example's rows.
---@param endpoint string
---@return table
function M.example(endpoint)
  local report = require("mlengine.serve").look(live_of(endpoint).folder)
  local rows = report.example
  if rows == json.null then
    rows = { {} }
    for i in ipairs(report.columns) do rows[1][i] = 0 end
  end
  local data = {}
  for i = 1, math.min(#rows, 3) do data[i] = json.array(rows[i]) end
  return { logged = report.example ~= json.null, body = { dataframe_split = { columns = json.array(report.columns), data = json.array(data) } } }
end

---Sends the model server a request, and tells what it answered.
---@param endpoint string
---@param body string JSON
---@return table
function M.invoke(endpoint, body)
  if #body > BODY_MAX then errors.raise("refused", "the page sends at most %d bytes", BODY_MAX) end
  local server = status_of_server() or errors.raise("not found", "the model server does not run; mlengine serve starts it")
  local own, began = require("mlengine.serve").OWN, require("mle.system").monotonic_ns()
  local answer = require("mlengine.http").post(("%s/endpoints/%s/invocations"):format(server.url, endpoint), {
    body = body, headers = { ["Content-Type"] = "application/json" }, timeout = 30, insecure = own.insecure, proxy = own.proxy,
  })
  return {
    status = answer.status, body = answer.body, ms = (require("mle.system").monotonic_ns() - began) / 1e6,
    version = null(answer.headers["x-model-version"]), deployment = null(answer.headers["x-model-deployment"]),
  }
end

return M
