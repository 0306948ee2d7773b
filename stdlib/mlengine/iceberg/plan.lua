--- What a scan reads: facts at once, its files a piece at a time.

local M = {}

local PIECE <const> = 1000

---@class mlengine.iceberg.Plan
---@field rows integer        of its files, deleted rows among them
---@field bytes integer
---@field num_files integer
---@field num_skipped integer manifests and files that the condition left out
---@field condition? string   what of the filter decides about files
---@field row_groups? { groups: integer, rows: integer, groups_left: integer, rows_left: integer } of its files, where they were asked for
---@field files { path: string, rows: integer, bytes: integer, snapshot_id: integer, deletes: integer }[] made when first asked for
---@field skipped { path: string, by: string, why: string }[] likewise
local Plan = {}
local lists <const> = { files = true, skipped = true }
local handles = setmetatable({}, { __mode = "k" })

function Plan.__index(self, key)
  if not lists[key] then return Plan[key] end
  local handle = handles[self]
  self[key] = handle[key](handle)
  return rawget(self, key)
end

Plan.__name = "mlengine.iceberg.Plan"
function Plan:__tostring() return ("plan of %d files"):format(self.num_files) end

---Its files one after another, without a list of all of them.
---
---     for file in trx:plan():each() do print(file.path) end
---@return fun(): { path: string, rows: integer, bytes: integer, snapshot_id: integer, deletes: integer }?
function Plan:each()
  local handle, first, piece, i = handles[self], 1, {}, 0
  return function()
    if i == #piece then
      piece, i = handle:files(first, PIECE), 0
      first = first + #piece
    end
    i = i + 1
    return piece[i]
  end
end

---@param handle mle.iceberg.Plan
---@return mlengine.iceberg.Plan
function M.wrap(handle)
  local plan = setmetatable(handle:facts(), Plan)
  handles[plan] = handle
  return plan
end

return M
