---@meta mle.jobs

---The state in .mlengine/state.db. Texts that hold data are JSON.
---@class mle.jobs.State
local State = {}

---A lock that says a process is alive; closing gives it back.
---@class mle.jobs.Lock
local Lock = {}

local M = {}

---Opens the state in an absolute folder, making both when they are missing.
---@param folder string
---@return mle.jobs.State
function M.open(folder) end

---Takes a named lock; raises "busy", with what its holder says of itself.
---@param kind string "consumer" or "pipeline"
---@param name string
---@param holder string
---@return mle.jobs.Lock
function State:lock(kind, name, holder) end

---What others are told while they cannot have the lock.
---@param holder string
function Lock:describe(holder) end

---Whether a process holds the lock of a run.
---@param run integer
---@return boolean
function State:is_alive(run) end

---Removes the file of an ended run's lock.
---@param run integer
function State:forget_lock(run) end

---@class mle.jobs.RunSpec
---@field pipeline_run? integer
---@field pipeline? string
---@field job string
---@field script string
---@field script_text string
---@field consumer string
---@field rehearsal? string
---@field params string
---@field inputs? { parent: string, run: integer }[]
---@field spec? string         what it takes to start it again

---Makes the row of a run about to start, and its lock.
---@param spec mle.jobs.RunSpec
---@return integer run, mle.jobs.Lock lock
function State:create(spec) end

---Makes the row of a run that does not take place.
---@param spec mle.jobs.RunSpec
---@param reason string
---@return integer run
function State:create_skipped(spec, reason) end

---@param pipeline string
---@param file string
---@param rehearsal? string
---@param plan? string what it is to do
---@return integer id, mle.jobs.Lock lock
function State:create_pipeline(pipeline, file, rehearsal, plan) end

---Makes a pipeline's run that ended without success go on.
---@param id integer
---@return mle.jobs.Lock lock
function State:reopen_pipeline(id) end

---A pipeline's run with its plan and its runs.
---@param id integer
---@return string
function State:pipeline_run(id) end

---The last run that did not succeed, unless a later one did: { run, pipeline_run }.
---@return string?
function State:unfinished() end

---Makes a run that did not succeed start again.
---@param run integer
---@return integer attempt, mle.jobs.Lock lock
function State:try_again(run) end

---The range that an earlier attempt of a run recorded.
---@param consumer string
---@param table_uuid string
---@param branch string
---@param run integer
---@return string?
function State:pinned(consumer, table_uuid, branch, run) end

---Keeps a script's text, once.
---@param text string
---@return string sha256
function State:keep_script(text) end

---The run's own name, which no other run of any state has.
---@param run integer
---@return string?
function State:key(run) end

---@param sha256 string
---@return string text
function State:script(sha256) end

---@param id integer
---@param how string
---@param reason? string
function State:finish_pipeline(id, how, reason) end

---This process is the run's.
---@param run integer
function State:start(run) end

---Records what a run is about to read.
---@param run integer
---@param range { consumer: string, table_uuid: string, branch: string, table_name: string, expected?: integer, from?: integer, to?: integer, rows: integer, read?: string, fields?: string, schema_id?: integer, held?: boolean }
function State:pin_range(run, range) end

---@param run integer
---@param kind string
---@param data string
function State:intend(run, kind, data) end

---@param intent integer
function State:settle(intent) end

---@param run integer
---@param kind string
---@param data string
function State:note(run, kind, data) end

---The commit: state, outputs, watermarks and actions in one transaction.
---@param run integer
---@param outputs string
---@param actions { kind: string, data: string }[]
function State:succeed(run, outputs, actions) end

---Ends a run as succeeded that was not run: it takes over the outputs of `earlier`, and what that noted as `kind`.
---@param run integer
---@param earlier integer
---@param kind string
function State:reuse(run, earlier, kind) end

---Ends a run as skipped; moves only watermarks whose range held no row.
---@param run integer
---@param reason string
---@param actions { kind: string, data: string }[]
function State:skip(run, reason, actions) end

---@param action integer
function State:action_done(action) end

---Ends a run that is still going; says whether it was.
---@param run integer
---@param how "failed"|"timed-out"|"stopped"|"lost"
---@param reason string
---@param trace? string
---@return boolean
function State:finish(run, how, reason, trace) end

---What its processes used.
---@param run integer
---@param usage string JSON object
function State:used(run, usage) end

---Ends as lost all runs whose processes are gone.
function State:recover() end

---@param consumer string
---@param table_uuid string
---@param branch string
---@return integer? snapshot
function State:watermark(consumer, table_uuid, branch) end

---Moves a watermark by hand, and records that.
---@param consumer string
---@param table_uuid string
---@param branch string
---@param move { action: "adopt"|"set"|"reset"|"skip"|"unskip", table_name: string, snapshot?: integer, who: string, why: string }
function State:move_watermark(consumer, table_uuid, branch, move) end

---Whether there is no watermark because somebody wanted that.
---@param consumer string
---@param table_uuid string
---@param branch string
---@return boolean
function State:was_reset(consumer, table_uuid, branch) end

---The newest run whose rows wait for a release of its model, and up to where it read.
---@param consumer string
---@param table_uuid string
---@param branch string
---@return integer? run, integer? snapshot
function State:waiting(consumer, table_uuid, branch) end

---Ids of the snapshots that somebody had left out.
---@param consumer string
---@param table_uuid string
---@param branch string
---@return string
function State:skipped(consumer, table_uuid, branch) end

---The columns this consumer saw when it last consumed rows.
---@param consumer string
---@param table_uuid string
---@param branch string
---@return string?
function State:consumed_schema(consumer, table_uuid, branch) end

---What people did to watermarks, newest first.
---@param limit integer
---@return string
function State:moves(limit) end

---The range this consumer last consumed rows from.
---@param consumer string
---@param table_uuid string
---@param branch string
---@return integer? to, integer? from
function State:last_consumed(consumer, table_uuid, branch) end

---@return string
function State:watermarks() end

---The last runs, newest first.
---@param limit integer
---@param filter? { pipeline?: string, job?: string, state?: string, trigger?: string, before?: integer, floor?: integer, pipeline_run?: integer }
---@return string
function State:history(limit, filter) end

---The last run of a job: {run, state, reason, created, started, ended}.
---@param pipeline string
---@param job string
---@return string?
function State:last_run(pipeline, job) end

---The last run of each job that ever ran: an array of [pipeline, job, run, state, reason, created, started, ended, reused], as JSON.
---@return string
function State:last_runs() end

---How each pipeline's job ran last: an array of [pipeline, job, state], as JSON.
---@return string
function State:last_states() end

---How many attempts of each job ended how, ever, as Prometheus reads it.
---@return string?
function State:runs_total() end

---How long they took together.
---@return string?
function State:seconds_total() end

---@param run integer
---@return string
function State:details(run) end

---@param run integer
---@return string
function State:result(run) end

---@param pipeline string
---@param job string
---@param child string
---@return string?
function State:output(pipeline, job, child) end

---The run of the same job before `run` that was neither a rehearsal nor skipped: { run, state, ranges, note }; run and
---ranges of the one that it reused, if any.
---@param run integer
---@param kind string of the note
---@return string?
function State:before(run, kind) end

---@param run? integer
---@return string
function State:unsettled(run) end

return M
