--- The current snapshots of tables, asked for in a process of its own: a catalog may be far away, and slow.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local process = require "mle.process"
local system = require "mle.system"

local M = {}

local TIMEOUT_NS <const> = 60 * 10 ^ 9 // 1 | 0

-- ====== In the child ======

local function load_table(name)
  local iceberg = require "mlengine.iceberg"
  local catalog, rest = name:match "^([^.]+)%.(.+%..+)$"
  if catalog then return iceberg.catalog(catalog):load_table(rest) end
  return iceberg.catalog():load_table(name)
end

local function snapshot_of(wanted)
  local table_ = load_table(wanted.table)
  if wanted.branch == "main" then return table_.current_snapshot and table_.current_snapshot.id end
  for _, ref in ipairs(table_:refs()) do
    if ref.name == wanted.branch then return ref.snapshot_id end
  end
end

---@return integer exit code
function M.run()
  local input = json.decode(process.take_input())
  process.die_with_parent()
  local answers = {}
  for i, wanted in ipairs(input.tables) do
    local ok, value = pcall(snapshot_of, wanted)
    local missing = not ok and errors.is(value) and value.kind == "not found"
    answers[i] = { snapshot = ok and value or nil, error = not ok and not missing and errors.message(value) or nil }
  end
  process.give_answer(json.encode(answers))
  return 0
end

-- ====== In the scheduler ======

---Begins to ask, and returns at once.
---@param tables { table: string, branch: string }[]
function M.begin(tables)
  return {
    child = process.start {
      argv = { "child", "tables" }, input = json.encode { tables = json.array(tables) },
    },
    deadline = system.monotonic_ns() + TIMEOUT_NS,
  }
end

---The answers, once they are there: each has `snapshot`, `error`, or neither (no table, or no snapshot yet).
---@return { snapshot?: integer, error?: string }[]? answers, boolean? asked, string? problem
function M.poll(asking)
  local kind, a, b = asking.child:next(0)
  while kind == "line" do kind, a, b = asking.child:next(0) end
  if kind == "ended" then
    local answer = asking.child:answer()
    asking.child:close()
    if a == 0 and b == 0 and answer ~= "" then return json.decode(answer) end
    return nil, false, "the process that looks for snapshots ended by itself"
  end
  if system.monotonic_ns() > asking.deadline then
    asking.child:close()
    return nil, false, "a catalog did not answer within 60 s"
  end
  return nil, kind == "asked"
end

return M
