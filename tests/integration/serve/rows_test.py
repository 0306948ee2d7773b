# venv: mlflow3
"""100,000 rows through every protocol and form, bit for bit what Booster.predict and mlflow.pyfunc give: missing values and
categories included."""

import io
import json
import os
import struct
import subprocess
import sys
import unittest
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import xgboost as xgb  # noqa: E402
from mlflow.models import convert_input_example_to_serving_input, infer_signature  # noqa: E402
from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import PROGRAM, Serving, rounds, split  # noqa: E402

ROWS, BATCH = rounds(20000, 100000, "rows through each protocol"), 20000
CITIES = ["Ulm", "Koeln", "Bonn", "Sao Paulo", "Tokyo"]  # Python's XGBoost 3.2 cuts categories of more bytes than characters


def make_frame(rows, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{i}": np.exp(rng.normal(size=rows) * 4) * rng.choice([-1, 1], rows) for i in range(4)})
    for i in range(1, 4):
        frame.loc[rng.random(rows) < 0.15 * i, f"x{i}"] = np.nan
    frame["hour"] = rng.integers(0, 24, size=rows)
    frame["flag"] = rng.random(rows) < 0.5
    return frame


class Rows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Serving()
        cls.addClassCleanup(cls.project.close)
        train, cls.test = make_frame(5000, 1), make_frame(ROWS, 2)
        target = np.log(np.abs(train.x0)) + np.log(np.abs(train.x1)).fillna(2) * train.flag + train.hour * 0.3
        booster = xgb.train({"objective": "binary:logistic", "max_depth": 6, "seed": 3}, xgb.DMatrix(train, target > 3), num_boost_round=60)
        folder = cls.project.path("numbers")
        signature = infer_signature(train, booster.predict(xgb.DMatrix(train)))
        mlflow.xgboost.save_model(booster, folder, signature=signature, input_example=train.head(3), model_format="ubj", pip_requirements=["xgboost"])
        cls.project.release(folder, endpoint="numbers")
        cls.wanted = booster.predict(xgb.DMatrix(cls.test))
        assert (np.asarray(mlflow.pyfunc.load_model(folder).predict(cls.test), dtype=np.float32) == cls.wanted).all()

    def check_same(self, got, wanted):
        got = np.array(got, dtype=np.float64).astype(np.float32)
        self.assertEqual(got.shape, wanted.shape)
        differ = np.flatnonzero(got.view(np.uint32) != wanted.view(np.uint32))
        self.assertEqual(len(differ), 0, f"{len(differ)} of {len(got)} rows differ, the first is {differ[:1]}")

    def in_batches(self, ask, frame=None):
        frame = self.test if frame is None else frame
        return [score for i in range(0, len(frame), BATCH) for score in ask(frame.iloc[i:i + BATCH])]

    def post(self, body, path="/endpoints/numbers/invocations", kind="application/json"):
        return self.project.predict(body, path, kind)["predictions"]

    def test_invocations(self):
        def records(frame):
            columns, rows = split(frame)["dataframe_split"].values()
            return [dict(zip(columns, row)) for row in rows]

        forms = {"dataframe_split": lambda f: self.post(split(f)), "dataframe_records": lambda f: self.post({"dataframe_records": records(f)}),
                 "instances": lambda f: self.post({"instances": split(f)["dataframe_split"]["data"]}),
                 "inputs": lambda f: self.post({"inputs": dict(zip(f.columns, map(list, zip(*split(f)["dataframe_split"]["data"]))))}),
                 "text/csv": lambda f: self.post(f.to_csv(index=False), kind="text/csv")}
        for name, ask in forms.items():
            with self.subTest(name):
                self.check_same(self.in_batches(ask), self.wanted)

    def test_v2(self):
        types = {"hour": ("INT64", np.int64), "flag": ("BOOL", np.uint8)}
        path = "/v2/models/numbers/infer"

        def tensors(frame, binary):
            for name in frame.columns:
                kind, dtype = types.get(name, ("FP64", np.float64))
                data = frame[name].to_numpy().astype(dtype).tobytes() if binary else [None if v != v else v for v in frame[name].tolist()]
                head = {"name": name, "shape": [len(frame)], "datatype": kind}
                yield ({**head, "parameters": {"binary_data_size": len(data)}}, data) if binary else ({**head, "data": data}, b"")

        def ask_json(frame):
            answer = self.project.predict({"inputs": [t for t, _ in tensors(frame, False)]}, path)
            return answer["outputs"][0]["data"]

        def ask_binary(frame):
            parts = list(tensors(frame, True))
            head = json.dumps({"inputs": [t for t, _ in parts], "outputs": [{"name": "predict", "parameters": {"binary_data": True}}]}).encode()
            headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
            status, headers, answer = self.project.ask("POST", path, head + b"".join(data for _, data in parts), headers)
            self.assertEqual(status, 200, answer[:300])
            data = answer[int(headers["Inference-Header-Content-Length"]):]
            return struct.unpack(f"<{len(frame)}f", data)

        for ask in (ask_json, ask_binary):
            self.check_same(self.in_batches(ask), self.wanted)

    def ask_as_cml(self, endpoint, frame):
        """CML's protocol, where the key says which endpoint."""
        made = subprocess.run([PROGRAM, "key", "add", endpoint], cwd=self.project.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
        key = made.stdout.strip()
        try:
            def ask(part):
                return self.project.predict({"accessKey": key, "request": split(part)}, "/model")["response"]["prediction"]

            return self.in_batches(ask, frame)
        finally:
            self.project.run("key", "open", endpoint)

    def test_cml(self):
        self.check_same(self.ask_as_cml("numbers", self.test), self.wanted)

    def test_mlflows_own_scoring_requests(self):
        """MLflow's client of its scoring server, and the request that it writes for a logged example."""
        project = Serving()
        self.addCleanup(project.close)
        project.release(self.project.path("numbers"), endpoint="numbers")
        client = ScoringServerClient("127.0.0.1", project.port)
        client.wait_server_ready()
        self.assertTrue(client.get_version())

        def invoke(data, **more):
            answer = client.invoke(data, **more)
            return np.asarray(answer.get_predictions(predictions_format="ndarray", dtype=np.float64)).ravel().tolist()

        for name, ask in {"a frame": invoke, "with params": lambda f: invoke(f, params={}), "a matrix": lambda f: invoke(f.to_numpy(dtype=np.float64))}.items():
            with self.subTest(name):
                self.check_same(self.in_batches(ask), self.wanted)
        text = convert_input_example_to_serving_input(self.test.head(3))
        self.check_same(project.predict(text)["predictions"], self.wanted[:3])
        with self.assertRaisesRegex(Exception, "column 'x0' is missing"):
            client.invoke(self.test.head(3).drop(columns="x0"))

    def test_categories(self):
        """Texts where the signature says string; the model's own numbers for them where it has none."""
        rng = np.random.default_rng(9)
        frame = pd.DataFrame({"city": rng.choice([*CITIES, None], ROWS), "x": rng.normal(size=ROWS)})
        frame.loc[rng.random(ROWS) < 0.2, "x"] = np.nan
        coded = frame.assign(city=pd.Categorical(frame.city, categories=sorted(CITIES)))
        head = coded.head(5000)
        target = (head.city == "Koeln") * 2.0 - (head.city == "Tokyo") + head.x.fillna(0.3)
        booster = xgb.train({"max_depth": 5}, xgb.DMatrix(head, target, enable_categorical=True), num_boost_round=40)
        folder = self.project.path("cities")
        signature = infer_signature(frame.head(50).fillna({"city": "Ulm", "x": 0.0}), booster.predict(xgb.DMatrix(head.head(50), enable_categorical=True)))
        mlflow.xgboost.save_model(booster, folder, signature=signature, model_format="ubj", pip_requirements=["xgboost"])
        with open(os.path.join(folder, "serving_input_example.json"), "w") as f:
            json.dump({"dataframe_split": {"columns": ["city", "x"], "data": [["Koeln", 0.5], [None, None]]}}, f)
        self.project.release(folder, endpoint="cities")
        wanted = booster.predict(xgb.DMatrix(coded, enable_categorical=True))
        path = "/endpoints/cities/invocations"

        def as_split(part):
            return self.post({"dataframe_split": {"columns": ["city", "x"], "data": [[c, None if x != x else x] for c, x in zip(part.city, part.x)]}}, path)

        def as_csv(part):
            text = io.StringIO()
            part.to_csv(text, index=False)
            return self.post(text.getvalue().encode(), path, "text/csv")

        def as_v2(part):
            cities, xs = part.city.tolist(), [None if x != x else x for x in part.x]
            body = {"inputs": [{"name": "city", "shape": [len(part)], "datatype": "BYTES", "data": cities},
                               {"name": "x", "shape": [len(part)], "datatype": "FP64", "data": xs}]}
            return self.project.predict(body, "/v2/models/cities/infer")["outputs"][0]["data"]

        def as_binary_v2(part):
            texts = b"".join(struct.pack("<I", len(c)) + c.encode() for c in part.city.fillna(""))  # no category, so missing
            head = json.dumps({"inputs": [{"name": "city", "shape": [len(part)], "datatype": "BYTES", "parameters": {"binary_data_size": len(texts)}},
                                          {"name": "x", "shape": [len(part)], "datatype": "FP64", "parameters": {"binary_data_size": 8 * len(part)}}]}).encode()
            headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
            status, _, answer = self.project.ask("POST", "/v2/models/cities/infer", head + texts + part.x.to_numpy().tobytes(), headers)
            self.assertEqual(status, 200, answer[:300])
            return json.loads(answer)["outputs"][0]["data"]

        def as_records(part):
            return self.post({"dataframe_records": [{"city": c, "x": None if x != x else x} for c, x in zip(part.city, part.x)]}, path)

        def as_columns(part):
            return self.post({"inputs": {"x": [None if x != x else x for x in part.x], "city": part.city.tolist()}}, path)

        for ask in (as_split, as_csv, as_records, as_columns, as_v2, as_binary_v2):
            with self.subTest(ask.__name__):
                self.check_same(self.in_batches(ask, frame), wanted)
        self.check_same(self.ask_as_cml("cities", frame), wanted)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
