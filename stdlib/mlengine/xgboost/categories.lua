--- Texts as categories. The codes are given out here, by the model's own list: the library would take
--- a name that it does not know for the next one that it does.

local raise = require("mlengine.error").raise

local M = {}

--- What one column may have: each name stands in the SQL that encodes it, and in the model.
M.MAX = 100000

local SEPARATOR <const> = "\31"

---@param name string
---@return string
function M.quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local function literal(text) return "'" .. text:gsub("'", "''") .. "'" end

--- A list that a query joined by SEPARATOR.
local function split(text)
  local list = {}
  for name in (text .. SEPARATOR):gmatch("(.-)" .. SEPARATOR) do list[#list + 1] = name end
  return list
end

local function one_row(text, frames) return require("mlengine.frame").sql(text, frames):collect()[1] end

--- An enum's values are its categories, used or not, in its order: as pandas has it.
local function of_enum(column)
  return one_row(("select array_to_string(enum_range(null::%s), chr(31)) as names, len(enum_range(null::%s)) as n"):format(column.type, column.type), {})
end

---The categories of a column, in the order of their codes: of a text, by code points.
---@param frame mlengine.Frame
---@param column mlengine.xgboost.Column
---@param what string for messages
---@return string[]
function M.of(frame, column, what)
  local name = M.quoted(column.name)
  local row = column.type:find "^ENUM" and of_enum(column)
    or one_row(("select count(*) as n, case when n <= %d then string_agg(name, chr(31) order by name) end as names from (select distinct %s as name from rows where %s is not null)"):format(M.MAX, name, name), { rows = frame })
  if row.n > M.MAX then
    raise("invalid", ("%s: column '%s' has %d different texts; as categories a column may have %d: leave it out with exclude = { ... } or turn it into a number"):format(what, column.name, row.n, M.MAX))
  end
  if row.n == 0 then return { "" } end -- the library needs one, also where all are missing
  local list = split(row.names)
  if #list ~= row.n then raise("invalid", ("%s: column '%s' has texts with the control character 31"):format(what, column.name)) end
  return list
end

local function enum_type(list)
  local quoted = {}
  for i, name in ipairs(list) do quoted[i] = literal(name) end
  return "ENUM(" .. table.concat(quoted, ",") .. ")"
end

---SQL for the codes of a column with categories; null for a text that is none of them.
---@param column mlengine.xgboost.Column
---@return string
function M.code(column)
  return ("TRY_CAST(CAST(%s AS VARCHAR) AS %s)"):format(M.quoted(column.name), enum_type(column.categories))
end

---Raises when a row has a text that is none of the categories.
---@param frame mlengine.Frame
---@param column mlengine.xgboost.Column
---@param what string for messages
function M.refuse_unseen(frame, column, what)
  local name, code = M.quoted(column.name), M.code(column)
  local row = one_row(("select count(*) as n, first(%s) as example from rows where %s is not null and %s is null"):format(name, name, code), { rows = frame })
  if row.n == 0 then return end
  raise("invalid", ("%s: column '%s': %d rows have a category that the model was not trained on, such as '%s'; unseen = \"missing\" takes them as missing"):format(what, column.name, row.n, row.example))
end

return M
