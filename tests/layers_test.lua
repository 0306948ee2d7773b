--- The folders form a line: engine <- bindings <- stdlib <- scripts. This test
--- reads the sources and fails on an include or require that points backwards.

local lu = require "luaunit"

local function lines_matching(folder, names, pattern)
  local find = ("find %s -name '%s' -exec grep -Hn '%s' {} +"):format(folder, names, pattern)
  local pipe <close> = assert(io.popen(find))
  local found = {}
  for line in pipe:lines() do found[#found + 1] = line end
  return found
end

local function forbid(folder, names, pattern, why)
  local found = lines_matching(folder, names, pattern)
  lu.assertEquals(#found, 0, why .. ":\n" .. table.concat(found, "\n"))
end

TestLayers = {}

function TestLayers.test_engine_knows_no_lua()
  forbid("engine", "*.[ch]", '#include [<"]\\(lua\\|lauxlib\\|bindings/\\|stdlib/\\)', "engine/ knows nothing of Lua")
end

function TestLayers.test_bindings_allocate_through_lua()
  forbid("bindings", "*.[ch]", '\\<\\(malloc\\|calloc\\|realloc\\|strdup\\|free\\)(', "bindings/ never calls malloc")
end

function TestLayers.test_scripts_use_the_standard_library()
  forbid("scripts", "*.lua", "require.*mle[.]", "scripts/ use mlengine, not the C modules")
end

--- Each engine folder may include those before it in this list, and itself.
local order <const> =
  { "base", "json", "http", "store", "frame", "iceberg", "xgboost", "mlflow", "jobs", "deploy", "serve" }

function TestLayers.test_engine_folders_point_one_way()
  for i, folder in ipairs(order) do
    for j = i + 1, #order do
      forbid("engine/" .. folder, "*.[ch]", '#include "engine/' .. order[j] .. "/", folder .. " comes before " .. order[j])
    end
  end
end

--- DuckDB and XGBoost stay out of what the program itself links.
function TestLayers.test_heavy_libraries_stay_in_their_folders()
  for _, folder in ipairs(order) do
    if folder ~= "frame" then forbid("engine/" .. folder, "*.[ch]", "#include <duckdb", "only engine/frame uses DuckDB") end
    if folder ~= "xgboost" then
      forbid("engine/" .. folder, "*.[ch]", "#include <xgboost", "only engine/xgboost uses XGBoost")
    end
  end
end
