# venv: none
"""Appends through a proxy that does what networks and servers do before a real REST catalog: each is in the table once, or
for certain not at all, or said to be unknown, with its files kept."""

import json
import os
import re
import sys
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from catalog_servers import CANARY, Rest
from proxy import Proxy
from support import Project

TABLE = "/v1/namespaces/bank/tables/"
QUICK = '{ properties = { ["commit.retry.min-wait-ms"] = "1", ["commit.retry.max-wait-ms"] = "5", ["commit.retry.num-retries"] = "3" } }'
APPEND = 'c:load_table "bank.%s":append(frame.sql "select 7::bigint as id")'


def other_uuid(answer):
    return re.sub(rb'"table-uuid":"[^"]*"', b'"table-uuid":"' + str(uuid.uuid4()).encode() + b'"', answer)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Rest()
        cls.addClassCleanup(cls.server.stop)
        cls.project = Project(scripts=None)
        cls.addClassCleanup(cls.project.close)
        cls.number = 0
        # one run for all tables: a table is a test's own
        cls.lua(f'for i = 1, 40 do c:create_table("bank.t" .. i, frame.sql("select 1::bigint as id").schema, {QUICK}) end')

    @classmethod
    def use(cls, uri):
        cls.project.write("mlengine.conf.lua", f'catalogs = {{ default = {{ uri = "{uri}", token = "{CANARY}token" }} }}')

    @classmethod
    def lua(cls, text, uri=None, code=0):
        cls.use(uri or cls.server.url)
        cls.project.write("script.lua", 'local iceberg, frame, json = require "mlengine.iceberg", require "mlengine.frame", require "mlengine.json"\n'
                           "local c = iceberg.catalog()\n" + text)
        said = cls.project.run("run", "script.lua", code=code)
        assert CANARY not in said, said
        return said

    def next_table(self):
        Faults.number += 1
        self.table = f"t{self.number}"

    def append(self, fault, code=0):
        """One append to a table of its own; `fault(method, nth)` is about the table's own path."""
        self.next_table()
        self.proxy = Proxy(self.server.port, lambda method, path, nth: fault(method, nth) if path == TABLE + self.table else None)
        try:
            return self.lua(APPEND % self.table, self.proxy.url, code)
        finally:
            self.proxy.close()

    def facts(self):
        """Rows, snapshots and orphans, seen past the proxy."""
        self.use(self.server.url)
        shown = self.project.json("table", "show", f"bank.{self.table}", "--json")
        rows = int(shown["current_snapshot"]["summary"]["total-records"]) if "current_snapshot" in shown else 0
        return rows, shown["num_snapshots"], len(self.project.json("table", "orphans", f"bank.{self.table}", "--json"))

    def commits(self):
        return self.proxy.counts.get(("POST", TABLE + self.table), 0)

    def check_once(self, fault, commits=None):
        self.append(fault)
        self.assertEqual(self.facts(), (1, 1, 0))
        if commits:
            self.assertEqual(self.commits(), commits)

    def test_a_conflict_is_tried_again(self):
        self.check_once(lambda method, nth: ("status", 409, {}) if method == "POST" and nth < 3 else None, 3)

    def test_not_done_and_told_so_by_5xx(self):
        for code in (500, 502, 503, 504):
            with self.subTest(code=code):
                self.check_once(lambda method, nth: ("status", code, {}) if method == "POST" and nth == 1 else None, 2)

    def test_done_but_told_otherwise(self):
        for code in (500, 502, 503, 504):
            with self.subTest(code=code):
                self.check_once(lambda method, nth: ("after", code) if method == "POST" and nth == 1 else None, 1)

    def test_the_connection_breaks_before_and_after_the_commit(self):
        self.check_once(lambda method, nth: "drop" if method == "POST" and nth == 1 else None, 2)
        self.check_once(lambda method, nth: "lose" if method == "POST" and nth == 1 else None, 1)

    def test_an_answer_that_is_cut_or_none(self):
        self.check_once(lambda method, nth: ("cut", 40) if method == "POST" and nth == 1 else None, 1)
        self.check_once(lambda method, nth: ("edit", lambda _: b"<html>") if method == "POST" and nth == 1 else None, 1)
        self.check_once(lambda method, nth: ("edit", lambda answer: answer[:40]) if method == "POST" and nth == 1 else None, 1)

    def test_an_answer_about_another_table(self):
        self.check_once(lambda method, nth: ("edit", other_uuid) if method == "POST" and nth == 1 else None, 1)

    def test_reads_are_repeated(self):
        self.check_once(lambda method, nth: ("status", 503, {"Retry-After": "0"}) if method == "GET" and nth < 3 else None)
        self.check_once(lambda method, nth: ("cut", 40) if method == "GET" and nth == 1 else None)

    def test_always_a_conflict(self):
        said = self.append(lambda method, nth: ("status", 409, {}) if method == "POST" else None, code=1)
        self.assertIn(f"bank.{self.table}", said)
        self.assertEqual(self.facts(), (0, 0, 0))  # certain: nothing is left
        self.assertEqual(self.commits(), 4)

    def test_refused_is_certain(self):
        for code in (400, 401, 403):
            with self.subTest(code=code):
                said = self.append(lambda method, nth: ("status", code, {}) if method == "POST" else None, code=1)
                self.assertIn(f": {code}", said)
                self.assertEqual(self.facts(), (0, 0, 0))

    def test_nobody_knows(self):
        """No commit is answered: it may be under way still, so its files stay."""
        said = self.append(lambda method, nth: "drop" if method == "POST" else None, code=1)
        self.assertIn("is not known", said)
        rows, snapshots, orphans = self.facts()
        self.assertEqual((rows, snapshots, orphans > 0), (0, 0, True))
        self.assertIn("that no version of", self.project.run("table", "orphans", f"bank.{self.table}"))

    def test_done_and_then_no_answer_at_all(self):
        """After the commit the server is gone: not known, and yet in the table, once."""
        seen = []

        def fault(method, nth):
            if method == "POST":
                seen.append(nth)
                return "lose"
            return "drop" if seen else None
        said = self.append(fault, code=1)
        self.assertIn("is not known", said)
        self.assertEqual(self.facts(), (1, 1, 0))

    def test_another_table_by_that_name_meanwhile(self):
        """A conflict, and then the table that is found has another UUID."""
        said = self.append(lambda method, nth: ("status", 409, {}) if method == "POST" else ("edit", other_uuid) if nth > 1 else None, code=1)
        self.assertIn("dropped and made anew", said)
        self.assertEqual(self.facts(), (0, 0, 0))

    def test_somebody_else_commits_first(self):
        """Our request was lost, and the table went on: then it is tried again on top, once."""
        self.next_table()
        other = Project(scripts=None)
        self.addCleanup(other.close)
        other.write("mlengine.conf.lua", f'catalogs = {{ default = {{ uri = "{self.server.url}" }} }}')
        other.write("script.lua", 'local iceberg, frame = require "mlengine.iceberg", require "mlengine.frame"\nlocal c = iceberg.catalog()\n' + APPEND % self.table)

        def meddle(method, path, nth):
            if method == "POST" and path == TABLE + self.table and nth == 1:
                other.run("run", "script.lua")
                return "status", 504, {}
            return None
        proxy = Proxy(self.server.port, meddle)
        self.lua(APPEND % self.table, proxy.url)
        proxy.close()
        self.assertEqual(self.facts(), (2, 2, 0))

    def test_changes_of_names_whose_outcome_is_looked_up(self):
        """Each of them, not done or done but told otherwise: then it is asked for again, or known to be done."""
        steps = [("create_namespace", "POST", "/v1/namespaces", 'c:create_namespace "{n}"'),
                 ("update_namespace", "POST", "/v1/namespaces/{n}/properties", 'c:update_namespace_properties("{n}", {{}}, {{ a = "b" }})'),
                 ("create", "POST", "/v1/namespaces/{n}/tables", 'c:create_table("{n}.t", frame.sql("select 1::bigint as id").schema)'),
                 ("rename", "POST", "/v1/tables/rename", 'c:rename_table("{n}.t", "{n}.u")'),
                 ("register", "POST", "/v1/namespaces/{n}/register", 'c:register_table("{n}.v", c:load_table("{n}.u").metadata_location)'),
                 ("drop", "DELETE", "/v1/namespaces/{n}/tables/v", 'c:drop_table "{n}.v"\nc:drop_table "{n}.u"'),
                 ("drop_namespace", "DELETE", "/v1/namespaces/{n}", 'c:drop_namespace "{n}"')]
        faults = {"f500": ("status", 500, {}), "f503": ("status", 503, {}), "a500": ("after", 500), "a504": ("after", 504), "drop": "drop", "lose": "lose",
                  "cut": ("cut", 10), "html": ("edit", lambda _: b"<html>")}
        for space, fault in faults.items():
            with self.subTest(fault=space):
                paths = {(method, path.format(n=space)) for _, method, path, _ in steps}
                proxy = Proxy(self.server.port, lambda method, path, nth: fault if nth == 1 and (method, path) in paths else None)
                said = self.lua("\n".join(step.format(n=space) for *_, step in steps) + "\nprint(table.concat(c:list_namespaces(), ' '))", proxy.url)
                proxy.close()
                self.assertEqual({key for key in proxy.counts if key in paths}, paths)
                self.assertNotIn(space, said)

    def test_a_change_of_names_that_nobody_answers(self):
        """And one that is refused: for certain, without a second try."""
        for method, path, text in (("POST", "/v1/namespaces/bank/tables", 'c:create_table("bank.never", frame.sql("select 1 as id").schema)'),
                                   ("POST", "/v1/tables/rename", 'c:rename_table("bank.t40", "bank.never")')):
            proxy = Proxy(self.server.port, lambda m, p, nth: "drop" if (m, p) == (method, path) else None)
            self.assertIn("whether it was done is not known", self.lua(text, proxy.url, code=1))
            self.assertEqual(proxy.counts[method, path], 5)
            proxy.close()
            proxy = Proxy(self.server.port, lambda m, p, nth: ("status", 403, {}) if (m, p) == (method, path) else None)
            self.assertIn(": 403", self.lua(text, proxy.url, code=1))
            self.assertEqual(proxy.counts[method, path], 1)
            proxy.close()

    def test_what_the_configuration_says(self):
        """A prefix and a default of the server's; an endpoint that it does not list is not asked for."""
        def config(answer):
            doc = json.loads(answer)
            doc["overrides"] = {"prefix": "ignored/here"}
            doc["defaults"] = {"rest-page-size": "1"}
            doc["endpoints"] = [e for e in doc["endpoints"] if "rename" not in e and "HEAD" not in e]
            return json.dumps(doc).encode()
        self.lua('for _, n in ipairs { "p.a", "p.b", "p.c" } do c:create_table(n, frame.sql("select 1::bigint as id").schema) end')

        proxy = Proxy(self.server.port, lambda method, path, nth: ("edit", config) if path == "/v1/config" else None, strip="/ignored/here")
        self.addCleanup(proxy.close)
        said = self.lua('print(table.concat(c:list_tables "p", " "))\nprint(c:table_exists "p.a", c:table_exists "p.x")', proxy.url)
        self.assertIn("p.a p.b p.c", said)
        self.assertIn("true\tfalse", said)
        self.assertEqual(proxy.counts.get(("GET", "/v1/ignored/here/namespaces/p/tables"), 0), 3)
        said = self.lua('c:rename_table("p.a", "p.z")', proxy.url, code=1)
        self.assertIn("does not have POST /v1/{prefix}/tables/rename", said)


if __name__ == "__main__":
    unittest.main()
