# venv: mlflow3
"""Answers are, bit for bit, what Booster.predict and mlflow.pyfunc give, in every protocol and form."""

import io
import json
import os
import sys
import time
import unittest
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import xgboost as xgb  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import Serving, split  # noqa: E402

ROWS = 10000
GIVEN = {"pip_requirements": ["xgboost"]}  # else MLflow loads the model in another Python, to see what it imports


def make_frame(rows, seed):
    """Doubles with missing values, a float32, two integers and a boolean."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=rows) * 10.0 ** (i - 2) for i in range(6)})
    for i in range(1, 6):
        frame.loc[rng.random(rows) < 0.1 * i, f"x{i}"] = np.nan
    frame["single"] = rng.normal(size=rows).astype(np.float32)
    frame["hour"] = rng.integers(0, 24, size=rows)
    frame["small"] = rng.integers(-5, 5, size=rows).astype(np.int32)
    frame["flag"] = rng.random(rows) < 0.5
    return frame


def make_target(frame):
    return frame.x0 * 100 + frame.x2.fillna(1) + frame.hour * 0.2 + frame.flag * 2


def save(project, name, model, frame):
    """A model folder as mlflow.xgboost.save_model writes it."""
    folder = project.path(name)
    matrix = xgb.DMatrix(frame.head(5)) if isinstance(model, xgb.Booster) else frame.head(5)
    signature = infer_signature(frame, model.predict(matrix))
    mlflow.xgboost.save_model(model, folder, signature=signature, input_example=frame.head(5), model_format="ubj", **GIVEN)
    return folder


def float32(values):
    return np.array(values, dtype=np.float64).astype(np.float32)


class Agreement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Serving()
        cls.addClassCleanup(cls.project.close)  # also when this fails half-way
        cls.train, cls.test = make_frame(5000, 1), make_frame(ROWS, 2)
        cls.target = make_target(cls.train)
        cls.classes = np.digitize(cls.target, [-1.0, 3.0])
        cls.noisy = (cls.target + np.random.default_rng(4).normal(size=5000) * 100 > 0).astype(int).to_numpy()

    def deploy(self, name, model):
        folder = save(self.project, name, model, self.train)
        self.project.release(folder, endpoint=name)
        return folder, f"/endpoints/{name}/invocations"

    def check_same(self, got, wanted):
        got, wanted = float32(got), np.asarray(wanted, dtype=np.float32)
        self.assertEqual(got.shape, wanted.shape)
        differ = np.flatnonzero((got.view(np.uint32) != wanted.view(np.uint32)).reshape(len(got), -1).any(axis=1))
        self.assertEqual(len(differ), 0, f"{len(differ)} of {len(got)} rows differ, the first is {differ[:1]}")

    def train_booster(self, params, target, rounds=60):
        return xgb.train({"max_depth": 6, "seed": 3, **params}, xgb.DMatrix(self.train, target), num_boost_round=rounds)

    def test_booster_in_every_form(self):
        booster = self.train_booster({"objective": "binary:logistic"}, self.target > 1)
        folder, path = self.deploy("logistic", booster)
        wanted = booster.predict(xgb.DMatrix(self.test))
        body = split(self.test)["dataframe_split"]
        records = [dict(zip(body["columns"], row)) for row in body["data"]]
        columns = {name: [row[i] for row in body["data"]] for i, name in enumerate(body["columns"])}
        shuffled = {"columns": body["columns"][::-1] + ["more"], "data": [row[::-1] + ["x"] for row in body["data"]]}
        forms = {"split": {"dataframe_split": body}, "shuffled": {"dataframe_split": shuffled}, "records": {"dataframe_records": records},
                 "instances": {"instances": body["data"]}, "instances by name": {"instances": records},
                 "inputs": {"inputs": columns}, "inputs by position": {"inputs": body["data"]}}
        for name, form in forms.items():
            with self.subTest(name):
                self.check_same(self.project.predict(form, path)["predictions"], wanted)
        text = io.StringIO()
        self.test.to_csv(text, index=False)
        self.check_same(self.project.predict(text.getvalue(), path, "text/csv")["predictions"], wanted)
        self.check_same(mlflow.pyfunc.load_model(folder).predict(self.test), wanted)

    def test_v2_whole_and_by_column(self):
        booster = self.train_booster({"objective": "reg:squarederror"}, self.target)
        self.deploy("squared", booster)
        wanted = booster.predict(xgb.DMatrix(self.test))
        data = split(self.test)["dataframe_split"]["data"]
        numbers = [[float(v) if isinstance(v, bool) else v for v in row] for row in data]
        whole = {"id": "1", "inputs": [{"name": "rows", "shape": [ROWS, len(numbers[0])], "datatype": "FP64", "data": numbers}]}
        types = {"x": "FP64", "single": "FP32", "hour": "INT64", "small": "INT32", "flag": "BOOL"}
        named = {"inputs": [{"name": name, "shape": [ROWS, 1], "datatype": types.get(name, "FP64"), "data": [row[i] for row in data]}
                            for i, name in enumerate(self.test.columns)]}
        for body in (whole, named):
            answer = self.project.predict(body, "/v2/models/squared/infer")
            self.assertEqual(answer["outputs"][0]["shape"], [ROWS])
            self.check_same(answer["outputs"][0]["data"], wanted)

    def test_objectives(self):
        for objective, target in [("reg:logistic", (self.target > 1) * 1.0), ("count:poisson", np.abs(self.target)),
                                  ("reg:gamma", np.abs(self.target) + 0.1), ("reg:tweedie", np.abs(self.target)),
                                  ("binary:hinge", self.target > 1), ("binary:logitraw", self.target > 1),
                                  ("reg:absoluteerror", self.target), ("reg:pseudohubererror", self.target)]:
            with self.subTest(objective):
                booster = self.train_booster({"objective": objective}, target, 20)
                _, path = self.deploy(objective.replace(":", "-"), booster)
                self.check_same(self.project.predict(split(self.test), path)["predictions"], booster.predict(xgb.DMatrix(self.test)))

    def test_several_outputs(self):
        for objective in ("multi:softprob", "multi:softmax"):
            with self.subTest(objective):
                booster = self.train_booster({"objective": objective, "num_class": 3}, self.classes, 20)
                folder, path = self.deploy(objective.replace(":", "-"), booster)
                wanted = booster.predict(xgb.DMatrix(self.test))
                self.check_same(self.project.predict(split(self.test), path)["predictions"], wanted)
                self.check_same(mlflow.pyfunc.load_model(folder).predict(self.test), wanted)

    def test_sklearn_classes_answer_as_pyfunc(self):
        common = {"n_estimators": 30, "max_depth": 4, "random_state": 1}
        models = {"two": (xgb.XGBClassifier(**common), (self.target > 1).astype(int)),
                  "three": (xgb.XGBClassifier(**common), self.classes),
                  "stopped": (xgb.XGBClassifier(**{**common, "learning_rate": 0.9}, early_stopping_rounds=2), self.noisy),
                  "number": (xgb.XGBRegressor(**common), self.target)}
        for name, (model, target) in models.items():
            with self.subTest(name):
                more = {"eval_set": [(self.train[:1000], self.noisy[:1000][::-1])], "verbose": False} if name == "stopped" else {}
                folder, path = self.deploy(name, model.fit(self.train, target, **more))
                if name == "stopped":
                    self.assertLess(model.best_iteration + 1, model.get_booster().num_boosted_rounds())
                wanted = mlflow.pyfunc.load_model(folder).predict(self.test)
                got = self.project.predict(split(self.test), path)["predictions"]
                if name == "number":
                    self.check_same(got, wanted)
                else:
                    self.assertEqual(got, [int(v) for v in wanted])

    def test_a_model_without_names_takes_positions(self):
        values = self.train[["x0", "x1", "x2"]].to_numpy()
        booster = xgb.train({"max_depth": 3}, xgb.DMatrix(values, self.target), num_boost_round=10)
        folder = self.project.path("nameless")
        mlflow.xgboost.save_model(booster, folder, model_format="ubj", **GIVEN)
        self.project.release(folder, endpoint="nameless", smoke=False)
        rows = [[1.0, None, 2.5], [-3.0, 0.5, None]]
        wanted = booster.predict(xgb.DMatrix(np.array(rows, dtype=float)))
        for body in ({"instances": rows}, {"dataframe_split": {"columns": ["a", "b", "c"], "data": rows}}):
            self.check_same(self.project.predict(body, "/endpoints/nameless/invocations")["predictions"], wanted)

    def champion(self):
        return str(mlflow.MlflowClient().get_model_version_by_alias("M", "champion").version)

    def test_a_registered_version_of_python_is_released_by_alias(self):
        mlflow.set_tracking_uri("sqlite:///" + self.project.path("mlflow.db"))
        experiment = mlflow.create_experiment("e", artifact_location=self.project.path("artifacts"))
        booster = self.train_booster({"objective": "binary:logistic"}, self.target > 1, 10)
        signature = infer_signature(self.train, booster.predict(xgb.DMatrix(self.train)))
        for expected in ("1", "2"):
            with mlflow.start_run(experiment_id=experiment):
                mlflow.xgboost.log_model(booster, name="m", signature=signature, input_example=self.train.head(3),
                                         registered_model_name="M", model_format="ubj", **(GIVEN if expected == "2" else {}))
            self.project.release(f"models:/M/{expected}", endpoint="m", alias="champion")
            self.assertEqual(self.champion(), expected)
        status, headers, _ = self.project.ask("POST", "/endpoints/m/invocations", json.dumps(split(self.test.head(2))),
                                              {"Content-Type": "application/json"})
        self.assertEqual((status, headers["X-Model-Version"]), (200, "2"))
        self.assertEqual(headers["X-Run-Id"], mlflow.MlflowClient().get_model_version("M", "2").run_id)
        self.project.run("rollback", "m")
        self.assertEqual(self.champion(), "1")

    def test_texts_are_the_models_categories(self):
        rng = np.random.default_rng(9)
        frame = pd.DataFrame({"city": rng.choice(["Ulm", "Koeln", "Bonn", None], 3000), "x": rng.normal(size=3000)})
        coded = frame.assign(city=frame.city.astype("category"))
        target = (frame.city == "Koeln") * 2.0 + frame.x
        booster = xgb.train({"max_depth": 4}, xgb.DMatrix(coded, target, enable_categorical=True), num_boost_round=20)
        folder = self.project.path("cities")
        signature = infer_signature(frame.fillna("Ulm"), booster.predict(xgb.DMatrix(coded, enable_categorical=True)))
        mlflow.xgboost.save_model(booster, folder, signature=signature, model_format="ubj", **GIVEN)
        with open(os.path.join(folder, "serving_input_example.json"), "w") as f:
            json.dump({"dataframe_split": {"columns": ["city", "x"], "data": [["Ulm", 0.5], [None, 1.0]]}}, f)
        self.project.release(folder, endpoint="cities")
        wanted = booster.predict(xgb.DMatrix(coded, enable_categorical=True))
        data = [[None if city is None else city, x] for city, x in zip(frame.city, frame.x)]
        path = "/endpoints/cities/invocations"
        self.check_same(self.project.predict({"dataframe_split": {"columns": ["city", "x"], "data": data}}, path)["predictions"], wanted)
        text = io.StringIO()
        frame.to_csv(text, index=False)
        self.check_same(self.project.predict(text.getvalue(), path, "text/csv")["predictions"], wanted)
        unseen = self.project.predict({"inputs": {"city": ["Rom", None], "x": [0.25, 0.25]}}, path)["predictions"]
        self.assertEqual(unseen[0], unseen[1])  # a city the model never saw is a missing value
        status, _, answer = self.project.ask("POST", path, json.dumps({"inputs": [[1, 2]]}), {"Content-Type": "application/json"})
        self.assertEqual((status, "column 'city', row 0: a number" in answer.decode()), (400, True))

    def test_a_server_follows_an_alias(self):
        project = Serving()
        self.addCleanup(project.close)
        mlflow.set_tracking_uri("sqlite:///" + project.path("mlflow.db"))
        client, experiment = mlflow.MlflowClient(), mlflow.create_experiment("f", artifact_location=project.path("artifacts"))
        signature = infer_signature(self.train, self.target.head(3))
        for rounds in (5, 6):
            with mlflow.start_run(experiment_id=experiment):
                booster = self.train_booster({"objective": "reg:squarederror"}, self.target, rounds)
                mlflow.xgboost.log_model(booster, name="m", signature=signature, input_example=self.train.head(3),
                                         registered_model_name="F", model_format="ubj", **GIVEN)
        client.set_registered_model_alias("F", "champion", "1")
        server = project.start("serve", "--follow", "models:/F@champion", "--every", "1")
        project.wait_for_server(60)

        def wait_for(version):
            end = time.monotonic() + 300
            while project.ask("POST", "/invocations", json.dumps(split(self.train.head(2))), {"Content-Type": "application/json"})[1]["X-Model-Version"] != version:
                self.assertLess(time.monotonic(), end, f"version {version} never came")
                time.sleep(0.1)

        for version in ("1", "2", "1"):
            client.set_registered_model_alias("F", "champion", version)
            wait_for(version)
        client.delete_registered_model_alias("F", "champion")
        time.sleep(3)
        wait_for("1")  # what it names no more goes on answering
        client.set_registered_model_alias("F", "champion", "2")
        wait_for("2")
        server.terminate()
        self.assertEqual(server.wait(60), 0)
        self.assertEqual(server.stderr.read().count("model 'F' has no alias 'champion'"), 1)  # said once
        self.assertIn("takes models:/NAME@ALIAS", project.run("serve", "--follow", "models:/F/1", code=2))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
