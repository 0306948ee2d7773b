# venv: mlflow3
"""External memory: more rows than a job's memory would hold are trained on within its limit, to Python's own bytes.

Under MLENGINE_SOAK 20,000,000 rows within 1 GiB; otherwise 1,000,000 within 192 MiB, where training in memory is refused.
MLENGINE_EXTERNAL_ROWS sets another number, with 1 GiB from 10,000,000 rows on.
"""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project

FULL = 20_000_000
ROWS = int(os.environ.get("MLENGINE_EXTERNAL_ROWS", FULL if os.environ.get("MLENGINE_SOAK") else 1_000_000))
LIMIT = 1024 if ROWS >= 10_000_000 else 192  # MiB
ROUNDS = 5

# A null in a few rows makes the bins five times as large: more than the job may hold.
MAKE = """
local frame = require "mlengine.frame"
local list = {}
for k = 0, 19 do list[k + 1] = ("((hash(i * 32 + %%d) >> 40) / 16777216.0)::float as f%%d"):format(k, k) end
local rows = frame.sql("select i, " .. table.concat(list, ", ") .. " from range(%d) t(i)")
local label = "(f0 + f1 * f2 > 0.55 + (hash(i * 32 + 30) >> 40) / 33554432.0)::int as label"
rows:select("* exclude (i) replace (case when %s then f3 end as f3)", label):write "rows.parquet"
"""

TRAIN = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local rows = frame.read "rows.parquet"
local model = xgboost.train {
  dtrain = rows, label = "label", num_boost_round = %d, external_memory = %s,
  params = { objective = "binary:logistic", max_depth = 6, eta = 0.3, nthread = 2 },
}
model:save "model.ubj"
"""

PIPELINE = """
return require "mlengine.pipeline".new { name = "External", jobs = {
  { name = "Train", script = "train.lua", schedule = "manual", resources = { cpu = 2, memory = "%d MiB" } },
} }
"""

# The quantile matrix of Python, batch by batch: its own process, so that its memory is its own.
PYTHON = """
import sys
import pyarrow.parquet as pq, xgboost as xgb

class Batches(xgb.DataIter):
    def __init__(self):
        super().__init__()
        self.file = pq.ParquetFile("rows.parquet")
        self.reset()
    def reset(self): self.batches = self.file.iter_batches(65_536)
    def next(self, take):
        batch = next(self.batches, None)
        if batch is None: return False
        frame = batch.to_pandas()
        take(data=frame.drop(columns=["label"]), label=frame["label"])
        return True

train = xgb.QuantileDMatrix(Batches(), nthread=2)
xgb.train({"objective": "binary:logistic", "max_depth": 6, "eta": 0.3, "nthread": 2}, train, int(sys.argv[1])).save_model("python.ubj")
"""


class ExternalTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"{ROWS} of {FULL} rows within {LIMIT} MiB")
        cls.project = Project(scripts=None)
        nulls = "hash(i * 32 + 31) % 100 > 0" if LIMIT == 192 else "true"
        cls.project.write("make.lua", MAKE % (ROWS, nulls))
        cls.project.write("external.lua", PIPELINE % LIMIT)
        cls.project.run("run", "make.lua", timeout=3600)

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def train(self, external, code=0):
        self.project.write("train.lua", TRAIN % (ROUNDS, "true" if external else "false"))
        return self.project.run("run", "external.lua", code=code, timeout=10_000)

    def test_more_rows_than_memory_end_in_pythons_model(self):
        self.train(external=True)
        used = self.project.history()[0]["usage"]
        self.assertEqual(used["memory_max"], LIMIT << 20)
        self.assertLess(used["peak_memory"], 1.02 * used["memory_max"])  # pages of shared libraries are counted, not charged
        print(f"peak memory {used['peak_memory'] >> 20} MiB")
        left = os.listdir(self.project.path(".mlengine", "tmp"))
        self.assertEqual([name for name in left if name.startswith("mlengine-")], [])
        subprocess.run([sys.executable, "-c", PYTHON, str(ROUNDS)], cwd=self.project.root, check=True, timeout=10_000)
        with open(self.project.path("model.ubj"), "rb") as ours, open(self.project.path("python.ubj"), "rb") as theirs:
            self.assertEqual(ours.read(), theirs.read())

    def test_in_memory_it_is_refused_before_the_first_round(self):
        said = self.train(external=False, code=1)
        self.assertRegex(said, r"training on \d+ rows takes about \d+ MiB, this job has \d+; give it more, or train with external_memory = true")


if __name__ == "__main__":
    unittest.main()
