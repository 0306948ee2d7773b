--- What mle.schedule answers to the cases in the file $CASES, one JSON object per line; see schedule_test.py.

local json = require "mlengine.json"
local lu = require "luaunit"
local schedule = require "mle.schedule"

TestNextTimes = {}

function TestNextTimes.test_all()
  local count = 0
  for line in io.lines(os.getenv "CASES") do
    local case = json.decode(line)
    local at, got = case.after, {}
    for i = 1, #case.times do
      at = schedule.next(case.cron, case.zone, at)
      got[i] = at
    end
    lu.assertEquals(got, case.times, ("%s in %s after %d"):format(case.cron, case.zone, case.after))
    local next = schedule.next(case.cron, case.zone, at or case.after)
    lu.assertTrue(not next or next > case.upto, ("%s in %s has more up to %d"):format(case.cron, case.zone, case.upto))
    count = count + #case.times
  end
  print(count .. " times compared")
end
