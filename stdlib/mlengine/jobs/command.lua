--- A job that is another program: what it is given, and what it gives back.
---
--- Its parameters are environment variables, MLENGINE_PARAM_ROWS of rows. MLENGINE_INPUTS names a
--- JSON file of what its parents put out, MLENGINE_OUTPUTS the file where it may write its own.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

local FILE_MAX <const>, OUTPUTS_MAX <const> = 1 << 20, 64 << 10

---"python3 features.py", as it is told.
---@param command string[]
---@return string
function M.line(command)
  local words = {}
  for i, word in ipairs(command) do words[i] = word:find "^[%w%./_=:,@%%+-]+$" and word or ("'%s'"):format(word) end
  return table.concat(words, " ")
end

--- A file beside the pipeline that the command names, as text.
local function beside(folder, word)
  if word:find "^[/-]" then return nil end
  local path = folder .. "/" .. word
  local info = system.stat(path)
  if not info or info.kind ~= "file" or info.size > FILE_MAX then return nil end
  local text = system.read(path)
  return text:find "\0" and "(sha256 " .. system.sha256(text) .. ")" or text
end

---What is remembered as the run's script: the command, and the files beside the pipeline that it names.
---@param command string[]
---@param file string the pipeline's
---@return string
function M.text(command, file)
  local parts = { M.line(command) }
  for _, word in ipairs(command) do
    local text = beside(script.folder(file), word)
    if text then parts[#parts + 1] = ("--- %s\n%s"):format(word, text) end
  end
  return table.concat(parts, "\n")
end

--- What becomes a variable: a plain value, under a name that no other has.
local function check_params(given)
  local taken = {}
  for name, value in pairs(given) do
    local variable = name:upper()
    if type(value) == "table" or not name:find "^[%a_][%w_]*$" then
      errors.raise("invalid", "parameter '%s' of a command must be a plain value with a plain name, since it becomes a variable", name)
    end
    if taken[variable] then
      errors.raise("invalid", "parameters '%s' and '%s' of a command would be one variable", taken[variable], name)
    end
    taken[variable] = name
  end
end

---The parameters that a command declares: those its pipeline gives it.
---@param given table<string, any>
---@return table<string, mlengine.params.Spec>
function M.declared(given)
  local specs = {}
  check_params(given)
  for name, value in pairs(given) do specs[name] = { value } end
  return specs
end

-- ====== In the engine ======

---The variables of a job's process.
---@param spec mlengine.jobs.Spec
---@param attempt mlengine.jobs.Attempt
---@param folder string the run's
---@return table<string, string>
function M.variables(spec, attempt, folder)
  local variables = {
    MLENGINE_RUN = tostring(attempt.run), MLENGINE_ATTEMPT = tostring(attempt.number), MLENGINE_JOB = spec.job,
    MLENGINE_PIPELINE = spec.pipeline, MLENGINE_INPUTS = folder .. "/inputs.json", MLENGINE_OUTPUTS = folder .. "/outputs.json",
  }
  for name, value in pairs(spec.params) do variables["MLENGINE_PARAM_" .. name:upper()] = tostring(value) end
  return variables
end

-- ====== In the job's process ======

local function write_inputs(input)
  local outputs = {}
  for parent, one in pairs(input.inputs) do outputs[parent] = one.outputs end
  for alias, parent in pairs(input.aliases or {}) do outputs[alias] = outputs[parent] end
  system.replace(input.folder .. "/inputs.json", json.encode(outputs))
end

local function read_outputs(path)
  local info = system.stat(path)
  if not info then return nil end
  if info.size > OUTPUTS_MAX then
    errors.raise("refused", "the command wrote %d bytes of outputs, at most %d are kept; write the data to a table or a file, and put out its name",
      info.size, OUTPUTS_MAX)
  end
  local ok, values = pcall(json.decode, system.read(path))
  if not ok then errors.raise("invalid", "the command's outputs are no JSON: %s", errors.message(values)) end
  if type(values) ~= "table" or #values > 0 then errors.raise("invalid", "the command's outputs must be a JSON object: {\"rows\": 5}") end
  return values
end

---Runs it and takes over its outputs; raises when it fails.
---@param input table what the engine wrote for this process
function M.run(input)
  local path = input.folder .. "/outputs.json"
  write_inputs(input)
  system.remove(path) -- of an attempt before
  local code, signal = require("mle.process").execute(input.command, script.folder(input.file))
  if signal ~= 0 then
    errors.raise("command", "%s was ended by %s", M.line(input.command), require("mle.process").signal_name(signal))
  end
  if code ~= 0 then
    errors.raise("command", "%s ended with exit code %d; mlengine logs %d shows what it said", M.line(input.command), code, input.run)
  end
  local outputs = read_outputs(path)
  if outputs then require("mlengine.job").output(outputs) end
end

return M
