--- Frames as the matrices that XGBoost trains on.

local check = require "mlengine.check"
local columns = require "mlengine.xgboost.columns"
local native = require "mle.xgboost"
local raise = require("mlengine.error").raise

local M = {}

---One name or several.
---@param value string|string[]|nil
---@return string[]
function M.names(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

--- What XGBoost calls each option, in the order in which the matrix takes them.
local field_options <const> = {
  { "label", "label" },
  { "label_lower_bound", "label_lower_bound" },
  { "label_upper_bound", "label_upper_bound" },
  { "weight", "weight" },
  { "base_margin", "base_margin" },
  { "group", "qid" },
}

---The columns of a frame that are no features.
---@param options table those of xgboost.train
---@return string[]
function M.others(options)
  local others = {}
  for _, pair in ipairs(field_options) do
    for _, name in ipairs(M.names(options[pair[2]])) do others[#others + 1] = name end
  end
  return others
end

-- ====== Class weights ====== --

local function one_row(text, frame) return require("mlengine.frame").sql(text, { rows = frame }):collect()[1] end

--- As scikit-learn: rows / (classes * rows of the class).
local function balanced(frame, label)
  local column = columns.quoted(label)
  local text = ("select string_agg(y::varchar || '=' || (total / (classes * n))::varchar, ' ') as weights from (select *, sum(n) over () as total, count(*) over () as classes from (select %s as y, count(*) as n from rows where %s is not null group by all))"):format(column, column)
  local weights = {}
  for class, weight in (one_row(text, frame).weights or ""):gmatch "(%S+)=(%S+)" do weights[class] = tonumber(weight) end
  return weights
end

---SQL for a row's weight by its class, times that of its column.
local function class_weight(frame, options)
  local given = options.class_weight
  if type(options.label) ~= "string" then raise("invalid", "class_weight of xgboost.train is for one label column") end
  local weights = given == "balanced" and balanced(frame, options.label) or given
  if type(weights) ~= "table" then raise("invalid", "option 'class_weight' of xgboost.train must be \"balanced\" or { [class] = weight }") end
  local cases = {}
  for class, weight in pairs(weights) do
    if not tonumber(class) then raise("invalid", ("class_weight: a class is a number, not '%s'"):format(tostring(class))) end
    cases[#cases + 1] = ("WHEN %s THEN %.17g"):format(class, check.type(weight, "number", "a weight in class_weight"))
  end
  table.sort(cases)
  local column = options.weight and columns.quoted(options.weight) or "1"
  return ("CAST(%s * CASE %s %s ELSE 1 END AS DOUBLE)"):format(column, columns.quoted(options.label), table.concat(cases, " "))
end

-- ====== Groups ====== --

--- Rows of a group must stand together; the library would make two of it.
local function refuse_scattered(frame, qid, matrix, what)
  local column = columns.quoted(qid)
  local row = one_row(("select count(distinct %s) as ids, count(*) - count(%s) as nulls from rows"):format(column, column), frame)
  if row.nulls > 0 then raise("invalid", ("%s: qid '%s': %d rows have none"):format(what, qid, row.nulls)) end
  if row.ids ~= matrix:groups() then
    raise("invalid", ("%s: qid '%s': the rows of a query must stand together; sort them first, frame:sort \"%s\""):format(what, qid, qid))
  end
end

--- True where another group begins, in the order of the rows.
local function group_expression(qid)
  local column = columns.quoted(qid)
  return ("%s IS DISTINCT FROM lag(%s) OVER ()"):format(column, column)
end

-- ====== Matrices ====== --

--- {field, name, width, ...} for the engine, and SQL for each of their columns.
local function fields_of(frame, what, job, is_train)
  local fields, expressions, options = {}, {}, job.options
  for _, pair in ipairs(field_options) do
    local field, names = pair[1], M.names(options[pair[2]])
    local listed = columns.expressions(frame, field == "group" and {} or names, what)
    if field == "group" and names[1] then
      listed = { group_expression(names[1]) }
      columns.find(frame, names[1], what)
    elseif field == "weight" and options.class_weight and is_train then
      names, listed = { options.weight or options.label }, { class_weight(frame, options) }
    end
    if #names > 0 then table.move({ field, names[1], tostring(#names) }, 1, 3, #fields + 1, fields) end
    table.move(listed, 1, #listed, #expressions + 1, expressions)
  end
  return fields, expressions
end

---Reads a frame into a matrix.
---@param frame mlengine.Frame
---@param what string for messages: "dtrain", "evals.test"
---@param job table what mlengine.xgboost.prepare gives
---@param ref? mle.xgboost.Matrix the training set, of one to validate on
---@return mle.xgboost.Matrix
function M.matrix(frame, what, job, ref)
  local expressions = columns.expressions(frame, job.names, what, job.categories, job.options.unseen)
  local fields, more = fields_of(frame, what, job, ref == nil)
  table.move(more, 1, #more, #expressions + 1, expressions)
  local lists = {}
  for i, name in ipairs(job.names) do lists[i] = job.categories[name] or false end
  local matrix = native.matrix(frame, expressions, {
    what = what,
    kind = job.kind,
    names = job.names,
    types = job.types,
    categories = lists,
    feature_weights = ref == nil and job.feature_weights or nil,
    fields = fields,
    objective = job.params.objective or "reg:squarederror",
    num_class = job.params.num_class,
    training = ref == nil,
    max_bin = job.params.max_bin,
    nthread = job.params.nthread,
    memory_max = job.memory,
    temp = job.temp,
    memory = job.spool_memory,
  }, ref)
  if job.options.qid then refuse_scattered(frame, job.options.qid, matrix, what) end
  return matrix
end

---The training set and those of the evals. One set may stand in evals twice, or be the
---training set itself: each is read once.
---@param job table
---@return mle.xgboost.Matrix train
---@return mle.xgboost.Matrix[] evals
---@return table<table, mle.xgboost.Matrix> read to be closed
function M.read(job)
  local train = M.matrix(job.options.dtrain, "dtrain", job)
  local read, evals = { [job.options.dtrain] = train }, {}
  for i, pair in ipairs(job.evals) do
    local name, frame = pair[1], pair[2]
    read[frame] = read[frame] or M.matrix(frame, "evals." .. name, job, train)
    evals[i] = read[frame]
  end
  return train, evals, read
end

-- ====== Shared ====== --

local Shelf = {}
Shelf.__index = Shelf

---Matrices that several trainings share; they are read when the first wants them.
---@return mlengine.xgboost.Shelf
function M.shelf() return setmetatable({ sets = {} }, Shelf) end

---@class mlengine.xgboost.Shelf
---@field sets table<string, table>

---What M.read gives: once for all trainings on the same rows whose parameters ask for the same bins.
---@param job table
---@param part? integer of the rows, when there are several
---@return mle.xgboost.Matrix train
---@return mle.xgboost.Matrix[] evals
function Shelf:matrices(job, part)
  local p = job.params
  local key = table.concat({ part or 0, job.kind, tostring(p.max_bin), tostring(p.objective), tostring(p.num_class) }, " ")
  self.sets[key] = self.sets[key] or { M.read(job) }
  return self.sets[key][1], self.sets[key][2]
end

---Bytes of all bins, and of the boosters of one training on each part.
---@return integer bins
---@return integer boosters
function Shelf:memory()
  local bins, boosters = 0, 0
  for _, set in pairs(self.sets) do
    for _, matrix in pairs(set[3]) do bins = bins + matrix:memory() end
    boosters = boosters + select(2, set[1]:memory())
  end
  return bins, boosters
end

function Shelf:__close()
  for _, set in pairs(self.sets) do
    for _, matrix in pairs(set[3]) do matrix:close() end
  end
end

return M
