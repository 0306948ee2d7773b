--- A table's metadata as frames and rows: PyIceberg's `table.inspect`, with its columns.
---
---     local inspect = catalog:load_table "bank.cc_trx".inspect
---     print(inspect.files():where "record_count < 1000":count())

local check = require "mlengine.check"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local project = require "mlengine.project"
local system = require "mle.system"

local M = {}

--- What there is, and whether it is of one snapshot.
local kinds <const> = {
  snapshots = false, history = false, refs = false, manifests = true, entries = true, files = true, partitions = true,
}

local function known(kind)
  if kinds[kind] ~= nil then return kind end
  local names = {}
  for name in pairs(kinds) do names[#names + 1] = name end
  errors.raise("invalid", "a table's metadata has no '%s'%s", kind, check.hint(kind, names))
end

---The rows as JSON, one a line. No DuckDB is needed.
---@param table_ mlengine.iceberg.Table
---@param kind string
---@param snapshot_id? integer
---@return string
function M.lines(table_, kind, snapshot_id)
  return table_.handle:inspect(known(kind), snapshot_id)
end

local function without_nulls(value)
  for key, item in pairs(value) do
    if item == json.null then
      value[key] = nil
    elseif type(item) == "table" then
      without_nulls(item)
    end
  end
  return value
end

---The rows as Lua tables; null is nil.
---@param table_ mlengine.iceberg.Table
---@param kind string
---@param snapshot_id? integer
---@return table[]
function M.rows(table_, kind, snapshot_id)
  local rows = {}
  for line in M.lines(table_, kind, snapshot_id):gmatch "[^\n]+" do rows[#rows + 1] = without_nulls(json.decode(line)) end
  return rows
end

--- The rows go through a file, so that memory does not grow with the table.
local function frame_of(table_, kind, snapshot_id)
  local frames = require "mlengine.frame" -- first: it says how DuckDB is to be opened
  local folder = project.make_state() .. "/tmp"
  system.make_folders(folder, true)
  local path = ("%s/inspect-%s.json"):format(folder, system.uuid())
  local ok, handle = pcall(function()
    local sql = table_.handle:inspect(kind, snapshot_id, path)
    return require("mle.frame").from_sql(sql):pin()
  end)
  os.remove(path)
  if not ok then error(handle, 0) end
  return frames.wrap(handle, { why = "it is a table's metadata as it was then" })
end

---@class mlengine.iceberg.Inspect PyIceberg's InspectTable; each gives a frame
---@field snapshots fun(): mlengine.Frame
---@field history fun(): mlengine.Frame
---@field refs fun(): mlengine.Frame
---@field manifests fun(options?: { snapshot_id?: integer }): mlengine.Frame
---@field entries fun(options?: { snapshot_id?: integer }): mlengine.Frame
---@field files fun(options?: { snapshot_id?: integer }): mlengine.Frame
---@field partitions fun(options?: { snapshot_id?: integer }): mlengine.Frame

---@param table_ mlengine.iceberg.Table
---@return mlengine.iceberg.Inspect
function M.of(table_)
  return setmetatable({}, {
    __index = function(_, kind)
      known(kind)
      return function(options)
        options = check.options(options, kinds[kind] and { snapshot_id = "integer|nil" } or {}, "inspect." .. kind)
        if options.snapshot_id then table_:snapshot(options.snapshot_id) end
        return frame_of(table_, kind, options.snapshot_id)
      end
    end,
  })
end

return M
