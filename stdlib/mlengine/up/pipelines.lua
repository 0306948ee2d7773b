--- The pipelines that `mlengine up` knows. They are users' Lua, so a child process loads them; again after a save.
--- One that does not load any more keeps its last good form, with the error beside it.

local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local loader = require "mlengine.jobs.loader"
local log = require "mlengine.log"
local project = require "mlengine.project"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

local DEPTH <const> = 4
local LOOK_NS <const> = 2 * 10 ^ 9 // 1 | 0 -- between two looks for new files

---@class mlengine.up.Entry
---@field file string      in the project
---@field path string      absolute
---@field name? string     nil while it never loaded
---@field data? table
---@field error? string
---@field stamp integer
---@field known? boolean   false until it was loaded once

---@class mlengine.up.Pipelines
---@field entries mlengine.up.Entry[]
---@field by_name table<string, mlengine.up.Entry>
---@field version integer goes up with each change
---@field looked? table<string, integer> what was seen of the project's other Lua files; nil: only the given ones count
---@field look_at? integer
local Pipelines = {}
Pipelines.__index = Pipelines

local function project_files()
  local here = project.current()
  return files.lua_in(here.root, here.config and DEPTH or 1)
end

local function is_pipeline(path)
  local ok, text = pcall(script.read, path)
  return ok and loader.is_pipeline(text)
end

---The project's pipelines, by the texts of its Lua files.
---@return string[] absolute paths
function M.find()
  local found = {}
  for _, path in ipairs(project_files()) do
    if is_pipeline(path) then found[#found + 1] = path end
  end
  return found
end

--- Changes when a Lua file beside the pipeline is saved, added or removed.
local function stamp(path)
  local sum = 0
  for _, near in ipairs(files.lua_in(script.folder(path), 0)) do
    local info = system.stat(near)
    if info then sum = sum + info.mtime_ns + info.size end
  end
  return sum
end

---@param paths string[]
---@return mlengine.up.Pipelines
function M.new(paths)
  local self = setmetatable({ entries = {}, by_name = {}, version = 0 }, Pipelines)
  for i, path in ipairs(paths) do
    local absolute = system.absolute(path)
    self.entries[i] = { file = files.in_project(absolute), path = absolute, stamp = stamp(absolute), known = true }
  end
  return self
end

local function take(self, entry, answer)
  local problem = answer.error and answer.error.where .. answer.error.message
  local other = answer.pipeline and self.by_name[answer.pipeline.name]
  if other and other ~= entry then
    problem = ("%s: the pipeline '%s' is in %s already; a name belongs to one file"):format(entry.file, answer.pipeline.name, other.file)
  end
  entry.error = problem
  if problem then return end
  if entry.name then self.by_name[entry.name] = nil end
  entry.name, entry.data = answer.pipeline.name, answer.pipeline
  self.by_name[entry.name] = entry
end

local function take_all(self, entries, answers)
  for i, entry in ipairs(entries) do take(self, entry, answers[i]) end
  self.version = self.version + 1
end

---Loads all; with `strict`, the first error is raised.
---@param strict boolean
---@param short? boolean only what remembered.brief gives
function Pipelines:load(strict, short)
  local paths = {}
  for i, entry in ipairs(self.entries) do paths[i] = entry.path end
  if #paths == 0 then return end
  take_all(self, self.entries, loader.load_all(paths, nil, short))
  for _, entry in ipairs(self.entries) do
    if entry.error and strict then errors.raise("invalid", "%s", entry.error) end
    if entry.error then log.warning("%s", entry.error) end
  end
end

--- Entries whose files were saved, once they rest.
local function changed(self)
  local found = {}
  for _, entry in ipairs(self.entries) do
    local now = stamp(entry.path)
    if now ~= entry.stamp and now == entry.seen then
      found[#found + 1] = entry
      entry.stamp = now
    end
    entry.seen = now
  end
  return found
end

-- ====== Files that come and go ======

local function drop(self, entry)
  if entry.name then self.by_name[entry.name] = nil end
  self.version = self.version + 1
  log.info("%s is gone%s", entry.file, entry.name and (": nothing starts pipeline '%s' any more"):format(entry.name) or "")
end

--- Forgets entries whose files were removed.
local function drop_gone(self)
  for i = #self.entries, 1, -1 do
    local entry = self.entries[i]
    if not system.stat(entry.path) then
      table.remove(self.entries, i)
      drop(self, entry)
    end
  end
end

--- Entries for pipelines that were not there before: only files that are new, or were saved, are read.
local function appeared(self)
  local known, looked, found = {}, {}, {}
  for _, entry in ipairs(self.entries) do known[entry.path] = true end
  for _, path in ipairs(project_files()) do
    local info = not known[path] and system.stat(path)
    if info then
      looked[path] = info.mtime_ns + info.size
      if looked[path] ~= self.looked[path] and is_pipeline(path) then
        found[#found + 1] = { file = files.in_project(path), path = path, stamp = stamp(path) }
      end
    end
  end
  self.looked = looked
  return found
end

---Looks out for pipelines that are added to the project, or removed, from now on.
function Pipelines:watch() self.looked, self.look_at = {}, 0 end

local function look(self)
  local now = system.monotonic_ns()
  if not self.looked or now < self.look_at then return {} end
  self.look_at = now + LOOK_NS
  drop_gone(self)
  local found = appeared(self)
  table.move(found, 1, #found, #self.entries + 1, self.entries)
  return found
end

local function begin(self, entries)
  local paths = {}
  for i, entry in ipairs(entries) do paths[i] = entry.path end
  self.loading, self.loading_entries = loader.begin(paths), entries
end

local function say(entries)
  for _, entry in ipairs(entries) do
    if entry.error then
      log.warning("%s%s", entry.error, entry.name and "; the form before is kept" or "")
    else
      log.info("%s was read%s: pipeline '%s', %d jobs", entry.file, entry.known and " again" or "", entry.name, #entry.data.jobs)
    end
    entry.known = true
  end
end

---Whether a child is at work: then `tick` is to be called often.
function Pipelines:is_loading() return self.loading ~= nil end

---Looks for saves, and takes what a child has loaded.
---@return boolean? asked this process was asked to stop meanwhile
function Pipelines:tick()
  if not self.loading then
    local entries = changed(self)
    local new = look(self)
    table.move(new, 1, #new, #entries + 1, entries)
    if #entries > 0 then begin(self, entries) end
    return
  end
  local ok, answers, asked = pcall(loader.poll, self.loading)
  if ok and not answers then return asked end
  local entries = self.loading_entries
  self.loading = nil
  if ok then
    take_all(self, entries, answers)
  else
    for _, entry in ipairs(entries) do entry.error = errors.message(answers) end
  end
  say(entries)
end

---A pipeline's entry, or an error that names the nearest.
---@param name string
---@return mlengine.up.Entry
function Pipelines:get(name)
  local entry = self.by_name[name]
  if entry then return entry end
  local names = {}
  for known in pairs(self.by_name) do names[#names + 1] = known end
  errors.raise("not found", "there is no pipeline '%s'%s", name, require("mlengine.check").hint(name, names))
end

---A job of a pipeline, or an error that names the nearest.
---@param entry mlengine.up.Entry
---@param name string
---@return table
function M.job(entry, name)
  local names = {}
  for i, job in ipairs(entry.data.jobs) do
    if job.name == name then return job end
    names[i] = job.name
  end
  errors.raise("not found", "pipeline '%s' has no job '%s'%s", entry.name, name, require("mlengine.check").hint(name, names))
end

return M
