-- A slow model of what consumers are owed: replays the histories that histories_test.py made, and raises at the
-- first run that read other rows than it should, or was refused or not when it should not.
--
-- It knows nothing of the engine's way: a table is the list of what was done to it, a consumer the last snapshot it
-- is done with, and every question is answered by walking from the newest snapshot back.
local job, json = require "mlengine.job", require "mlengine.json"

local params = job.params { file = { nil, "the histories, as JSON", type = "string" } }

local function plain(value)
  if value ~= json.null then return value end
end

local function raise(at, format, ...) error(("seed %d, event %d (%s): "):format(at.seed, at.number, at.what) .. format:format(...), 0) end

-- ====== Tables ======

local function snapshot_of(world, id) return world.snapshots[id] end

--- The snapshots from `id` back, as far as they are known; whether rows before them were forgotten.
local function chain_of(world, id)
  local chain, s = {}, snapshot_of(world, id)
  while s and not s.expired do
    chain[#chain + 1] = s
    s = snapshot_of(world, s.parent)
  end
  return chain, #chain > 0 and s ~= nil and next(s.live) ~= nil
end

local function position_in(chain, id)
  for i, s in ipairs(chain) do
    if s.id == id then return i end
  end
end

local function common_of(chain, old)
  for _, s in ipairs(old) do
    if position_in(chain, s.id) then return s.id end
  end
end

-- ====== What a run is to read ======

local function refused(text) return { refused = text } end

local function all_of(world, head)
  local ids = {}
  for id in pairs(snapshot_of(world, head).live) do ids[#ids + 1] = id end
  table.sort(ids)
  return { ids = ids, to = head, repeats = true }
end

--- Where the range starts in the chain; or what to do instead.
local function start_of(world, chain, cut, mark, options, head)
  local gap = function()
    if options.on_gap == "full" then return nil, all_of(world, head) end
    return nil, refused "history before snapshot"
  end
  if not mark then
    if cut then return gap() end
    return #chain
  end
  local position = position_in(chain, mark)
  if position then return position - 1 end
  local known = snapshot_of(world, mark)
  local old = known and not known.expired and chain_of(world, mark) or {}
  local common = common_of(chain, old)
  if #old == 0 and not cut then return nil, refused "is unknown to this table" end
  if cut and not common then return gap() end
  if options.on_rollback == "common_ancestor" and common then return position_in(chain, common) - 1 end
  if options.on_rollback == "common_ancestor" then return nil, refused "no common ancestor" end
  return nil, refused(("snapshot %d is not an ancestor of snapshot %d"):format(mark, head))
end

local function sum_up(chain, count, options, head)
  local ids, snapshots = {}, {}
  for i = count, 1, -1 do
    local s = chain[i]
    if s.operation == "append" then
      table.move(s.ids, 1, #s.ids, #ids + 1, ids)
      snapshots[#snapshots + 1] = s.id
    elseif s.operation ~= "replace" and options.on_non_append ~= "skip" then
      return refused(("snapshot %d ("):format(s.id))
    end
  end
  table.sort(ids)
  return { ids = ids, to = head, snapshots = snapshots }
end

local function owed(world, mark, options)
  local head = world.head
  if mark == head then return { ids = {}, to = head, snapshots = {} } end
  local chain, cut = chain_of(world, head)
  local count, instead = start_of(world, chain, cut, mark, options, head)
  if instead then return instead end
  return sum_up(chain, count, options, head)
end

-- ====== What runs did ======

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function list(ids) return "{" .. table.concat(ids, " ") .. "}" end

--- A later attempt reads what the first was to read, unless somebody else did.
local function expected(consumer, world, run)
  local pinned = consumer.pinned[run.run]
  if not pinned or pinned.table ~= world.uuid then return owed(world, consumer.marks[world.uuid], run.options) end
  if pinned.mark ~= consumer.marks[world.uuid] then return refused "has moved from" end
  for _, id in ipairs(pinned.snapshots or {}) do
    if snapshot_of(world, id).expired then return refused "" end
  end
  return pinned
end

local function check_once(at, consumer, run, want)
  if want.repeats then return end -- the user asked for all rows
  for _, id in ipairs(want.ids) do
    if consumer.taken[id] then raise(at, "row %d is in runs %s and %d of %s", id, consumer.taken[id], run.run, run.consumer) end
    consumer.taken[id] = run.run
  end
end

local function succeed(at, consumer, world, run, want)
  if want.refused then raise(at, "run %d of %s succeeded with %s, not refused: %s", run.run, run.consumer, list(plain(run.ids) or {}), want.refused) end
  local ids = plain(run.ids) or {}
  if not same(ids, want.ids) then raise(at, "run %d of %s read %s, not %s", run.run, run.consumer, list(ids), list(want.ids)) end
  check_once(at, consumer, run, want)
  consumer.marks[world.uuid] = want.to
  if #ids > 0 then consumer.tracked[world.uuid] = want.to end
end

local function fail(at, consumer, world, run, want)
  local reason = plain(run.reason) or ""
  if consumer.forgotten[world.uuid] and reason:find("another state consumed these rows", 1, true) then return end
  if want.refused then
    if at.killed or reason:find(want.refused, 1, true) then return end
    raise(at, "run %d of %s failed: %s; it was to be refused: %s", run.run, run.consumer, reason, want.refused)
  end
  if not at.killed and not (at.failing and reason:find("boom", 1, true)) then raise(at, "run %d of %s failed: %s", run.run, run.consumer, reason) end
  want.mark, want.table = consumer.marks[world.uuid], world.uuid
  if run.pinned then consumer.pinned[run.run] = want end
end

local function check_run(at, world, consumers, run)
  if plain(run.rehearsal) then return end
  local consumer = consumers[run.consumer]
  if consumer.forgotten[world.uuid] and run.state == "succeeded" then raise(at, "run %d of %s took rows another state had consumed", run.run, run.consumer) end
  local want = expected(consumer, world, run)
  if run.state == "skipped" or run.state == "succeeded" then
    if run.state == "skipped" and not want.refused and #want.ids > 0 then raise(at, "run %d of %s found nothing, not %s", run.run, run.consumer, list(want.ids)) end
    return succeed(at, consumer, world, run, want)
  end
  fail(at, consumer, world, run, want)
end

-- ====== Events ======

local function new_consumer() return { marks = {}, taken = {}, tracked = {}, pinned = {}, forgotten = {} } end

local function copy_of(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = copy_of(item) end
  return copy
end

local events = {}

function events.create(worlds, _, event)
  worlds.now = { uuid = event.uuid, snapshots = {}, head = nil }
end

function events.snapshot(worlds, _, event)
  local live = {}
  for _, id in ipairs(event.live) do live[id] = true end
  worlds.now.snapshots[event.id] = {
    id = event.id, parent = worlds.now.head, operation = event.operation, ids = event.ids, live = live,
  }
  worlds.now.head = event.id
end

function events.rollback(worlds, _, event) worlds.now.head = event.to end

function events.expire(worlds, _, event)
  for _, id in ipairs(event.ids) do worlds.now.snapshots[id].expired = true end
end

function events.lose(_, consumers)
  for _, consumer in pairs(consumers) do
    consumer.forgotten, consumer.pinned = {}, {}
    for uuid in pairs(consumer.tracked) do consumer.forgotten[uuid] = true end
    consumer.marks = {}
  end
end

function events.adopt(worlds, consumers, event)
  local old = consumers[event.old]
  local uuid = worlds.now.uuid
  if event.old ~= event.consumer then
    consumers[event.consumer] = copy_of(old) -- from here on there are two
    return
  end
  if old.forgotten[uuid] then old.marks[uuid], old.forgotten[uuid] = old.tracked[uuid], nil end
end

function events.runs(worlds, consumers, event, at)
  at.killed, at.failing = event.killed, event.failing
  for _, run in ipairs(event.runs) do
    consumers[run.consumer] = consumers[run.consumer] or new_consumer()
    check_run(at, worlds.now, consumers, run)
  end
end

local file <close> = assert(io.open(params.file))
local histories, runs = json.decode(file:read "a"), 0
for _, history in ipairs(histories) do
  local worlds, consumers = {}, {}
  for number, event in ipairs(history.events) do
    events[event.kind](worlds, consumers, event, { seed = history.seed, number = number, what = event.kind })
    if event.runs then runs = runs + #event.runs end
  end
end
job.output { histories = #histories, runs = runs }
