---@meta mle.triggers

--- What is to be started, and up to where schedules were seen to; see engine/jobs/triggers.h.

local M = {}

---@param state mle.jobs.State
---@param wanted { pipeline: string, file: string, job?: string, params?: string, source: string, who: string, detail?: string }
---@param moves? { source: string, value: integer } the job's cursor moves with it
---@return integer trigger
function M.add(state, wanted, moves) end

---From queued to started; whoever holds the lock runs it.
---@param state mle.jobs.State
---@param trigger integer
---@return mle.jobs.Lock
function M.take(state, trigger) end

---@param state mle.jobs.State
---@param trigger integer
function M.put_back(state, trigger) end

---@param state mle.jobs.State
---@param trigger integer
---@param pipeline_run integer
function M.bind(state, trigger, pipeline_run) end

---@param state mle.jobs.State
---@param trigger integer
---@param outcome string
---@param reason? string
function M.finish(state, trigger, outcome, reason) end

---Only while it is queued.
---@param state mle.jobs.State
---@param trigger integer
---@param who string
function M.cancel(state, trigger, who) end

---Ends those whose process is gone.
---@param state mle.jobs.State
function M.recover(state) end

---Another number whenever anybody has changed the state.
---@param state mle.jobs.State
---@return integer
function M.version(state) end

---@param state mle.jobs.State
---@param limit integer
---@return string json the newest first
function M.list(state, limit) end

---@param state mle.jobs.State
---@return string json queued and started ones, the oldest first
function M.live(state) end

---Those of a job that have no run of it, or none yet.
---@param state mle.jobs.State
---@param pipeline string
---@param job string
---@param limit integer
---@return string json the newest first
function M.without_run(state, pipeline, job, limit) end

---@param state mle.jobs.State
---@param trigger integer
---@return string json
function M.get(state, trigger) end

---Up to where a job's schedule was seen to; nil when it never was.
---@param state mle.jobs.State
---@param pipeline string
---@param job string
---@param source string the schedule
---@return integer?
function M.cursor(state, pipeline, job, source) end

---The cursors of clocks that are ahead of a time: an array of [pipeline, job, source, value], as JSON.
---@param state mle.jobs.State
---@param time integer seconds since 1970
---@return string
function M.cursors_ahead(state, time) end

---@param state mle.jobs.State
---@param pipeline string
---@param job string
---@param source string
---@param value integer
function M.set_cursor(state, pipeline, job, source, value) end

---What `f` writes (cursors, wishes) is one transaction.
---@param state mle.jobs.State
---@param f fun()
function M.at_once(state, f) end

---@param state mle.jobs.State
---@param pipeline string
---@return boolean
function M.is_running(state, pipeline) end

---@param state mle.jobs.State
---@param run integer
---@param who string
function M.ask_to_stop(state, run, who) end

---Who asked for the end of a run; nil when nobody did.
---@param state mle.jobs.State
---@param run integer
---@return string?
function M.who_stops(state, run) end

---Forgets some old runs and triggers; 0 when none is left.
---@param state mle.jobs.State
---@param options { before_ms?: integer, keep?: integer }
---@return integer removed
function M.prune(state, options) end

---Another mlengine in a session of its own, which goes on when this process ends.
---@param options { argv: string[], input?: string, log: string, folder: string, lock?: mle.jobs.Lock }
---@return integer pid
function M.start(options) end

---Nothing while it runs.
---@param pid integer
---@return integer? code, integer? signal
function M.reap(pid) end

return M
