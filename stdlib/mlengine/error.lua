--- Errors as scripts see them: `{ kind, message, where, retryable }` with `__tostring`.

local M = {}

---@class mlengine.Error
---@field kind string       "invalid", "not found", "io", "format", "conflict", "refused", ...
---@field message string    one line: what was being done, to what, what happened, what to do
---@field where string      "file.lua:12: ", or "" when there is no script line
---@field retryable boolean the same may succeed later

local meta = {
  __tostring = function(e) return e.message end,
  __name = "mlengine.error",
}

---Raises an error of `kind`. `level` counts callers as Lua's error() does.
---@param kind string
---@param message string
---@param level? integer
function M.raise(kind, message, level)
  local info = debug.getinfo((level or 1) + 1, "Sl")
  local where = info and info.currentline > 0 and ("%s:%d: "):format(info.short_src, info.currentline) or ""
  error(setmetatable({ kind = kind, message = message, where = where, retryable = false }, meta), 0)
end

---The message of anything that pcall may hand back, without its traceback.
---@param e any
---@return string
function M.message(e)
  if type(e) == "table" and e.message then return e.message end
  return tostring(e)
end

return M
