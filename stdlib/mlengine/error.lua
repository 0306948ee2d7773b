--- Errors as scripts see them: `{ kind, message, where, retryable }` with `__tostring`.

local M = {}

---@class mlengine.Error
---@field kind string       "invalid", "not found", "io", "format", "conflict", "refused", ...
---@field message string    one line: what was being done, to what, what happened, what to do
---@field where string      "file.lua:12: ", or "" when there is no script line
---@field retryable boolean the same may succeed later
---@field trace? string     the calls that led here, with `--trace`

local meta = {
  __tostring = function(e) return e.message end,
  __name = "mlengine.error",
}

local LEVELS <const> = 100 -- in a runaway recursion the nearest frames say enough

local tracing = false

---Makes errors keep their traceback; `--trace` does.
function M.set_tracing(on) tracing = on end

---Whether errors keep their traceback.
---@return boolean
function M.tracing() return tracing end

---"file.lua:12: " of the innermost frame that is a user's, not the standard library's.
---@param level? integer where to begin, 1 is the caller
---@return string
function M.where(level)
  for i = (level or 1) + 1, LEVELS do
    local info = debug.getinfo(i, "Sl")
    if not info then break end
    if info.currentline > 0 and not info.source:find("stdlib/mlengine/", 1, true) then
      local file = info.source:match "^@(.*)" or info.short_src
      return ("%s:%d: "):format(file, info.currentline)
    end
  end
  return ""
end

---Makes an error of `kind` without raising it.
---@param kind string
---@param message string
---@param where? string "" unless given
---@return mlengine.Error
function M.new(kind, message, where)
  local e = { kind = kind, message = message, where = where or "", retryable = false }
  return setmetatable(e, meta)
end

---Raises an error of `kind`, placed at the user's line that led here.
---@param kind string
---@param message string
---@param ... any for the message, as string.format takes them
function M.raise(kind, message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  error(M.new(kind, message, M.where(2)), 0)
end

---Whether `e` is one of our errors, from Lua or from C.
---@param e any
---@return boolean
function M.is(e)
  return type(e) == "table" and type(e.kind) == "string" and type(e.message) == "string"
end

--- Lua's own texts say where inside them, and may be about a frame of ours.
local function from_text(text)
  local where, message = text:match "^([^\n]-:%d+: )(.*)$"
  if not where then return M.new("script", text) end
  if where:find("stdlib/mlengine/", 1, true) then where = "" end
  return M.new("script", message, where)
end

local function describe(value)
  local ok, text = pcall(tostring, value)
  return ("an error that is a %s was raised%s"):format(type(value), ok and ": " .. text or "")
end

---Whatever a script may have thrown, as one of our errors. Called as xpcall's
---handler it also finds the line, and keeps the traceback while tracing.
---@param e any
---@return mlengine.Error
function M.from(e)
  if not M.is(e) then e = type(e) == "string" and from_text(e) or M.new("script", describe(e)) end
  if not e.where or e.where == "" then e.where = M.where(2) end
  if tracing and not e.trace then e.trace = debug.traceback("", 2) end
  return e
end

---The message of anything that pcall may hand back, without its traceback.
---@param e any
---@return string
function M.message(e) return M.is(e) and e.message or tostring(e) end

---The one line a user sees: "file.lua:12: what; what to do".
---@param e any
---@return string
function M.line(e)
  if not M.is(e) then return tostring(e) end
  return (e.where or "") .. e.message .. (e.trace or "")
end

return M
