--- Every function a C module exports, and every method, has a typed stub.

local lu = require "luaunit"

local function modules()
  local names = {}
  for line in io.lines "bindings/modules.h" do
    names[#names + 1] = line:match 'X%("(mle[%w_.]+)"'
  end
  return names
end

TestTypes = {}

function TestTypes.test_every_c_function_has_a_stub()
  lu.assertTrue(#modules() >= 3)
  for _, name in ipairs(modules()) do
    local file <close> = assert(io.open("stdlib/types/" .. name:gsub("%.", "/") .. ".lua"))
    local stub = file:read "a"
    for key, value in pairs(require(name)) do
      if type(value) == "function" then
        lu.assertStrContains(stub, "function M." .. key .. "(", false, name .. "." .. key .. " has no stub")
      end
    end
  end
end
