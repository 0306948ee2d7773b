--- What pipelines' files said when they were loaded last, so that they are loaded again only when they say something
--- else: `.mlengine/pipelines/NAME`, by path and environment. Three lines: the head (which program, and the SHA-256 of
--- each text that the pipeline follows from, see pure.lua), what `mlengine jobs` shows of it, and all of it; before them
--- the head's SHA-256, in the head those of the others. What is not as it was written is not believed.

local json = require "mlengine.json"
local schedules = require "mlengine.jobs.schedule"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

---@class mlengine.jobs.Question
---@field folder string       the project's state
---@field environment? string
---@field strict boolean      the environment must be one of theirs

--- This program, to the build; nil while its library is read from the disk.
local function program()
  if os.getenv "MLENGINE_STDLIB" then return nil end
  local info = system.stat "/proc/self/exe"
  return info and ("%s %d %d"):format(require "mlengine.version", info.size, info.mtime_ns)
end

local function place(question, path)
  local key = ("%s\n%s\n%s"):format(system.absolute(path), question.environment or "", question.strict)
  return question.folder .. "/pipelines/" .. system.sha256(key)
end

--- What `mlengine jobs` shows, as short as it can be: there may be 10,000.
local function brief(pipeline)
  local jobs = {}
  for i, job in ipairs(pipeline.jobs) do
    local parents, s = {}, job.schedule
    for n, parent in ipairs(job.after) do parents[n] = parent.name .. (parent.on == "success" and "" or " (" .. parent.on .. ")") end
    local cron = s and s.kind == "cron" and job.enabled ~= false and s
    jobs[i] = json.array { job.name, json.array(parents), schedules.text(s), cron and cron.cron or json.null, cron and cron.timezone or json.null, job.enabled ~= false }
  end
  return { name = pipeline.name, jobs = json.array(jobs) }
end

M.brief = brief

--- A text's SHA-256 is taken again each time: a time stamp may stay the same over a save.
local function is_as_was(files)
  for _, file in ipairs(files) do
    local ok, text = pcall(script.read, file.path)
    if not ok or system.sha256(text) ~= file.sha256 then return false end
  end
  return true
end

local function line_with(file, sha256)
  local line = file:read "l"
  return line and system.sha256(line) == sha256 and line
end

---What a pipeline's file said, when it says so still.
---@param question mlengine.jobs.Question
---@param path string
---@param short boolean only what M.brief gives
---@return table?
function M.find(question, path, short)
  local file <close> = io.open(place(question, path), "rb")
  if not file then return nil end
  local text = line_with(file, file:read "l")
  local head = text and json.decode(text)
  if not head or head.program ~= program() or not is_as_was(head.files) then return nil end
  local line = line_with(file, head.brief)
  if not short then line = line_with(file, head.whole) end
  return line and json.decode(line) or nil
end

---Keeps it for the next time; without a state folder it is not kept.
---@param question mlengine.jobs.Question
---@param files { path: string, text: string }[] what it follows from, as mlengine.script reads it
---@param pipeline table
function M.keep(question, path, files, pipeline)
  local by, stamps = program(), {}
  if not by or not system.stat(question.folder) then return end
  for i, one in ipairs(files) do stamps[i] = { path = system.absolute(one.path), sha256 = system.sha256(one.text) } end
  local first, whole = json.encode(brief(pipeline)), json.encode(pipeline)
  local head = json.encode { program = by, files = json.array(stamps), brief = system.sha256(first), whole = system.sha256(whole) }
  local at = place(question, path)
  local beside = ("%s.%d"):format(at, system.pid()) -- not synced: a damaged one is not believed
  if not pcall(system.make_folders, question.folder .. "/pipelines", true) then return end
  local file = io.open(beside, "wb")
  if not file then return end
  local written = file:write(table.concat({ system.sha256(head), head, first, whole, "" }, "\n"))
  if not (file:close() and written and os.rename(beside, at)) then os.remove(beside) end
end

return M
