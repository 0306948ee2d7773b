---@meta mle.system

---Files, time and identity.
local M = {}

---The file's bytes, at most 256 MiB.
---@param path string
---@return string
function M.read(path) end

---Writes a file whole or not at all; `private` gives it mode 0600.
---@param path string
---@param bytes string
---@param private? boolean
function M.replace(path, bytes, private) end

---Removes a file; one that is not there is fine.
---@param path string
function M.remove(path) end

---Removes a folder and all in it.
---@param path string
function M.remove_tree(path) end

---Creates a folder and its parents; `private` gives them mode 0700.
---@param path string
---@param private? boolean
function M.make_folders(path, private) end

---The names in a folder, unsorted.
---@param folder string
---@return string[]
function M.list(folder) end

---What is at a path; nil when nothing is.
---@param path string
---@return { kind: "file"|"folder"|"other", size: integer, mtime_ns: integer, uid: integer, mode: integer }?
function M.stat(path) end

---The absolute path without "." and "..".
---@param path string
---@return string
function M.absolute(path) end

---Milliseconds since 1970 UTC.
---@return integer
function M.now_ms() end

---Nanoseconds of a clock that never goes back.
---@return integer
function M.monotonic_ns() end

---ISO 8601 in UTC, "2026-11-24T03:30:00.123Z".
---@param ms integer
---@return string
function M.time_text(ms) end

---Sleeps; ends early when the process is asked to stop.
---@param seconds number
function M.sleep(seconds) end

---Whether the process was asked to stop.
---@return boolean
function M.cancelled() end

---Takes back a Ctrl-C; only the prompt does, between two evaluations.
---@return boolean whether there was one
function M.forgive() end

---The name of who runs this; "uid 1000" where the system has none.
---@return string
function M.user() end

---The effective user id.
---@return integer
function M.uid() end

---This process's id.
---@return integer
function M.pid() end

---Whether a file descriptor is a terminal.
---@param fd integer
---@return boolean
function M.is_terminal(fd) end

---Columns of the terminal on standard error, 80 when there is none.
---@return integer
function M.terminal_width() end

---The SHA-256 as 64 hex digits.
---@param bytes string
---@return string
function M.sha256(bytes) end

---A random UUID as 32 hex digits.
---@return string
function M.uuid() end

---The environment variables whose names begin with `prefix`, in either case.
---@param prefix string
---@return table<string, string>
function M.environment(prefix) end

---Bounds what Lua itself may hold from now on; beyond it, "not enough memory".
---@param bytes integer 0 is no bound
function M.set_memory_max(bytes) end

---Writes one line to standard error, unless $MLENGINE_LOG asks for less.
---@param level "debug"|"info"|"warning"|"error"
---@param text string
function M.log(level, text) end

return M
