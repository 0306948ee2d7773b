# venv: none
"""T18. Cron in time zones against a slow oracle: every minute is looked at, with Python's zoneinfo.

The oracle knows nothing of spans or rules: it asks for each minute what the clock shows, whether it showed that before
(fold), and which minutes of the clock were passed over since the minute before.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM

HERE = os.path.dirname(os.path.abspath(__file__))
SOAK = os.environ.get("MLENGINE_SOAK") == "1"
ROUNDS, ALL_ROUNDS = (2000 if SOAK else 150), 2000
MINUTE = timedelta(minutes=1)

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Pacific/Apia", "Africa/Casablanca",
         "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Chatham", "Asia/Tehran", "Antarctica/Troll"]
# around changes of clocks, leap days, ends of years; 2044 is beyond the tables of tzdata
DAYS = ["2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-10-03", "2026-04-04", "2024-02-28", "2026-12-31", "2011-12-28",
        "2044-03-26", "2044-10-29", "2026-02-14", "2026-03-21", "2018-11-03", "2018-02-17", "2028-02-28", "2027-02-27", "2021-09-21"]
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


def make_part(rng, low, high):
    kind = rng.randrange(4)
    a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
    if kind == 0:
        return f"*/{rng.randint(1, high)}"
    if kind == 1:
        return f"{a}-{b}"
    if kind == 2:
        return f"{a}-{b}/{rng.randint(1, 9)}"
    return str(a)


def make_cron(rng):
    """Few minutes and mostly the small hours, where clocks change."""
    fields = []
    for i, (low, high) in enumerate(BOUNDS):
        if i == 1 and rng.random() < 0.6:
            fields.append(rng.choice(["2", "1-3", "0,1,2,3", "2,3", "0", "23", "1"]))
        elif rng.random() < (0.1, 0.2, 0.7, 0.8, 0.6)[i]:
            fields.append("*")
        else:
            fields.append(",".join(make_part(rng, low, high) for _ in range(rng.choice([1, 1, 2]))))
    if fields[3].isdigit():
        fields[3] = MONTHS[int(fields[3]) - 1].upper()
    if fields[4].isdigit():
        fields[4] = WEEKDAYS[int(fields[4]) % 7]
    return " ".join(fields)


def values(text, index):
    low, high = BOUNDS[index]
    names = {n: i + 1 for i, n in enumerate(MONTHS)} if index == 3 else {n: i for i, n in enumerate(WEEKDAYS)} if index == 4 else {}
    found = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high if index < 4 else 6
        else:
            first, _, last = span.partition("-")
            last = last or first
            first, last = (names.get(x, x) for x in (first, last))
        found.update(range(int(first), int(last) + 1, int(step or 1)))
    return {v % 7 for v in found} if index == 4 else found


class Cron:
    def __init__(self, text):
        fields = text.split()
        self.minute, self.hour, self.day, self.month, self.weekday = (values(f, i) for i, f in enumerate(fields))
        self.follows = fields[0].startswith("*") or fields[1].startswith("*")
        self.both = fields[2].startswith("*") or fields[4].startswith("*")

    def shows(self, wall):
        if wall.minute not in self.minute or wall.hour not in self.hour or wall.month not in self.month:
            return False
        date, weekday = wall.day in self.day, (wall.weekday() + 1) % 7 in self.weekday
        return (date and weekday) if self.both else (date or weekday)


def walk(cron, zone, after, upto):
    """Each due second in (after, upto], one minute after the other."""
    times, before = [], after.astimezone(zone).replace(tzinfo=None, fold=0)
    at = after + MINUTE
    while at <= upto:
        local = at.astimezone(zone)
        wall = local.replace(tzinfo=None, fold=0)
        due = cron.shows(wall) and (cron.follows or local.fold == 0)
        if not cron.follows:
            passed = before + MINUTE
            while passed < wall and not due:
                due = cron.shows(passed)
                passed += MINUTE
        if due:
            times.append(int(at.timestamp()))
        before = wall
        at += MINUTE
    return times


def make_case(rng):
    while True:
        text, zone = make_cron(rng), rng.choice(ZONES)
        after = datetime.fromisoformat(rng.choice(DAYS)).replace(tzinfo=timezone.utc) + timedelta(minutes=rng.randrange(1440))
        upto = after + timedelta(days=rng.choice([1, 2, 3]))
        times = walk(Cron(text), ZoneInfo(zone), after, upto)
        if len(times) < 400:
            return {"cron": text, "zone": zone, "after": int(after.timestamp()), "upto": int(upto.timestamp()), "times": times}


class Schedule(unittest.TestCase):
    def test_every_minute_is_looked_at(self):
        seed = int(os.environ.get("MLENGINE_SEED", "6"))
        rng = random.Random(seed)
        print(f"{ROUNDS} of {ALL_ROUNDS} rounds, seed {seed}", file=sys.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for _ in range(ROUNDS):
                file.write(json.dumps(make_case(rng)) + "\n")
            file.flush()
            done = subprocess.run([PROGRAM, "test", os.path.join(HERE, "next_times.lua")], env={**os.environ, "CASES": file.name},
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("times compared", done.stdout)
            compared = int(done.stdout.split(" times compared")[0].split()[-1])
            self.assertGreater(compared, 5 * ROUNDS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
