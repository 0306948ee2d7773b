--- A pipeline script's graph: names, what each job waits for, and each job's
--- script. The script is plain data, so it is run, with a `pipeline.new` that
--- only hands its table on; afterwards the real one has the last word.

local check = require "mlengine.check"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

--- Runs the script so that what it gave to pipeline.new comes back untouched.
local function raw_pipeline(path)
  local env = script.environment(script.folder(path))
  local real = env.require
  rawset(env, "require", function(name)
    if name ~= "mlengine.pipeline" then return real(name) end
    local rest = { __index = function(_, key) return real(name)[key] end }
    return setmetatable({ new = function(t) return t end }, rest)
  end)
  return script.call(script.load(path, env))
end

-- ====== Lines ======

local function argument_of_new(node)
  local is_new = node.tag == "Call" and node.callee.tag == "Index" and node.callee.name == "new"
  return is_new and node.arguments[1]
end

--- What is given to pipeline.new in one of the script's top statements.
local function find_argument(tree)
  for _, statement in ipairs(tree) do
    for _, value in ipairs(statement.values or {}) do
      local argument = argument_of_new(value)
      if argument then return argument end
    end
  end
end

local function line_of_field(constructor, name)
  for _, field in ipairs(constructor.fields or {}) do
    if field.name == name then return field.value.line, field.value end
  end
end

--- The line of each job, where the script writes its jobs out; else of the call.
local function job_lines(tree, count)
  local argument = find_argument(tree)
  local line, list = line_of_field(argument, "jobs")
  local lines = {}
  for i = 1, count do
    local field = list and list.tag == "Table" and #list.fields == count and list.fields[i]
    lines[i] = field and field.line or line or argument.line
  end
  return lines
end

-- ====== The graph ======

--- What a job waits for, from `after = "A"` or `after = { "A", { "B", on = "failure" } }`.
local function parents(job)
  if type(job.after) == "string" then return { job.after } end
  local names = {}
  for _, entry in ipairs(type(job.after) == "table" and job.after or {}) do
    names[#names + 1] = type(entry) == "table" and entry[1] or entry
  end
  return names
end

local function index_by_name(jobs, report)
  local index, names = {}, {}
  for i, job in ipairs(jobs) do
    if type(job) ~= "table" or type(job.name) ~= "string" then
      report(i, "a job must be a table with a name: { name = \"Retrain\", script = \"retrain.lua\" }")
    elseif index[job.name] then
      report(i, ("there are two jobs named '%s'"):format(job.name))
    else
      index[job.name], names[#names + 1] = i, job.name
    end
  end
  return index, names
end

local function check_parents(jobs, index, names, report)
  for i, job in ipairs(jobs) do
    for _, parent in ipairs(type(job) == "table" and parents(job) or {}) do
      if not index[parent] then
        report(i, ("job '%s' comes after '%s', which is not a job%s"):format(
          tostring(job.name), tostring(parent), check.hint(tostring(parent), names)))
      end
    end
  end
end

--- Follows `after` from each job; a job met again on its own path closes a cycle.
local function check_cycles(jobs, index, report)
  local state = {}
  local function visit(i, path)
    if state[i] == "done" or not i then return end
    path[#path + 1] = jobs[i].name
    if state[i] == "open" then
      local first = 1
      while path[first] ~= jobs[i].name do first = first + 1 end
      return report(i, "jobs wait for each other: " .. table.concat(path, " -> ", first))
    end
    state[i] = "open"
    for _, parent in ipairs(parents(jobs[i])) do visit(index[parent], { table.unpack(path) }) end
    state[i] = "done"
  end
  for _, i in pairs(index) do visit(i, {}) end
end

local function check_scripts(jobs, folder, report, add)
  local seen = {}
  for i, job in ipairs(jobs) do
    local file = type(job) == "table" and job.script
    local ours = type(job) ~= "table" or not job.command -- another program is not ours to check
    if ours and type(file) ~= "string" then
      report(i, "a job needs a script or a command: { name = ..., script = \"retrain.lua\" }")
    elseif ours and not seen[file] then
      seen[file] = true
      local path = file:sub(1, 1) == "/" and file or folder == "." and file or folder .. "/" .. file
      if system.stat(path) then
        add(path) else report(i, ("there is no script '%s'"):format(path))
      end
    end
  end
end

local function failure(path, e)
  local line = math.tointeger(tonumber((e.where or ""):match ":(%d+): $")) or 1
  return { { path = path, line = line, message = e.message } }
end

---Whether a script makes a pipeline, as far as its text shows.
---@param result mlengine.lint.Result
function M.is_pipeline(result)
  return result.modules["mlengine.pipeline"] and find_argument(result.tree) ~= nil
end

---The problems of a pipeline, and of its jobs' scripts.
---@param result mlengine.lint.Result of the pipeline's own script
---@return mlengine.lint.Problem[]
function M.problems(result)
  local ok, raw = pcall(raw_pipeline, result.path)
  if not ok then return failure(result.path, raw) end
  if type(raw) ~= "table" or type(raw.jobs) ~= "table" then
    local message = "a pipeline script must end with: return pipeline.new { name = ..., jobs = { ... } }"
    return failure(result.path, { message = message })
  end
  local problems, lines = {}, job_lines(result.tree, #raw.jobs)
  local function report(i, message)
    problems[#problems + 1] = { path = result.path, line = lines[i], message = message }
  end
  local index, names = index_by_name(raw.jobs, report)
  check_parents(raw.jobs, index, names, report)
  check_cycles(raw.jobs, index, report)
  check_scripts(raw.jobs, script.folder(result.path), report, function(path)
    local found = require("mlengine.lint").script(path).problems
    table.move(found, 1, #found, #problems + 1, problems)
  end)
  if #problems > 0 then return problems end
  local valid, e = pcall(script.run, result.path)
  return valid and {} or failure(result.path, e)
end

return M
