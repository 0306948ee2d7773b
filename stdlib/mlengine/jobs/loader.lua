--- Pipelines are the user's Lua, so they are loaded in a process of their own,
--- which hands the plain data back.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local params = require "mlengine.params"
local process = require "mle.process"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

local TIMEOUT_NS <const> = 30 * 10 ^ 9 // 1 | 0
local MODULE <const> = "mlengine.pipeline"

---Whether a script's text is a pipeline's: it requires mlengine.pipeline.
---@param text string
---@return boolean
function M.is_pipeline(text) return params.requires(text, MODULE) end

-- ====== In the child ======

--- $MLENGINE_ENV is for whatever runs; a pipeline without environments is the same in each.
local function load_one(file, environment, strict)
  local value = script.run(file)
  if not require(MODULE).is(value) then
    errors.raise("invalid", "%s requires mlengine.pipeline but returns no pipeline; end it with: return pipeline.new { ... }",
      file)
  end
  if not strict and #value.environments == 0 then environment = nil end
  return value:data(environment)
end

---Loads the files that the engine asks for.
---@return integer exit code
function M.serve()
  local input = json.decode(process.take_input())
  process.die_with_parent()
  local answers = {}
  for i, file in ipairs(input.files) do
    local ok, value = pcall(load_one, file, input.environment, input.strict)
    if ok then
      answers[i] = { pipeline = value }
    else
      local e = errors.from(value) -- `return pipeline.new {}` is a tail call, which leaves no line
      answers[i] = { error = { kind = e.kind, message = e.message, where = e.where ~= "" and e.where or file .. ": " } }
    end
  end
  process.give_answer(json.encode(answers))
  return 0
end

-- ====== In the engine ======

local function raise_slow()
  errors.raise("timeout", "a pipeline took longer than 30 s to load; it should only return data, and leave work to its jobs")
end

local function wait(child, deadline)
  while true do
    local kind, a, b = child:next(1000)
    if kind == "line" then io.stderr:write(b, "\n") end
    if kind == "asked" then errors.raise("cancelled", "interrupted while loading a pipeline") end
    if kind == "ended" then return a, b end
    if system.monotonic_ns() > deadline then
      child:signal "KILL"
      raise_slow()
    end
  end
end

local function begin(files, environment)
  local variable = os.getenv "MLENGINE_ENV"
  return process.start {
    argv = { "child", "pipeline" }, input = json.encode {
      files = json.array(files), strict = environment ~= nil, environment = environment or (variable ~= "" and variable or nil),
    },
  }
end

local function read_answer(child, files, code, signal)
  local answer = child:answer()
  if signal ~= 0 or code ~= 0 or answer == "" then
    errors.raise("io", "the process that loads %s ended (%s)",
      table.concat(files, ", "), signal ~= 0 and process.signal_name(signal) or "exit code " .. code)
  end
  return json.decode(answer)
end

---@alias mlengine.jobs.Loaded { pipeline?: table, error?: { kind: string, message: string, where: string } }

---Loads pipelines; each answer has `pipeline` or `error`.
---@param files string[]
---@param environment? string must be one of theirs; $MLENGINE_ENV when left out
---@return mlengine.jobs.Loaded[]
function M.load_all(files, environment)
  local child <close> = begin(files, environment)
  return read_answer(child, files, wait(child, system.monotonic_ns() + TIMEOUT_NS))
end

---Begins to load pipelines, and returns at once.
---@param files string[]
---@return { child: mle.Process, files: string[], deadline: integer }
function M.begin(files)
  return { child = begin(files), files = files, deadline = system.monotonic_ns() + TIMEOUT_NS }
end

---What `begin` began, once it is there; nil before. Raises when the process ended otherwise.
---@param loading { child: mle.Process, files: string[], deadline: integer }
---@return mlengine.jobs.Loaded[]?, boolean? asked this process was asked to stop meanwhile
function M.poll(loading)
  local kind, a, b = loading.child:next(0)
  while kind == "line" do
    io.stderr:write(b, "\n")
    kind, a, b = loading.child:next(0)
  end
  if kind == "ended" then
    local ok, answer = pcall(read_answer, loading.child, loading.files, a, b)
    loading.child:close()
    if not ok then error(answer, 0) end
    return answer
  end
  if system.monotonic_ns() > loading.deadline then
    loading.child:close()
    raise_slow()
  end
  return nil, kind == "asked"
end

---Loads one pipeline, or raises its error.
---@param file string
---@param environment? string
---@return table
function M.load(file, environment)
  local answer = M.load_all({ file }, environment)[1]
  if answer.pipeline then return answer.pipeline end
  error(errors.new(answer.error.kind, answer.error.message, answer.error.where), 0)
end

return M
