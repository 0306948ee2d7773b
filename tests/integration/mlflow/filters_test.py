# venv: none
"""The search language: thousands of filters and orders, asked of MLflow 3.17 and of mlengine in one file. Either both find the same, in
the same order, or both refuse; DIFFERENCES says where not, and why."""

import json
import os
import random
import re
import unittest

from common import HERE, TrackingProject, run_python
from support import rounds

SEARCH = """
local json = require "mlengine.json"
local given = json.decode(io.open("filters.json"):read "a")
local name_of = {
  runs = function(r) return r.info.run_name end, versions = function(v) return v.name .. "/" .. v.version end,
}
local function names(list, subject)
  local out = json.array {}
  for i, item in ipairs(list) do out[i] = (name_of[subject] or function(x) return x.name end)(item) end
  return out
end
local function parts(text)
  local list = {}
  for part in text:gmatch "[^,]+" do list[#list + 1] = part:match "^%s*(.-)%s*$" end
  return #list > 0 and list or nil
end
local searches = {
  runs = function(filter, order) return mlflow.search_runs { experiment_ids = { given.experiment }, filter = filter, order_by = order } end,
  experiments = function(filter, order) return mlflow.search_experiments { filter_string = filter, order_by = order } end,
  models = function(filter, order) return mlflow.search_registered_models { filter_string = filter, order_by = order } end,
  versions = function(filter, order) return mlflow.search_model_versions { filter_string = filter, order_by = order } end,
  logged = function(filter, order) return mlflow.search_logged_models { experiment_ids = { given.experiment }, filter_string = filter, order_by = order } end,
}
local found = json.array {}
for i, search in ipairs(given.searches) do
  local subject, filter, order = table.unpack(search)
  local ok, result = pcall(searches[subject], filter, parts(order))
  found[i] = ok and names(result, subject) or type(result) == "table" and (result.kind == "invalid" and "invalid" or result.kind .. ": " .. result.message) or tostring(result)
end
local out <close> = assert(io.open("found.json", "w"))
out:write(json.encode(found))
"""

OPERATORS = ["=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "like", "IN", "NOT IN", "in", "not  in", "IS NULL", "IS NOT NULL", "is null", "==", "<>", "NOT LIKE", "BETWEEN"]
VALUES = {
    "runs": {"names": ["metrics.auc", "metric.auc", "metrics.`odd key`", 'metrics."odd key"', "metrics.none", "params.depth", "param.depth", "parameters.Mixed", "parameter.Mixed",
                       "params.`Mixed`", "params.none", "tags.kind", "tag.kind", "tags.`odd key/x`", "tags.mlflow.user", "tags.none", "run_name", "attributes.run_name", "attribute.run_name",
                       "attr.run_name", "run.run_name", "`run_name`", "attributes.`run_name`", "`run name`", "attributes.`Run name`", "Run_Name", "status", "attributes.status", "user_id", "artifact_uri",
                       "start_time", "attributes.start_time", "created", "attributes.created", "attributes.Created", "end_time", "run_id", "attributes.run_id", "experiment_id", "lifecycle_stage",
                       "dataset.name", "datasets.digest", "dataset.context", "dataset.source", "METRICS.auc", "Params.depth", "TAGS.kind", "nonsense", "nonsense.x", "metrics.", "model_id"],
             "values": ["0.2", "2", "-3", "'2'", '"2"', "'A'", "'Text'", "'t%'", "'%e%'", "'three_x'", "'it''s'", '"it\'s"', "'FINISHED'", "'finished'", "('one', 'Two')", "('A')", "('A',)", "('RUN', 'x')", "('2', '3')", "()", "('data 0')", "(1, 2)",
                        "('FINISHED', 'FAILED')", "'RUN'", "'data 1'", "'train'", "'TRAIN'", "", "NULL", "'x", "1e-1", ".2", "true", "`A`", "A"],
             "orders": ["metrics.auc", "metrics.auc DESC", "metrics.`odd key` ASC", "metrics.none", "params.depth desc", "tags.kind DESC", "tags.`odd key/x`, start_time", "attributes.start_time DESC", "start_time asc", "run_name", "run_id",
                        "status, run_name DESC", "end_time", "created", "attributes.created DESC", "`run name`", "artifact_uri", "user_id, run_name", "dataset.name", "nonsense", "metrics.auc UP", "attribute.run_name", "attr.run_name", "experiment_id", "lifecycle_stage", "DESC", "params.Mixed, start_time"]},
    "experiments": {"names": ["name", "attribute.name", "attributes.name", "`name`", "creation_time", "attribute.creation_time", "last_update_time", "experiment_id", "tags.team", "tag.team", "tags.`a b.c`", "tags.none",
                              "lifecycle_stage", "metrics.x", "nonsense", "Name"],
                    "values": ["'searched'", "'S%'", "'%100%'", "0", "1e3", "'risk'", "'RISK'", "('searched', 'Default')", "('1', '2')", "'1'", "1", '"it\'s"', "", "(1)", "()"],
                    "orders": ["name", "name DESC", "creation_time", "last_update_time DESC", "experiment_id", "experiment_id DESC", "attribute.name", "attributes.name", "tags.team", "nonsense", "name ASCENDING", "lifecycle_stage"]},
    "models": {"names": ["name", "attribute.name", "attributes.name", "`name`", "creation_timestamp", "last_updated_timestamp", "tags.team", "tag.team", "tags.`o x`", "tags.none", "run_id", "nonsense", "aliases"],
               "values": ["'alpha'", "'%A%'", "'gam_ma'", "'risk'", "'y'", "0", "('alpha', 'Beta')", "('alpha')", "", "()"],
               "orders": ["name", "name DESC", "creation_timestamp, name", "last_updated_timestamp DESC, name", "timestamp", "tags.team", "nonsense", "attribute.name", "timestamp DESC, name", "last_updated_timestamp ASC"]},
    "versions": {"names": ["name", "attribute.name", "attributes.name", "version_number", "run_id", "source_path", "tags.stage", "tag.stage", "tags.none", "version", "creation_timestamp", "status", "current_stage", "nonsense", "user_id", "aliases"],
                 "values": ["'alpha'", "'%a%'", "2", "1.5", "'2'", "'RUN'", "('RUN', 'x')", "('RUN')", "'models:/MODEL'", "('alpha', 'Beta')", "(1, 2)", "('1')", "'3'", "", "()"],
                 "orders": ["name, version_number", "name DESC, version_number DESC", "creation_timestamp, name, version_number", "last_updated_timestamp DESC", "version_number, name", "tags.stage", "source_path", "run_id", "nonsense", "creation_timestamp DESC"]},
    "logged": {"names": ["metrics.auc", "metrics.`odd key`", "metrics.none", "params.depth", "params.Mixed", "params.none", "tags.kind", "tags.none", "name", "attributes.name", "attribute.name", "`name`", "model_id", "model_type", "source_run_id",
                         "creation_timestamp", "creation_time", "creation_timestamp_ms", "last_updated_timestamp", "last_updated_timestamp_ms", "attributes.creation_timestamp", "status", "status_message", "experiment_id", "artifact_location", "lifecycle_stage", "metric.auc", "tag.kind", "param.depth", "nonsense", "dataset.name", "METRICS.auc"],
               "values": ["0.1", "2", "'2'", "'A'", "'small'", "'S%'", "'sm_all'", "('small', 'x')", "('small')", "('A', 'B')", "('2')", "'MODEL'", "('MODEL')", "'RUN'", "('RUN', 'x')", "", "()"],
               "orders": ["name", "name DESC", "metrics.auc", "metrics.auc DESC, name", "metrics.`odd key`, name", "creation_timestamp", "creation_timestamp DESC", "creation_time", "last_updated_timestamp, name", "model_id", "model_type, name", "source_run_id", "params.depth", "tags.kind", "nonsense", "attributes.name", "status, name", "experiment_id, name", "metrics.none, name"]},
}
WHOLE = [
    ("runs", "metrics.auc > 0 and params.depth != '4'"), ("runs", "metrics.auc > 0 AND tags.kind = 'B' aNd status = 'FINISHED'"), ("runs", "metrics.auc>0.1"), ("runs", "  metrics.auc   >  0.1  "),
    ("runs", "metrics.auc > 0 or metrics.auc < 1"), ("runs", "(metrics.auc > 0)"), ("runs", "metrics.auc > 0 and"), ("runs", "and metrics.auc > 0"), ("runs", "metrics.auc > 0, metrics.auc < 1"), ("runs", "not metrics.auc > 0"),
    ("runs", "metrics.auc > 0 metrics.auc < 1"), ("runs", "0.1 < metrics.auc"), ("runs", "metrics.auc > 0; metrics.auc < 1"), ("runs", "metrics.auc > 0;"), ("runs", "metrics.auc > 0 -- and"), ("runs", "params.depth='2'"), ("runs", "params.depth = '2' and params.Mixed IS NULL"),
    ("runs", "params.Mixed IS NOT NULL and tags.`odd key/x` is null"), ("runs", "dataset.name = 'data 0' and dataset.context = 'train'"), ("runs", "dataset.name = 'data 0' and metrics.auc > 0.1"), ("runs", "start_time > 0 and end_time < 9999999999999"), ("runs", "params.depth in ('1') and run_id in ('RUN')"),
    ("runs", ""), ("runs", "   "), ("runs", "tags.kind = 'A' and tags.kind = 'A'"), ("runs", "metrics.auc != 0.1"), ("runs", "tags.kind != 'A'"), ("runs", "dataset.name != 'data 0'"), ("runs", "metrics.`auc` > 0"),
    ("experiments", "name = 'searched' and tags.team = 'Fraud'"), ("experiments", "name = 'a' or name = 'b'"), ("experiments", "tags.team is null and name LIKE '%'"), ("models", "name = 'alpha' and tags.team = 'risk'"), ("models", "name = 'a' or name = 'b'"),
    ("versions", "name = 'alpha' and version_number > 1"), ("versions", "name='alpha' and run_id='RUN' and tags.stage='0'"), ("logged", "metrics.auc > 0.1 and name != 'x'"), ("logged", "name = 'x' or name = 'y'"), ("logged", "(name = 'x')"),
]


def more(subject, filter, order, theirs, ours):
    """MLflow refuses it, or fails in its own way, where mlengine knows what is meant: METRICS.x, attributes.x everywhere, IS NULL of
    tags in the registry, `like`, a fraction for a time, an order by what can be searched."""
    return not isinstance(theirs, list) and isinstance(ours, list)


def failed(subject, filter, order, theirs, ours):
    """MLflow takes a list where its database does not, or a text for a number, and fails with an error of Python or SQL."""
    return not isinstance(theirs, list) and ours == "invalid"


def refused(subject, filter, order, theirs, ours):
    """mlengine refuses what MLflow takes by accident: conditions without an `and` between them or beside none, a metric without a name;
    a number as a text, and a text as a number; an empty list."""
    return ours == "invalid" and any(re.search(pattern, filter) for pattern in (
        "and$", "^and", "1? metrics.auc < 1$", r"^metrics\. ", r"^version_number \S+ '", r"\(\)$", *([r" [0-9.e-]+$"] if subject == "logged" else [])))


# What is alike in why it differs; the docstring says why.
DIFFERENCES = [more, failed, refused]


def searches():
    for subject, words in VALUES.items():
        for name in words["names"]:
            for operator in OPERATORS:
                for value in ["", *words["values"]] if "NULL" not in operator.upper() else ["", "'x'"]:
                    yield subject, f"{name} {operator} {value}".strip(), ""
        for order in words["orders"]:
            yield subject, "", order
    for subject, filter in WHOLE:
        yield subject, filter, ""


class Filters(unittest.TestCase):
    def test_as_mlflow_3_has_them(self):
        project = TrackingProject()
        self.addCleanup(project.close)
        with open(os.path.join(HERE, "filters.py")) as f:
            code = f.read()
        ids = run_python("mlflow3", code, "make", cwd=project.root)
        every = list(searches())
        fixed = [s for s in every if s[2] or s in [(*w, "") for w in WHOLE]]
        chosen = random.Random(7).sample(every, rounds(1500, len(every), "searches"))
        given = [(s, f.replace("RUN", ids["run"]).replace("MODEL", ids["model"]), o) for s, f, o in fixed + chosen]
        project.write("filters.json", json.dumps({"experiment": ids["experiment"], "searches": given}))
        theirs = run_python("mlflow3", code, "search", cwd=project.root, timeout=1200)
        project.lua("search.lua", SEARCH, timeout=600)
        with open(project.path("found.json")) as f:
            ours = json.load(f)
        self.assertEqual(len(ours), len(theirs))
        differ = [(*search, a, b) for search, a, b in zip(given, theirs, ours) if a != b and not any(d(*search, a, b) for d in DIFFERENCES)]
        print(f"{len(given)} searches, {sum(isinstance(t, list) for t in theirs)} taken, {len(differ)} differ", flush=True)
        self.assertEqual(differ[:20], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
