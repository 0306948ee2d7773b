--- Telling others how a run ended: by webhook, by mail, or by a function of the pipeline's
--- file. Each is done in a process of its own, which has 30 s; what goes wrong there is
--- a warning and a note of the run, never its end.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local process = require "mle.process"
local secrets = require "mlengine.jobs.secrets"
local system = require "mle.system"

local M = {}

local TIMEOUT_NS <const> = 30 * 10 ^ 9 // 1 | 0
local TICK_MS <const> = 200

local event_of <const> = {
  succeeded = "success", failed = "failure", lost = "failure", ["timed-out"] = "timeout", skipped = "skip",
}

-- ====== In the engine ======

local function is_rejected(result)
  for _, note in ipairs(result.notes or {}) do
    if note.kind == "deployment" and tostring(note.data.outcome):find "^rejected" then return note.data.text end
  end
end

--- What happened, "success" or "rejection"; nil for what nobody is told: the user stopped it.
local function events(result)
  local list = { event_of[result.state] }
  local rejected = result.state == "succeeded" and is_rejected(result)
  if rejected then list[#list + 1] = "rejection" end
  return list, rejected
end

local function describe(spec, result, event, rejected)
  local name = spec.pipeline .. "/" .. spec.job
  local why = event == "rejection" and rejected or result.reason
  return {
    event = event, pipeline = spec.pipeline, job = spec.job, run = result.run, state = result.state, reason = why,
    outputs = result.outputs, created = system.time_text(result.created), ended = system.time_text(result.ended),
    text = ("%s: %s (run %d)%s"):format(name, event == "rejection" and event or result.reused and "reused" or result.state, result.run, why and ": " .. why or ""),
  }
end

--- The last thing it said on its standard error, when it did not succeed.
local function follow(child)
  local deadline, said = system.monotonic_ns() + TIMEOUT_NS, nil
  while true do
    local kind, a, b = child:next(TICK_MS)
    if kind == "line" and a then said = b:gsub("^mlengine: ", "") end
    if kind == "line" and not a then io.stderr:write(b, "\n") end
    if kind == "ended" then
      if a == 0 and b == 0 then return nil end
      return said or "its process ended without a word"
    end
    if system.monotonic_ns() > deadline then return "it took longer than 30 s" end
  end
end

local function deliver(state, spec, index, event)
  local ok, problem = pcall(function()
    local child <close> = process.start {
      argv = { "child", "notify" },
      input = json.encode { file = spec.pipeline_file, environment = spec.environment, job = spec.job, index = index, event = event },
    }
    return follow(child)
  end)
  if not ok then problem = errors.message(problem) end
  if not problem then return end
  log.warning("nobody was told of the %s of '%s': %s", event.event, spec.job, problem)
  pcall(state.note, state, event.run, "notify", json.encode { text = ("not told of the %s: %s"):format(event.event, problem) })
end

---Tells whoever wants to know how a run ended.
---@param state mle.jobs.State
---@param spec mlengine.jobs.Spec
---@param result mlengine.jobs.Result
function M.send(state, spec, result)
  if not spec.notify or spec.rehearsal then return end
  local list, rejected = events(result)
  for _, event in ipairs(list) do
    for i, entry in ipairs(spec.notify) do
      if entry.on[event] then deliver(state, spec, i, describe(spec, result, event, rejected)) end
    end
  end
end

-- ====== In the child ======

local function post(url, event)
  local place = url:match "^%a+://[^/?#]*" -- the rest may be a secret, as Slack's is
  local ok, answer = pcall(require("mlengine.http").post, url, { json = event, timeout = 10, retries = 2, idempotent = true })
  if not ok then errors.raise("io", "%s", (errors.message(answer):gsub(url:gsub("%W", "%%%0"), (place:gsub("%%", "%%%%"))))) end
  if answer.status >= 300 then errors.raise("io", "%s answered %d", place, answer.status) end
end

local function send_one(entry, event)
  if entry.call then return entry.call(event) end
  if entry.email then return require("mlengine.jobs.mail").send(entry.email, event) end
  local url = entry.webhook
  if type(url) == "table" then url = secrets.value(url, "the webhook's URL") end
  post(url, event)
end

---@return integer exit code
function M.serve()
  local input = json.decode(process.take_input())
  process.die_with_parent()
  require("mlengine.project").use(input.file)
  local pipeline = require("mlengine.script").run(input.file)
  local entry = pipeline:notification(input.job, input.index, input.environment)
  if not entry then errors.raise("not found", "%s does not say any more whom to tell", input.file) end
  send_one(entry, input.event)
  return 0
end

return M
