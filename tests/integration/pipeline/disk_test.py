# venv: none
"""T5. The machine fails at any single call: the disk is full or read-only from there on, one call gives an I/O error, there
are no descriptors left, every fsync is slow. The command ends with one line that says so, the state stays readable, and
`resume` gives the undisturbed result once the machine is well again."""

import errno
import os
import resource
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulted import PROCESSES, FaultCase, rounds, wait_for_silence


class Disk(FaultCase):
    found = []

    def play(self, wanted, process, at, point, **faults):
        project = self.fresh()
        _, code, said = self.run_with(project, process, at, **faults)
        self.assertIn(code, (0, 1), said)  # no signal, no abort
        if code == 1:
            self.assertRegex(said, r"(?m)^mlengine: ")
        self.complete(project)
        self.assertEqual(self.outcome(project), wanted)
        project.run("serve", "--stop")

    def cases(self, **faults):
        """What the pipeline comes to, and all calls that may fail: whatever is to go wrong there, they are the same."""
        if not self.found:
            self.found.append(self.undisturbed())
            for process in PROCESSES:
                points = self.points(process, **faults)
                self.found += [(process, at + 1, point) for at, point in enumerate(points) if " unlink " not in point]
        return self.found[0], self.found[1:]

    def check(self, reduced, what, **faults):
        wanted, cases = self.cases(**faults)
        count = rounds(min(reduced, len(cases)), len(cases), what)
        for i in range(count):
            process, at, point = cases[i * len(cases) // count]
            with self.subTest(process=process, at=at, point=point):
                self.play(wanted, process, at, point, **faults)

    def test_full_from_each_call_on(self):
        self.check(20, "calls with a full disk", errno=errno.ENOSPC, lasts=True)

    def test_read_only_from_each_call_on(self):
        self.check(4, "calls with a read-only disk", errno=errno.EROFS, lasts=True)

    def test_one_io_error(self):
        self.check(20, "calls with an I/O error", errno=errno.EIO)

    def test_no_descriptors_left(self):
        """From too few to say anything to just enough; the engine and all that it starts."""
        wanted = self.undisturbed()
        limits = list(range(5, 65))
        count = rounds(4, len(limits), "limits of descriptors")
        ended = set()
        for i in range(count):
            limit = limits[i * len(limits) // count]
            with self.subTest(limit=limit):
                project = self.fresh()
                started = project.start("run", "pipeline.lua", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
                out, err = started.communicate(timeout=300)
                wait_for_silence(project)
                ended.add(started.returncode)
                self.assertIn(started.returncode, (0, 1), out + err)
                if started.returncode == 1:
                    self.assertRegex(out + err, r"(?m)^mlengine: ")
                project.run("serve", "--stop")
                self.complete(project)
                self.assertEqual(self.outcome(project), wanted)
                project.run("serve", "--stop")
        self.assertIn(1, ended)

    def test_slow_fsync(self):
        wanted, project = self.undisturbed(), self.fresh()
        started = project.start("run", "pipeline.lua", env=dict(os.environ, LD_PRELOAD=self.shim, FAULT_FOLDER=project.root,
                                                               FAULT_PROCESS="mlengine", FAULT_SLOW="100"))
        out, err = started.communicate(timeout=300)
        self.assertEqual(started.returncode, 0, out + err)
        self.assertEqual(self.outcome(project), wanted)
        project.run("serve", "--stop")


if __name__ == "__main__":
    unittest.main(verbosity=2)
