--- What is to run, as data that outlives the process: with it a run is tried again,
--- and a pipeline goes on, just as they began. Script texts are kept in the state,
--- once each, and named by their SHA-256.

local json = require "mlengine.json"
local system = require "mle.system"

local M = {}

--- What belongs to one process, or is kept elsewhere.
local passing <const> = {
  text = true, inputs = true, abandoned = true, trace = true, pipeline_run = true, again = true, skipped = true,
}

--- Which runs' outputs it is given; the outputs are theirs.
local function links(inputs)
  local links_ = {}
  for parent, input in pairs(inputs or {}) do
    links_[parent] = { on = input.on, run = input.run, fresh = input.fresh }
  end
  return links_
end

local function data_of(state, spec)
  local data = {}
  for key, value in pairs(spec) do
    if not passing[key] then data[key] = value end
  end
  data.file = system.absolute(spec.file)
  data.after = json.array(spec.after)
  data.sha256 = state:keep_script(spec.text)
  return data
end

---A run's spec, with what it is given.
---@param state mle.jobs.State
---@param spec mlengine.jobs.Spec
---@return string JSON
function M.of_run(state, spec)
  local data = data_of(state, spec)
  data.inputs = links(spec.inputs)
  return json.encode(data)
end

---A pipeline's specs, in order, and which of them the user named.
---@param state mle.jobs.State
---@param specs mlengine.jobs.Spec[]
---@param options { job?: string, from?: string }
---@return string JSON
function M.of_pipeline(state, specs, options)
  local list = json.array {}
  for i, spec in ipairs(specs) do list[i] = data_of(state, spec) end
  return json.encode { steps = list, job = options.job, from = options.from }
end

local function plain(value)
  if type(value) ~= "table" then
    if value == json.null then return nil end
    return value
  end
  local copy = {}
  for key, item in pairs(value) do copy[key] = plain(item) end
  return copy
end

--- As the user would name it from here.
local function name_from_here(path)
  local here = system.absolute "." .. "/"
  return path:sub(1, #here) == here and path:sub(#here + 1) or path
end

local function fetch_inputs(state, given)
  local inputs = {}
  for parent, link in pairs(given or {}) do
    local result = link.run and json.decode(state:result(link.run))
    inputs[parent] = { on = link.on, run = link.run, fresh = link.fresh, outputs = result and plain(result.outputs) }
  end
  return inputs
end

---The spec of data that was decoded from what `of_run` or `of_pipeline` wrote.
---@param state mle.jobs.State
---@param data table
---@return mlengine.jobs.Spec
function M.spec(state, data)
  local spec = plain(data)
  spec.text = state:script(data.sha256)
  spec.sha256 = nil
  spec.file = name_from_here(data.file)
  spec.inputs = fetch_inputs(state, spec.inputs)
  return spec
end

return M
