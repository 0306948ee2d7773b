# venv: cml
"""The jobs part of CML's API v2 in `mlengine up`: scripts written for the platform list, start, follow and stop jobs."""

import asyncio
import json
import os
import sys
import time
import unittest
from datetime import timezone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cai_mcp_server.config import Settings
from cai_mcp_server.service import WorkbenchService
from cai_mcp_server.workbench_client import WorkbenchApiError, WorkbenchClient
from cmlapi_client import ApiException, client
from upping import Upped, until

SLOW = """
local pipeline = require "mlengine.pipeline"
return pipeline.new { name = "Slow", jobs = {
  { name = "Batch", script = "a.lua", resources = { cpu = 1, memory = "1536MiB", gpu = 0 }, timeout = "15m",
    env = { REGION = "eu" }, schedule = { cron = "0 6 1 1 *", timezone = "Europe/Berlin" } },
  { name = "New Batch", script = "b.lua", after = "Batch" },
} }
"""
# Waits until the file `go` holds "end".
A = """
local params = require("mlengine.job").params { rows = { 5, "rows", min = 1 }, name = { "x", "a name" } }
while true do
  local file = io.open "go"
  local text = file and file:read "a" or ""
  if file then file:close() end
  if text:find "end" then break end
  os.execute "sleep 0.02"
  for _ = 1, 20000 do end -- so that it notices soon when it is asked to end
end
require("mlengine.job").output { rows = params.rows, name = params.name }
"""
B = 'print("got", require("mlengine.job").input().rows, require("mlengine.job").input().name)\n'
ENDS = """
local pipeline = require "mlengine.pipeline"
return pipeline.new { name = "Ends", jobs = {
  { name = "Good", script = "good.lua" },
  { name = "Bad", script = "bad.lua", enabled = false },
  { name = "Late", script = "late.lua", timeout = 1 },
  { name = "Nothing", script = "nothing.lua" },
  { name = "Python", command = { "true" }, params = { rows = 5 } },
} }
"""
LEAVES = {"good": "", "bad": 'error "the disk is on fire"', "late": 'while true do end',
          "nothing": 'require("mlengine.job").skip "no new snapshot"'}
OVER = {"ENGINE_SUCCEEDED", "ENGINE_FAILED", "ENGINE_TIMEDOUT", "ENGINE_STOPPED", "ENGINE_SKIPPED"}


class Cml(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Upped()
        for name, text in {"slow": SLOW, "a": A, "b": B, "ends": ENDS, **LEAVES}.items():
            cls.p.write(name + ".lua", text)
        cls.p.up("--no-serve")
        cls.url = f"http://127.0.0.1:{cls.p.up_port}"
        cls.api = client(cls.url, cls.p.token())
        name = os.path.basename(cls.p.root)
        found = cls.api.list_projects(search_filter=json.dumps({"name": name})).projects
        cls.project = found[0].id
        assert [x.name for x in found] == [name], found

    @classmethod
    def tearDownClass(cls):
        cls.p.close()

    def job(self, name):
        return self.api.list_jobs(self.project, search_filter=json.dumps({"name": name})).jobs[0].id

    def begin(self, job, **body):
        return self.api.create_job_run({"project_id": self.project, "job_id": job, **body}, self.project, job)

    def status(self, job, run):
        return self.api.get_job_run(self.project, job, run).status

    def over(self, job, run):
        until(f"the end of {run}", lambda: self.status(job, run) in OVER)
        return self.api.get_job_run(self.project, job, run)

    def fails(self, status, code, call, *args, **given):
        with self.assertRaises(ApiException) as caught:
            call(*args, **given)
        body = json.loads(caught.exception.body)
        self.assertEqual((caught.exception.status, body["code"], body["details"]), (status, code, []), body)
        self.assertEqual(body["error"], body["message"])
        return body["message"]

    def test_a_pipeline_is_triggered_followed_and_stopped(self):
        api, project, batch, new = self.api, self.project, self.job("Batch"), self.job("New Batch")
        self.p.write("go", "")
        first = self.begin(batch, arguments="rows=7 'name=two words'", environment={})
        self.assertIn(first.status, ("ENGINE_SCHEDULING", "ENGINE_STARTING"))
        until("the run", lambda: self.status(batch, first.id) == "ENGINE_RUNNING")
        second = self.begin(batch)
        self.assertEqual(self.status(batch, second.id), "ENGINE_SCHEDULING")  # one at a time
        listed = api.list_job_runs(project, batch).job_runs
        self.assertEqual([(r.id, r.status) for r in listed[:2]], [(second.id, "ENGINE_SCHEDULING"), (first.id, "ENGINE_RUNNING")])
        self.assertEqual(listed[1].arguments, "rows=7 'name=two words'")
        self.assertEqual(api.stop_job_run(project, batch, second.id).status, "ENGINE_STOPPED")  # which never began

        self.p.write("go", "end")
        done = self.over(batch, first.id)
        self.assertEqual((done.status, done.cpu, done.memory, done.environment), ("ENGINE_SUCCEEDED", 1, 1.5, '{"REGION":"eu"}'))
        self.assertTrue(done.created_at <= done.running_at <= done.finished_at)
        after = until("the job after it", lambda: (r := api.list_job_runs(project, new).job_runs) and r[0].status in OVER and r)
        self.assertEqual([r.status for r in after], ["ENGINE_SUCCEEDED"])
        log = self.p.call("GET", f"/api/v1/runs/{after[0].id}/logs", raw=True)[1].decode()
        self.assertIn("got\t7\ttwo words", log)

        self.p.write("go", "")
        third = self.begin(batch)
        until("the run", lambda: self.status(batch, third.id) == "ENGINE_RUNNING")
        self.assertIn(api.stop_job_run(project, batch, third.id).status, ("ENGINE_STOPPING", "ENGINE_STOPPED"))
        self.assertEqual(self.over(batch, third.id).status, "ENGINE_STOPPED")
        self.assertIn("has ended", self.fails(409, 10, api.stop_job_run, project, batch, second.id))
        self.assertIn("not running", self.fails(409, 10, api.stop_job_run, project, batch, third.id))
        fourth = self.begin(batch)  # stopped at whatever moment of its start it is in
        api.stop_job_run(project, batch, fourth.id)
        self.assertEqual(self.over(batch, fourth.id).status, "ENGINE_STOPPED")
        self.assertEqual(len(api.list_job_runs(project, new).job_runs), 1)  # nothing follows what did not succeed
        stopped = api.list_job_runs(project, batch, search_filter=json.dumps({"status": "stopped"})).job_runs
        self.assertEqual([r.id for r in stopped], [fourth.id, third.id, second.id])

    def test_every_end(self):
        wanted = {"Good": "SUCCEEDED", "Bad": "FAILED", "Late": "TIMEDOUT", "Nothing": "SKIPPED", "Python": "SUCCEEDED"}
        jobs = {name: self.job(name) for name in wanted}
        begun = {name: self.begin(job).id for name, job in jobs.items()}
        ended = {name: self.over(jobs[name], run) for name, run in begun.items()}
        self.assertEqual({name: run.status for name, run in ended.items()}, {name: "ENGINE_" + end for name, end in wanted.items()})
        self.assertTrue(all(run.finished_at for run in ended.values()))
        raw = self.p.call("GET", f"/api/v2/projects/{self.project}/jobs/{jobs['Bad']}/runs/{begun['Bad']}",
                          headers={"Authorization": f"Bearer {self.p.token()}"})[1]
        self.assertIn("the disk is on fire", raw["failure_reason"])
        self.p.run("run", "ends.lua", "--job", "Good")  # of a terminal
        self.p.run("run", "ends.lua", "--job", "Good", "--full")  # a rehearsal is none
        runs = self.api.list_job_runs(self.project, jobs["Good"]).job_runs
        self.assertEqual([r.status for r in runs], ["ENGINE_SUCCEEDED"] * 2)
        self.assertRegex(runs[0].id, r"^\d+$")
        self.assertEqual(self.status(jobs["Good"], runs[0].id), "ENGINE_SUCCEEDED")

    def test_pages_filters_and_order(self):
        api, project, job = self.api, self.project, self.job("Nothing")
        made = [self.begin(job).id for _ in range(5)]
        for run in made:
            self.over(job, run)
        before = [r.id for r in api.list_job_runs(project, job, page_size=100).job_runs]
        self.assertEqual(before[:5], made[::-1])
        seen, token = [], None
        while token != "":
            page = api.list_job_runs(project, job, page_size=2, sort="-created_at", **({"page_token": token} if token else {}))
            self.assertLessEqual(len(page.job_runs), 2)
            seen += [r.id for r in page.job_runs]
            token = page.next_page_token
            if len(seen) == 2:  # what comes meanwhile is not in later pages, nor does it move them
                self.over(job, self.begin(job).id)
        self.assertEqual(seen, before)
        oldest = api.list_job_runs(project, job, sort="+created_at", page_size=3)
        self.assertEqual([r.id for r in oldest.job_runs], before[::-1][:3])
        self.assertEqual(api.list_job_runs(project, job, search_filter='{"status": "failed"}').job_runs, [])
        self.fails(400, 3, api.list_job_runs, project, job, page_token=oldest.next_page_token)
        self.fails(400, 3, api.list_job_runs, project, job, page_token="abc")
        self.fails(400, 3, api.list_job_runs, project, job, page_size=100000)

        names = [j.name for j in api.list_all_jobs(page_size=100).jobs]
        self.assertEqual(names, ["Good", "Bad", "Late", "Nothing", "Python", "Batch", "New Batch"])
        self.assertEqual([j.name for j in api.list_jobs(project, sort="-name", page_size=2).jobs], ["Python", "Nothing"])
        found = api.list_jobs(project, search_filter='{"name": "batch"}').jobs  # that have it in their names
        self.assertEqual([j.name for j in found], ["Batch", "New Batch"])
        self.assertEqual([j.name for j in api.list_jobs(project, search_filter='{"paused": true}').jobs], ["Bad"])
        self.assertEqual([j.name for j in api.list_jobs(project, search_filter='{"type": "dependent"}').jobs], ["New Batch"])
        self.assertIn("did you mean 'name'?", self.fails(400, 3, api.list_jobs, project, search_filter='{"nam": "x"}'))
        self.assertIn("did you mean", self.fails(400, 3, api.list_jobs, project, sort="+create_at"))
        for text in ("[1]", "{", '"x"', '{"name": {}}'):
            self.fails(400, 3, api.list_jobs, project, search_filter=text)

    def test_the_fields_of_a_job(self):
        batch, new = self.job("Batch"), self.job("New Batch")
        self.assertRegex(batch, r"^\w{4}-\w{4}-\w{4}-\w{4}$")
        job = self.api.get_job(self.project, batch)
        self.assertEqual((job.name, job.script, job.type, job.schedule, job.timezone, job.paused),
                         ("Batch", "a.lua", "cron", "0 6 1 1 *", "Europe/Berlin", False))
        self.assertEqual((job.cpu, job.memory, job.nvidia_gpu, job.timeout, job.kill_on_timeout), (1, 1.5, 0, "900", True))
        self.assertEqual((json.loads(job.environment), job.parent_id, job.project.public_identifier), ({"REGION": "eu"}, "", self.project))
        self.assertLess(abs(job.updated_at.astimezone(timezone.utc).timestamp() - time.time()), 3600)
        child = self.api.get_job(self.project, new)
        self.assertEqual((child.type, child.parent_id, child.timeout), ("dependent", batch, "86400"))
        self.assertEqual(self.api.get_project(self.project).default_engine_type, "ml_runtime")

    def test_what_is_refused(self):
        api, project, job = self.api, self.project, self.job("Good")
        for method, args in (("create_job", ({"name": "x"}, project)), ("update_job", ({"name": "x"}, project, job)),
                             ("delete_job", (project, job)), ("list_models", (project,)), ("list_runtimes", ())):
            self.assertIn("mlengine up does not speak", self.fails(501, 12, getattr(api, method), *args))
        count = len(self.p.get("/api/v1/triggers?limit=1000"))
        self.assertIn("no environment of its own", self.fails(501, 12, self.begin, job, environment={"A": "1"}))
        for text, words in (("--rows 5", "not '--rows'"), ("'rows=5", "has no end"), ('rows="5', "has no end"), ("rows=5 \\", "has no end")):
            self.assertIn(words, self.fails(400, 3, self.begin, job, arguments=text))
        batch = self.job("Batch")
        self.assertIn("did you mean 'rows'?", self.fails(400, 3, self.begin, batch, arguments="-p row=5"))
        self.assertIn("rows", self.fails(400, 3, self.begin, batch, arguments="rows=0"))
        self.fails(400, 3, api.create_job_run, {"job_id": "another"}, project, job)
        self.fails(400, 3, api.create_job_run, {"x": 1}, project, job)
        self.assertEqual(len(self.p.get("/api/v1/triggers?limit=1000")), count)
        self.assertIn("this one is", self.fails(404, 5, api.list_jobs, "0000-0000-0000-0000"))
        self.fails(404, 5, api.get_job, project, "0000-0000-0000-0000")
        for run in ("t99999", "99999", "x", "t", "1:stop"):
            self.fails(404, 5, api.get_job_run, project, job, run)
        self.over(batch_run := self.job("Nothing"), run := self.begin(batch_run).id)
        self.fails(404, 5, api.get_job_run, project, job, run)  # another job's
        stranger = client(self.url, "0" * 64)
        self.assertIn("needs the token", self.fails(401, 16, stranger.list_jobs, project))
        self.fails(401, 16, stranger.list_models, project)
        self.assertEqual(self.p.call("GET", "/api/v2/projects")[0], 401)
        self.assertEqual(self.p.call("GET", "/api/v2/projects", headers={"Authorization": f"Bearer {self.p.token()}"}, host="evil.example")[0], 403)

    def test_somebody_elses_client(self):
        name = os.path.basename(self.p.root)

        async def use():
            settings = Settings(base_url=self.url, api_key=self.p.token(), enable_job_runs=True, allowed_jobs=f"{name}/Batch,{name}/Good")
            async with WorkbenchClient(settings) as transport:
                service = WorkbenchService(transport, settings)
                begun = await service.run_job(job_name="Good", project_name=name)
                self.assertTrue(begun["started"])
                while True:
                    told = await service.get_job_status(job_name="Good", project_name=name, recent_runs=5)
                    latest = told["latest_run"]
                    if latest["status"] in ("succeeded", "failed"):
                        break
                    await asyncio.sleep(0.05)
                self.assertEqual((latest["run_id"], latest["status"]), (begun["run"]["run_id"], "succeeded"))
                self.assertGreaterEqual(latest["duration_seconds"], 0)
                details = await service.get_job_details(job_name="Batch", project_name=name)
                self.assertEqual((details["settings"]["cpu"], details["settings"]["timezone"]), (1, "Europe/Berlin"))
                with self.assertRaisesRegex(WorkbenchApiError, "501.*does not speak GET /api/v2/runtimes"):
                    await transport.list_runtimes()

        asyncio.run(asyncio.wait_for(use(), 120))


if __name__ == "__main__":
    unittest.main(verbosity=2)
