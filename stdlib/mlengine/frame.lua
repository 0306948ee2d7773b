--- Frames: lazy relations of columns and rows. A frame is a recipe; a method that
--- reads says so. What is heavy happens in DuckDB.
---
--- ```lua
--- local frame = require "mlengine.frame"
--- local trx = frame.read "transactions.csv"
--- local large = trx:where("amount > 1000"):select("customer", "amount * 2 as twice")
--- local joined = frame.sql("select * from large join who using (customer)", { large = large, who = who })
--- print(joined:head(5))
--- ```

local check = require "mlengine.check"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local native = require "mle.frame"
local project = require "mlengine.project"
local show = require "mlengine.frame.show"
local source = require "mlengine.frame.source"
local json = require "mlengine.json"

local M = {}

local COLLECT_ROWS_MAX <const> = 10000

---@class mlengine.Frame
---@field handle mle.Frame  the engine's side of it
---@field schema { name: string, type: string, nullable: boolean }[] DuckDB's types
---@field rows? integer     where metadata tells, else nil: count() reads
---@field dataset? table    where the rows come from, for MLflow; inherited
local Frame = {}
Frame.__name = "mlengine.Frame"

function Frame.__index(self, key)
  if key == "schema" then
    local columns = self.handle:columns()
    rawset(self, "schema", columns)
    return columns
  end
  if key == "rows" then return self.handle:known_rows() end
  return Frame[key]
end

-- ====== Set-up ====== --

--- Half of a job's memory is DuckDB's; its threads are the job's processors.
local function configure()
  local job = context.current()
  local resources = job and job.resources or {}
  native.configure {
    threads = resources.cpu,
    memory = resources.memory and resources.memory // 2,
    temp = project.current().state .. "/tmp",
  }
end
configure()

---@param handle mle.Frame
---@param facts? table fields of the frame; `recipe` says how to make it again elsewhere
---@return mlengine.Frame
function M.wrap(handle, facts)
  local self = { handle = handle }
  for key, value in pairs(facts or {}) do
    self[key == "recipe" and "how" or key] = value
  end
  return setmetatable(self, Frame)
end

--- A frame made of `parent` by one step, with what it inherits.
local function derived(parent, handle, step)
  step.of = parent.how
  return M.wrap(handle, { dataset = parent.dataset, recipe = parent.how and step, why = parent.why })
end

-- ====== Making ====== --

---A frame of files: CSV, Parquet or JSON by the name's ending. `*` matches several.
---@param path string
---@param options? { format?: "csv"|"parquet"|"json", delimiter?: string, header?: boolean, null?: string, columns?: table<string, string> }
---@return mlengine.Frame
function M.read(path, options)
  check.type(path, "string", "the path of frame.read")
  local sql, absolute = source.sql(path, options)
  local job = context.current()
  if job and job.on_file then job.on_file(absolute) end
  local handle = native.from_sql(sql)
  handle:columns() -- a mistake in the file shows here
  return M.wrap(handle, { recipe = { op = "read", path = absolute, options = options } })
end

--- { 1, 2, batch = frame }: list part and named part of frame.sql's second argument.
local function parts(values)
  local list, frames, recipes = {}, {}, {}
  for key, value in pairs(check.type(values or {}, "table", "the values of frame.sql", 2)) do
    if math.type(key) == "integer" then
      list[key] = value
    elseif type(value) == "table" and value.handle then
      frames[key], recipes[key] = value, value.how or false
    else
      errors.raise("invalid", ("frame.sql: '%s' must be a frame; values for ? stand in the list part, without names"):format(key), 3)
    end
  end
  return list, frames, recipes
end

local function why_not(handle, recipes)
  if handle:volatile() then return "its SQL gives other rows at each reading" end
  for name, recipe in pairs(recipes) do
    if not recipe then return ("'%s' in it stays in its process"):format(name) end
  end
end

---A frame by a SELECT. Each `?` takes the next value of the list part; frames in
---the named part are tables of those names.
---@param text string
---@param values? table `{ 10, "x", batch = frame }`
---@return mlengine.Frame
function M.sql(text, values)
  check.type(text, "string", "the text of frame.sql")
  local list, frames, recipes = parts(values)
  local handle = native.query(text, list, frames)
  local why = why_not(handle, recipes)
  return M.wrap(handle, {
    recipe = not why and { op = "sql", text = text, values = json.array(list), frames = recipes } or nil,
    why = why,
  })
end

-- ====== From another frame ====== --

---Columns by SQL expressions: `trx:select("age", "amount * 2 as twice")`.
---@param ... string
---@return mlengine.Frame
function Frame:select(...)
  local expressions = type(...) == "table" and ... or { ... }
  for i, expression in ipairs(expressions) do check.type(expression, "string", ("column %d of select"):format(i)) end
  return derived(self, self.handle:select(expressions), { op = "select", columns = expressions })
end

---The rows for which a SQL predicate is true.
---@param predicate string
---@param implied? string for the library itself: what follows from it and lets the reader leave out more
---@return mlengine.Frame
function Frame:where(predicate, implied)
  check.type(predicate, "string", "the predicate of where")
  local text = implied and ("(%s\n) AND %s"):format(predicate, implied) or predicate
  return derived(self, self.handle:where(text), { op = "where", predicate = predicate })
end

---Rows by SQL terms, `"amount desc, age"`; equal ones keep their order.
---@param terms string
---@return mlengine.Frame
function Frame:sort(terms)
  check.type(terms, "string", "the terms of sort")
  return derived(self, self.handle:sort(terms), { op = "sort", terms = terms })
end

---`count` rows after the first `offset`.
---@param count integer
---@param offset? integer
---@return mlengine.Frame
function Frame:limit(count, offset)
  check.type(count, "integer", "the number of rows")
  return derived(self, self.handle:limit(count, offset), { op = "limit", count = count, offset = offset or 0 })
end

---The first rows; prints as a table.
---@param count? integer 10 by default
---@return mlengine.Frame
function Frame:head(count)
  local head = self:limit(count or 10)
  head.shown = true
  return head
end

local split_options <const> = {
  test = "number|nil",
  seed = "integer|nil",
  by = "string|nil",
  stratify = "string|nil",
  after = "string|nil",
  column = "string|nil",
}

--- The frame itself where each reading gives the same rows in the same order, else a pin of it.
local function steady(self)
  local handle, pinned = self.handle:steady()
  if not pinned then return self end
  return M.wrap(handle, { dataset = self.dataset, why = self.why or "it was pinned, its rows may come in another order elsewhere" })
end

---Two frames that together are all rows, the same ones each time: train, test.
---Rows go by dice from the seed and their place; rows with equal values `by` a
---column stay together; `stratify` shares each value of a column out alike;
---`after` a time all rows of `column` are for the test.
---@param options { test?: number, seed?: integer, by?: string, stratify?: string, after?: string, column?: string } test: a quarter by default
---@return mlengine.Frame train
---@return mlengine.Frame test
function Frame:split(options)
  options = check.options(options, split_options, "frame:split")
  local from = steady(self)
  local train, test = from.handle:split(options)
  return derived(from, train, { op = "split", options = options, part = "train" }),
    derived(from, test, { op = "split", options = options, part = "test" })
end

---The same rows, read now and kept (in memory, then on disk).
---@return mlengine.Frame
function Frame:pin()
  return M.wrap(self.handle:pin(), { dataset = self.dataset, why = "it was pinned" })
end

-- ====== Reading ====== --

---The number of rows.
---@return integer
function Frame:count() return self.handle:count() end

---The rows as Lua tables, at most 10,000; null is nil. For looking, and for tests.
---@return table<string, any>[]
function Frame:collect()
  local text, rows = self.handle:collect(COLLECT_ROWS_MAX + 1), {}
  for line in text:gmatch "[^\n]+" do
    local row = json.decode(line)
    for name, value in pairs(row) do
      if value == json.null then row[name] = nil end
    end
    rows[#rows + 1] = row
  end
  if #rows > COLLECT_ROWS_MAX then
    errors.raise("refused", ("collect gives at most %d rows; use limit, or write them to a file"):format(COLLECT_ROWS_MAX))
  end
  return rows
end

---Type, count, nulls, least, greatest and mean of each column; prints as a table.
---@return { column: string, type: string, count: integer, nulls: integer, min?: string, max?: string, mean?: number }[]
function Frame:describe() return show.describe(self) end

---Says what must hold of these rows, and what happens when it does not: the script
---fails, the job is skipped (its rows stay new), or a warning is logged.
---
---     batch:expect {
---       rows = { min = 100 },
---       amount = { min = 0, null_rate = 0.01 },
---       country = { one_of = { "DE", "FR" }, mostly = 0.99, on_fail = "warn" },
---       conditions = { "paid <= amount" },
---       schema = { new = "ignore", dropped = "fail", renamed = "fail", promoted = "warn" },
---       on_fail = "skip",
---     }
---
---Of a column: min, max, one_of, matches (a regular expression), each for all rows that have
---a value or `mostly` of them; null_rate, unique; mean, stddev, distinct = { min =, max = }.
---`columns = { rows = {...} }` is for columns whose names mean something here. `schema` is about
---what changed since this consumer's last run. One pass over the rows.
---@param rules table
---@return boolean held
---@return string[] broken what was warned about
function Frame:expect(rules) return require("mlengine.frame.expect").check(self, rules) end

---Writes the rows to a new file: .parquet, .csv or .json by its name.
---@param path string
function Frame:write(path)
  local format = source.format(check.type(path, "string", "the path of write"))
  if format == "parquet" then return self.handle:write_parquet(path) end
  self.handle:write(path, format == "csv" and "FORMAT csv, HEADER" or "FORMAT json")
end

function Frame:__tostring() return self.shown and show.rows(self) or show.line(self) end

---Gives up what it holds; needed only where memory is short.
function Frame:close() self.handle:close() end
Frame.__close = Frame.close

-- ====== Travelling ====== --

local makers = {}

---Says how frames of a recipe are made: `op` names it.
---@param op string
---@param maker fun(recipe: table): mlengine.Frame
function M.register(op, maker) makers[op] = maker end

---The recipe as plain data, for another process.
---@return table
function Frame:recipe()
  if self.how then return self.how end
  errors.raise("refused", ("this frame cannot travel to another job: %s; write it to a file and put out the path"):format(self.why or "it has no recipe"))
end

---The frame of a recipe.
---@param recipe table
---@return mlengine.Frame
function M.from_recipe(recipe)
  local op = type(recipe) == "table" and recipe.op
  if op == "iceberg.scan" then return require("mlengine.iceberg").from_recipe(recipe) end
  local maker = makers[op]
  if not maker then errors.raise("format", ("there is no recipe '%s' for a frame"):format(tostring(op))) end
  return maker(recipe)
end

M.register("read", function(recipe) return M.read(recipe.path, recipe.options) end)
M.register("sql", function(recipe)
  local values = { table.unpack(recipe.values) }
  for name, of in pairs(recipe.frames) do values[name] = M.from_recipe(of) end
  return M.sql(recipe.text, values)
end)
M.register("select", function(recipe) return M.from_recipe(recipe.of):select(recipe.columns) end)
M.register("where", function(recipe) return M.from_recipe(recipe.of):where(recipe.predicate) end)
M.register("sort", function(recipe) return M.from_recipe(recipe.of):sort(recipe.terms) end)
M.register("limit", function(recipe) return M.from_recipe(recipe.of):limit(recipe.count, recipe.offset) end)
M.register("split", function(recipe)
  local train, test = M.from_recipe(recipe.of):split(recipe.options)
  return recipe.part == "train" and train or test
end)

return M
