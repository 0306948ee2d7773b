--- What CML needs to serve a model by file and function: the model, a scoring script in Python, a build script.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local mlflow = require "mle.mlflow"
local system = require "mle.system"

local M = {}

--- Python's; the columns and the rest come in at the top. Rows are float32, as the engine has them.
local SCRIPT <const> = [[
# Written by mlengine: scores MODEL as the engine does. Requests are MLflow's: dataframe_split, dataframe_records,
# instances or inputs. The answer is {"prediction": [...]}, with CML's uuid where its model metrics are there.
import os

import numpy
import xgboost

FOLDER, FILE, COLUMNS, LABELS = %s, %s, %s, %s


def find():
    here = [os.path.dirname(os.path.abspath(__file__))] if "__file__" in globals() else []
    roots = [os.getcwd(), os.path.expanduser("~"), "/home/cdsw"]
    for folder in here + [os.path.join(root, FOLDER) for root in roots]:
        if os.path.isfile(os.path.join(folder, FILE)):
            return os.path.join(folder, FILE)
    raise FileNotFoundError(FOLDER + "/" + FILE)


MODEL = xgboost.Booster(model_file=find())


def rows_of(request):
    if "dataframe_split" in request:
        split = request["dataframe_split"]
        columns, rows = split["columns"], split["data"]
    elif "dataframe_records" in request:
        records = request["dataframe_records"]
        columns, rows = COLUMNS, [[record[name] for name in COLUMNS] for record in records]
    else:
        columns, rows = COLUMNS, request["instances"] if "instances" in request else request["inputs"]
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError("the request lacks column " + missing[0])
    order = [columns.index(name) for name in COLUMNS]
    return [[float("nan") if row[i] is None else float(row[i]) for i in order] for row in rows]


def score(request):
    rows = numpy.asarray(rows_of(request), dtype=numpy.float32).reshape(-1, len(COLUMNS))
    scores = MODEL.predict(xgboost.DMatrix(rows, feature_names=MODEL.feature_names, feature_types=MODEL.feature_types))
    if LABELS:
        scores = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.5).astype(int)
    return scores.tolist()


try:
    from cml.models_v1 import cml_model
    predict = cml_model(metrics=True)(score)
except ImportError:
    def predict(request):
        return {"prediction": score(request)}
]]

local function check_columns(folder, info)
  local inputs = info.inputs and json.decode(info.inputs) or {}
  for _, column in ipairs(inputs) do
    if type(column) == "table" and column.type == "string" then
      errors.raise("unsupported", "the scoring script for CML takes numbers, and column '%s' of the model in %s holds categories; use route \"registry\"",
        tostring(column.name), folder)
    end
  end
end

---A digest of what would be served.
---@param folder string
---@return string
function M.digest(folder)
  return system.sha256(system.read(folder .. "/MLmodel") .. system.read(mlflow.read_model(folder).data))
end

---The files to be uploaded.
---@param folder string the model's
---@param place string where they will be, in CML's project
---@return { name: string, bytes: string }[]
function M.files(folder, place)
  local info, report = mlflow.read_model(folder), require("mlengine.serve").look(folder)
  check_columns(folder, info)
  local file = info.data:match "[^/]+$"
  local script = SCRIPT:format(json.encode(place), json.encode(file), json.encode(json.array(report.columns)),
    report.classifier and "True" or "False")
  local version = info.xgb_version and "==" .. info.xgb_version or ""
  return {
    { name = file, bytes = system.read(info.data) },
    { name = "MLmodel", bytes = system.read(folder .. "/MLmodel") },
    { name = "score.py", bytes = script },
    { name = "cdsw-build.sh", bytes = ("#!/bin/bash\npip3 install 'xgboost%s' numpy\n"):format(version) },
  }
end

return M
