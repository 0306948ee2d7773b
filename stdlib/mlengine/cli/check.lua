--- `mlengine check FILE.lua...`: finds the mistakes of scripts without running them.

local usage <const> = "mlengine check FILE.lua..."

local function print_problems(problems)
  local errors = 0
  for _, p in ipairs(problems) do
    print(("%s:%d: %s%s"):format(p.path, p.line, p.warning and "warning: " or "", p.message))
    if not p.warning then errors = errors + 1 end
  end
  return errors
end

local function check_file(path)
  local result = require("mlengine.lint").script(path)
  local errors = print_problems(result.problems)
  if errors > 0 or not result.modules["mlengine.pipeline"] then return errors end
  local pipeline = require "mlengine.lint.pipeline"
  return pipeline.is_pipeline(result) and print_problems(pipeline.problems(result)) or 0
end

return {
  summary = "find a script's mistakes without running it",
  usage = usage,
  details = [[
Looks for syntax, undefined variables, modules that are not there, unknown
functions and options of mlengine's modules, undeclared parameters and unused
variables. Of a pipeline also the graph, and each job's script. Prints
"file.lua:12: what (did you mean ...?)" and exits with 1 when it would fail.]],
  run = function(args)
    local _, files = require("mlengine.arguments").parse(args, {}, usage, { 1, math.huge })
    local errors = 0
    for _, file in ipairs(files) do errors = errors + check_file(file) end
    if errors == 0 then print(("%s: no mistakes found"):format(table.concat(files, ", "))) end
    return errors == 0 and 0 or 1
  end,
}
