# venv: none
"""The page in Chromium: the seed's walk-through clicked from start to end, what goes wrong, hostile names, and axe-core.

With $MLENGINE_SHOTS=FOLDER each view is also kept as a picture there."""

import json
import os
import signal
import sqlite3
import sys
import time
import unittest
from urllib.parse import quote
from urllib.request import Request, urlopen

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser
from upping import Upped, until

FRAUD = """
local pipeline = require "mlengine.pipeline"
local small = { cpu = 2, memory = "4GiB", gpu = 0 }
return pipeline.new { name = "Fraud", jobs = {
  { name = "New Batch", script = "new_batch.lua", schedule = { cron = "0 6 * * mon-fri", timezone = "Europe/Berlin" }, resources = small },
  { name = "Retrain XGBoost", script = "retrain.lua", after = "New Batch", resources = small },
  { name = "API Redeployment", script = "redeploy.lua", after = "Retrain XGBoost", resources = small },
} }
"""
# The seed's, with a gate that refuses when it is told to: what a model is worth depends on random rows.
REDEPLOY = """
local deploy, job = require "mlengine.deploy", require "mlengine.job"
local file = io.open "refuse"
deploy.release { endpoint = "fraud", model = job.input().model, alias = "champion", target = deploy.local_server(), smoke = true,
  gate = function() return file == nil, "auc 0.71 < 0.80 - 0.01 <img src=x onerror=window.hit=9>" end }
"""
# One that is tried on live traffic first; the trial waits for requests, as many as the test sends.
TRIED = """
local deploy, job = require "mlengine.deploy", require "mlengine.job"
local patient = { hold = 0, requests = 20, timeout = 600, drift = 1, errors = 1 }
local canary = { steps = { 0.5 } }
for key, value in pairs(patient) do canary[key] = value end
deploy.release { endpoint = "fraud", model = job.input().model, alias = "champion", target = deploy.local_server(), smoke = true,
  gate = function() return true, "auc 0.91 >= 0.80 - 0.01" end, shadow = patient, canary = canary }
"""
# Logs a point and a line each time that `go` grows; ends when it holds "end".
SLOW = """
local job, mlflow = require "mlengine.job", require "mlengine.mlflow"
local params = job.params { note = { "none", "a note" } }
local run <close> = mlflow.start_run { experiment = "slow" }
local said = 0
while true do
  local file = io.open "go"
  local text = file and file:read "a" or ""
  if file then file:close() end
  while said < #text and text:sub(said + 1, said + 1) == "x" do
    said = said + 1
    print("line " .. said)
    io.stdout:flush()
    run:log_metric("test-auc", 0.5 + said / 100, said)
    run:flush()
  end
  if text:find "end" then break end
  os.execute "sleep 0.02"
  for _ = 1, 20000 do end
end
job.output { note = params.note }
"""
FAILS = """
local file = io.open "mended"
if not file then error "the file 'mended' is not there" end
print "mended"
"""
# Runs until it is asked to stop; fails where there is "fail".
HELD = """
if io.open "fail" then error "it was told to fail" end
while true do
  os.execute "sleep 0.02"
  for _ = 1, 20000 do end
end
"""
HOSTILE = "<img src=x onerror=window.hit=1>"
HOSTILE_JOB = """
local job, mlflow, plot = require "mlengine.job", require "mlengine.mlflow", require "mlengine.plot"
local params = job.params { text = { "<b>bold</b>", "<i>help</i>" } }
local run <close> = mlflow.start_run { experiment = "<script>window.hit=2</script>" }
for step = 1, 3 do run:log_metric("curve", step, step) end
run:log_metric("single", 1)
run:log_params { plain = "<script>window.hit=4</script>" }
run:log_text("<svg xmlns='http://www.w3.org/2000/svg' onload='parent.hit=5'><script>parent.hit=5</script></svg>", "evil.svg")
print "<script>window.hit=6</script> \\27[31mred\\27[0m"
print "javascript:alert(1) \\226\\128\\174gnp.exe"
job.output { ["<img src=z onerror=window.hit=7>"] = "</textarea><script>window.hit=7</script>", text = params.text }
"""


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.b = Browser()
        cls.addClassCleanup(cls.b.close)

    def project(self, scripts=None, serve=False, **files):
        p = Upped(scripts)
        self.addCleanup(p.close)
        for name, text in files.items():
            p.write(name + ".lua", text)
        p.up(*([] if serve else ["--no-serve"]))
        if serve:
            until("the model server", lambda: p.get("/api/v1")["model_server"] == "running")
        self.url = f"http://127.0.0.1:{p.up_port}/"
        return p

    def tearDown(self):
        self.assertEqual(self.b.troubles(), [])

    def at(self, place):
        self.b.goto(url=f"{self.url}#{place}")

    def give_token(self, p):
        self.b.fill("#token", text=p.token())
        self.b.click("text=Use it")

    def card(self, job, more=""):
        return f'article[aria-label="{job}"] {more}'

    def check(self, name):
        """The view as it is now, in light and dark, wide and on a phone."""
        shots = os.environ.get("MLENGINE_SHOTS")
        for scheme in ("light", "dark"):
            self.b.scheme(scheme=scheme)
            self.assertEqual(self.b.axe(), [], f"{name}, {scheme}")
            for width, height in ((1280, 860), (390, 844)) if shots else ():
                self.b.size(width=width, height=height)
                self.b.evaluate(code="new Promise(done => setTimeout(done, 400))")
                self.b.shot(path=os.path.join(shots, f"{name}-{scheme}-{width}.png"), whole=width < 500)
            if shots:
                self.b.size(width=1280, height=900)
        self.b.size(width=390, height=844)
        wider = self.b.evaluate(code="document.documentElement.scrollWidth - document.documentElement.clientWidth")
        self.assertLessEqual(wider, 0, f"{name} scrolls sideways on a phone")
        self.b.size(width=1280, height=900)
        self.b.scheme(scheme="light")


class WalkThrough(Case):
    def test_the_seeds_three_jobs(self):
        b, p = self.b, self.project("fraud", serve=True)
        p.write("fraud/pipeline.lua", FRAUD)
        p.write("fraud/redeploy.lua", REDEPLOY)
        until("the schedule", lambda: p.get("/api/v1/jobs")[0]["next"])
        b.open(url=self.url)
        b.wait(self.card("New Batch"), text="never ran")
        self.assertIn("0 6 * * mon-fri Europe/Berlin", b.text(self.card("New Batch")))
        self.assertIn("next", b.text(self.card("New Batch")))
        self.assertIn("2 CPU · 4 GiB · 0 GPU", b.text(self.card("Retrain XGBoost")))
        self.assertIn("after Retrain XGBoost", b.text(self.card("API Redeployment")))
        b.wait("path.edge")
        self.check("jobs-first")

        b.click(self.card("New Batch", 'button:has-text("Run")'))
        b.wait("dialog", text="rows in the batch")
        self.check("form")
        b.fill('dialog input[placeholder="10000"]', text="0")
        b.click('dialog button:has-text("Run")')  # the browser itself says that it is at least 1
        self.assertEqual(b.count("dialog[open]"), 1)
        b.fill('dialog input[placeholder="10000"]', text="3000")
        b.click('dialog button:has-text("Run")')
        b.fill("#token", text="0" * 64)
        b.click("text=Use it")
        b.wait("dialog", text="not this project's token")
        self.give_token(p)
        b.gone("dialog")
        b.wait(self.card("API Redeployment", ".s-succeeded"))  # the others follow
        self.assertEqual(p.states(), [("New Batch", "succeeded"), ("Retrain XGBoost", "succeeded"), ("API Redeployment", "succeeded")])
        self.check("jobs")

        b.click('nav >> text="Job History"')
        b.wait('[role="row"][data-run="3"]')
        self.assertIn("3,000", b.text('[role="row"][data-run="2"]'))
        b.wait(".timeline li >> nth=2")
        self.check("history")
        b.click('[role="row"][data-run="2"] a')
        b.wait(".plot canvas")
        b.wait(".log-line", text="first read by 'Fraud/Retrain XGBoost'")
        b.wait("svg .snap-band", )
        b.wait(".node.is-target", text="run 2")
        b.wait("table", text="early_stopping_rounds")
        self.assertRegex(b.attribute('.plot[role="img"]', name="aria-label"), r"^test-auc 0\.\d+ at step \d+$")
        b.wait(".meter", text="of 4 GiB at most")
        b.wait(".meter", text="of 2 on average")
        b.wait("dd", text="mlflow ui --backend-store-uri")
        b.wait(".k-deployment", text="endpoint fraud")
        self.check("run")
        b.click('.timeline a:text-is("New Batch")')
        b.wait("h1", text="Run 1")
        b.click('button:text-is("Run again")')  # with what it got
        b.wait("dialog legend", text="New Batch")
        self.assertEqual(b.evaluate(code="document.querySelector('dialog input[placeholder=\"10000\"]').value"), "3000")
        b.click('dialog button:text-is("Cancel")')
        b.click('.node a:has-text("run 2")')
        b.wait("h1", text="Run 2")
        b.click('.increment a:text-is("bank.cc_trx")')
        b.wait("figcaption", text="has read up to snapshot 1 of 1")

        p.down(signal.SIGTERM)
        b.wait(".live", text="reconnecting")
        p.up()
        b.wait(".live.is-live")
        self.at("/history")
        b.wait('[role="row"][data-run="1"]')
        self.models(p)
        self.tables(p)

    def models(self, p):
        """A second version, a candidate that is refused, and back to the first."""
        b = self.b
        self.assertEqual(p.ended(p.trigger("Fraud", rows=3000))["outcome"], "succeeded")
        p.write("refuse", "")
        self.assertEqual(p.ended(p.trigger("Fraud", rows=3000))["outcome"], "succeeded")
        self.at("/models")
        b.wait("h2", text="fraud")
        b.wait("td", text="rejected: auc 0.71")
        b.click("summary:has-text('Send a test request')")
        b.until(code="document.querySelector('textarea').value.includes('dataframe_split')")
        b.click('button:text-is("Send")')
        b.wait("pre", text="predictions")
        self.assertIn("version 2", b.text(".try"))
        b.until(code="[...document.querySelectorAll('.stat')].some(s => /requests so far\\s*[1-9]/.test(s.innerText))")
        self.check("models")
        b.click('button:text-is("Roll back")')
        b.wait("dialog", text="models:/FraudCLF/1")
        b.click('dialog button:text-is("Roll back")')
        b.wait(".state", text="models:/FraudCLF/1 live")
        b.wait("td", text="rolled back")
        self.trial(p)
        b.wait("td div", text="<img src=x onerror=window.hit=9>")
        self.assertIsNone(b.evaluate(code="window.hit === undefined ? null : window.hit"))
        self.at("/history")
        b.wait(".tag", text="rejected")

    def send(self, p, count):
        """Requests to the endpoint; versions that answered."""
        url = p.get("/api/v1/endpoints")["endpoints"][0]["url"]
        body = json.dumps(p.get("/api/v1/endpoints/fraud/example")["body"]).encode()
        versions = set()
        for _ in range(count):
            with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=60) as answer:
                versions.add(answer.headers["X-Model-Version"])
        return versions

    def trial_of(self, p):
        time.sleep(1.2)  # longer than an answer is kept for all who ask
        return p.get("/api/v1/endpoints")["endpoints"][0]["trial"]

    def trial(self, p):
        """A shadow, then a canary, with their shares and figures while they go on, and what they said afterwards."""
        b = self.b
        os.unlink(p.path("refuse"))
        p.write("fraud/redeploy.lua", TRIED)
        trigger = p.trigger("Fraud", rows=3000)
        b.wait(".share", text="shadow: a copy of each request")
        self.assertEqual(self.send(p, 10), {"1"})
        self.send(p, 10)
        while self.trial_of(p)["share"] != 0.5:
            self.send(p, 2)  # for what a busy shadow did not take
        b.wait(".share", text="canary")
        b.wait(".share", text="50 %")
        while (seen := self.send(p, 10)) != {"1", "4"}:
            self.assertLessEqual(seen, {"1", "4"})
        b.wait(".shares + .note", text="requests tried")
        self.check("models-trial")
        until("the canary's end", lambda: self.send(p, 20) == {"4"})
        self.assertEqual(p.ended(trigger)["outcome"], "succeeded")
        b.wait(".state", text="models:/FraudCLF/4 live")
        for text in ("gate: auc 0.91 >= 0.80 - 0.01", "over HTTP scored as in the engine", "answers compared", "canary: 50 % of the requests"):
            b.wait("td div", text=text)
        self.check("models-tried")

    def tables(self, p):
        b = self.b
        self.at("/tables")
        b.click('a:text-is("bank.cc_trx")')
        b.wait("figcaption", text="Fraud/Retrain XGBoost has read up to snapshot 4 of 4")
        self.check("table")
        b.click('nav >> text="Job History"')
        b.click('[data-run="2"] input')
        b.click('[data-run="5"] input')
        b.click('button:text-is("Compare two")')
        b.wait("th", text="metric auc")
        self.check("compare")
        b.click('nav >> text="Jobs"')
        b.wait(self.card("New Batch", '.recent[aria-label="Last 4 runs: 4 succeeded"]'))
        self.check("jobs-later")


class Live(Case):
    def test_logs_and_curves_as_they_come(self):
        pipeline = 'return require "mlengine.pipeline".new { name = "Slow", jobs = { { name = "A", script = "a.lua" } } }'
        b, p = self.b, self.project(slow=pipeline, a=SLOW)
        b.open(url=self.url + "#/jobs")
        b.click(self.card("A", 'button:has-text("Run")'))
        b.click('dialog button:has-text("Run")')
        self.give_token(p)
        b.click(self.card("A", ".card-run a:has-text('running')"))
        p.write("go", "xx")
        b.wait(".log-line", text="line 2")
        b.wait('.plot[aria-label="test-auc 0.52 at step 2"]')
        p.write("go", "xxx")
        b.wait(".log-line", text="line 3")
        b.wait('.plot[aria-label="test-auc 0.53 at step 3"]')
        self.check("run-live")
        b.fill('input[type="search"]', text="line 2")
        b.wait("mark")
        p.write("go", "xxxend")
        b.wait("h1 ~ .state", text="succeeded")
        os.unlink(p.path("go"))
        self.at("/jobs")
        b.click(self.card("A", 'button:has-text("Run")'))
        b.click('dialog button:has-text("Run")')
        b.click(self.card("A", 'button:has-text("Stop")'))
        b.wait(self.card("A", ".s-stopped"))
        self.assertEqual(p.history()[0]["reason"], "stopped by the page")

    def test_a_failed_job_and_its_resume(self):
        pipeline = """return require "mlengine.pipeline".new { name = "Nightly", jobs = {
          { name = "A", script = "a.lua" }, { name = "B", script = "b.lua", after = "A" } } }"""
        b, p = self.b, self.project(nightly=pipeline, a=FAILS, b='print "B ran"')
        b.open(url=self.url + "#/jobs")
        b.click('button:text-is("Run all")')
        b.click('dialog button:has-text("Run")')
        self.give_token(p)
        b.wait(self.card("A", ".s-failed"))
        b.click(self.card("A", ".card-run a"))
        b.wait(".problem", text="the file 'mended' is not there")
        self.check("run-failed")
        p.write("mended", "")
        b.click('button:text-is("Resume")')
        b.wait("h1 ~ .state", text="succeeded")
        b.wait(".timeline", text="B")
        self.assertIn("1: failed", b.text("dl.facts"))
        until("B", lambda: p.states()[-1] == ("B", "succeeded") and p.states()[0] == ("A", "succeeded"))
        self.assertEqual(p.call("POST", "/api/v1/runs/1/resume", {})[0], 409)

    def test_nothing_there_yet(self):
        p = self.project()
        self.b.open(url=self.url)
        self.b.wait("pre", text="mlengine new")
        self.check("first-run")
        for view, text in (("history", "Nothing has run yet"), ("models", "Nothing is deployed yet"), ("tables", "No table yet"), ("runs/77", "there is no run 77")):
            self.at("/" + view)
            self.b.wait("main", text=text)
            self.check("empty-" + view.replace("/", "-"))
        p.write("broken.lua", 'local pipeline = require "mlengine.pipeline"\nretrun pipeline')
        p.down(signal.SIGTERM)
        p.up("--no-serve")
        self.at("/jobs")
        self.b.wait(".problem", text="broken.lua:2:")


# What has the focus: its name, whether it is seen, and how far down the document it stands.
FOCUSED = """(() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const name = one.getAttribute("aria-label") || (one.labels && one.labels.length ? one.labels[0].innerText : "") || one.innerText || one.placeholder || "";
  return { tag: one.tagName, name: name.trim().split("\\n")[0], ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    place: [...document.querySelectorAll("*")].indexOf(one), dialog: Boolean(one.closest("dialog")) };
})()"""


class Keyboard(Case):
    def test_a_job_is_run_without_a_mouse(self):
        pipeline = 'return require "mlengine.pipeline".new { name = "Keys", jobs = { { name = "A", script = "a.lua" }, { name = "B", script = "b.lua", after = "A" } } }'
        b, p = self.b, self.project(keys=pipeline, a=FAILS, b='print "B ran"')
        p.write("mended", "")
        b.open(url=self.url + "#/jobs")
        b.wait(self.card("B"))
        stops = self.stops()
        self.assertEqual([name for name, _ in stops[:6]], ["Skip to the content", "mlengine", "Jobs", "Job History", "Models", "Tables"])
        self.assertEqual([name for name, tag in stops if tag == "BUTTON"], ["Notify me", "Run all of Keys", "Run A", "Run B"])

        b.open(url=self.url + "#/jobs")
        b.wait(self.card("B"))
        b.key(key="Tab")
        b.key(key="Enter")  # skips what each view has above
        self.until_focus("Run A")
        b.key(key="Enter")
        b.wait("dialog[open]")
        for _ in range(8):  # the focus stays in the dialog, or is at the browser's own controls
            b.key(key="Tab")
            told = b.evaluate(code=FOCUSED)
            self.assertTrue(told["dialog"] or told["tag"] == "BODY", told)
        b.key(key="Escape")
        b.gone("dialog")
        self.assertEqual(b.evaluate(code=FOCUSED)["name"], "Run A")  # back where it was
        b.key(key="Enter")
        b.wait("dialog[open]")
        self.until_focus("Run", within="dialog")
        b.key(key="Enter")
        b.wait("#token")
        b.write(text=p.token())
        b.key(key="Enter")
        b.wait(self.card("B", ".s-succeeded"))
        b.until(code="/[AB] succeeded/.test(document.getElementById('said').textContent)")  # and is heard

        self.until_focus("Job History")
        b.key(key="Enter")
        b.wait('[role="row"][data-run="2"]')
        self.assertEqual(b.evaluate(code="document.activeElement.id"), "main")  # what is read next is the view
        self.until_focus("Compare run 2")
        b.key(key="Space")
        self.until_focus("Compare run 1")
        b.key(key="Space")
        b.key(key="Shift+Tab", times=3)
        self.until_focus("Compare two")
        b.key(key="Enter")
        b.wait("h1", text="Runs 1 and 2")
        for place, ready in (("/history", '[data-run="1"]'), ("/runs/1", ".log-line"), ("/tables", ".empty"), ("/models", ".empty")):
            b.open(url=f"{self.url}#{place}")
            b.wait(ready)
            self.stops()

    def stops(self):
        """Where Tab stops, from the top to the end: each is named, seen, and in the order of what is read."""
        b, found, last = self.b, [], -1
        while True:
            b.key(key="Tab")
            told = b.evaluate(code=FOCUSED)
            if told["tag"] == "BODY" or found and told["name"] == found[0][0]:
                self.assertGreater(len(found), 6)
                return found
            self.assertTrue(told["name"], told)
            self.assertTrue(told["ring"], told)
            self.assertGreater(told["place"], last, told)
            last = told["place"]
            found.append((told["name"], told["tag"]))
            self.assertLess(len(found), 80, found)

    def until_focus(self, name, within=None):
        for _ in range(60):
            told = self.b.evaluate(code=FOCUSED)
            if told["name"] == name and (within is None or told["dialog"]):
                return
            self.b.key(key="Tab")
        raise AssertionError(f"Tab never came to {name}")


class Large(Case):
    JOBS = 200

    def test_what_many_jobs_need(self):
        """More than a graph can show: found by name and by state, started, stopped and tried again in the list."""
        lines = "\n".join(f'{{ name = "J{i}", script = "a.lua" }},' for i in range(self.JOBS))
        b, p = self.b, self.project(many=f'return require "mlengine.pipeline".new {{ name = "Many", jobs = {{ {lines} }} }}', a=HELD)
        b.open(url=self.url + "#/jobs", permissions=["notifications"])
        b.wait(self.row("J0"), text="never ran")
        self.assertLess(b.count(".job-row"), 60)  # of a list only what is seen exists
        b.press(".list-box", key="End")
        b.wait(self.row("J199"))
        b.gone(self.row("J0"))
        self.check("list")

        b.fill('input[aria-label="Find a job"]', text="j17")
        b.wait('[role="status"]', text="11 jobs")
        b.click(self.row("J17", 'button:has-text("Run")'))
        b.click('dialog button:text-is("Run")')
        self.give_token(p)
        b.wait(self.row("J17", ".s-running"))
        self.assertEqual(b.evaluate(code="document.getAnimations().length"), 0)  # who wants no motion has none
        b.wait(self.row("J17", 'button:has-text("Stop")'))
        self.notified(p)
        p.write("fail", "")
        b.click(self.row("J17", 'button:has-text("Retry")'))
        b.wait(self.row("J17", ".s-failed"))
        b.wait(self.row("J17", 'button:has-text("Resume")'))
        b.fill('input[aria-label="Find a job"]', text="")
        b.evaluate(code="document.getElementById('find-state').value = 'failed', document.getElementById('find-state').dispatchEvent(new Event('change'))")
        b.wait('[role="status"]', text="1 job")
        self.assertEqual(b.evaluate(code="location.hash"), "#/jobs?state=failed")
        self.check("list-failed")
        b.fill('input[aria-label="Find a job"]', text="no such")
        b.wait(".empty", text="No job is like that")
        self.filtered(p)

    def row(self, job, more=""):
        return f'[data-job="{job}"] {more}'

    def notified(self, p):
        """Who looks elsewhere is told by the browser of how a run ended."""
        b = self.b
        b.click('button:has-text("Notify me")')
        b.wait('.bell[aria-pressed="true"]', text="Notifications on")
        b.evaluate(code="""(() => {
          window.notes = [];
          window.Notification = new Proxy(Notification, { construct(real, given) {
            const note = new real(...given);
            window.notes.push({ title: note.title, body: note.body });
            return note;
          } });
          Object.defineProperty(document, "hidden", { value: true, configurable: true });
        })()""")
        b.click(self.row("J17", 'button:has-text("Stop")'))
        b.until(code="window.notes.length > 0")
        note = b.evaluate(code="window.notes[0]")
        self.assertRegex(note["title"], "^J17 stopped in ")
        self.assertEqual(note["body"], "stopped by the page")
        b.evaluate(code="delete document.hidden")
        b.wait(".toast.bad", text="J17 stopped")

    def filtered(self, p):
        """Job History by job and trigger; what stands in the address is what is shown."""
        b = self.b
        p.run("run", "many.lua", "--job", "J3", code=1)
        self.at("/history?trigger=api")
        b.wait('[role="row"][data-run="1"]')
        b.wait("#f-trigger")
        self.assertEqual(b.count('[role="row"][data-run]'), 1)
        b.evaluate(code="document.getElementById('f-trigger').value = 'terminal', document.getElementById('f-trigger').dispatchEvent(new Event('change'))")
        b.wait('[role="row"][data-run="2"]', text="J3")
        self.assertEqual(b.count('[role="row"][data-run]'), 1)
        b.click('text="Show all"')
        b.wait('[role="row"][data-run="1"]')
        b.fill("#f-job", text="J1")
        b.wait('datalist option[value="J100"]')
        b.fill("#f-job", text="J17")
        b.press("#f-job", key="Enter")
        b.gone('[role="row"][data-run="2"]')
        self.assertEqual(b.evaluate(code="location.hash"), "#/history?job=J17")
        b.wait('[role="row"][data-run="1"]')
        self.check("history-filtered")


class Hostile(Case):
    def test_names_and_lines_are_text(self):
        pipeline = f"""return require "mlengine.pipeline".new {{ name = "{HOSTILE}", jobs = {{
          {{ name = "<script>window.hit=8<\\\\/script>", script = "a.lua" }} }} }}"""
        b, p = self.b, self.project(evil=pipeline.replace("\\\\/", ""), a=HOSTILE_JOB)
        b.open(url=self.url + "#/jobs")
        b.wait("h2", text=HOSTILE)
        b.click("article button:has-text('Run')")
        b.wait("dialog small", text="<i>help</i>")
        b.click('dialog button:has-text("Run")')
        self.give_token(p)
        b.wait("article .s-succeeded")
        with sqlite3.connect(p.path("mlflow.db")) as db:  # names that our client refuses to log, another may have
            for table in ("metrics", "latest_metrics"):
                db.execute(f"update {table} set key = ? where key = 'curve'", ('"><svg onload=window.hit=3>',))
                db.execute(f"update {table} set key = ? where key = 'single'", ("<img src=x onerror=window.hit=3>",))
            db.execute("update params set key = '<img src=y onerror=window.hit=4>'")
        db.close()
        self.at("/history")
        b.wait('[data-run="1"]', text=HOSTILE)
        self.at("/runs/1")
        b.wait(".log-line", text="<script>window.hit=6</script> ␛[31mred")
        b.wait(".log-line", text="javascript:alert(1) \ufffdgnp.exe")
        b.wait("figcaption", text='"><svg onload=window.hit=3>')
        b.wait("th", text="<img src=x onerror=window.hit=3>")
        b.wait("td", text="</textarea><script>window.hit=7</script>")
        b.wait(".plots img")
        b.wait(".node.is-target")
        self.check("hostile")
        self.at("/jobs?find=script")
        b.wait("[data-job]", text="<script>window.hit=8<script>")
        b.wait(".c-job", text=HOSTILE)
        self.at("/history?job=" + quote("<script>window.hit=8<script>", safe=""))
        b.wait('[data-run="1"]', text=HOSTILE)
        b.fill("#f-job", text="script")
        b.until(code="[...document.querySelectorAll('datalist option')].some(o => o.value.includes('window.hit=8'))")
        b.wait("option", text=HOSTILE)
        self.at("/runs/1")
        b.click('button:text-is("Run again")')
        b.wait("dialog legend", text="<script>window.hit=8<script>")
        b.click('dialog button:text-is("Cancel")')
        self.assertIsNone(b.evaluate(code="window.hit === undefined ? null : window.hit"))
        self.assertEqual(b.evaluate(code="document.querySelectorAll('main script, main img[src=\"x\"], main b, main i').length"), 0)
        self.assertEqual(p.call("GET", "/api/v1/runs/1/artifacts?path=evil.svg", raw=True)[0], 200)
        self.assertIn("sandbox", p.headers["Content-Security-Policy"])
        self.assertEqual(p.call("GET", "/api/v1/runs/1/artifacts?path=../../../../etc/passwd")[0] // 100, 4)
        self.assertEqual(p.call("GET", "/page/../up.token")[0], 404)


if __name__ == "__main__":
    unittest.main(verbosity=2)
