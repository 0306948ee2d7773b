--- The options of a range, as `table:range` and `job.increment` take them.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local point = require "mlengine.iceberg.point"

local M = {}

local choices <const> = {
  on_non_append = { "error", "skip", "include_added" },
  on_gap = { "error", "full" },
  on_rollback = { "error", "common_ancestor", "full" },
  schema = { "current", "end" },
}

local units <const> = { m = 60000, h = 3600000, d = 86400000, w = 604800000 }

local function check_choices(options, what)
  for name, allowed in pairs(choices) do
    local value, found = options[name], options[name] == nil
    for _, choice in ipairs(allowed) do found = found or choice == value end
    if not found then
      errors.raise("invalid", "option '%s' of %s must be one of %s, not '%s'%s",
        name, what, table.concat(allowed, ", "), value, check.hint(value, allowed))
    end
  end
end

local function check_positive(value, name, what)
  if value ~= nil and (math.type(value) ~= "integer" or value < 1) then
    errors.raise("invalid", "option '%s' of %s must be a whole number of at least 1, not %s", name, what, tostring(value))
  end
end

---What `since` means: so long before the range's end, or a time.
---@param text? string "30d", "12h", "2w", or a time
---@return { age_ms?: integer, since_ms?: integer }?
function M.since(text)
  if text == nil then return nil end
  local number, unit = text:match "^(%d+)([mhdw])$"
  number = math.tointeger(tonumber(number or ""))
  if number and number > 0 and number < 100000 then return { age_ms = number * units[unit] } end
  local ms = point.milliseconds(text)
  if ms then return { since_ms = ms } end
  errors.raise("invalid", "option 'since' is an age like \"30d\" (m, h, d, w) or a time like \"2026-11-24T03:30:00Z\", not '%s'", text)
end

---Raises where an option cannot be followed.
---@param options table
---@param what string for messages
function M.check(options, what)
  check_choices(options, what)
  check_positive(options.max_snapshots, "max_snapshots", what)
  check_positive(options.max_rows, "max_rows", what)
  if options.last then
    check.options(options.last, { snapshots = "integer" }, "'last' of " .. what)
    check_positive(options.last.snapshots, "last.snapshots", what)
  end
  if options.last and options.since then
    errors.raise("invalid", "%s takes 'last' or 'since', not both", what)
  end
  M.since(options.since)
end

return M
