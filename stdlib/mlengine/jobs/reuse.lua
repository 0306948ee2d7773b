--- `reuse = true` of a job: a run that depends on nothing new is not run; it takes over the outputs
--- of the one before. What a run depended on is noted when it succeeds, and compared, in the job's own
--- process, before the next one's script is begun. What cannot be compared is not reused.

local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local json = require "mlengine.json"
local project = require "mlengine.project"
local script = require "mlengine.script"
local system = require "mle.system"

local M = {}

M.NOTE = "fingerprint"

local MOST <const> = 500 -- things of one kind that a run may depend on

---@class mlengine.jobs.Fingerprint
---@field key string                      of what is known before the script is begun
---@field modules table<string, string>   SHA-256 of each by its path in the project
---@field files table<string, string>     size and time of each file that frame.read opened
---@field tables table<string, { catalog: string, table: string, was: string }>
---@field aliases table<string, integer|false>
---@field never? string                   why it cannot be reused

-- ====== What is known before ======

local function key_of(input)
  local given = {}
  for parent, one in pairs(input.inputs) do given[parent] = { one.outputs } end
  return system.sha256(json.encode {
    version = require "mlengine.version", script = system.sha256(input.text), params = input.params, inputs = given,
    aliases = input.aliases, command = input.command, env = input.env, environment = input.environment,
    secrets = input.secrets, consumer = input.consumer,
  })
end

local function path_of(name)
  return name:sub(1, 1) == "/" and name or project.current().root .. "/" .. name
end

local function file_now(path)
  local info = system.stat(path)
  return info and ("%s %d %d"):format(info.kind, info.size, info.mtime_ns) or "absent"
end

--- Its columns, and where its branches and tags point.
local function table_now(table_)
  local refs = {}
  for _, ref in ipairs(table_:refs()) do refs[#refs + 1] = ("%s %s %d"):format(ref.type, ref.name, ref.snapshot_id) end
  table.sort(refs)
  return system.sha256(json.encode { uuid = table_.uuid, schema = table_.schema, refs = json.array(refs) })
end

-- ====== While it runs ======

--- Tables by their UUID: a range is looked up by it.
local function depend_on_table(current, table_)
  if not table_.catalog.named then return current:acts(("it reads %s by a catalog that has no name in the settings"):format(table_.name)) end
  current:depends("tables", table_.uuid, { catalog = table_.catalog.name, table = table_.name, was = table_now(table_) })
end

---From now on the run notes what it depends on.
---@param current mlengine.Context
function M.watch(current)
  current.dependencies = { modules = {}, files = {}, tables = {}, aliases = {}, count = 0 }
  script.on_require = function(path, text) current:depends("modules", files.in_project(path), system.sha256(text)) end
  current.on_table = function(table_) depend_on_table(current, table_) end
  current.on_file = function(path)
    if path:find "[*?%[]" then return current:acts(("it reads files by a pattern, %s"):format(path)) end
    current:depends("files", path, file_now(path))
  end
end

---Notes what the run depended on; called when it is about to succeed.
---@param current mlengine.Context
---@param input table what the engine wrote for this process
function M.note(current, input)
  local on = current.dependencies
  if on.count > MOST then on.never = ("it depends on more than %d things"):format(MOST) end
  local note = { key = key_of(input), never = on.never }
  if not on.never then note.modules, note.files, note.tables, note.aliases = on.modules, on.files, on.tables, on.aliases end
  current:note(M.NOTE, note)
end

-- ====== Before it runs ======

local function changed_module(modules)
  for name, sha256 in pairs(modules) do
    local path = path_of(name)
    if not system.stat(path) or system.sha256(script.read(path)) ~= sha256 then return ("%s has changed"):format(name) end
  end
end

local function changed_file(paths)
  for path, was in pairs(paths) do
    if file_now(path) ~= was then return ("%s has changed"):format(files.in_project(path)) end
  end
end

local function head_of(table_, branch)
  local ok, id = pcall(require("mlengine.iceberg.point").head, table_, branch)
  return ok and id or nil
end

--- Up to where a range was read is where the watermark is, and the table's branch.
local function changed_range(state, range, table_)
  local to = range.to ~= json.null and range.to or nil
  if not table_ then return "a table that it read is not known any more" end
  if state:watermark(range.consumer, range.table_uuid, range.branch) ~= to then return ("the watermark on %s has moved"):format(table_.name) end
  if head_of(table_, range.branch) ~= to then return ("%s has rows that it has not read"):format(table_.name) end
end

local function changed_table(state, before)
  local loaded = {}
  for uuid, one in pairs(before.note.tables) do
    local table_ = require("mlengine.iceberg").catalog(one.catalog):load_table(one.table)
    if table_.uuid ~= uuid or table_now(table_) ~= one.was then return ("%s has changed"):format(one.table) end
    loaded[uuid] = table_
  end
  for _, range in ipairs(before.ranges) do
    local why = changed_range(state, range, loaded[range.table_uuid])
    if why then return why end
  end
end

local function changed_alias(aliases)
  for key, was in pairs(aliases) do
    local name, alias = key:match "^(.*)@([^@]*)$"
    if (require("mlengine.mlflow.here").store():get_alias(name, alias) or false) ~= was then return ("models:/%s has moved"):format(key) end
  end
end

--- Why the run before cannot stand for this one; nil when it can.
local function why_not(state, before, input)
  if before.state ~= "succeeded" then return ("run %d %s"):format(before.run, before.state) end
  local note = before.note
  if note == json.null then return ("run %d noted nothing of what it depends on"):format(before.run) end
  if note.never then return note.never end
  if note.key ~= key_of(input) then return "its script, parameters, inputs, variables or this program have changed" end
  return changed_module(note.modules) or changed_file(note.files) or changed_table(state, before) or changed_alias(note.aliases)
end

---The run whose outputs this one can take over; nil, and why not, when there is none.
---@param state mle.jobs.State
---@param input table
---@return integer? run, string? reason
function M.find(state, input)
  local text = state:before(input.run, M.NOTE)
  if not text then return nil end
  local before = json.decode(text)
  local ok, reason = pcall(why_not, state, before, input)
  if not ok then reason = errors.message(reason) end
  if reason then return nil, reason end
  return before.run
end

return M
