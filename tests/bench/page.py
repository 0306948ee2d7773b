"""The page with 10,000 jobs, 1,000,000 runs and a log of 1,000,000 lines: first paint and scrolling in Chromium; and what 50 who
watch cost the scheduler.

    python3 tests/bench/page.py [RUNS] [JOBS] [LINES]

Measured, not asserted: how fast a browser draws is its machine's doing.
"""

import os
import signal
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration", "page")]
from up import JOBS, RUNS, cpu_seconds, fill, make_pipelines, resident, start_up  # noqa: E402
from browser import Browser  # noqa: E402
from support import Project  # noqa: E402

LINES = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
VIEWERS, WATCH_S = 50, 20

SCROLL = """new Promise(done => {
  const box = document.querySelector("%s"), frames = [], began = performance.now();
  let last = began, longest = 0;
  new PerformanceObserver(list => { for (const task of list.getEntries()) longest = Math.max(longest, task.duration); }).observe({ type: "longtask" });
  const step = now => {
    frames.push(now - last);
    last = now;
    box.scrollTop += %d;
    if (now - began < 3000) requestAnimationFrame(step);
    else done([frames.length / ((now - began) / 1000), frames.sort((a, b) => a - b)[Math.floor(frames.length * 0.95)], longest, box.scrollTop]);
  };
  requestAnimationFrame(step);
})"""


def show(browser, url, name, ready):
    """How long until the view can be read, of a page that was never loaded: counted by the browser, without its own start."""
    browser.open(url=url)
    browser.wait(ready)
    took = browser.evaluate(code="performance.now()")
    paint = browser.evaluate(code="(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime")
    print(f"| {name} | {paint:.0f} ms | {took:.0f} ms |", end="", flush=True)


def scroll(browser, box, by):
    rate, slow, longest, at = browser.evaluate(code=SCROLL % (box, by))
    print(f" {rate:.0f}/s, 95 % within {slow:.0f} ms | {f'{longest:.0f} ms' if longest else 'none over 50 ms'} | {at:,.0f} px in 3 s |", flush=True)


def views(project):
    url = f"http://127.0.0.1:{project.up_port}/"
    browser = Browser()
    try:
        print("| view | first paint | can be read | frames while scrolling | longest task | scrolled |\n| --- | --- | --- | --- | --- | --- |")
        show(browser, url + "#/jobs", f"Jobs, {JOBS:,}", ".job-row [role=cell]")
        scroll(browser, ".list-box", 400)
        show(browser, url + "#/history", f"Job History, {RUNS:,} runs", ".run-row [role=cell]")
        scroll(browser, ".list-box", 400)
        show(browser, url + f"#/history?before={RUNS // 2}", "the same from the middle", ".run-row [role=cell]")
        scroll(browser, ".list-box", 400)
        show(browser, url + f"#/runs/{RUNS}", f"a run, {LINES:,} lines of log", ".log-line")
        scroll(browser, ".log-box", 4000)
        begun = time.perf_counter()
        browser.fill('input[type="search"]', text=f"line {LINES - 1} ")
        browser.wait("mark")
        print(f"\nfound a line at the end of the log in {time.perf_counter() - begun:.1f} s")
    finally:
        browser.close()


def watch(port, over):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        s.settimeout(1)
        while not over.is_set():
            try:
                if not s.recv(65536):
                    return
            except TimeoutError:
                continue


def share_of(pid, seconds):
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 100


def viewers():
    """A run that says a line ten times a second is watched."""
    project = Project()
    try:
        project.write("p.lua", 'return require "mlengine.pipeline".new { name = "P", jobs = { { name = "A", script = "a.lua" } } }')
        project.write("a.lua", "for i = 1, 100000 do print('line', i) io.stdout:flush() os.execute 'sleep 0.1' end")
        up, _ = start_up(project)
        job = project.start("run", "p.lua")
        time.sleep(3)
        alone = share_of(up.pid, WATCH_S)
        over, threads = threading.Event(), []
        for _ in range(VIEWERS):
            threads.append(threading.Thread(target=watch, args=(project.up_port, over)))
            threads[-1].start()
        time.sleep(2)
        watched = share_of(up.pid, WATCH_S)
        over.set()
        for thread in threads:
            thread.join()
        print(f"a run with ten lines a second: the scheduler takes {alone:.1f} % of a processor, and {watched:.1f} % with {VIEWERS} who watch; "
              f"it holds {resident(up.pid):.1f} MB")
        for process in (job, up):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    finally:
        project.close()


def main():
    viewers()
    project = Project()
    try:
        make_pipelines(project)
        fill(project)
        folder = project.path(".mlengine", "runs", str(RUNS))  # the oldest are pruned by then
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "log"), "w") as log:
            for i in range(LINES):
                log.write(f"2026-11-26T15:54:42.{i % 1000:03d}Z out line {i} of a log that somebody wrote while a model was trained\n")
        start_up(project)
        views(project)
    finally:
        project.close()


if __name__ == "__main__":
    main()
