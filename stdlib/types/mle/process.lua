---@meta mle.process

---Another mlengine in a process group of its own.
---@class mle.Process
local Process = {}

local M = {}

---@class mle.process.Options
---@field argv string[]
---@field input? string
---@field locks? mle.jobs.Lock[]
---@field cpus? integer          how many processors it may use
---@field gpus? integer          how many GPUs it sees
---@field memory? integer        bytes; it is ended when it wants more
---@field no_groups? boolean     hold it to `memory` by adding up, not by a control group
---@field environment? string[]  "NAME=value", over this process's own
---@field secrets? string[]      masked in its lines
---@field log? string            file for its lines

---@param options mle.process.Options
---@return mle.Process
function M.start(options) end

---The next thing that happens: "line", is_error, text; "request", text; "asked", signal; "ended", code, signal;
---nil when the time is up.
---@param timeout_ms integer
---@return "line"|"request"|"asked"|"ended"|nil, any, any
function Process:next(timeout_ms) end

---Answers its request.
---@param text string
function Process:reply(text) end

---TERM goes to its process group, KILL to everything it started.
---@param name "TERM"|"KILL"
function Process:signal(name) end

---@return integer
function Process:id() end

---What it used, in bytes and microseconds; once it has ended.
---@return { peak_memory: integer, cpu_us: integer, bytes_read: integer, out_of_memory: boolean, left: integer }
function Process:used() end

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

---In a job's process: asks the engine for something, and waits for its reply.
---@param text string
---@return string
function M.ask(text) end

---In a job's process: answers the engine.
---@param bytes string
function M.give_answer(bytes) end

---In a job's process: its group ends when what minds it does.
function M.die_with_parent() end

---In a job's process: runs another program to its end, with this process's outputs and environment.
---@param argv string[]
---@param folder string where it is started
---@return integer code
---@return integer signal that ended it, else 0
function M.execute(argv, folder) end

---The calling thread of Lua is no longer stopped when the process is.
function M.unhook() end

return M
