"""A Prefect flow of so many empty tasks, each after the one before: flow.py COUNT function|process [ROUNDS].

With ROUNDS the flow runs so often again in this process, which has imported everything by then: {"seconds": the median}.
"""

import json
import statistics
import subprocess
import sys
import time

from prefect import flow, task


@task
def nothing(before):
    return before


@task
def process(before):
    """A job of ours is a process of its own: so is this one's."""
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return before


@flow
def empty(count, kind):
    last = 0
    for _ in range(count):
        last = kind(last)


if __name__ == "__main__":
    what = int(sys.argv[1]), {"function": nothing, "process": process}[sys.argv[2]]
    empty(*what)
    took = []
    for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 0):
        begun = time.perf_counter()
        empty(*what)
        took.append(time.perf_counter() - begun)
    if took:
        print(json.dumps({"seconds": statistics.median(took)}))
