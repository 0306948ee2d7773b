"""A headless Chromium that shows the page of a project's `mlengine up`."""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "up")]
from support import fetched  # noqa: E402


class Browser:
    """Each command of browser.mjs is a method: browser.click(what="text=Run")."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "browser.mjs"), fetched("playwright-core"), os.path.join(fetched("axe-core"), "axe.min.js")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __getattr__(self, name):
        def command(what=None, **fields):
            if what is not None:
                fields["what"] = what
            self.process.stdin.write(json.dumps({"do": name, **fields}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            assert line, "the browser ended"
            answer = json.loads(line)
            if "error" in answer:
                raise AssertionError(f"{name} {fields}: {answer['error']}")
            return answer.get("value")
        return command

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
