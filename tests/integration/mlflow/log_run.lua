-- Logs one run with everything a run can have, and registers its model.
local job = require "mlengine.job"
local mlflow = require "mlengine.mlflow"
local params = job.params {
  model = { nil, "a .ubj file", type = "string" },
  class = { "Booster", "its class in Python" },
}

-- What a frame gives to run:log_model.
local example = {
  schema = { { name = "a" }, { name = "b c" }, { name = "n" } },
  collect = function()
    return { { a = 0.25, ["b c"] = -1.5, n = 3 }, { ["b c"] = 2, n = 0 }, { a = 0.1, ["b c"] = 1e-7, n = 9007199254740993 } }
  end,
}
local signature = {
  inputs = {
    { type = "double", name = "a", required = false },
    { type = "double", name = "b c", required = true },
    { type = "long", name = "n", required = true },
  },
}

local run <close> = mlflow.start_run {
  experiment = "loans: été",
  run_name = "first",
  description = "what it is for",
  tags = { row_count = 12345, iceberg_snapshot_id = 9223372036854775806, iceberg_table_uuid = "t" },
}
run:log_params { max_depth = 6, eta = 0.1, whole = 2.0, metrics = { "auc", "logloss" }, name = "x: 'y' \"z\"" }
for step = 0, 1999 do run:log_metrics({ ["test-auc"] = step / 2000, ["train-loss"] = 1 / (step + 1) }, step) end
run:log_metric("odd/nan", 0 / 0, 3)
run:log_metric("odd/inf", 1 / 0, 3)
run:log_input({
  name = "bank.cc_trx", digest = "a1b2c3d4", source_type = "iceberg",
  source = { uri = "file:///warehouse/bank/cc_trx" },
  schema = { mlflow_colspec = { { type = "double", name = "a", required = true } } },
  profile = { num_rows = 12345 },
}, "train")
run:log_text("some text\n", "notes/read me.txt")
run:log_dict({ a = { 1, 2 }, b = "yes" }, "facts.yaml")
if params.model then
  local logged = run:log_model(params.model, {
    name = "model", input_example = example, signature = signature, model_class = params.class,
    metadata = { note = "it's: \"quoted\"", nested = { list = { 1, "no" } } },
  })
  local version = mlflow.register_model(logged, "Loans")
  mlflow.set_alias("Loans", "champion", version.version)
  mlflow.set_model_version_tag("Loans", version.version, "checked", true)
  print(("model %s version %d run %s folder %s"):format(logged.uri, version.version, run.id, mlflow.download("models:/Loans@champion")))
end
