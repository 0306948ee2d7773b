--- Two models beside each other: what differs, when their bytes do.

local json = require "mlengine.json"
local system = require "mle.system"

local M = {}

local BYTES_MAX <const> = 64 << 20 -- of a model that is taken apart

local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function first_difference(a, b)
  local low, high = 0, math.min(#a, #b) -- the first `low` bytes are equal
  while low < high do
    local middle = (low + high + 1) // 2
    if a:sub(low + 1, middle) == b:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  return low
end

-- ====== Inside ======

local function decoded(bytes)
  local model = json.decode(require("mlengine.xgboost.booster").load(bytes):save_raw "json")
  local learner = model.learner
  local forest = learner.gradient_booster
  forest = forest.gbtree and forest.gbtree.model or forest.model or {}
  return { version = table.concat(model.version, "."), learner = learner, trees = forest.trees or {} }
end

local function compare_trees(add, a, b)
  local differ, first = 0, nil
  for i = 1, math.min(#a, #b) do
    if not equal(a[i], b[i]) then differ, first = differ + 1, first or i - 1 end
  end
  if #a ~= #b then add("trees: %d and %d", #a, #b) end
  if differ > 0 then add("trees: %d of %d differ, the first is tree %d", differ, math.min(#a, #b), first) end
end

local function compare_inside(add, bytes_a, bytes_b)
  local ok_a, a = pcall(decoded, bytes_a)
  local ok_b, b = pcall(decoded, bytes_b)
  if not (ok_a and ok_b) then return add("the models cannot be taken apart: %s", require("mlengine.error").message(ok_a and b or a)) end
  if a.version ~= b.version then add("written by XGBoost %s and %s", a.version, b.version) end
  compare_trees(add, a.trees, b.trees)
  local parts = {}
  for name in pairs(a.learner) do parts[#parts + 1] = name end
  table.sort(parts)
  for _, name in ipairs(parts) do
    if name ~= "gradient_booster" and not equal(a.learner[name], b.learner[name]) then add("learner.%s differs", name) end
  end
end

---What differs between two models' bytes, a line for each; empty when they are equal.
---@param a string
---@param b string
---@return string[]
function M.models(a, b)
  local found = {}
  local function add(format, ...) found[#found + 1] = format:format(...) end
  if a == b then return found end
  add("bytes: %d and %d (sha256 %s), the first that differs is byte %d", #a, #b, system.sha256(b), first_difference(a, b))
  if #a > BYTES_MAX or #b > BYTES_MAX then
    add("they are too large to be taken apart (at most %d bytes are)", BYTES_MAX)
  else
    compare_inside(add, a, b)
  end
  return found
end

return M
