--- As much of MLflow's language for searching runs as can be asked of runs in memory: CML itself filters by little.
---
---     metrics.auc > 0.8 and params.depth = '6' and tags.`mlengine.request` = 'x' and attributes.status = 'FINISHED'

local errors = require "mlengine.error"

local M = {}

local attributes <const> = {
  status = "status", run_name = "run_name", run_id = "run_id", start_time = "start_time", end_time = "end_time", artifact_uri = "artifact_uri",
}

local function refuse(text)
  errors.raise("unsupported", "in CML's experiments runs cannot be searched by '%s'; terms like metrics.auc > 0.8, tags.a = 'b', attributes.status = 'FINISHED', and AND between them", text)
end

--- A field as "metrics", "auc".
local function field_of(text)
  local kind, key = text:match "^(%a+)%.(.+)$"
  if not kind then kind, key = "attributes", text end
  key = key:match "^[`\"](.*)[`\"]$" or key
  kind = ({ metric = "metrics", param = "params", parameter = "params", tag = "tags", attribute = "attributes", run = "attributes" })[kind] or kind
  if kind == "attributes" then
    if key == "Created" then key = "start_time" end
    if not attributes[key] then refuse(text) end
  elseif kind ~= "metrics" and kind ~= "params" and kind ~= "tags" then
    refuse(text)
  end
  return kind, key
end

local function value_of(run, kind, key)
  if kind == "attributes" then return run.info[attributes[key]] end
  return run.data[kind][key]
end

local compare <const> = {
  ["="] = function(a, b) return a == b end, ["!="] = function(a, b) return a ~= b end,
  ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end, [">="] = function(a, b) return a >= b end,
}

local function read_term(text)
  local field, operator, literal = text:match "^%s*([%a]+%.`[^`]+`)%s*([<>=!]+)%s*(.-)%s*$"
  if not field then field, operator, literal = text:match "^%s*([%w_.\"]+)%s*([<>=!]+)%s*(.-)%s*$" end
  if not field or not compare[operator] then refuse(text) end
  local kind, key = field_of(field)
  local wanted = literal:match "^'(.*)'$" or literal:match '^"(.*)"$' or tonumber(literal)
  if wanted == nil or (kind == "metrics") ~= (type(wanted) == "number") and kind ~= "attributes" then refuse(text) end
  return { kind = kind, key = key, holds = compare[operator], wanted = wanted }
end

--- The terms between ANDs that are outside quotes.
local function read(filter)
  local terms, plain = {}, filter:gsub("'[^']*'", function(quoted) return ("'"):rep(#quoted) end)
  local from, upper = 1, plain:upper()
  repeat
    local start, stop = upper:find("%sAND%s", from)
    terms[#terms + 1] = read_term(filter:sub(from, (start or 0) - 1))
    from = (stop or 0) + 1
  until not start
  return terms
end

local function matches(run, terms)
  for _, term in ipairs(terms) do
    local value = value_of(run, term.kind, term.key)
    if value == nil or type(value) ~= type(term.wanted) or not term.holds(value, term.wanted) then return false end
  end
  return true
end

local function read_order(list)
  local orders = {}
  for i, text in ipairs(list or {}) do
    local field, direction = text:match "^%s*(%S+)%s*(%a*)%s*$"
    if not field then refuse(text) end
    local kind, key = field_of(field)
    orders[i] = { kind = kind, key = key, descending = direction:upper() == "DESC" }
  end
  orders[#orders + 1] = { kind = "attributes", key = "start_time", descending = true }
  orders[#orders + 1] = { kind = "attributes", key = "run_id" }
  return orders
end

---The runs that match, in order; those that lack what they are ordered by come last.
---@param runs { info: mle.mlflow.RunInfo, data: mle.mlflow.RunData }[]
---@param search mle.mlflow.Search
---@return { info: mle.mlflow.RunInfo, data: mle.mlflow.RunData }[]
function M.runs(runs, search)
  local terms = search.filter and search.filter:find "%S" and read(search.filter) or {}
  local orders, found = read_order(search.order_by), {}
  for _, run in ipairs(runs) do
    if matches(run, terms) then found[#found + 1] = run end
  end
  table.sort(found, function(x, y)
    for _, order in ipairs(orders) do
      local a, b = value_of(x, order.kind, order.key), value_of(y, order.kind, order.key)
      if a ~= b then
        if a == nil or b == nil then return b == nil end
        if order.descending then return a > b end
        return a < b
      end
    end
    return false
  end)
  return found
end

return M
