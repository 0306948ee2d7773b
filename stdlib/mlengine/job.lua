--- What a job script says to the engine that runs it.
---
---     local job = require "mlengine.job"
---     local params = job.params { rounds = { 100, "boosting rounds", min = 1 } }
---     local batch = job.increment(catalog:load_table "bank.cc_trx")
---     if batch.empty then job.skip "no new snapshot" end
---     job.output { model = version.uri }
---
--- The run succeeds when the script ends without an error: then its outputs,
--- and how far it has read, are committed together.

local check = require "mlengine.check"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local secrets = require "mlengine.jobs.secrets"

local M = {}

local OUTPUTS_MAX <const> = 64 << 10
local FRAME <const> = "$frame"

---@class mlengine.jobs.Input
---@field run? integer            the parent's run; nil when it never succeeded
---@field outputs? table
---@field on string               the condition under which this job follows it

---@class mlengine.jobs.Skip      what a skipped script hands to the process that runs it
---@field reason string

local function here(what)
  local current = context.current()
  if current then return current end
  errors.raise("refused", "%s needs a run; start the script with: mlengine run FILE.lua", what)
end

---The script's parameters, from `-p name=value` and the pipeline's `params`. Outside a
---run they have their defaults. Reading a name that was not declared is an error.
---
---     local params = job.params {
---       rows = { 10000, "rows in the batch", min = 1 },
---       file = { nil, "a CSV or Parquet file", type = "string" },
---       mode = { "full", "what to read", enum = { "full", "new" } },
---     }
---@param specs table<string, mlengine.params.Spec>
---@return table<string, any>
function M.params(specs)
  local current = context.current()
  return require("mlengine.params").resolve(specs, current and current.params or {})
end

---One line into the run's log, formatted as string.format does.
---@param format string
---@param ... any
function M.log(format, ...) log.info(format, ...) end

-- ====== Rows ======

---@class mlengine.job.IncrementOptions
---@field consumer? string      whose watermark; default: this job
---@field initial? "full"|"latest"|integer|string where the first run begins: at the beginning (default), now, or after a snapshot, a tag, a time
---@field commit? "succeeded"|"deployed" when the rows count as consumed; deployed: once a model of this run is live
---@field schema? "current"|"end"   the columns as the table has them now, or as they were at the range's end
---@field max_snapshots? integer    at most so many in one run; `batch.more` says that others follow
---@field max_rows? integer         whole snapshots of at most so many rows together, but at least one
---@field last? { snapshots: integer } train on the last so many snapshots, what is new among them
---@field since? string             train on what was committed since "30d" before the range's end, or since a time
---@field on_non_append? "error"|"skip"|"include_added" a snapshot between that overwrote or deleted
---@field on_gap? "error"|"full"  history between was expired
---@field on_rollback? "error"|"common_ancestor"|"full" the last consumed snapshot is no ancestor any more
---@field branch? string           "main"

---The rows appended to a table since this consumer last succeeded, as a frame with
---the fields `rows`, `range`, `empty`, `more`, `snapshots`, `tags` and `drift` (what changed of
---the columns since). They count as consumed
---when, and only when, this run succeeds.
---
---     local batch = job.increment(table)
---     if batch.empty then job.skip "no new snapshot" end
---@param table_ table           of mlengine.iceberg
---@param options? mlengine.job.IncrementOptions
---@return table frame
function M.increment(table_, options)
  return require("mlengine.jobs.increment").read(here "job.increment", table_, options)
end

---Ends the run as skipped: nothing was to be done. Never returns. Rows that were
---seen but skipped stay new; `batch.empty` has none.
---@param reason string
function M.skip(reason)
  check.type(reason, "string", "the reason given to job.skip")
  here "job.skip".skipped = reason
  if coroutine.running() == context.current().thread and coroutine.isyieldable() then
    coroutine.yield { reason = reason } -- and is not resumed, so that no pcall catches it
  end
  error(errors.new("skipped", reason), 0)
end

-- ====== Outputs and inputs ======

local function is_frame(value)
  return type(value) == "table" and getmetatable(value) ~= nil and type(value.recipe) == "function"
end

--- Frames travel as their recipes.
local function encode(value, depth)
  if is_frame(value) then return { [FRAME] = value:recipe() } end
  if type(value) ~= "table" or depth > 20 then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = encode(item, depth + 1) end
  return getmetatable(value) and #copy == 0 and next(copy) == nil and value or copy
end

local function decode(value)
  if type(value) ~= "table" then
    if value == json.null then return nil end
    return value
  end
  if value[FRAME] then return require("mlengine.frame").from_recipe(value[FRAME]) end
  local copy = {}
  for key, item in pairs(value) do copy[key] = decode(item) end
  return copy
end

---Adds to what the run puts out for its children: names and plain values, and
---frames. A later call with the same name replaces the value. At most 64 KiB.
---@param values table<string, any>
function M.output(values)
  local current = here "job.output"
  check.type(values, "table", "what job.output takes")
  local merged = {}
  for name, value in pairs(current.outputs) do merged[name] = value end
  for name, value in pairs(values) do
    check.type(name, "string", "a name given to job.output")
    merged[name] = encode(value, 0)
    if secrets.holds { [name] = merged[name] } then
      errors.raise("refused", "job.output: '%s' holds a secret of this job; outputs are kept in the history", secrets.mask(name))
    end
  end
  local ok, text = pcall(json.encode, merged)
  if not ok then
    errors.raise("invalid", "job.output: " .. errors.message(text):gsub("^.-:%d+: ", ""))
  end
  if #text > OUTPUTS_MAX then
    errors.raise("refused", "job.output: the outputs take %d bytes, at most %d are kept; write the data to a table or an artifact, and put out its name",
      #text, OUTPUTS_MAX)
  end
  current.outputs = merged
end

local function parents_of(current)
  local names = {}
  for name in pairs(current.inputs) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function choose_parent(current, name)
  local names = parents_of(current)
  name = current.aliases and current.aliases[name] or name
  if #names == 0 then
    errors.raise("refused", current.pipeline and ("job.input: '%s' follows no other job"):format(current.job)
      or ("job.input: no pipeline names this script, so it follows no job; run it from one, or name it there"))
  end
  if name == nil and #names == 1 then return names[1] end
  if name == nil then
    errors.raise("invalid", "job.input: which parent? There are: " .. table.concat(names, ", "))
  end
  if current.inputs[name] then return name end
  errors.raise("not found", "job.input: '%s' does not follow '%s'%s",
    current.job, name, check.hint(name, names))
end

---What the parent's run put out. Frames are opened when they are used. Nil for a
---parent that has put out nothing, which only `on = "failure"` and `on = "always"` allow.
---
---     local new = job.input()          -- with several parents: job.input "Retrain", or a name of the job's `inputs`
---     deploy.release { model = new.model, ... }
---@param name? string
---@return table<string, any>?
function M.input(name)
  local current = here "job.input"
  name = choose_parent(current, name)
  local input = current.inputs[name]
  if not input.outputs then
    if input.on ~= "success" then return nil end
    errors.raise("refused", "job.input: '%s' has not succeeded yet; run it first", name)
  end
  return setmetatable({}, {
    __index = function(t, key)
      local value = decode(input.outputs[key])
      rawset(t, key, value)
      return value
    end,
    __pairs = function(t)
      for key in pairs(input.outputs) do local _ = t[key] end
      return next, t, nil
    end,
  })
end

return M
