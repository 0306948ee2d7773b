local lu = require "luaunit"
local json = require "mle.json"

TestJson = {}

function TestJson.test_integers_keep_64_bits()
  lu.assertEquals(json.decode(json.encode { id = math.maxinteger }).id, math.maxinteger)
  lu.assertEquals(json.encode { b = 1, a = json.null, c = 0.5 }, '{"a":null,"b":1,"c":0.5}')
end

function TestJson.test_empty_tables()
  lu.assertEquals(json.encode(json.array {}), "[]")
  lu.assertEquals(json.encode {}, "{}")
  lu.assertEquals(json.encode(json.decode "[]"), "[]")
end

function TestJson.test_what_json_cannot_hold()
  lu.assertErrorMsgContains("NaN", json.encode, { 0 / 0 })
  lu.assertErrorMsgContains("function", json.encode, { print })
  local cycle = {}
  cycle.self = cycle
  lu.assertErrorMsgContains("nested", json.encode, cycle)
  lu.assertEquals(select(2, pcall(json.decode, "{")).kind, "format")
end
