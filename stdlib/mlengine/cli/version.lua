--- `mlengine version`: ours; `--all`: the libraries' too, which loads them.

local usage <const> = "mlengine version [--all]"

return {
  summary = "print the version; --all adds the libraries'",
  usage = usage,
  run = function(args)
    local options = require("mlengine.arguments").parse(args, { ["--all"] = "flag" }, usage)
    print("mlengine " .. require "mlengine.version")
    if not options.all then return end
    local versions = require("mle.libraries").versions()
    print(_VERSION)
    print("DuckDB " .. versions.duckdb)
    print("XGBoost " .. versions.xgboost)
  end,
}
