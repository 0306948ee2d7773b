# venv: cml
"""The stand-in CML driven by a client of API v2 that others wrote (cai-mcp-server); cmlapi_check.py does so with Cloudera's own."""

import asyncio
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import resources
from cai_mcp_server.config import Settings
from cai_mcp_server.workbench_client import WorkbenchApiError, WorkbenchClient
from service import Service


class Client(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cml = Service(folder.name).__enter__()
        self.addCleanup(self.cml.__exit__)

    def drive(self, work, key=None):
        async def run():
            async with WorkbenchClient(Settings(base_url=self.cml.url, api_key=key or self.cml.key)) as client:
                return await work(client, {"project_id": self.cml.project})
        return asyncio.run(run())

    def test_jobs(self):
        for i in range(12):
            self.cml.create_job({}, {"name": f"J{i}", "script": "a.py", "kernel": "python3", "timeout": 60})

        async def work(client, project):
            self.assertEqual((await client.list_projects())["projects"][0]["name"], "mlops")
            self.assertEqual((await client.get_project(**project))["id"], self.cml.project)
            page = await client.list_all_jobs(name=None, page_size=10)
            rest = await client.list_all_jobs(name=None, page_size=10, page_token=page["next_page_token"])
            self.assertEqual((len(page["jobs"]), len(rest["jobs"]), rest["next_page_token"]), (10, 2, ""))
            job = (await client.list_all_jobs(name="J7", page_size=10))["jobs"][0]
            names = {**project, "job_id": job["id"]}
            self.assertEqual((await client.update_job(**names, changes={"cpu": 2}))["cpu"], 2)
            self.assertEqual((await client.get_job(**names))["timeout"], "60")
            for end in ("SUCCEEDED", "FAILED", "TIMEDOUT", "SKIPPED", "STOPPED"):
                self.cml.run_states = ["ENGINE_SCHEDULING", "ENGINE_RUNNING"] if end == "STOPPED" else ["ENGINE_SCHEDULING", "ENGINE_" + end]
                run = await client.create_job_run(**names)
                with self.assertRaises(WorkbenchApiError):
                    await client.create_job_run(**names)
                if end == "STOPPED":
                    await client.stop_job_run(**names, run_id=run["id"])
                self.cml.get_job_run({"run_id": run["id"]}, {})
                newest = (await client.list_job_runs(**names, page_size=1))["job_runs"][0]
                self.assertEqual((newest["id"], newest["status"]), (run["id"], "ENGINE_" + end))
            self.assertEqual((await client.list_runtimes(search_filter={"kernel": "Python"}))["runtimes"][0]["image_identifier"], resources.RUNTIME)

        self.drive(work)

    def test_models(self):
        self.cml.write_file("score.py", b"def predict(x): return x\n")
        model = self.cml.create_model({}, {"name": "M"})
        names = {"model_id": model["id"]}
        states = []
        for end in ("built", "build failed", "timedout"):
            self.cml.build_states = ["pending", end]
            build = self.cml.create_model_build(names, {"file_path": "score.py", "function_name": "predict"})
            self.cml.get_model_build({"build_id": build["id"]}, {})
            states.append(build["id"])
        for end in ("failed", "stopped", "deployed"):
            self.cml.deployment_states = ["pending", end]
            deployment = self.cml.create_model_deployment({**names, "build_id": states[0]}, {})
            self.cml.get_model_deployment({"deployment_id": deployment["id"]}, {})

        async def work(client, project):
            self.assertEqual([m["id"] for m in (await client.list_models(**project))["models"]], [model["id"]])
            builds = (await client.list_model_builds(**project, **names))["model_builds"]
            self.assertEqual([b["status"] for b in builds], ["timedout", "build failed", "built"])
            place = {**project, **names, "build_id": states[0]}
            deployments = (await client.list_model_deployments(**place))["model_deployments"]
            self.assertEqual([d["status"] for d in deployments], ["failed", "stopped", "deployed"])
            again = await client.restart_model_deployment(**place, deployment_id=deployments[1]["id"])
            self.assertEqual(again["status"], "pending")
            self.assertEqual((await client.update_model(**project, **names, changes={"description": "d"}))["description"], "d")

        self.drive(work)

    def test_gateways(self):
        async def work(client, project):
            with self.assertRaises(WorkbenchApiError) as caught:
                await client.get_job(**project, job_id="nope")
            self.assertIn("404", str(caught.exception))
            self.cml.faults.append(("GET", "/projects$", {"status": 502, "html": True}))
            with self.assertRaises(WorkbenchApiError):
                await client.list_projects()
            await client.list_projects()

        self.drive(work)
        with self.assertRaises(WorkbenchApiError) as caught:
            self.drive(lambda client, project: client.list_projects(), key="wrong")
        self.assertIn("401", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
