--- Files for frames: which reader of DuckDB reads them, and with which options.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local system = require "mle.system"

local M = {}

local formats <const> = {
  csv = "csv", tsv = "csv", txt = "csv", parquet = "parquet", json = "json", jsonl = "json", ndjson = "json",
}

local options_known <const> = {
  format = "string|nil", delimiter = "string|nil", header = "boolean|nil", null = "string|nil", columns = "table|nil",
}

local function quote(text)
  if text:find "\0" then errors.raise("invalid", "a text for SQL may not hold a zero byte") end
  return "'" .. text:gsub("'", "''") .. "'"
end

---"csv", "parquet" or "json" by a file's name; compression's endings do not count.
---@param path string
---@return string
function M.format(path)
  local ending = path:lower():gsub("%.gz$", ""):gsub("%.zst$", ""):match "%.([%w]+)$"
  if ending and formats[ending] then return formats[ending] end
  errors.raise("invalid", ("cannot tell the format of '%s' from its name; it must end in .csv, .tsv, .parquet, .json or .jsonl, or say format ="):format(path), 3)
end

--- { a = "DOUBLE" } as DuckDB's struct, names in order.
local function columns_text(columns)
  local names = {}
  for name, kind in pairs(columns) do names[#names + 1] = quote(name) .. ": " .. quote(kind) end
  table.sort(names)
  return "{" .. table.concat(names, ", ") .. "}"
end

local function csv(path, options)
  local sql = { ("read_csv(%s"):format(quote(path)) }
  if options.delimiter then sql[#sql + 1] = "delim = " .. quote(options.delimiter) end
  if options.header ~= nil then sql[#sql + 1] = "header = " .. tostring(options.header) end
  if options.null then sql[#sql + 1] = "nullstr = " .. quote(options.null) end
  if options.columns then sql[#sql + 1] = "columns = " .. columns_text(options.columns) end
  return table.concat(sql, ", ") .. ")"
end

---The SELECT over a file, and its absolute path.
---@param path string
---@param options? table
---@return string sql
---@return string absolute
function M.sql(path, options)
  options = check.options(options, options_known, "frame.read", 2)
  local format = options.format or M.format(path)
  local readers = { csv = csv, parquet = function(p) return ("read_parquet(%s)"):format(quote(p)) end,
    json = function(p) return ("read_json(%s)"):format(quote(p)) end }
  if not readers[format] then
    errors.raise("invalid", ("frame.read has no format '%s'; there are csv, parquet and json"):format(format), 3)
  end
  local absolute = system.absolute(path)
  if not path:find "[*?%[]" and not system.stat(absolute) then
    errors.raise("not found", ("there is no file '%s'"):format(path), 3)
  end
  return "SELECT * FROM " .. readers[format](absolute, options), absolute
end

return M
