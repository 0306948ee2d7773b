--- `environments = { prod = { jobs = { Retrain = { params = { rounds = 500 } } } } }`: what is
--- different there, merged over the pipeline.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

local function is_map(value)
  if type(value) ~= "table" then return false end
  return value[1] == nil
end

--- Maps are merged name by name; all else, lists too, takes the place of what was there.
local function merge(base, over)
  if not (is_map(base) and is_map(over)) then return over end
  local merged = {}
  for key, value in pairs(base) do merged[key] = value end
  for key, value in pairs(over) do merged[key] = merge(merged[key], value) end
  return merged
end

local function index_of(jobs)
  local index, names = {}, {}
  for i, job in ipairs(jobs) do
    if type(job) == "table" and type(job.name) == "string" then
      index[job.name], names[#names + 1] = i, job.name
    end
  end
  return index, names
end

local function merge_jobs(jobs, over, what)
  local merged, index, names = table.move(jobs, 1, #jobs, 1, {}), index_of(jobs)
  for name, fields in pairs(over or {}) do
    local i = index[name]
    if not i then
      errors.raise("invalid", "%s: there is no job '%s'%s", what, tostring(name), check.hint(tostring(name), names))
    end
    check.type(fields, "table", ("job '%s' in %s"):format(name, what))
    if fields.name ~= nil then errors.raise("invalid", "%s: job '%s' keeps its name", what, name) end
    merged[i] = merge(jobs[i], fields)
  end
  return merged
end

---The pipeline's options as they are in one environment; its name says which.
---@param options table of pipeline.new
---@param name string
---@return table
function M.apply(options, name)
  local what = ("environment '%s'"):format(name)
  local over = options.environments[name]
  check.options(over, { jobs = "table|nil" }, what)
  return { name = ("%s@%s"):format(options.name, name), jobs = merge_jobs(options.jobs, over.jobs, what), cml = options.cml }
end

---The names of the environments, checked.
---@param environments? table
---@return string[]
function M.names(environments)
  local names = {}
  for name in pairs(environments or {}) do
    if type(name) ~= "string" or not name:find "^[%w_-]+$" then
      errors.raise("invalid", "environments: '%s' cannot be a name; letters, digits, '-' and '_'", tostring(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

---Raises unless a pipeline has the environment.
---@param pipeline string
---@param names string[]
---@param wanted string
function M.need(pipeline, names, wanted)
  for _, name in ipairs(names) do
    if name == wanted then return end
  end
  errors.raise("usage", "pipeline '%s' has no environment '%s'%s; %s", pipeline, wanted, check.hint(wanted, names),
    #names == 0 and "it has none" or "there are: " .. table.concat(names, ", "))
end

return M
