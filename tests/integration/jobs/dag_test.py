# venv: none
"""T19. Laws of a pipeline's order, on random graphs with random outcomes, against a slow oracle: parents first, no job before its
needs, conditions kept, what is skipped passed on; and a resumed pipeline ends as one that nothing had gone wrong in."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, rounds

SCRIPT = """
local job = require "mlengine.job"
local name = job.params { name = { nil, "the job", type = "string" } }.name
local function log(text) local f <close> = io.open("log", "a"); f:write(text, " ", name, "\\n") end
log "begin"
local f <close> = io.open("outcome-" .. name)
local outcome = f:read "a"
log "end"
if outcome == "failed" then error "as told" end
if outcome == "skipped" then job.skip "as told" end
job.output { name = name }
"""


def make_graph(rng, conditions):
    """[(name, [(parent, on)])]; parents may be any earlier job, and the jobs are then listed in any order."""
    jobs = []
    for i in range(rng.randint(2, 7)):
        parents = rng.sample(range(i), min(i, rng.choice([0, 1, 1, 2, 3])))
        jobs.append((f"j{i}", [(f"j{p}", rng.choice(conditions)) for p in parents]))
    return jobs


def write_pipeline(project, jobs, rng):
    listed = jobs[:]
    rng.shuffle(listed)
    lines = []
    for name, parents in listed:
        after = ", ".join(f'{{ "{p}", on = "{on}" }}' for p, on in parents)
        lines.append(f'{{ name = "{name}", script = "step.lua", params = {{ name = "{name}" }}, after = {{ {after} }} }},')
    project.write("p.lua", 'return require("mlengine.pipeline").new { name = "P", jobs = {\n' + "\n".join(lines) + "\n} }\n")


def oracle(jobs, outcomes):
    """The state of each job, and whether it is skipped because something it needs did not go well."""
    states, blocked = {}, {}
    for name, parents in jobs:  # parents come first in here
        obstacle = None
        needs = [p for p, on in parents if on == "success"]
        for parent, on in parents:
            if on == "failure" and states[parent] != "failed":
                obstacle = obstacle or "unneeded"
            if on == "success" and (states[parent] == "failed" or blocked[parent]):
                obstacle = obstacle or "blocked"
        if obstacle is None and needs and not any(states[p] == "succeeded" for p in needs):
            obstacle = "nothing new"
        states[name] = "skipped" if obstacle else outcomes[name]
        blocked[name] = obstacle == "blocked"
    return states


class Laws(unittest.TestCase):
    def new_project(self):
        project = Project(scripts=None)
        self.addCleanup(project.close)
        project.write("step.lua", SCRIPT)
        return project

    def set_outcomes(self, project, outcomes):
        for name, outcome in outcomes.items():
            project.write("outcome-" + name, outcome)

    def states(self, project):
        states = {}
        for run in reversed(project.history()):
            states[run["job"]] = run["state"]
        return states

    def check_order(self, project, jobs):
        """Every job began after all its parents that ran had ended, and ran once."""
        with open(project.path("log")) as f:
            lines = f.read().split("\n")[:-1]
        self.assertEqual(len(lines), len(set(lines)), lines)
        for name, parents in jobs:
            for parent, _ in parents:
                if f"begin {name}" in lines and f"end {parent}" in lines:
                    self.assertLess(lines.index(f"end {parent}"), lines.index(f"begin {name}"), lines)

    def test_random_graphs(self):
        first = int(os.environ.get("MLENGINE_SEED", random.randrange(1 << 30) if os.environ.get("MLENGINE_SOAK") else 1))
        count = rounds(25, 1000, "graphs")
        print(f"seeds {first} to {first + count - 1}", flush=True)
        for seed in range(first, first + count):
            with self.subTest(seed=seed):
                rng = random.Random(seed)
                jobs = make_graph(rng, ["success", "success", "success", "failure", "always"])
                outcomes = {name: rng.choice(["succeeded"] * 4 + ["failed", "skipped"]) for name, _ in jobs}
                project = self.new_project()
                write_pipeline(project, jobs, rng)
                self.set_outcomes(project, outcomes)
                wanted = oracle(jobs, outcomes)
                project.write("log", "")
                project.run("run", "p.lua", code=1 if "failed" in wanted.values() else 0)
                self.assertEqual(self.states(project), wanted, jobs)
                self.check_order(project, jobs)

    def test_resumed_is_as_undisturbed(self):
        first = int(os.environ.get("MLENGINE_SEED", random.randrange(1 << 30) if os.environ.get("MLENGINE_SOAK") else 1))
        count = rounds(12, 500, "graphs")
        print(f"seeds {first} to {first + count - 1}", flush=True)
        for seed in range(first, first + count):
            with self.subTest(seed=seed):
                rng = random.Random(seed)
                jobs = make_graph(rng, ["success", "success", "always"])
                outcomes = {name: rng.choice(["succeeded"] * 5 + ["skipped"]) for name, _ in jobs}
                failing = {name: "failed" if rng.random() < 0.3 else outcome for name, outcome in outcomes.items()}
                project = self.new_project()
                write_pipeline(project, jobs, rng)
                self.set_outcomes(project, failing)
                broken = "failed" in oracle(jobs, failing).values()
                project.run("run", "p.lua", code=1 if broken else 0)
                self.set_outcomes(project, outcomes)
                if broken:
                    project.run("resume")
                self.assertEqual(self.states(project), oracle(jobs, outcomes), jobs)


if __name__ == "__main__":
    unittest.main(verbosity=2)
