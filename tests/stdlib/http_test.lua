local lu = require "luaunit"
local http = require "mlengine.http"

TestHttp = {}

function TestHttp.test_no_server_is_an_error_that_names_the_url()
  local ok, e = pcall(http.get, "http://127.0.0.1:1/path?token=secret", { retries = 0 })
  lu.assertFalse(ok)
  lu.assertEquals(e.kind, "io")
  lu.assertTrue(e.retryable)
  lu.assertStrContains(e.message, "GET http://127.0.0.1:1/path")
  lu.assertNotStrContains(e.message, "secret")
end

function TestHttp.test_options_are_checked()
  lu.assertErrorMsgContains("no option 'timout' (did you mean 'timeout'?)", http.get, "http://h", { timout = 1 })
  lu.assertErrorMsgContains("the URL must be string", http.get, nil)
  lu.assertErrorMsgContains("timeouts must be above 0", http.get, "http://h", { timeout = 0 })
  lu.assertErrorMsgContains("headers must be a table of texts", http.get, "http://h", { headers = { 1 } })
  lu.assertErrorMsgContains("line break", http.get, "http://127.0.0.1:1", { retries = 0, headers = { X = "a\nb: c" } })
end
