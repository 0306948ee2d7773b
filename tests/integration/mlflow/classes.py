"""Rows for models of each class, and every way MLflow has to load and ask such a model; run in a venv of MLflow."""
import json
import sys
import warnings

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import xgboost as xgb  # noqa: E402

CITIES = ["Ulm", "Köln", "Bonn", "São Paulo", "東京"]


def rows(count, seed):
    """Doubles, floats, whole numbers and booleans, with and without missing values; texts, some of which training never sees."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x0": rng.normal(size=count), "x1": rng.normal(size=count) * 1e6, "single": rng.normal(size=count).astype(np.float32),
                          "hour": rng.integers(0, 24, count), "gap": pd.array(rng.integers(0, 90, count), dtype="Int64"), "flag": rng.random(count) < 0.5,
                          "city": rng.choice(np.array([*CITIES, None], dtype=object), count), "größe": rng.choice(np.array(["S", "M", "L"], dtype=object), count)})
    frame.loc[rng.random(count) < 0.2, "x0"] = np.nan
    frame.loc[rng.random(count) < 0.3, "gap"] = pd.NA
    if seed == 1:
        target = frame.x0.fillna(-1) + frame.hour / 12 - 1 + (frame.city == "Köln") * 2 - (frame.city == "東京") + frame.gap.fillna(0).astype(float) / 50
        frame["yr"], frame["y2"], frame["y3"] = target, (target > 0).astype(int), np.digitize(target, [-0.5, 1.0])
    elif count > 30:
        frame.loc[30:40, "city"] = "Rom"
    return frame


def same(got, wanted):
    """As many that differ by a bit."""
    got, wanted = np.asarray(got, dtype=np.float64).astype(np.float32), np.asarray(wanted, dtype=np.float32)
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    return int((got.view(np.uint32) != wanted.view(np.uint32)).sum())


def scores_of(name):
    scores = pd.read_parquet(name + ".parquet").to_numpy()
    return scores[:, 0] if scores.shape[1] == 1 else scores


def answers_of(model, scores):
    """What pyfunc answers, of mlengine's own scores: labels of a classifier."""
    if model["class"] != "XGBClassifier":
        return scores
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.5).astype(int)


def typed(frame, model):
    """The rows as the model's signature wants them."""
    types = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}
    out = pd.DataFrame()
    for column in model["inputs"]:
        values = frame[column["name"]]
        out[column["name"]] = values.astype(object).where(values.notna(), None) if column["type"] == "string" else values.astype(types[column["type"]])
    return out


def coded(frame, model, booster):
    """For XGBoost itself: texts as the model's numbers for them. (A category of pandas is cut where it is not ASCII, as of 3.2.)"""
    texts = [column["name"] for column in model["inputs"] if column["type"] == "string"]
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    encodings = learner["gradient_booster"]["model"]["cats"]["enc"] if texts else []
    out = frame.copy()
    for name, encoding in zip(learner["feature_names"], encodings):
        if name in texts:
            offsets, values = encoding["offsets"], bytes(v % 256 for v in encoding["values"])
            names = [values[a:b].decode() for a, b in zip(offsets, offsets[1:])]
            codes = pd.Categorical(frame[name], categories=names).codes
            out[name] = np.where(codes < 0, np.nan, codes)
    if model["class"] == "Booster":
        return xgb.DMatrix(out)
    return out.astype("float32").to_numpy() if texts else out  # a frame of numbers is refused where texts were learned from


def check(logged):
    test = pd.read_parquet("test.parquet")
    told, answers = [], []
    for model in logged:
        frame, scores = typed(test, model), scores_of(model["name"])
        wanted = answers_of(model, scores)
        differ = {}
        native = mlflow.xgboost.load_model(model["uri"])
        assert type(native).__name__ == model["class"], type(native)
        booster = native if isinstance(native, xgb.Booster) else native.get_booster()
        numbers = coded(frame, model, booster)
        differ["native"] = same(native.predict(numbers), wanted)
        if model["class"] == "XGBClassifier":
            probabilities = native.predict_proba(numbers)
            differ["probabilities"] = same(probabilities if scores.ndim == 2 else probabilities[:, 1], scores)
        for uri in (model["uri"], f"models:/{model['name']}/1", f"models:/{model['name']}@champion", f"runs:/{model['run']}/model", model["folder"]):
            differ["pyfunc " + uri] = same(mlflow.pyfunc.load_model(uri).predict(frame), wanted)
        pyfunc = mlflow.pyfunc.load_model(model["uri"])
        shuffled = frame[list(frame.columns)[::-1]].assign(more=1)
        differ["other order, more columns"] = same(pyfunc.predict(shuffled), wanted)
        refused = 0
        needed = next(column["name"] for column in model["inputs"] if column["required"])
        for wrong in (frame.drop(columns=needed), frame.assign(**{needed: [[1]] * len(frame)})):
            try:
                pyfunc.predict(wrong)
            except (mlflow.exceptions.MlflowException, TypeError):  # of texts the schema takes anything
                refused += 1
        with open(model["folder"] + "/serving_input_example.json") as f:
            scored = mlflow.models.validate_serving_input(model["uri"], f.read())
        differ["serving input"] = same(scored, wanted[:20])
        example = mlflow.models.Model.load(model["folder"]).load_input_example(model["folder"])
        differ["input example"] = same(pyfunc.predict(typed(example, model)), wanted[:20])
        outputs = mlflow.models.get_model_info(model["uri"]).signature.outputs.to_dict()
        told.append({"name": model["name"], "rows": len(frame), "differ": {k: v for k, v in differ.items() if v}, "ways": len(differ), "refused": refused, "same uris": int(model["uri"].startswith("runs:/")),
                     "dtype": str(np.asarray(pyfunc.predict(frame)).dtype), "outputs": outputs})
        body = frame.head(500).astype(object)
        body = {"columns": list(body.columns), "data": body.where(body.notna(), None).values.tolist()}
        answers.append({"name": model["name"], "body": {"dataframe_split": body}, "answers": wanted[:500].astype(float).tolist()})
    with open("answers.json", "w") as f:
        json.dump(answers, f)
    return told


def train(kind, name, frame, target, texts):
    """A model of Python's: from numbers, or from texts as pandas has them."""
    more = {"enable_categorical": True} if texts else {}
    if name == "Booster":
        params = {"two": {"objective": "binary:logistic"}, "three": {"objective": "multi:softprob", "num_class": 3}, "number": {}}[kind]
        return xgb.train({"max_depth": 5, "seed": 3, **params}, xgb.DMatrix(frame, target, **more), 20)
    return getattr(xgb, name)(n_estimators=20, max_depth=5, **more).fit(frame, target)


def with_codes(frame):
    return frame.assign(**{name: np.where(frame[name].cat.codes < 0, np.nan, frame[name].cat.codes) for name in frame if frame[name].dtype == "category"})


def log():
    """Models of Python's, and what they and mlflow.pyfunc say of the test's rows.

    Of texts pyfunc knows nothing: it takes a Booster's codes, and frames with categories for scikit-learn's classes that have no signature."""
    given, test = pd.read_parquet("train.parquet"), pd.read_parquet("test.parquet")
    client, logged = mlflow.MlflowClient(), []
    mlflow.set_experiment("python")
    cities = [city for city in CITIES if city.isascii()]  # as of 3.2 Python cuts the others when it trains
    for texts in (False, True):
        def features(frame):
            if not texts:
                return frame[["x0", "x1", "single", "hour", "gap", "flag"]].astype({"gap": "float64"})
            return pd.DataFrame({"city": pd.Categorical(frame.city, categories=cities), "x0": frame.x0, "gap": frame.gap.astype("float64")})

        known, new = features(given), features(test)
        for i, (kind, cls) in enumerate([("two", "Booster"), ("two", "XGBClassifier"), ("three", "Booster"), ("three", "XGBClassifier"),
                                         ("number", "Booster"), ("number", "XGBRegressor")]):
            model = train(kind, cls, known, given[{"two": "y2", "three": "y3", "number": "yr"}[kind]], texts)
            name = f"{kind}-{cls}{'-texts' if texts else ''}"
            booster = model if cls == "Booster" else model.get_booster()
            scores = booster.predict(xgb.DMatrix(new, enable_categorical=texts))
            shown = with_codes(new) if cls == "Booster" else new
            more = {} if texts and cls != "Booster" else {"input_example": shown.head(5)}
            with mlflow.start_run() as run:
                where = {"name": "m"} if mlflow.__version__ >= "3" else {"artifact_path": "m"}
                info = mlflow.xgboost.log_model(model, **where, registered_model_name=name, pip_requirements=["xgboost"],
                                                model_format=["ubj", "json", "ubj"][i % 3], **more)
            client.set_registered_model_alias(name, "champion", "1")
            answers = mlflow.pyfunc.load_model(info.model_uri).predict(shown)
            assert same(answers, scores if cls != "XGBClassifier" else answers_of({"class": cls}, scores)) == 0, name
            body = with_codes(new).astype(object)
            logged.append({"name": name, "class": cls, "uri": info.model_uri, "run": run.info.run_id, "artifact": client.get_model_version_download_uri(name, "1"),
                           "scores": scores.astype(float).tolist(), "answers": np.asarray(answers).astype(float).tolist(), "columns": list(new.columns),
                           "rows": body.where(body.notna(), None).head(500).values.tolist()})
    with open("python.json", "w") as f:
        json.dump(logged, f)


if sys.argv[1] == "rows":
    rows(2000, 1).to_parquet("train.parquet", index=False)
    rows(3000, 2).to_parquet("test.parquet", index=False)
    print(json.dumps("made"))
elif sys.argv[1] == "log":
    mlflow.set_tracking_uri(sys.argv[2])
    log()
    print(json.dumps("logged"))
else:
    mlflow.set_tracking_uri("sqlite:///" + sys.argv[2])
    with open("logged.json") as f:
        print(json.dumps(check(json.load(f))))
