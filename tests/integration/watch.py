"""What anyone on the machine may see of a project's processes while they run."""

import glob
import os
import threading


class Watch:
    """In its scope, which may be entered again, gathers the arguments and environments of the processes that work in
    `root` or were told of it."""

    def __init__(self, root):
        self.root, self.arguments, self.environments = root, set(), set()

    def look(self):
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                with open(folder + "/cmdline", "rb") as f:
                    line = f.read()
                if self.root.encode() in line or os.readlink(folder + "/cwd").startswith(self.root):
                    self.arguments.add(line)
                    with open(folder + "/environ", "rb") as f:
                        self.environments.add(f.read())
            except OSError:
                pass  # it ended meanwhile

    def run(self):
        while not self.stop.wait(0.02):
            self.look()

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def check(self, case, *secrets):
        case.assertTrue(any(b"mlengine" in line for line in self.arguments))
        case.assertTrue(self.environments)
        for secret in secrets:
            for seen in self.arguments | self.environments:
                case.assertNotIn(secret.encode(), seen)
