local lu = require "luaunit"
local frame = require "mlengine.frame"
local iceberg = require "mlengine.iceberg"
local json = require "mlengine.json"
local system = require "mle.system"

local folder

local function catalog()
  return iceberg.catalog { name = "default", uri = "sqlite:///" .. folder .. "/catalog.db", warehouse = "file://" .. folder .. "/w" }
end

local function complaint(f, ...)
  local ok, e = pcall(f, ...)
  lu.assertFalse(ok)
  return type(e) == "table" and e.message or e
end

local function ids(f)
  local list = {}
  for i, row in ipairs(f:sort("id"):collect()) do list[i] = row.id end
  return list
end

local function small_table()
  local c = catalog()
  local t = c:create_table("bank.t", frame.sql("select 1::bigint as id, 'a' as name").schema)
  for k = 1, 3 do t:append(frame.sql("select ?::bigint as id, 'n' as name", { k })) end
  return t, c
end

TestIceberg = {}

function TestIceberg:setUp()
  folder = "/tmp/mle-iceberg-" .. system.uuid()
  system.make_folders(folder)
end

function TestIceberg:tearDown() system.remove_tree(folder) end

function TestIceberg:test_a_table_is_made_found_and_dropped()
  local _, c = small_table()
  lu.assertEquals(c:list_namespaces(), { "bank" })
  lu.assertEquals(c:list_tables(), { "bank.t" })
  lu.assertTrue(c:table_exists "bank.t")
  lu.assertStrContains(complaint(c.load_table, c, "bank.tt"), "did you mean 'bank.t'")
  lu.assertStrContains(complaint(c.load_table, c, "trx"), "bank.cc_trx")
  lu.assertStrContains(complaint(c.create_table, c, "bank.t", {}), "exists already")
  lu.assertEquals(c:rename_table("bank.t", "bank.u").name, "bank.u")
  c:drop_table "bank.u"
  lu.assertFalse(c:table_exists "bank.u")
end

function TestIceberg:test_metadata_are_frames()
  local t = small_table()
  lu.assertEquals(t.inspect.snapshots():count(), 3)
  local first = t:history()[1].snapshot_id
  lu.assertEquals(t.inspect.files({ snapshot_id = first }):select("file_format", "record_count"):collect(),
    { { file_format = "PARQUET", record_count = 1 } })
  lu.assertEquals(t.inspect.entries():where("status = 1"):select("readable_metrics.id.upper_bound as u"):sort("u"):collect(),
    { { u = 1 }, { u = 2 }, { u = 3 } })
  lu.assertEquals(t.inspect.partitions():select("record_count", "file_count"):collect(), { { record_count = 3, file_count = 3 } })
  lu.assertStrContains(complaint(function() return t.inspect.file() end), "did you mean 'files'")
  lu.assertStrContains(complaint(t.inspect.refs, { snapshot_id = first }), "snapshot_id")
  lu.assertStrContains(complaint(t.inspect.files, { snapshot_id = 7 }), "has no snapshot 7")
end

function TestIceberg:test_facts_are_fields()
  local t = small_table()
  lu.assertEquals(t.name, "bank.t")
  lu.assertEquals(t.format_version, 2)
  lu.assertEquals(t.schema[1], { id = 1, name = "id", type = "long", sql = "BIGINT", required = false })
  lu.assertEquals(t.current_snapshot.summary["total-records"], "3")
  lu.assertEquals(#t:snapshots(), 3)
  lu.assertEquals(t:refs(), { { name = "main", type = "branch", snapshot_id = t.current_snapshot.id } })
  lu.assertEquals(t:history()[3].snapshot_id, t.current_snapshot.id)
  lu.assertEquals(t:files()[1].readable_metrics.id.upper_bound, 3)
  lu.assertStrContains(complaint(t.snapshot, t, 7), "no snapshot 7")
end

function TestIceberg:test_append_says_what_it_added()
  local t = small_table()
  local before = t.current_snapshot.id
  local s = t:append(frame.sql "select i as id from range(5) r(i)", { properties = { source = "test" } })
  lu.assertEquals({ s.added_records, s.added_data_files, s.total_records, s.parent_id }, { 5, 1, 8, before })
  lu.assertEquals(s.summary.source, "test")
  lu.assertEquals(t.current_snapshot.id, s.id)
  local same = t:append(frame.sql "select 1::bigint as id where false")
  lu.assertEquals({ same.id, same.added_records }, { s.id, 0 })
  lu.assertStrContains(complaint(t.append, t, frame.sql "select 1 as id", { properties = { operation = "x" } }), "operation")
end

function TestIceberg:test_a_volatile_frame_keeps_the_rows_that_were_appended()
  local t = catalog():create_table("bank.r", frame.sql("select 1.0::double as id").schema)
  local rows = frame.sql "select random() as id from range(20)"
  t:append(rows)
  lu.assertEquals(ids(rows), ids(t:scan()))
end

function TestIceberg:test_scans_take_columns_conditions_and_snapshots()
  local t = small_table()
  local first = t:snapshots()[1].id
  lu.assertEquals(ids(t:scan()), { 1, 2, 3 })
  lu.assertEquals(t:scan().rows, 3)
  lu.assertEquals(ids(t:scan { snapshot_id = first }), { 1 })
  local narrow = t:scan { columns = { "id" }, where = "name = 'n' and id > 1" }
  lu.assertEquals(ids(narrow), { 2, 3 })
  lu.assertEquals(#narrow.schema, 1)
  lu.assertStrContains(complaint(t.scan, t, { columns = { "idd" } }), "idd")
  lu.assertStrContains(complaint(t.scan, t, { column = { "id" } }), "did you mean 'columns'")
end

function TestIceberg:test_a_table_without_snapshots_is_an_empty_frame()
  local t = catalog():create_table("bank.e", frame.sql("select 1::bigint as id").schema)
  lu.assertNil(t.current_snapshot)
  lu.assertEquals(t:scan():count(), 0)
  lu.assertTrue(t:range().empty)
  local batch = t:increment()
  lu.assertTrue(batch.empty)
  lu.assertEquals(batch:count(), 0)
end

function TestIceberg:test_ranges_and_increments()
  local t = small_table()
  local list = t:snapshots()
  local range = t:range { from = list[1].id }
  lu.assertEquals({ range.from, range.to, range.rows, range.empty }, { list[1].id, list[3].id, 2, false })
  lu.assertEquals(range.snapshots, { list[2].id, list[3].id })
  lu.assertTrue(t:range({ from = list[3].id }).empty)
  local batch = t:increment(range)
  lu.assertEquals(ids(batch), { 2, 3 })
  lu.assertEquals(batch.rows, 2)
  lu.assertEquals(ids(t:increment { to = list[1].id }), { 1 })
  t:append(frame.sql "select 9::bigint as id")
  lu.assertEquals(ids(t:increment(range)), { 2, 3 }) -- a range is what it was
  lu.assertStrContains(complaint(t.range, t, { on_gap = "ful" }), "did you mean 'full'")
  lu.assertStrContains(complaint(t.range, t, { form = 1 }), "did you mean 'from'")
  lu.assertStrContains(complaint(t.range, t, { from = 7 }), "7")
end

function TestIceberg:test_points_are_ids_tags_or_times()
  local t = small_table()
  local list = t:snapshots()
  lu.assertEquals(ids(t:increment { from = tostring(list[2].id) }), { 3 })
  lu.assertEquals(ids(t:increment { from = system.time_text(list[1].timestamp_ms) }), { 2, 3 })
  lu.assertEquals(ids(t:increment { from = "1999-12-31", to = system.time_text(list[2].timestamp_ms) }), { 1, 2 })
  lu.assertEquals(ids(t:scan { snapshot_id = system.time_text(list[1].timestamp_ms) }), { 1 })
  lu.assertStrContains(complaint(t.range, t, { to = "1999-12-31" }), "no snapshot at 1999")
  lu.assertStrContains(complaint(t.range, t, { from = "main" }), "is a branch")
  lu.assertStrContains(complaint(t.range, t, { from = "yesterday" }), "'yesterday' is neither")
  local milliseconds = require("mlengine.iceberg.point").milliseconds
  lu.assertEquals(milliseconds "1970-01-01", 0)
  lu.assertEquals(milliseconds "2020-02-29T12:00:00.5+02:00", 1582970400500)
  lu.assertEquals(milliseconds "1969-12-31 23:59Z", -60000)
  lu.assertNil(milliseconds "2020-02-29 noon")
end

function TestIceberg:test_tags_and_dataset_tell_where_rows_come_from()
  local t = small_table()
  local list = t:snapshots()
  local batch = t:increment { from = list[1].id }
  lu.assertEquals(batch.tags.iceberg_snapshot_id, tostring(list[3].id))
  lu.assertEquals(batch.tags.iceberg_parent_id, tostring(list[1].id))
  lu.assertEquals(batch.tags.iceberg_snapshot_ids, list[2].id .. "," .. list[3].id)
  lu.assertEquals(batch.tags.iceberg_snapshot_committed_at, system.time_text(list[3].timestamp_ms))
  lu.assertEquals(batch.tags.row_count, "2")
  lu.assertNil(t:increment().tags.iceberg_parent_id)
  local dataset = batch:where("id > 2"):select("id").dataset
  lu.assertEquals(dataset.name, "bank.t")
  lu.assertEquals(#dataset.digest, 8)
  lu.assertEquals(json.decode(dataset.source).to_snapshot_id, list[3].id)
  lu.assertEquals(json.decode(dataset.schema).mlflow_colspec[1], { name = "id", type = "long", required = false })
  lu.assertNotEquals(dataset.digest, t:increment().dataset.digest)
end

function TestIceberg:test_a_split_travels()
  local t = small_table()
  t:append(frame.sql "select i as id, 'x' as name from range(100, 200) r(i)")
  local _, test = t:increment({ from = t:snapshots()[3].id }):split { test = 0.3, seed = 7 }
  local text = json.encode(test:recipe())
  t:append(frame.sql "select 1000::bigint as id")
  local again = frame.from_recipe(json.decode(text))
  lu.assertEquals(ids(again), ids(test))
  lu.assertTrue(#ids(again) > 10)
end

function TestIceberg:test_a_recipe_of_a_table_made_anew_is_refused()
  local t, c = small_table()
  local recipe = t:scan():recipe()
  c:drop_table "bank.t"
  small_table()
  lu.assertStrContains(complaint(frame.from_recipe, recipe), "UUID")
  lu.assertStrContains(complaint(t.refresh, t), "made anew")
end

function TestIceberg:test_types_without_a_home_come_with_advice()
  local c = catalog()
  local huge = frame.sql "select sum(i) as s from range(3) r(i)"
  lu.assertStrContains(complaint(c.create_table, c, "bank.h", huge.schema), "cast it to BIGINT")
  lu.assertFalse(c:table_exists "bank.h")
end

local function lake() return iceberg.catalog { name = "lake", type = "hadoop", warehouse = "file://" .. folder .. "/lake" } end

function TestIceberg:test_a_directory_is_a_catalog()
  local c = lake()
  local columns = frame.sql("select 1::bigint as id").schema
  local t = c:create_table("a.b.t", columns)
  for k = 1, 3 do t:append(frame.sql("select ?::bigint as id", { k })) end
  lu.assertEquals(c:list_namespaces(), { "a", "a.b" })
  lu.assertEquals(c:list_tables(), { "a.b.t" })
  lu.assertStrContains(t.metadata_location, "/lake/a/b/t/metadata/v4.metadata.json")
  lu.assertEquals(ids(t:increment { from = t:snapshots()[1].id }), { 2, 3 })
  local recipe = json.encode(t:scan():recipe())
  lu.assertEquals(ids(frame.from_recipe(json.decode(recipe))), { 1, 2, 3 })
  lu.assertStrContains(complaint(c.rename_table, c, "a.b.t", "a.b.u"), "its folder is its name")
  lu.assertStrContains(complaint(c.create_table, c, "a.u", columns, { location = "/elsewhere" }), "leave out location")
  c:drop_table "a.b.t"
  lu.assertFalse(c:table_exists "a.b.t")
  lu.assertEquals(system.list(folder .. "/lake/a/b"), {})
end

function TestIceberg:test_a_static_table_is_read_and_not_written()
  local t = lake():create_table("bank.t", frame.sql("select 1::bigint as id").schema)
  for k = 1, 2 do t:append(frame.sql("select ?::bigint as id", { k })) end
  local old = iceberg.StaticTable.from_metadata(folder .. "/lake/bank/t/metadata/v2.metadata.json")
  lu.assertEquals(old.name, "static.t")
  lu.assertEquals(old.uuid, t.uuid)
  lu.assertEquals(ids(old:scan()), { 1 })
  lu.assertEquals(ids(frame.from_recipe(old:scan():recipe())), { 1 })
  lu.assertStrContains(complaint(old.append, old, frame.sql "select 9::bigint as id"), "only the catalog")
  local now = iceberg.StaticTable.from_metadata("file://" .. folder .. "/lake/bank/t")
  t:append(frame.sql "select 3::bigint as id")
  lu.assertEquals(ids(now:scan()), { 1, 2 })
  lu.assertEquals(ids(now:refresh():scan()), { 1, 2, 3 })
  lu.assertEquals(ids(now:increment { from = t:snapshots()[1].id }), { 2, 3 })
  lu.assertStrContains(complaint(iceberg.StaticTable.from_metadata, folder .. "/none"), "no metadata file")
end

function TestIceberg:test_catalogs_are_checked()
  lu.assertStrContains(complaint(iceberg.catalog, { uri = "thrift://h", type = "hive" }), "hive")
  lu.assertStrContains(complaint(iceberg.catalog, { warehouse = "/w" }), "uri")
  lu.assertStrContains(complaint(iceberg.catalog, { type = "hadoop" }), "warehouse")
  lu.assertStrContains(complaint(iceberg.catalog, { type = "hadoop", warehouse = "w" }), "absolute path")
  lu.assertStrContains(complaint(iceberg.catalog, 5), "catalog")
end
