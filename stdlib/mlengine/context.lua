--- What a job's process knows of the run it is. Modules that act elsewhere
--- (mlflow, deploy) record here what they are about to do, and what is to be
--- done once the run's success is committed.

local json = require "mlengine.json"
local secrets = require "mlengine.jobs.secrets"

local M = {}

---@class mlengine.Context
---@field run_id integer
---@field attempt integer      from 1; a later one reads what the first was to read
---@field key? string          the run's, which no other run of any state has
---@field consumer string      whose watermarks move when the run succeeds
---@field pipeline? string     nil for a script on its own
---@field job string
---@field rehearsal? "again"|"range"|"full"|"dry-run"|"watch"|"repl" nil: the job itself
---@field rehearsal_range? { from?: integer, to?: integer } of "range"
---@field resources { cpu?: integer, memory?: integer } memory in bytes
---@field input? table         what the engine wrote for the job's process
---@field folder? string       the run's own folder, for what need not outlive it long
---@field params table<string, any>
---@field inputs table<string, mlengine.jobs.Input>
---@field aliases? table<string, string> other names of the inputs
---@field state? mle.jobs.State nil in a repl: then nothing is recorded
---@field ask? fun(request: { serve: string }) has the engine start the model server, for it outlives the job
---@field actions { kind: string, data: string }[]
---@field outputs table<string, any>
---@field pinned? mlengine.jobs.Pinned what an earlier run read and found, for one that repeats it
---@field answers? table<string, { value: any }> what an earlier attempt of this run was answered
---@field recalled? table<string, boolean>
---@field dependencies? table  of a job with `reuse`: what the run depends on; see jobs/reuse.lua
---@field on_table? fun(table_: mlengine.iceberg.Table) of a job with `reuse`: a table was loaded
---@field on_file? fun(path: string) of a job with `reuse`: a file was opened
local Context = {}
Context.__index = Context

local current

---The run this process is; nil outside a job.
---@return mlengine.Context?
function M.current() return current end

---Makes this process a run.
---@param fields table
---@return mlengine.Context
function M.enter(fields)
  fields.resources = fields.resources or {}
  fields.params = fields.params or {}
  fields.inputs = fields.inputs or {}
  fields.actions, fields.outputs = {}, {}
  current = setmetatable(fields, Context)
  return current
end

---Ends what `enter` began; for tests and the repl.
function M.leave() current = nil end

---Records what is about to be done elsewhere. It is on disk when this returns, so
---that recovery can end what this process leaves dangling.
---@param kind string "mlflow_run": data is { tracking_uri, run_id }
---@param data table
function Context:intent(kind, data)
  if self.state then self.state:intend(self.run_id, kind, json.encode(secrets.mask(data))) end
end

---Has something done after the run's success is committed: by this process, or
---by recovery when it ended in between. So it must bear being done twice.
---@param kind string "mlflow_finish": data is { tracking_uri, run_id, status, end_time }
---@param data table
function Context:on_success(kind, data)
  self.actions[#self.actions + 1] = { kind = kind, data = json.encode(secrets.mask(data)) }
end

---Records a fact for the history; `text` in it is shown beside the run.
---@param kind string "model", "deployment", ...
---@param data table
function Context:note(kind, data)
  if self.state then self.state:note(self.run_id, kind, json.encode(secrets.mask(data))) end
end

--- Of a job with `reuse`: what the run depends on. What was first is what counts.
---@param kind "modules"|"files"|"tables"|"aliases"
---@param key string
---@param value any
function Context:depends(kind, key, value)
  local on = self.dependencies
  if not on or on[kind][key] ~= nil then return end
  on[kind][key], on.count = value, on.count + 1
end

--- Of a job with `reuse`: what cannot be taken over from an earlier run, so that this one never is.
---@param why string
function Context:acts(why)
  if self.dependencies then self.dependencies.never = self.dependencies.never or why end
end

local function earlier_answers(self) return self.pinned and self.pinned.answers or self.answers end

---What depends on when it is asked: recorded, so that a later attempt, and a run that repeats
---this one, get the same answer. `data` of the note is { key, value } and what `ask` gives besides.
---@param kind string "alias", "scan", "used"
---@param key string
---@param ask fun(): any, table? the answer, and facts for the history
---@return any
function Context:recall(kind, key, ask)
  local name, earlier = kind .. ":" .. key, earlier_answers(self)
  if earlier and earlier[name] then return earlier[name].value end
  local value, facts = ask()
  self.recalled = self.recalled or {}
  if not self.recalled[name] then
    self.recalled[name] = true
    local data = { key = key, value = value }
    for fact, of in pairs(facts or {}) do data[fact] = of end
    self:note(kind, data)
    if kind == "alias" then self:depends("aliases", key, value or false) end
  end
  return value
end

---The run itself has changed the answer: from now on it is this.
---@param kind string
---@param key string
---@param value any
function Context:answer(kind, key, value)
  local earlier = earlier_answers(self)
  if earlier then earlier[kind .. ":" .. key] = { value = value } end
end

return M
