--- Lines for people, on standard error: `log.info("%d rows", rows)`.
--- `$MLENGINE_LOG` (debug, info, warning, error) says what is worth a line.

local system = require "mle.system"

local M = {}

local function at(level)
  return function(format, ...)
    system.log(level, select("#", ...) > 0 and format:format(...) or tostring(format))
  end
end

---@type fun(format: string, ...: any)
M.debug = at "debug"
---@type fun(format: string, ...: any)
M.info = at "info"
---@type fun(format: string, ...: any)
M.warning = at "warning"
---@type fun(format: string, ...: any)
M.error = at "error"

return M
