# venv: none
"""What a pipeline's file said is remembered, and only for as long as it says so: never shows in what is answered."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project

PIPELINE = """local pipeline = require "mlengine.pipeline"
local names = require "names"
return pipeline.new { name = "P", jobs = { { name = names[1], script = "a.lua" }, { name = "two", script = "a.lua", after = names[1] } },
  environments = { prod = { jobs = { two = { enabled = false, schedule = "@daily" } } } } }
"""


class Remembered(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        self.project.write("p.lua", PIPELINE)
        self.project.write("names.lua", "return { 'one' }\n")
        self.project.write("a.lua", "")

    def kept(self):
        """The files that are kept, with what tells whether one was written again."""
        folder = self.project.path(".mlengine", "pipelines")
        return {name: os.stat(os.path.join(folder, name)).st_ino for name in os.listdir(folder)} if os.path.isdir(folder) else {}

    def jobs(self):
        return [row["job"] for row in self.project.json("jobs", "--json")]

    def save(self, name, text):
        """As an editor might that keeps size and times."""
        info = os.stat(self.project.path(name))
        self.project.write(name, text)
        os.utime(self.project.path(name), ns=(info.st_atime_ns, info.st_mtime_ns))

    def test_it_is_loaded_once(self):
        self.assertEqual(self.jobs(), ["one", "two"])
        first = self.kept()
        self.assertEqual(len(first), 1)
        self.assertEqual(self.jobs(), ["one", "two"])
        self.assertIn("P succeeded", self.project.run("run", "p.lua"))
        self.assertEqual(self.kept(), first)

    def test_a_save_is_seen_whatever_its_time_stamp_says(self):
        self.assertEqual(self.jobs(), ["one", "two"])
        self.save("names.lua", "return { 'eno' }\n")
        self.assertEqual(self.jobs(), ["eno", "two"])
        self.save("p.lua", PIPELINE.replace("two", "owt"))
        self.assertEqual(self.jobs(), ["eno", "owt"])
        self.project.run("run", "p.lua")
        self.assertEqual([run["job"] for run in self.project.history()], ["owt", "eno"])

    def test_a_mistake_is_seen_and_its_end(self):
        self.jobs()
        self.project.write("names.lua", "return { os.no.such }\n")
        self.assertIn("names.lua:1", self.project.run("jobs", "p.lua", code=1))
        os.remove(self.project.path("names.lua"))
        self.assertIn("there is no module 'names'", self.project.run("jobs", "p.lua", code=1))
        self.project.write("names.lua", "return { 'one' }\n")
        self.assertEqual(self.jobs(), ["one", "two"])

    def test_what_reaches_out_is_loaded_each_time(self):
        self.project.write("names.lua", 'return { os.getenv "NAME" or "none" }\n')
        self.addCleanup(os.environ.pop, "NAME", None)
        for name in ("red", "blue"):
            os.environ["NAME"] = name
            self.assertEqual(self.jobs(), [name, "two"])
        self.assertEqual(self.kept(), {})

    def test_environments_are_kept_apart(self):
        def schedules():
            return [row["schedule"] for row in self.project.json("jobs", "--json")]
        self.addCleanup(os.environ.pop, "MLENGINE_ENV", None)
        self.jobs()
        for _ in range(2):
            os.environ.pop("MLENGINE_ENV", None)
            self.assertEqual(schedules(), ["manual", "manual"])
            os.environ["MLENGINE_ENV"] = "prod"
            self.assertEqual(schedules(), ["manual", "@daily"])
        self.assertEqual(len(self.kept()), 2)

    def test_damage_is_not_believed(self):
        self.jobs()
        (name,) = self.kept()
        path = self.project.path(".mlengine", "pipelines", name)
        with open(path, "rb") as f:
            whole = f.read()
        for at in range(0, len(whole), 7):
            for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]):
                with open(path, "wb") as f:
                    f.write(damaged)
                self.assertEqual(self.jobs(), ["one", "two"], at)


if __name__ == "__main__":
    unittest.main()
