# venv: mlflow3
"""Bad input ends in one clear line, and 1,000 damaged model files crash nothing."""

import json
import os
import sys
import unittest

import numpy as np
import pandas as pd
import xgboost as xgb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project

FILES = 1_000

MISTAKES = {
    'dtrain = rows:where "false", label = "y"': "dtrain: it has no rows",
    'dtrain = rows:where "y = 1", label = "y", params = { objective = "binary:logistic" }': "needs rows of both classes to learn from",
    'dtrain = rows:select("x", "case when i = 3 then \'nan\'::double else y end as y"), label = "y"': "1 of 300 rows have none (null or NaN)",
    'dtrain = rows:select("x", "case when i = 3 then \'inf\'::double else y end as y"), label = "y"': "1 of 300 rows are infinite or beyond float32",
    'dtrain = rows:select("x", "now() as t", "y"), label = "y"': "numbers and texts, not t (TIMESTAMP WITH TIME ZONE)",
    'dtrain = rows, label = "y", features = { "x", "z" }': "there is no column 'z'",
    'dtrain = rows, label = "city"': "not city (VARCHAR)",
    'dtrain = rows, label = "y", weight = "x"': "weight 'x': ",
    'dtrain = rows, label = "y", params = { max_depth = "deep" }': "max_depth expect int but value='deep'",
    'dtrain = rows, label = "y", params = { device = "cuda" }': "built for the CPU only",
    'dtrain = rows, label = "y", params = { booster = "gblinear" }, external_memory = true': "booster = 'gblinear' needs its rows in memory",
    'dtrain = frame.sql "select \'n\' || i as name, i % 2 as y from range(100001) t(i)", label = "y"': "as categories a column may have 100000",
}

SCORING = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local numbers = frame.sql "select i / 7.0 as a, i % 5 as b, (i * 31) % 11 as c, i % 8 as d from range(64) t(i)"
local said = { refused = 0, scored = 0, odd = {} }
for i = 0, 999 do
  local name = ("%04d.%s"):format(i, i % 2 == 0 and "ubj" or "json")
  local ok, model = pcall(xgboost.load_model, "models/" .. name)
  if ok then
    local fine, problem = pcall(function()
      model:predict_list(numbers)
      model:predict_list(numbers, { library = true })
      model:get_dump()
    end)
    if fine or (problem.kind and not problem.message:find "\\n") then said.scored = said.scored + 1 else said.odd[#said.odd + 1] = name .. ": " .. tostring(problem) end
  elseif type(model) == "table" and model.kind and not model.message:find "\\n" then
    said.refused = said.refused + 1
  else
    said.odd[#said.odd + 1] = name .. ": " .. tostring(model)
  end
end
said.odd = json.array(said.odd)
print(json.encode(said))
"""


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(scripts=None)

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def test_mistakes_end_with_one_line(self):
        for text, wanted in MISTAKES.items():
            self.project.write("bad.lua", f"""local frame, xgboost = require 'mlengine.frame', require 'mlengine.xgboost'
local rows = frame.sql "select i, (i - 5) / 3.0 as x, 'c' || i % 4 as city, i % 2 as y from range(300) t(i)"
xgboost.train {{ {text} }}
""")
            said = self.project.run("run", "bad.lua", code=1)
            with self.subTest(text):
                self.assertIn(wanted, said)
                self.assertIn("bad.lua:3", said)
                self.assertNotIn("traceback", said)

    def test_another_models_features_are_refused(self):
        self.project.write("other.lua", """
            local frame, xgboost = require "mlengine.frame", require "mlengine.xgboost"
            local model = xgboost.train { dtrain = frame.sql "select i as a, i * 2 as b, i % 2 as y from range(50) t(i)", label = "y" }
            model:predict(frame.sql "select 1 as a, 2 as c")
        """)
        self.assertIn("predict: these rows lack the column 'b'", self.project.run("run", "other.lua", code=1))

    def samples(self):
        rng = np.random.default_rng(2)
        x = pd.DataFrame({"a": rng.normal(size=400), "b": rng.integers(0, 5, 400), "c": rng.integers(0, 11, 400), "d": rng.integers(0, 8, 400)})
        y = (x.a + x.b % 2 > 0.5).astype(int)
        types = ["float", "int", "int", "c"]
        numbers, codes = xgb.DMatrix(x, y), xgb.DMatrix(x, y, feature_types=types, enable_categorical=True)
        named = x.assign(d=pd.Categorical.from_codes(x.d, [f"n{i}" for i in range(8)]))
        for params, data in (({"objective": "binary:logistic"}, numbers), ({"max_cat_to_onehot": 1}, codes), ({"booster": "dart", "rate_drop": 0.5}, numbers),
                             ({"booster": "gblinear"}, numbers), ({}, xgb.DMatrix(named, y, enable_categorical=True))):
            booster = xgb.train(dict(params, nthread=1), data, 3)
            yield bytes(booster.save_raw("ubj"))
            yield bytes(booster.save_raw("json"))

    def test_damaged_models_crash_nothing(self):
        rng, samples = np.random.default_rng(9), list(self.samples())
        os.mkdir(self.project.path("models"))
        for i in range(FILES):
            data = bytearray(samples[i % len(samples)])
            for _ in range(rng.integers(1, 5)):
                at = int(rng.integers(0, len(data)))
                kind = rng.integers(0, 4)
                if kind == 0:
                    data[at] = int(rng.integers(0, 256))
                elif kind == 1:
                    data[at] ^= 1 << int(rng.integers(0, 8))
                elif kind == 2:
                    del data[at:at + int(rng.integers(1, 9))]
                else:
                    data[at:at] = data[at // 2:at // 2 + int(rng.integers(1, 9))]
            with open(self.project.path("models", f"{i:04}.{'ubj' if i % 2 == 0 else 'json'}"), "wb") as f:
                f.write(data)
        self.project.write("load.lua", SCORING)
        said = json.loads(next(l for l in self.project.run("run", "load.lua").splitlines() if l.startswith("{")))
        self.assertEqual(said["odd"], [])
        self.assertEqual(said["refused"] + said["scored"], FILES)
        self.assertGreater(said["refused"], FILES // 2)
        self.assertGreater(said["scored"], 10)  # a changed number is a model still


if __name__ == "__main__":
    unittest.main()
