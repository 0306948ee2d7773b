---@meta mle.process

---Another mlengine in a process group of its own.
---@class mle.Process
local Process = {}

local M = {}

---@param options { argv: string[], input?: string, locks?: mle.jobs.Lock[], cpus?: integer, log?: string }
---@return mle.Process
function M.start(options) end

---The next thing that happens: "line", is_error, text; "asked", signal; "ended", code, signal;
---nil when the time is up.
---@param timeout_ms integer
---@return "line"|"asked"|"ended"|nil, any, any
function Process:next(timeout_ms) end

---Sends a signal to the whole group.
---@param name "TERM"|"KILL"
function Process:signal(name) end

---@return integer
function Process:id() end

---What it answered, once it has ended.
---@return string
function Process:answer() end

---Being asked to stop (Ctrl-C, SIGTERM, SIGHUP) is an event from now on.
function M.hold_signals() end

---Being asked to stop interrupts again.
function M.release_signals() end

---The signal that came since the last call.
---@return integer?
function M.asked() end

---@param number integer
---@return string "SIGKILL"
function M.signal_name(number) end

---In a job's process: what the engine wrote for it.
---@return string
function M.take_input() end

---In a job's process: answers the engine.
---@param bytes string
function M.give_answer(bytes) end

---In a job's process: its group ends when process `pid`, the engine, does.
---@param pid integer
function M.die_with(pid) end

---The calling thread of Lua is no longer stopped when the process is.
function M.unhook() end

return M
