--- Pipelines are the user's Lua, so they are loaded in a process of their own,
--- which hands the plain data back.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local params = require "mlengine.params"
local process = require "mle.process"
local project = require "mlengine.project"
local remembered = require "mlengine.jobs.remembered"
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

--- What the file returns, and what it looked at for that.
local function run_watched(file)
  local pure = require "mlengine.jobs.pure"
  local env, text = script.environment(script.folder(file)), script.read(file)
  local seen = pure.watch(env)
  pure.required(seen, file, text)
  script.on_require = function(path, of_it) pure.required(seen, path, of_it) end
  local value = script.call(script.load_text(text, file, env))
  script.on_require = nil
  return value, seen
end

--- $MLENGINE_ENV is for whatever runs; a pipeline without environments is the same in each.
local function load_one(file, input)
  local value, seen = run_watched(file)
  if not require(MODULE).is(value) then
    errors.raise("invalid", "%s requires mlengine.pipeline but returns no pipeline; end it with: return pipeline.new { ... }",
      file)
  end
  local environment = input.environment
  if not input.strict and #value.environments == 0 then environment = nil end
  local data = value:data(environment)
  if require("mlengine.jobs.pure").is_all(seen) then remembered.keep(input, file, seen.files, data) end
  return data
end

---Loads the files that the engine asks for.
---@return integer exit code
function M.serve()
  local input = json.decode(process.take_input())
  process.die_with_parent()
  local answers = {}
  for i, file in ipairs(input.files) do
    local ok, value = pcall(load_one, file, input)
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

local function question_of(environment)
  local variable = os.getenv "MLENGINE_ENV"
  return {
    strict = environment ~= nil, environment = environment or (variable ~= "" and variable or nil), folder = project.current().state,
  }
end

local function begin(files, question)
  return process.start {
    argv = { "child", "pipeline" }, input = json.encode {
      files = json.array(files), strict = question.strict, environment = question.environment, folder = question.folder,
    },
  }
end

--- The answers for those files that say what they said; the others, and where their answers belong.
local function recall(files, question, short)
  local answers, left, places = {}, {}, {}
  for i, file in ipairs(files) do
    local pipeline = remembered.find(question, file, short)
    answers[i] = pipeline and { pipeline = pipeline } or false
    if not pipeline then left[#left + 1], places[#places + 1] = file, i end
  end
  return answers, left, places
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
---@param short? boolean only what remembered.brief gives of a pipeline
---@return mlengine.jobs.Loaded[]
function M.load_all(files, environment, short)
  local question = question_of(environment)
  local answers, left, places = recall(files, question, short)
  if #left == 0 then return answers end
  local child <close> = begin(left, question)
  for i, answer in ipairs(read_answer(child, left, wait(child, system.monotonic_ns() + TIMEOUT_NS))) do
    if short and answer.pipeline then answer.pipeline = remembered.brief(answer.pipeline) end
    answers[places[i]] = answer
  end
  return answers
end

---Begins to load pipelines, and returns at once.
---@param files string[]
---@return { child: mle.Process, files: string[], deadline: integer }
function M.begin(files)
  return { child = begin(files, question_of()), files = files, deadline = system.monotonic_ns() + TIMEOUT_NS }
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
