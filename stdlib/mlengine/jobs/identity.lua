--- Whose job a script is. A script run alone that one pipeline of the project
--- names is that pipeline's job, and so the same consumer: what it reads is
--- consumed for the pipeline too.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local loader = require "mlengine.jobs.loader"
local log = require "mlengine.log"
local project = require "mlengine.project"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

local DEPTH <const> = 4 -- below a project's folder; without mlengine.conf.lua only the folders themselves

local function add_folder(paths, seen, folder, depth)
  for _, path in ipairs(files.lua_in(folder, depth)) do
    if not seen[path] then
      seen[path] = true
      paths[#paths + 1] = path
    end
  end
end

--- Pipelines near a script, and their texts.
local function candidates(file)
  local here, paths, seen = project.current(), {}, {}
  add_folder(paths, seen, script.folder(system.absolute(file)), 0)
  add_folder(paths, seen, here.root, here.config and DEPTH or 0)
  local found, texts = {}, {}
  for _, path in ipairs(paths) do
    local ok, text = pcall(script.read, path)
    if ok and loader.is_pipeline(text) then
      found[#found + 1] = path
      texts[path] = text
    end
  end
  return found, texts
end

--- One that does not load might name the script: then whose job it is cannot be told.
local function refuse_unreadable(path, problem, text, file)
  local name = file:match "[^/]+$"
  local line = ("%s%s"):format(problem.where, problem.message)
  if not text:find(name, 1, true) then
    return log.warning("%s is not looked at: %s", files.in_project(path), line)
  end
  errors.raise("invalid", "cannot tell whose job %s is, since %s does not load: %s",
    name, files.in_project(path), line)
end

local function matches_in(path, pipeline, wanted)
  local found = {}
  for _, job in ipairs(pipeline.jobs) do
    local place = not job.script and "" or job.script:sub(1, 1) == "/" and job.script or script.folder(path) .. "/" .. job.script
    if system.absolute(place) == wanted then
      found[#found + 1] = { pipeline = pipeline, job = job, file = path }
    end
  end
  return found
end

local function all_matches(file, environment)
  local paths, texts = candidates(file)
  if #paths == 0 then return {} end
  local found, wanted = {}, system.absolute(file)
  for i, answer in ipairs(loader.load_all(paths, environment)) do
    if answer.error then
      refuse_unreadable(paths[i], answer.error, texts[paths[i]], file)
    else
      local here = matches_in(paths[i], answer.pipeline, wanted)
      table.move(here, 1, #here, #found + 1, found)
    end
  end
  return found
end

local function full_name(match) return match.pipeline.name .. "/" .. match.job.name end

---The pipeline's job that a script is; nil when it is nobody's.
---@param file string
---@param wanted? string "JOB" or "PIPELINE/JOB" where there are several
---@param environment? string
---@return { pipeline: table, job: table, file: string }?
function M.find(file, wanted, environment)
  local matches, names, chosen = all_matches(file, environment), {}, {}
  for i, match in ipairs(matches) do
    names[i] = full_name(match)
    if not wanted or wanted == names[i] or wanted == match.job.name then chosen[#chosen + 1] = match end
  end
  if #chosen == 1 then return chosen[1] end
  if #matches == 0 and not wanted then return nil end
  local list = "'" .. table.concat(names, "', '") .. "'"
  if #chosen > 1 then
    errors.raise("usage", "%s is the job %s; say which with --job PIPELINE/JOB",
      file, list)
  end
  errors.raise("usage", #matches == 0 and ("--job '%s': no pipeline of this project names %s"):format(wanted, file)
    or ("--job '%s': %s is the job %s%s"):format(wanted, file, list, check.hint(wanted, names)))
end

return M
