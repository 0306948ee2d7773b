local lu = require "luaunit"
local compare = require "mlengine.xgboost.compare"
local describe = require "mlengine.lineage.describe"
local json = require "mlengine.json"
local layers = require "mlengine.lineage.layers"
local lineage = require "mlengine.lineage"
local test = require "mlengine.test"

local HOSTILE <const> = "a\"b\\c<script>&'d'\27[31m\n\u{202E}\xff]]>"

local function run(number, fields)
  local node = {
    id = "run:" .. number, kind = "run", run = number, job = "Fraud/Retrain", state = "succeeded", consumer = "Fraud/Retrain",
    script = "retrain.lua", sha256 = ("ab"):rep(32), script_now = "same", params = {}, created_ms = 0, ranges = {}, logged = {},
  }
  for key, value in pairs(fields or {}) do node[key] = value end
  return node
end

local function snapshot(id, fields)
  local node = {
    id = "snapshot:u:" .. id, kind = "snapshot", snapshot_id = id, table = "bank.trx", table_uuid = "u", timestamp_ms = 0,
    operation = "append", rows = 1000,
  }
  for key, value in pairs(fields or {}) do node[key] = value end
  return node
end

local function model(version)
  return { id = "model:M/" .. version, kind = "model", name = "M", version = version, uri = "models:/M/" .. version, aliases = {} }
end

local function edge(from, to, what) return { from = from.id, to = to.id, what = what } end

local function graph_of(target, nodes, edges)
  return { target = target.id, nodes = nodes, edges = edges, truncated = false }
end

--- snapshot 7 -> run 2 -> models:/M/1, and its file.
local function small(fields)
  local s, r, m = snapshot(7, fields), run(2, fields), model(1)
  local files = {
    id = "files:u:7", kind = "files", table = "bank.trx", snapshot_id = 7, location = "file:///w/trx", rows = 1000, bytes = 2048,
    files = { { path = "file:///w/trx/data/x.parquet", rows = 1000, bytes = 2048, snapshot_id = 7 } },
  }
  return graph_of(m, { m, r, s, files }, { edge(r, m, "made"), edge(s, r, "read by"), edge(files, s, "files of") })
end

TestLineage = {}

-- ====== Text ======

function TestLineage.test_text()
  lu.assertEquals(lineage.render(small(), "text"), [[
models:/M/1
comes from
  run 2  Fraud/Retrain  succeeded  1970-01-01 00:00:00
    script   retrain.lua (as it is now)  sha256 ]] .. ("ab"):rep(32) .. [[

    snapshot 7  bank.trx  append  1,000 rows  1970-01-01 00:00:00
      1 data file  1,000 rows  2.0 KiB
        in file:///w/trx
        data/x.parquet  1,000 rows  2.0 KiB
]])
end

function TestLineage.test_what_is_gone_says_so()
  local graph = small()
  graph.nodes[3].gone = "expired from bank.trx"
  lu.assertStrContains(lineage.render(graph, "text"), "snapshot 7  expired from bank.trx\n")
  lu.assertStrContains(lineage.render(graph, "svg"), "stroke-dasharray")
  lu.assertStrContains(lineage.render(graph, "dot"), "dashed")
end

function TestLineage.test_a_node_is_told_once()
  local a, b, c = run(1), run(2), run(3)
  local graph = graph_of(c, { a, b, c }, { edge(a, b, "outputs to"), edge(b, c, "outputs to"), edge(a, c, "outputs to") })
  local text = lineage.render(graph, "text")
  local _, times = text:gsub("run 1  Fraud/Retrain  succeeded", "")
  lu.assertEquals(times, 1)
  lu.assertStrContains(text, "run 1  Fraud/Retrain  (above)")
end

function TestLineage.test_text_stays_on_a_screen()
  local r, nodes, edges = run(1), {}, {}
  nodes[1] = r
  for i = 1, 100 do
    nodes[i + 1] = snapshot(i)
    edges[i] = edge(nodes[i + 1], r, "read by")
  end
  local text = lineage.render(graph_of(r, nodes, edges), "text")
  lu.assertStrContains(text, "and 94 more snapshots")
  lu.assertTrue(select(2, text:gsub("\n", "")) < 25)
end

--- A chain of models, each made from the one before, as with xgb_model = champion.
function TestLineage.test_a_long_chain_ends()
  local nodes, edges = { run(1) }, {}
  for i = 2, 400 do
    nodes[i] = run(i)
    edges[i - 1] = edge(nodes[i - 1], nodes[i], "outputs to")
  end
  local graph = graph_of(nodes[400], nodes, edges)
  local text = lineage.render(graph, "text")
  lu.assertStrContains(text, "and so on; mlengine lineage 388\n")
  lu.assertEquals(#layers.of(graph), 400)
  lu.assertStrContains(lineage.render(graph, "svg"), "</svg>")
end

-- ====== Names of others ======

function TestLineage.test_clean()
  local cases = {
    { "plain text", "plain text" }, { "naïve 表", "naïve 表" }, { "a\0b\27c\127", "a\u{FFFD}b\u{FFFD}c\u{FFFD}" }, { "\xff\xfe", "\u{FFFD}\u{FFFD}" },
    { "x\xe2\x82", "x\u{FFFD}\u{FFFD}" }, { "\u{202E}gpj", "\u{FFFD}gpj" }, { "", "" }, { 7, "7" }, { "\xed\xa0\x80", ("\u{FFFD}"):rep(3) },
    { "\u{FFFF}", "\u{FFFD}" },
  }
  for _, case in ipairs(cases) do lu.assertEquals(describe.clean(case[1]), case[2]) end
end

--- What an XML reader would find: texts between tags, without any markup in them.
local function texts_of(svg)
  lu.assertNil(svg:find "[\0-\8\11-\31]")
  lu.assertNotNil(utf8.len(svg))
  for entity in svg:gmatch "&(.-);" do lu.assertTrue(({ amp = 1, lt = 1, gt = 1, quot = 1, ["#39"] = 1 })[entity] ~= nil, entity) end
  lu.assertNil(svg:gsub("&%l+;", ""):gsub("&#39;", ""):find "&")
  return svg
end

function TestLineage.test_hostile_names_are_harmless()
  local graph = small { job = HOSTILE, table = HOSTILE, script = HOSTILE, params = { [HOSTILE:gsub("\xff", "")] = "x" } }
  local text, dot, svg = lineage.render(graph, "text"), lineage.render(graph, "dot"), lineage.render(graph, "svg")
  for _, rendered in ipairs { text, dot, svg } do
    lu.assertNil(rendered:find "[\0-\8\11-\31\127]")
    lu.assertNil(rendered:find("\u{202E}", 1, true))
    lu.assertNotNil(utf8.len(rendered))
  end
  lu.assertStrContains(dot, [[a\"b\\c<script>&'d']])
  lu.assertStrContains(svg, "a&quot;b\\c&lt;script&gt;&amp;&#39;d&#39;")
  lu.assertNil(svg:find("<script", 1, true))
  texts_of(svg)
end

--- In DOT each quoted text ends where it should.
function TestLineage.test_dot_strings_are_closed()
  for _, name in ipairs { 'x"', "x\\", 'x\\"', "x\n", '"];evil' } do
    local dot = lineage.render(small { job = name }, "dot")
    for line in dot:gmatch "[^\n]+" do
      local bare = line:gsub('\\\\', ""):gsub('\\"', ""):gsub('"[^"]*"', "")
      lu.assertNil(bare:find '"', line)
      lu.assertNil(bare:find "evil", line)
    end
  end
end

-- ====== Layers ======

local function layer_of(found)
  local at = {}
  for i, layer in ipairs(found) do
    for _, id in ipairs(layer) do at[id] = i end
  end
  return at
end

function TestLineage.test_layers_follow_the_longest_way()
  local a, b, c, d = run(1), snapshot(2), run(3), model(4)
  local edges = { edge(a, b, "appended"), edge(b, c, "read by"), edge(a, c, "outputs to"), edge(c, d, "made"), edge(c, d, "twice") }
  local found, routes = layers.of(graph_of(d, { d, c, b, a }, edges))
  local at = layer_of(found)
  lu.assertEquals({ at[a.id], at[b.id], at[c.id], at[d.id] }, { 1, 2, 3, 4 })
  lu.assertEquals(#routes, 4) -- two between the same nodes are one
  lu.assertEquals(#routes[3], 3) -- past the snapshot's layer
  lu.assertEquals(routes[4].what, "made, twice")
end

function TestLineage.test_a_circle_ends()
  local a, b = run(1), run(2)
  local found = layers.of(graph_of(a, { a, b }, { edge(a, b, "x"), edge(b, a, "y") }))
  lu.assertTrue(#found >= 2)
  lu.assertStrContains(lineage.render(graph_of(a, { a, b }, { edge(a, b, "x"), edge(b, a, "y") }), "svg"), "</svg>")
end

-- ====== Models that differ ======

function TestLineage.test_models_are_compared_inside()
  local function model_text(fields)
    local m = json.decode(require("mle.system").read "tests/fuzz/corpus/model/binary.json")
    for key, value in pairs(fields) do m.learner[key] = value end
    return json.encode(m)
  end
  lu.assertEquals(compare.models("same", "same"), {})
  local a = model_text {}
  local b = model_text { attributes = { best_iteration = "1" } }
  local found = table.concat(compare.models(a, b), "\n")
  lu.assertStrContains(found, ("bytes: %d and %d"):format(#a, #b))
  lu.assertStrContains(found, "learner.attributes differs")
  lu.assertStrContains(table.concat(compare.models(a, "no model"), "\n"), "cannot be taken apart")
end

-- ====== What is there ======

function TestLineage.test_of_takes_a_name()
  test.raises("invalid", lineage.of, {})
end
