# venv: none
"""The disk fails at any single call: it is full from there on, or one call gives an I/O error. The command ends with one
line that says so, the state stays readable, and `resume` gives the undisturbed result once there is room again."""

import errno
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulted import PROCESSES, FaultCase, rounds


class Disk(FaultCase):
    def play(self, wanted, process, at, point, **faults):
        project = self.fresh()
        _, code, said = self.run_with(project, process, at, **faults)
        self.assertIn(code, (0, 1), said)  # no signal, no abort
        if code == 1:
            self.assertRegex(said, r"(?m)^mlengine: ")
        self.complete(project)
        self.assertEqual(self.outcome(project), wanted)
        project.run("serve", "--stop")

    def check(self, reduced, what, **faults):
        wanted, cases = self.undisturbed(), []
        for process in PROCESSES:
            points = self.points(process, **faults)
            cases += [(process, at + 1, point) for at, point in enumerate(points) if " unlink " not in point]
        count = rounds(min(reduced, len(cases)), len(cases), what)
        for i in range(count):
            process, at, point = cases[i * len(cases) // count]
            with self.subTest(process=process, at=at, point=point):
                self.play(wanted, process, at, point, **faults)

    def test_full_from_each_call_on(self):
        self.check(20, "calls with a full disk", errno=errno.ENOSPC, lasts=True)

    def test_one_io_error(self):
        self.check(20, "calls with an I/O error", errno=errno.EIO)


if __name__ == "__main__":
    unittest.main(verbosity=2)
