--- What differs between two runs: script, parameters, rows, outputs, and what MLflow has of them.

local json = require "mlengine.json"

local M = {}

local LINES_MAX <const> = 2000
local TEXT_MAX <const> = 60

---@class mlengine.jobs.Difference
---@field what string
---@field a? string nil: it has none
---@field b? string

local function present(value) return value ~= nil and value ~= json.null end

local function text_of(value)
  if not present(value) then return nil end
  local text = type(value) == "table" and json.encode(value) or math.type(value) == "float" and ("%.6g"):format(value) or tostring(value)
  text = text:gsub("%c", " ")
  return #text <= TEXT_MAX and text or text:sub(1, TEXT_MAX) .. "…"
end

-- ====== Facts by name ======

local function add_all(facts, prefix, values)
  for name, value in pairs(present(values) and values or {}) do facts[prefix .. name] = text_of(value) end
end

local function add_ranges(facts, run)
  for _, range in ipairs(run.ranges) do
    local from = present(range.from) and tostring(range.from) or "the beginning"
    facts["read " .. range.table] = ("%d rows after %s up to %s"):format(range.rows, from, text_of(range.to) or "no snapshot")
  end
end

--- What MLflow has is beside the point when its server is away.
local function add_tracked(facts, run, warn)
  if not present(run.mlflow_run) then return end
  facts["mlflow run"] = run.mlflow_run
  local ok, past = pcall(function() return require("mlengine.mlflow").get_run(run.mlflow_run) end)
  if not ok then return warn(run, past) end
  add_all(facts, "mlflow param ", past.data.params)
  add_all(facts, "metric ", past.data.metrics)
end

local function facts_of(run, warn)
  local facts = {
    job = (present(run.pipeline) and run.pipeline .. "/" or "") .. run.job, state = present(run.reused) and "reused" or run.state, reason = text_of(run.reason),
    script = ("%s (sha256 %s)"):format(run.script, run.sha256:sub(1, 12)), rehearsal = text_of(run.rehearsal),
    took = present(run.ended) and require("mlengine.jobs.report").duration(math.max(0, run.ended - run.created)) or nil,
  }
  add_all(facts, "param ", run.params)
  add_all(facts, "input ", run.inputs)
  add_all(facts, "output ", run.outputs)
  add_ranges(facts, run)
  add_tracked(facts, run, warn)
  return facts
end

---What differs, in order of its name.
---@param a table as state:details gives it
---@param b table
---@param warn fun(run: table, problem: any) MLflow has no word of that run
---@return mlengine.jobs.Difference[] differences, integer same how many facts are the same
function M.facts(a, b, warn)
  local left, right, names, seen = facts_of(a, warn), facts_of(b, warn), {}, {}
  for _, facts in ipairs { left, right } do
    for name in pairs(facts) do
      if not seen[name] then
        seen[name], names[#names + 1] = true, name
      end
    end
  end
  table.sort(names)
  local found = {}
  for _, name in ipairs(names) do
    if left[name] ~= right[name] then found[#found + 1] = { what = name, a = left[name], b = right[name] } end
  end
  return found, #names - #found
end

-- ====== Texts, line by line ======

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  if lines[#lines] == "" then lines[#lines] = nil end
  return lines
end

--- The longest common subsequence's lengths: table[i][j] is that of a from i and b from j on.
local function common(a, b)
  local rows = {}
  for i = #a + 1, 1, -1 do
    rows[i] = {}
    for j = #b + 1, 1, -1 do
      if i > #a or j > #b then
        rows[i][j] = 0
      elseif a[i] == b[j] then
        rows[i][j] = rows[i + 1][j + 1] + 1
      else
        rows[i][j] = math.max(rows[i + 1][j], rows[i][j + 1])
      end
    end
  end
  return rows
end

--- Without what both begin and end with.
local function middle(a, b)
  local from, ends = 1, 0
  while from <= #a and from <= #b and a[from] == b[from] do from = from + 1 end
  while ends < #a - from + 1 and ends < #b - from + 1 and a[#a - ends] == b[#b - ends] do ends = ends + 1 end
  return table.move(a, from, #a - ends, 1, {}), table.move(b, from, #b - ends, 1, {}), from - 1
end

---The lines that differ: "-12: local x = 1" of a's, "+12: local x = 2" of b's; nil when the texts are too long.
---@param a string
---@param b string
---@return string[]?
function M.lines(a, b)
  local left, right, offset = middle(lines_of(a), lines_of(b))
  if #left > LINES_MAX or #right > LINES_MAX then return nil end
  local rows, out, i, j = common(left, right), {}, 1, 1
  while i <= #left or j <= #right do
    if i <= #left and j <= #right and left[i] == right[j] then
      i, j = i + 1, j + 1
    elseif j > #right or (i <= #left and rows[i + 1][j] >= rows[i][j + 1]) then
      out[#out + 1] = ("-%d: %s"):format(i + offset, left[i])
      i = i + 1
    else
      out[#out + 1] = ("+%d: %s"):format(j + offset, right[j])
      j = j + 1
    end
  end
  return out
end

return M
