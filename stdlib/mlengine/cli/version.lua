return {
  summary = "print the version; --all adds the libraries'",
  usage = "mlengine version [--all]",
  run = function(args)
    print("mlengine " .. require "mlengine.version")
    if args[1] ~= "--all" then return end
    local versions = require("mle.libraries").versions()
    print(_VERSION)
    print("DuckDB " .. versions.duckdb)
    print("XGBoost " .. versions.xgboost)
  end,
}
