# venv: clients
"""Real clients of the Open Inference Protocol (Triton's, KServe's), and schemathesis on the OpenAPI file."""

import asyncio
import json
import os
import subprocess
import sys
import unittest
import warnings

warnings.simplefilter("ignore")
os.environ.setdefault("LOGLEVEL", "ERROR")

import numpy as np  # noqa: E402
import tritonclient.http as triton  # noqa: E402
import xgboost as xgb  # noqa: E402
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import CORPUS, Serving, rounds, small_model  # noqa: E402

COLUMNS = ("amount", "hour", "age")
TYPES = {"amount": (np.float64, "FP64"), "hour": (np.int64, "INT64"), "age": (np.float32, "FP32")}


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Serving()
        cls.addClassCleanup(cls.project.close)
        cls.project.release(small_model(cls.project.path("m")))
        cls.address = f"127.0.0.1:{cls.project.port}"
        rng = np.random.default_rng(5)
        cls.rows = np.column_stack([rng.normal(size=1000) * 50, rng.integers(0, 24, 1000), rng.uniform(18, 90, 1000)]).astype(np.float32)
        cls.rows[rng.random(1000) < 0.2, 0] = np.nan
        booster = xgb.Booster(model_file=os.path.join(CORPUS, "binary.ubj"))
        cls.wanted = booster.predict(xgb.DMatrix(cls.rows, feature_names=list(COLUMNS)))

    def check(self, scores):
        scores = np.asarray(scores, dtype=np.float32).ravel()
        self.assertEqual(scores.shape, self.wanted.shape)
        self.assertTrue((scores.view(np.uint32) == self.wanted.view(np.uint32)).all())

    # ====== tritonclient ======

    def test_triton_health_and_metadata(self):
        with triton.InferenceServerClient(self.address) as client:
            self.assertTrue(client.is_server_live() and client.is_server_ready() and client.is_model_ready("fraud"))
            self.assertFalse(client.is_model_ready("none"))
            self.assertEqual(client.get_server_metadata()["name"], "mlengine")
            metadata = client.get_model_metadata("fraud")
            self.assertEqual([i["name"] for i in metadata["inputs"]], list(COLUMNS))
            self.assertEqual(client.get_model_repository_index()[0]["state"], "READY")

    def triton_inputs(self, binary):
        inputs = []
        for i, name in enumerate(COLUMNS):
            kind, datatype = TYPES[name]
            values = self.rows[:, i].astype(kind)
            if not binary:  # its JSON has no missing values
                values = np.nan_to_num(values)
            tensor = triton.InferInput(name, [len(values)], datatype)
            tensor.set_data_from_numpy(values, binary_data=binary)
            inputs.append(tensor)
        return inputs

    def test_triton_binary_tensors(self):
        whole = triton.InferInput("rows", list(self.rows.shape), "FP32")
        whole.set_data_from_numpy(self.rows)
        with triton.InferenceServerClient(self.address) as client:
            for binary in (True, False):
                outputs = [triton.InferRequestedOutput("predict", binary_data=binary)]
                for inputs in (self.triton_inputs(True), [whole]):
                    answer = client.infer("fraud", inputs, outputs=outputs, request_id="r 1")
                    self.check(answer.as_numpy("predict"))
                    self.assertEqual((answer.get_response()["id"], answer.get_response()["model_name"]), ("r 1", "fraud"))
            self.check(client.infer("fraud", [whole]).as_numpy("predict"))  # without outputs it asks for binary data
            for way in ("gzip", "deflate"):
                answer = client.infer("fraud", [whole], request_compression_algorithm=way, response_compression_algorithm=way)
                self.check(answer.as_numpy("predict"))
            pending = [client.async_infer("fraud", [whole]) for _ in range(8)]
            for request in pending:
                self.check(request.get_result().as_numpy("predict"))

    def test_triton_json(self):
        filled = np.nan_to_num(self.rows)
        booster = xgb.Booster(model_file=os.path.join(CORPUS, "binary.ubj"))
        wanted = booster.predict(xgb.DMatrix(filled, feature_names=list(COLUMNS)))
        with triton.InferenceServerClient(self.address) as client:
            answer = client.infer("fraud", self.triton_inputs(False), outputs=[triton.InferRequestedOutput("predict", binary_data=False)])
        self.assertTrue((answer.as_numpy("predict") == wanted).all())

    def test_triton_sees_the_errors(self):
        narrow = triton.InferInput("rows", [1, 2], "FP32")
        narrow.set_data_from_numpy(np.zeros((1, 2), dtype=np.float32))
        with triton.InferenceServerClient(self.address) as client:
            for model, inputs, part in (("fraud", [narrow], r"must have the shape \[rows, 3\]"), ("none", [narrow], "no endpoint 'none'")):
                with self.assertRaisesRegex(triton.InferenceServerException, part):
                    client.infer(model, inputs)
            with self.assertRaisesRegex(triton.InferenceServerException, "admin key"):
                client.unload_model("fraud")

    def test_triton_texts(self):
        """Categories by name, as binary data and as JSON."""
        folder = small_model(self.project.path("cats"), "categories.ubj", {"dataframe_split": {"columns": ["a", "c", "i"], "data": [[1.5, "aa", 7]]}})
        with open(os.path.join(folder, "MLmodel"), "r+") as f:
            text = f.read()
            f.seek(0)
            f.write(text[:text.index("signature:")] + "signature:\n  inputs: '[{\"type\": \"double\", \"name\": \"a\"}, {\"type\": \"string\","
                    " \"name\": \"c\"}, {\"type\": \"long\", \"name\": \"i\"}]'\n")
            f.truncate()
        self.project.release(folder, endpoint="cats")
        names, a = ["aa", "bbb", "c", "other"], [0.5, 1.5, -2.0, 9.0]
        wanted = self.project.predict({"inputs": {"a": a, "c": names, "i": [3, 7, 9, 3]}}, "/endpoints/cats/invocations")["predictions"]
        self.assertGreater(len(set(wanted)), 1)
        for binary in (True, False):
            inputs = [triton.InferInput("a", [4], "FP64"), triton.InferInput("c", [4], "BYTES"), triton.InferInput("i", [4], "INT64")]
            for tensor, values in zip(inputs, (np.array(a), np.array(names, dtype=object), np.array([3, 7, 9, 3]))):
                tensor.set_data_from_numpy(values, binary_data=binary)
            with triton.InferenceServerClient(self.address) as client:
                got = client.infer("cats", inputs).as_numpy("predict")
            self.assertEqual(got.tolist(), wanted)

    # ====== KServe's ======

    def kserve(self, work):
        async def run():
            async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=60)) as client:
                return await work(client)

        return asyncio.run(run())

    def test_kserve(self):
        url = f"http://{self.address}"

        async def work(client):
            self.assertTrue(await client.is_server_live(url))
            self.assertTrue(await client.is_server_ready(url))
            self.assertTrue(await client.is_model_ready(url, "fraud"))
            answers = []
            for binary in (True, False):
                rows = self.rows if binary else np.nan_to_num(self.rows)
                tensor = InferInput("rows", list(rows.shape), "FP32")
                tensor.set_data_from_numpy(rows, binary_data=binary)
                request = InferRequest(model_name="fraud", infer_inputs=[tensor], request_id="k")
                answers.append(await client.infer(url, request, model_name="fraud"))
            return answers

        binary, text = self.kserve(work)
        self.check(binary.outputs[0].as_numpy())
        self.assertEqual((binary.id, binary.model_name), ("k", "fraud"))
        self.assertEqual(len(text.outputs[0].data), 1000)

    # ====== The OpenAPI file ======

    def test_schemathesis(self):
        config = self.project.path("schemathesis.toml")
        with open(config, "w") as f:
            f.write('[parameters]\n"path.name" = "fraud"\n')
        count = rounds(5, 200, "fuzzed examples per operation")
        phases = "coverage,fuzzing" if os.environ.get("MLENGINE_SOAK") else "fuzzing"
        # A document cannot say which columns a model has: bodies that it allows are refused for them.
        command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file", config, "run", f"http://{self.address}/openapi.json",
                   "--exclude-checks", "positive_data_acceptance", "--phases", phases, "--max-examples", str(count), "--workers", "2", "--no-color"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3600,
                              cwd=self.project.root)  # it keeps what it found there
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        print("\n".join(line for line in done.stdout.splitlines() if "generated" in line or "Tested" in line))
        status, _, answer = self.project.ask("GET", "/v2/models/fraud/ready")
        self.assertEqual((status, json.loads(answer)), (200, {"ready": True}))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
