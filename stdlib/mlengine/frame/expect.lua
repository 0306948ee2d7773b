--- `frame:expect`: what must hold of the rows before anybody trains on them. All of it
--- is one query, so one pass over the rows.

local check = require "mlengine.check"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local log = require "mlengine.log"

local M = {}

local ACTIONS <const> = { "fail", "skip", "warn" }
local DRIFTS <const> = { "new", "dropped", "renamed", "promoted", "nullability" }

local column_rules <const> = {
  min = "number|string|nil", max = "number|string|nil", null_rate = "number|nil", unique = "boolean|nil", one_of = "table|nil",
  matches = "string|nil", mean = "table|nil", stddev = "table|nil", distinct = "table|nil", mostly = "number|nil", on_fail = "string|nil",
}
local bounds <const> = { min = "number|nil", max = "number|nil", on_fail = "string|nil" }

-- ====== SQL ======

local function quote_name(name) return '"' .. name:gsub('"', '""') .. '"' end

local function literal(value, what)
  if type(value) == "string" then return "'" .. value:gsub("'", "''") .. "'" end
  if type(value) == "boolean" or math.type(value) == "integer" then return tostring(value) end
  if type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge then
    return ("%.17g::double"):format(value)
  end
  errors.raise("invalid", "%s is a number, a text or true and false, not %s", what, tostring(value))
end

--- The column without what counts as missing: null, and NaN as XGBoost sees it.
local function value_of(column)
  local name = quote_name(column.name)
  local is_float = column.type == "FLOAT" or column.type == "DOUBLE"
  return is_float and ("nullif(%s, 'nan'::%s)"):format(name, column.type) or name
end

---@class mlengine.frame.Query  the expressions asked for, and what is made of their results
local Query = {}
Query.__index = Query

--- Asks for an expression; the same one twice is one.
function Query:ask(sql)
  if not self.at[sql] then
    self.sql[#self.sql + 1] = ("%s as a%d"):format(sql, #self.sql + 1)
    self.at[sql] = "a" .. #self.sql
  end
  return self.at[sql]
end

--- `judge(row)` gives a line when the rule does not hold, and nil when it does.
function Query:rule(subject, on_fail, judge)
  self.rules[#self.rules + 1] = { subject = subject, on_fail = on_fail, judge = judge }
end

-- ====== Rules ======

local function action(value, fallback, what)
  if value == nil then return fallback end
  for _, known in ipairs(ACTIONS) do
    if value == known then return value end
  end
  errors.raise("invalid", "%s: on_fail is fail, skip or warn, not '%s'%s", what, tostring(value), check.hint(tostring(value), ACTIONS))
end

local function check_share(value, what)
  if value ~= nil and not (value >= 0 and value <= 1) then
    errors.raise("invalid", "%s is a share between 0 and 1, not %s", what, tostring(value))
  end
end

local function number_text(value)
  return math.type(value) == "integer" and tostring(value) or ("%.6g"):format(value)
end

local function outside(limits, value)
  if value == nil then return "there is none" end
  if limits.min and value < limits.min then return ("%s is below %s"):format(number_text(value), number_text(limits.min)) end
  if limits.max and value > limits.max then return ("%s is above %s"):format(number_text(value), number_text(limits.max)) end
end

local function bounded(query, subject, name, limits, sql, on_fail)
  local what = ("%s of %s"):format(name, subject)
  limits = check.options(limits, bounds, what)
  local key = query:ask(sql)
  query:rule(subject, action(limits.on_fail, on_fail, what), function(row)
    local why = outside(limits, row[key])
    return why and ("%s: %s"):format(name, why)
  end)
end

--- A rule on each row that has a value: at most 1 - mostly of them may break it.
local function each(query, subject, present, broken, says, rules, on_fail, example)
  local total, bad = query:ask(present), query:ask(("count(*) filter (where %s)"):format(broken))
  local shown = example and query:ask(("(%s)::varchar"):format(example))
  local allowed = 1 - (rules.mostly or 1)
  query:rule(subject, on_fail, function(row)
    if row[bad] <= allowed * row[total] then return nil end
    return ("%d of %d rows are %s%s"):format(row[bad], row[total], says, shown and row[shown] and (", as %s"):format(row[shown]) or "")
  end)
end

local function list_of(values, what)
  local texts = {}
  for i, value in ipairs(values) do texts[i] = literal(value, what) end
  if #texts == 0 then errors.raise("invalid", "%s has no values", what) end
  return table.concat(texts, ", ")
end

local function row_rules(query, name, v, rules, on_fail)
  local present = ("count(%s)"):format(v)
  local function add(broken, says, example) each(query, name, present, broken, says, rules, on_fail, example) end
  if rules.min ~= nil then
    add(("%s < %s"):format(v, literal(rules.min, name .. ".min")), "below " .. tostring(rules.min), ("min(%s)"):format(v))
  end
  if rules.max ~= nil then
    add(("%s > %s"):format(v, literal(rules.max, name .. ".max")), "above " .. tostring(rules.max), ("max(%s)"):format(v))
  end
  if rules.one_of then
    local broken = ("%s not in (%s)"):format(v, list_of(rules.one_of, name .. ".one_of"))
    add(broken, "not one of those allowed", ("min(%s) filter (where %s)"):format(v, broken))
  end
  if rules.matches then
    local broken = ("not regexp_matches(%s::varchar, %s)"):format(v, literal(rules.matches))
    add(broken, ("no match of '%s'"):format(rules.matches), ("min(%s) filter (where %s)"):format(v, broken))
  end
end

local function null_rule(query, name, v, rate, on_fail)
  local rows, present = query:ask "count(*)", query:ask(("count(%s)"):format(v))
  query:rule(name, on_fail, function(row)
    local missing = row[rows] - row[present]
    if missing <= rate * row[rows] then return nil end
    return ("%d of %d rows have no value, more than a share of %s"):format(missing, row[rows], number_text(rate))
  end)
end

local function unique_rule(query, name, v, on_fail)
  local present, distinct = query:ask(("count(%s)"):format(v)), query:ask(("count(distinct %s)"):format(v))
  query:rule(name, on_fail, function(row)
    if row[distinct] == row[present] then return nil end
    return ("%d of %d values were there before"):format(row[present] - row[distinct], row[present])
  end)
end

local function column_rule(query, column, rules, fallback)
  local name, v = column.name, value_of(column)
  check.options(rules, column_rules, ("frame:expect of column '%s'"):format(name))
  check_share(rules.null_rate, name .. ".null_rate")
  check_share(rules.mostly, name .. ".mostly")
  local on_fail = action(rules.on_fail, fallback, name)
  row_rules(query, name, v, rules, on_fail)
  if rules.null_rate then null_rule(query, name, v, rules.null_rate, on_fail) end
  if rules.unique then unique_rule(query, name, v, on_fail) end
  if rules.mean then bounded(query, name, "mean", rules.mean, ("avg(%s)::double"):format(v), on_fail) end
  if rules.stddev then bounded(query, name, "stddev", rules.stddev, ("stddev_samp(%s)::double"):format(v), on_fail) end
  if rules.distinct then bounded(query, name, "distinct values", rules.distinct, ("count(distinct %s)"):format(v), on_fail) end
end

local function condition_rule(query, condition, fallback)
  local rules = type(condition) == "table" and condition or { sql = condition }
  check.options(rules, { sql = "string", mostly = "number|nil", on_fail = "string|nil" }, "a condition of frame:expect")
  check_share(rules.mostly, "mostly")
  each(query, rules.sql, "count(*)", ("not (%s)"):format(rules.sql), "otherwise", rules, action(rules.on_fail, fallback, rules.sql))
end

-- ====== Drift ======

local function drift_action(rules, kind, fallback)
  local value = type(rules) == "table" and rules[kind] or type(rules) == "string" and rules or nil
  if value == "ignore" then return nil end
  return action(value, fallback, "schema")
end

local function drift_rules(query, frame, rules, fallback)
  if not frame.drift then
    errors.raise("invalid", "frame:expect: 'schema' compares with this consumer's last run, so it needs what job.increment gave")
  end
  if type(rules) == "table" then
    local known = {}
    for _, kind in ipairs(DRIFTS) do known[kind] = "string|nil" end
    check.options(rules, known, "'schema' of frame:expect")
  end
  for _, change in ipairs(frame.drift) do
    local on_fail = drift_action(rules, change.kind, fallback)
    if on_fail then query:rule("schema", on_fail, function() return change.text end) end
  end
end

-- ====== The whole ======

local reserved <const> = { rows = true, schema = true, columns = true, conditions = true, on_fail = true }

local function columns_of(frame, rules)
  local wanted, known, names = {}, {}, {}
  for i, column in ipairs(frame.schema) do known[column.name], names[i] = column, column.name end
  local function add(name, of)
    if not known[name] then
      local hint = check.hint(tostring(name), names)
      if hint == "" then hint = "; rows, schema, columns, conditions and on_fail are the other names" end
      errors.raise("invalid", "frame:expect: there is no column '%s'%s", tostring(name), hint)
    end
    wanted[#wanted + 1] = { column = known[name], rules = check.type(of, "table", ("what is expected of '%s'"):format(name)) }
  end
  for name, of in pairs(rules) do
    if not reserved[name] then add(name, of) end
  end
  for name, of in pairs(check.type(rules.columns, "table|nil", "'columns' of frame:expect") or {}) do add(name, of) end
  table.sort(wanted, function(a, b) return a.column.name < b.column.name end)
  return wanted
end

local function prepare(frame, rules)
  local query = setmetatable({ sql = {}, at = {}, rules = {} }, Query)
  local fallback = action(rules.on_fail, "fail", "frame:expect")
  if rules.rows then bounded(query, "rows", "count", rules.rows, "count(*)", fallback) end
  for _, wanted in ipairs(columns_of(frame, rules)) do column_rule(query, wanted.column, wanted.rules, fallback) end
  for _, condition in ipairs(rules.conditions or {}) do condition_rule(query, condition, fallback) end
  if rules.schema then drift_rules(query, frame, check.type(rules.schema, "string|table", "'schema' of frame:expect"), fallback) end
  return query
end

local function measure(frame, query)
  if #query.sql == 0 then return {} end
  if frame.handle:volatile() then frame.handle = frame.handle:pin() end -- else others would be trained on
  local text = "select " .. table.concat(query.sql, ", ") .. " from expected_rows"
  return require("mlengine.frame").sql(text, { expected_rows = frame }):collect()[1]
end

--- By the strictest that one of them asks for: a line for each.
local function sort_out(query, row)
  local broken = { fail = {}, skip = {}, warn = {} }
  for _, rule in ipairs(query.rules) do
    local why = rule.judge(row)
    if why then table.insert(broken[rule.on_fail], ("%s: %s"):format(rule.subject, why)) end
  end
  return broken
end

local function remember(how, lines)
  local current = context.current()
  if current and #lines > 0 then
    current:note("expect", { text = ("expected otherwise (%s): %s"):format(how, table.concat(lines, "; ")), on_fail = how, broken = lines })
  end
end

---@param frame mlengine.Frame
---@param rules table
---@return boolean held
---@return string[] broken
function M.check(frame, rules)
  check.type(rules, "table", "what frame:expect takes")
  local query = prepare(frame, rules)
  local broken = sort_out(query, measure(frame, query))
  for _, how in ipairs(ACTIONS) do remember(how, broken[how]) end
  for _, line in ipairs(broken.warn) do log.warning("expected otherwise: %s", line) end
  if #broken.fail > 0 then
    errors.raise("refused", "the rows are not as expected: %s", table.concat(broken.fail, "; "))
  end
  if #broken.skip > 0 then
    require("mlengine.job").skip("the rows are not as expected: " .. table.concat(broken.skip, "; "))
  end
  return #broken.warn == 0, broken.warn
end

return M
