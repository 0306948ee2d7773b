--- Routes that the page needs beyond the rest: live events, what MLflow and the catalogs have, endpoints, searching a log,
--- trying a run again. What takes long is asked by children (up/looks.lua).

local due = require "mlengine.jobs.due"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local reading = require "mlengine.up.reading"
local system = require "mle.system"
local triggers = require "mle.triggers"

local M = {}

local WAIT_NS <const> = 70 * 10 ^ 9 // 1 | 0
local FIND_BYTES <const>, FIND_MAX <const>, LINE_MAX <const> = 8 << 20, 500, 2000

--- A child's answer, when it is there.
local function asked(call, question, keep)
  local look = call.up.looks:ask(question, keep ~= false)
  local function again(over)
    local answer = look.answer
    if answer and answer.error then error(answer.error, 0) end
    if answer then return { kind = answer.kind, body = answer.body, headers = answer.headers } end
    if over then errors.raise("timeout", "there was no answer in time; try again") end
  end
  return again(false) or { wait = again, deadline = system.monotonic_ns() + WAIT_NS }
end

-- ====== Runs ======

--- A picture is shown as one, and can do nothing else.
local function artifact(call)
  local answer = asked(call, { what = "artifact", run = reading.run_of(call), path = reading.need_text(call, "path") })
  local function sealed(found)
    if found then found.headers = { ["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox" } end
    return found
  end
  if not answer.wait then return sealed(answer) end
  local again = answer.wait
  answer.wait = function(over) return sealed(again(over)) end
  return answer
end

--- Where the lines with a text begin, in one part of a log, and where the next part does.
local function matches_in(bytes, offset, wanted)
  local found, at = {}, 1
  while #found < FIND_MAX do
    local from = bytes:find(wanted, at, true)
    if not from then return found, nil end
    local begins = from
    while begins > 1 and bytes:byte(begins - 1) ~= 10 do begins = begins - 1 end
    local ends = bytes:find("\n", from, true) or #bytes + 1
    found[#found + 1] = { offset = offset + begins - 1, line = bytes:sub(begins, math.min(ends - 1, begins + LINE_MAX)) }
    at = ends + 1
  end
  return found, offset + at - 1
end

local function find_in_log(call)
  local run, wanted = reading.run_of(call), reading.need_text(call, "text")
  local offset = reading.integer(call, "offset", 0, 0, math.maxinteger)
  call.up.state:result(run) -- raises when there is no such run
  local file <close> = io.open(("%s/runs/%d/log"):format(call.up.folder, run), "rb")
  if not file then return { body = { matches = json.array {}, next = json.null, size = 0 } } end
  local size = file:seek "end"
  file:seek("set", offset)
  local bytes = file:read(FIND_BYTES) or ""
  local whole = #bytes == FIND_BYTES and bytes:match "^.*\n" or bytes
  local found, full = matches_in(whole, offset, wanted)
  local next_offset = full or offset + #whole
  return { body = { matches = json.array(found), next = next_offset < size and #whole > 0 and next_offset or json.null, size = size } }
end

-- ====== Trying again ======

local function need_not_running(call, details)
  if details.pipeline == json.null or not triggers.is_running(call.up.state, details.pipeline) then return end
  errors.raise("conflict", "pipeline '%s' runs now; try again when it has ended", details.pipeline)
end

--- "retry" or "resume": refused at once where the command would refuse.
local function again(verb)
  return function(call)
    local run = reading.run_of(call)
    local details = json.decode(call.up.state:details(run))
    if not due.is_bad(details.state) then
      errors.raise("conflict", "run %d is %s; only one that failed, timed out, was stopped or lost is tried again", run, details.state)
    end
    need_not_running(call, details)
    call.up.engines:start_command({ verb, ("%d"):format(run) }, ("%s of run %d (%s)"):format(verb, run, reading.user_of(call)))
    return { status = 202, body = { run = run, [verb] = true } }
  end
end

-- ====== Endpoints ======

local function invoke(call)
  return asked(call, { what = "invoke", endpoint = call.parts.endpoint, body = json.encode(call.body) }, false)
end

local function whole(what, required) return { "integer", what, required = required } end

---@type mlengine.up.Route[]
M.routes = {
  { method = "GET", path = "/api/v1/events", summary = "What happens, as it happens: server-sent events", kind = "events",
    returns = "events: hello, run (that changed), log (has grown), triggers, pipelines, deployments, server, refresh (ask anew)",
    answer = function(call)
      call.up.feed:follow(call.request)
      return { sent = true }
    end },
  { method = "GET", path = "/api/v1/runs/{run}/logs/find", summary = "Lines of a run's log that have a text",
    query = { text = { "string", "what they have", required = true }, offset = whole "from this byte on; `next` of the answer before" },
    returns = "matches, each with the byte where its line begins; `next`, when there is more to search", answer = find_in_log },
  { method = "GET", path = "/api/v1/runs/{run}/tracking", summary = "What MLflow has of a run: params, metrics with their points, files",
    returns = "its MLflow run", answer = function(call) return asked(call, { what = "tracking", run = reading.run_of(call) }) end },
  { method = "GET", path = "/api/v1/runs/{run}/artifacts", summary = "A file that a run logged", kind = "bytes",
    query = { path = { "string", "which, as `files` of its tracking says", required = true } }, returns = "the file", answer = artifact },
  { method = "GET", path = "/api/v1/runs/{run}/lineage", summary = "What a run comes from, and what came of it",
    returns = "nodes, edges, and nodes in columns from left to right",
    answer = function(call) return asked(call, { what = "lineage", target = ("run:%d"):format(reading.run_of(call)) }) end },
  { method = "POST", path = "/api/v1/runs/{run}/retry", summary = "Try a run again that did not succeed",
    body = { who = { "string", "who asks" } }, returns = "that it begins", status = 202, answer = again "retry" },
  { method = "POST", path = "/api/v1/runs/{run}/resume", summary = "Go on with the pipeline of a run that did not succeed",
    body = { who = { "string", "who asks" } }, returns = "that it begins", status = 202, answer = again "resume" },
  { method = "GET", path = "/api/v1/compare", summary = "What differs between two runs",
    query = { a = whole("a run", true), b = whole("another", true) }, returns = "differences, and lines of their scripts that differ",
    answer = function(call)
      local function run(name)
        return reading.integer(call, name, nil, 1, math.maxinteger) or errors.raise("invalid", "compare takes two runs: ?a=1&b=2")
      end
      return asked(call, { what = "compare", a = run "a", b = run "b" })
    end },
  { method = "GET", path = "/api/v1/tables", summary = "The project's tables", returns = "tables; `error` when the catalog does not answer",
    answer = function(call) return asked(call, { what = "tables" }) end },
  { method = "GET", path = "/api/v1/tables/{table}", summary = "A table: snapshots, who has read how far, what each would read next",
    returns = "the table", answer = function(call) return asked(call, { what = "table_", name = call.parts.table }) end },
  { method = "GET", path = "/api/v1/endpoints", summary = "Endpoints: what answers, their releases, their traffic",
    returns = "the model server, and endpoints", answer = function(call) return asked(call, { what = "endpoints" }) end },
  { method = "GET", path = "/api/v1/endpoints/{endpoint}/example", summary = "A request that an endpoint answers",
    returns = "a body for /invocations", answer = function(call) return asked(call, { what = "example", endpoint = call.parts.endpoint }) end },
  { method = "POST", path = "/api/v1/endpoints/{endpoint}/invocations", summary = "Send the model server a request, and see its answer",
    body = {}, returns = "status, body, version and how long it took", answer = invoke },
  { method = "POST", path = "/api/v1/endpoints/{endpoint}/rollback", summary = "Make an endpoint answer with what it had before",
    body = { who = { "string", "who asks" } }, returns = "the deployment",
    answer = function(call) return asked(call, { what = "rollback", endpoint = call.parts.endpoint }, false) end },
}

return M
