# venv: none
"""What broken and hostile clients send, and what they get: a documented answer or a closed connection, never a hang; kill -9
under load and the restart; ten thousand connections that say nothing."""

import concurrent.futures
import contextlib
import errno
import gzip
import json
import os
import random
import re
import resource
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, Serving, rounds, small_model

BODY = json.dumps(EXAMPLE).encode()
IDLE = 10000
MIB = 1 << 20


def request(body=BODY, path=b"/invocations", headers=(), kind=b"application/json", length=True, close=True):
    lines = [b"POST %s HTTP/1.1" % path, b"Host: h", b"Content-Type: " + kind, *headers]
    if close:
        lines.append(b"Connection: close")
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Serving()
        cls.addClassCleanup(cls.project.close)
        cls.project.release(small_model(cls.project.path("m")))
        cls.pid = cls.project.server_pid()

    def tearDown(self):
        """Whatever was sent: the same process answers a good request."""
        status, _, answer = self.project.ask("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        self.assertEqual((status, len(json.loads(answer)["predictions"])), (200, 2))
        self.assertEqual(self.project.server_pid(), self.pid)

    def connect(self, timeout=60):
        return socket.create_connection(("127.0.0.1", self.project.port), timeout=timeout)

    def exchange(self, sent):
        """What comes back until the other side closes, which it may do before it has heard all."""
        with self.connect() as raw:
            got = b""
            try:
                with contextlib.suppress(ConnectionError):
                    raw.sendall(sent)
                    raw.shutdown(socket.SHUT_WR)
                while more := raw.recv(65536):
                    got += more
            except OSError as e:
                if not isinstance(e, ConnectionError) and e.errno != errno.ENOTCONN:
                    raise
            return got

    def statuses(self, sent):
        got = self.exchange(sent)
        return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)], got

    # ====== The head ======

    def test_bodies_whose_length_can_be_read_in_two_ways(self):
        """RFC 9112, 6.3 and 11.2. The second request, hidden in the first one's body, must never be answered."""
        hidden = b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n"
        chunked = b"0\r\n\r\n" + hidden
        shapes = {
            "Content-Length and Transfer-Encoding": request(chunked, headers=[b"Transfer-Encoding: chunked"]),
            "two lengths": request(BODY + hidden, headers=[b"Content-Length: %d" % len(BODY)]),
            "two equal lengths": request(BODY, headers=[b"Content-Length: %d" % len(BODY)]),
            "a list of lengths": request(BODY + hidden, headers=[b"Content-Length: %d, %d" % (len(BODY), len(BODY + hidden))], length=False),
            "a sign": request(BODY + hidden, headers=[b"Content-Length: +%d" % len(BODY)], length=False),
            "hexadecimal": request(BODY + hidden, headers=[b"Content-Length: 0x10"], length=False),
            "a negative length": request(BODY + hidden, headers=[b"Content-Length: -1"], length=False),
            "a length over 64 bits": request(BODY, headers=[b"Content-Length: 18446744073709551617"], length=False),
            "two codings": request(chunked, headers=[b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"], length=False),
            "an unknown coding": request(chunked, headers=[b"Transfer-Encoding: xchunked"], length=False),
            "a list of codings": request(chunked, headers=[b"Transfer-Encoding: gzip, chunked"], length=False),
            "a tab before the coding's name": request(chunked, headers=[b"Transfer-Encoding:\x0bchunked"], length=False),
            "a space before the colon": request(chunked, headers=[b"Transfer-Encoding : chunked"]),
            "a folded line": request(chunked, headers=[b"Transfer-Encoding:\r\n chunked"]),
            "a folded length": request(BODY + hidden, headers=[b"Content-Length: 1\r\n %d" % len(BODY)], length=False),
            "a header that begins with a space": request(chunked, headers=[b" Transfer-Encoding: chunked"]),
            "two hosts": request(BODY, headers=[b"Host: other"]),
            "chunks of HTTP/1.0": request(chunked, headers=[b"Connection: keep-alive", b"Transfer-Encoding: chunked"], length=False, close=False).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
            "a CR in a header": request(b"%x\r\n%s\r\n%s" % (len(BODY), BODY, chunked), headers=[b"X: a\rTransfer-Encoding: chunked"], length=False),
            "quotes around the coding": request(chunked, headers=[b'Transfer-Encoding: "chunked"'], length=False),
            "a coding with a parameter": request(chunked, headers=[b"Transfer-Encoding: chunked;q=1"], length=False),
            "a comma after the coding": request(chunked, headers=[b"Transfer-Encoding: chunked,"], length=False),
            "no coding's name": request(BODY + hidden, headers=[b"Transfer-Encoding: "]),
            "no length's digits": request(BODY + hidden, headers=[b"Content-Length: "], length=False),
            "a header without a colon": request(chunked, headers=[b"Transfer-Encoding chunked"]),
            "a NUL in a header": request(chunked, headers=[b"X: a\0\r\nTransfer-Encoding: chunked"]),
        }
        for name, sent in shapes.items():
            with self.subTest(name):
                statuses, got = self.statuses(sent)
                wanted = (400, 413, 415, 431, 501)  # libmicrohttpd sends the head of its own refusals twice
                self.assertTrue(all(s in wanted for s in statuses), got)

    def test_chunks(self):
        def chunked(body):
            return request(body, headers=[b"Transfer-Encoding: chunked"], length=False)

        whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        for sent in (whole, b"".join(b"1;x=y\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n", whole[:-2] + b"X-Trailer: t\r\n\r\n"):
            self.assertEqual(self.statuses(chunked(sent))[0], [200])
        for sent in (b"zz\r\n", b"-1\r\nx\r\n0\r\n\r\n", b"ffffffffffffffff1\r\nx\r\n", b"5\r\nhello world\r\n0\r\n\r\n", b"5 \0\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
                     b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\nhello\n0\n\n"):
            statuses, got = self.statuses(chunked(sent))
            self.assertIn(statuses, ([], [400], [413]), got)

    def test_lines_that_end_in_a_bare_lf(self):
        """Taken or refused, but read in one way only."""
        statuses, got = self.statuses(request().replace(b"\r\n", b"\n"))
        self.assertIn(statuses, ([200], [400], []), got)
        statuses, got = self.statuses(b"POST /invocations HTTP/1.1\r\nHost: h\r\nX: a\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertLessEqual(len(statuses), 1, got)
        self.assertNotIn(200, statuses)

    def test_a_request_line_with_the_host(self):
        """RFC 9112, 3.2.2: taken for its path."""
        for target in (b"http://h/version", b"HTTPS://other:1/version"):
            self.assertEqual(self.statuses(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")[0], [200])
        self.assertEqual(self.statuses(b"GET ftp://h/version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")[0], [404])

    def test_request_lines(self):
        for line in (b"", b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET /ping\r\n\r\n", b"GET /ping HTTP/9.9\r\nHost: h\r\n\r\n", b"\0\1\2\3\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"GET " + b"/" * 20000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /ping HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"GET /ping HTTP/1.1\r\n\r\n",
                     b"GET /%00%ff%zz HTTP/1.1\r\nHost: h\r\n\r\n", b"GET http://h/../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"):
            statuses, got = self.statuses(line)
            self.assertTrue(all(s in (400, 404, 414, 431, 501, 505) for s in statuses), (line[:60], got))

    def pipelined(self, *sent, wait=10):
        """The statuses of requests that are all sent at once, the last of which closes the connection."""
        with self.connect(wait) as raw:
            raw.sendall(b"".join(sent))
            got = b""
            with contextlib.suppress(ConnectionError):
                while more := raw.recv(65536):
                    got += more
        return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]

    def test_what_follows_a_refused_request(self):
        """On the same connection, sent at once with it: answered where the body's end is certain, and else not read."""
        last = request()
        refused = {
            "no such path": (request(path=b"/nope", close=False), 404), "another method": (request(close=False).replace(b"POST", b"PUT"), 405),
            "no model's body": (request(b"{}", close=False), 400), "a body too large": (request(b" " * (17 * MIB), close=False), 413),
            "an encoding": (request(headers=[b"Content-Encoding: br"], close=False), 415), "too large unpacked": (request(gzip.compress(b" " * (17 * MIB)), headers=[b"Content-Encoding: gzip"], close=False), 413),
            "no key": (request(b"{}", b"/admin/command", close=False), 401), "one that is large": (request(b" " * (MIB // 2) + BODY, close=False), 200),
        }
        for name, (sent, status) in refused.items():
            with self.subTest(name):
                self.assertEqual(self.pipelined(sent, last), [status, 200])
                self.assertEqual(self.pipelined(sent, sent, last), [status, status, 200])
        self.assertEqual(self.pipelined(request(headers=[b"Content-Length: 1"], close=False), last), [400])

    def test_who_asks_before_sending(self):
        """RFC 9110, 10.1.1: 100 where the body is wanted, the refusal itself where it is not."""
        def ask(length, path=b"/invocations"):
            return b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (path, length)

        for path, status in ((b"/invocations", 200), (b"/nope", 404)):
            with self.connect() as raw:
                raw.sendall(ask(len(BODY), path))
                self.assertTrue(raw.recv(65536).startswith(b"HTTP/1.1 100 "))
                raw.sendall(BODY)
                self.assertIn(b"HTTP/1.1 %d " % status, raw.recv(65536))
        self.assertEqual(self.pipelined(ask(17 * MIB)), [413])

    def test_methods(self):
        """HEAD is GET without the body; what a path does not take is 405, and Allow names what it does."""
        document = json.loads(self.project.ask("GET", "/openapi.json")[2])["paths"]
        for path, operations in document.items():
            at = path.replace("{name}", "fraud").replace("{version}", "1")
            status, _, body = self.project.ask("GET", at)
            head, headers, nothing = self.project.ask("HEAD", at)
            self.assertEqual((head, nothing), (status, b""), at)
            if status == 200 and at != "/metrics":
                self.assertEqual(int(headers["Content-Length"]), len(body), at)
            for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get"):
                status, headers, _ = self.project.ask(method, at)
                if not at.startswith("/admin/"):  # whose methods are told to who may ask
                    self.assertEqual((status, headers["Allow"]), (405, "GET" if "get" in operations else "POST"), (method, at))
                else:
                    self.assertEqual(status, 401)

    def test_paths(self):
        """Escapes are undone once, and then a name is a name; nothing else is guessed."""
        for path, status in ((b"/v2/models/fr%61ud/ready", 200), (b"/v2/models/fraud/", 200), (b"/v2/models/fraud//ready", 404), (b"/v2/models//fraud", 404), (b"//version", 404), (b"/version/", 404),
                             (b"/./version", 404), (b"/v2/models/../version", 404), (b"/v2/models/fr%2561ud/ready", 404), (b"/v2/models/fraud%", 404), (b"/v2/models/fraud%zz", 404), (b"/v2/models/fraud%0d%0aX:1", 404),
                             (b"/v2/models/fraud;v=1/ready", 404), (b"/version?a=1&a=2&b&=&", 200), (b"/v2/models/" + b"a" * 127, 404), (b"/v2/models/" + b"a" * 1023, 404), (b"/v2/models/" + b"a" * 1024, 404), (b"/v2/models/" + b"a" * 5000, 404)):
            statuses, got = self.statuses(b"GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % path)
            self.assertEqual(statuses, [status], (path[:80], got))

    def test_more_parameters_than_anybody_has(self):
        """Each gets an answer at once: libmicrohttpd itself falls silent where they do not fit in its memory."""
        for count, status in ((1, 200), (32, 200), (33, 431), (260, 431), (500, 431), (3000, 431)):
            for form in (b"a=b&", b"a&", b"&"):
                sent = b"GET /version?" + form * (count - 1) + b"z HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                self.assertEqual(self.statuses(sent)[0], [status], (count, form))
        long = b"GET /version?a=" + b"b" * 7000 + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        self.assertEqual(self.statuses(long)[0], [431])
        self.assertEqual(self.statuses(request(path=b"/invocations?" + b"a=b&" * 500))[0], [431])
        many = b"GET /version?" + b"a=b&" * 31 + b" HTTP/1.1\r\nHost: h\r\n\r\n"
        with self.connect(20) as raw:  # pipelined, so that they share that memory with what follows
            raw.sendall(request(close=False) + many * 400 + request())
            got = b""
            while more := raw.recv(65536):
                got += more
        self.assertEqual(len(re.findall(rb"HTTP/1\.1 200 ", got)), 402)

    # ====== Time ======

    def test_half_requests(self):
        for cut in (1, 10, 30, len(request()) - len(BODY), len(request()) - 1):
            with self.connect() as raw:
                raw.sendall(request()[:cut])
        for cut in (10, 60, len(request()) - 1):
            self.assertIn(self.statuses(request()[:cut])[0], ([], [400]))
        with self.connect() as raw:  # gone before its answer
            raw.sendall(request() * 50)

    def test_slow_clients_hold_up_nobody(self):
        sent, stop = request(), threading.Event()

        def dribble():
            with self.connect() as raw:
                for byte in sent[:-1]:
                    if stop.wait(0.05):
                        return
                    raw.sendall(b"%c" % byte)
                stop.wait(60)

        slow = [threading.Thread(target=dribble) for _ in range(50)]
        for thread in slow:
            thread.start()
        try:
            times = []
            for _ in range(100):
                begun = time.perf_counter()
                self.assertEqual(self.statuses(sent)[0], [200])
                times.append(time.perf_counter() - begun)
        finally:
            stop.set()
            for thread in slow:
                thread.join()
        print(f"beside 50 slow clients: p50 {sorted(times)[50] * 1e3:.2f} ms a request on a connection of its own")

    def test_who_does_not_read_its_answers(self):
        """Large answers that nobody takes, pipelined: bounded memory, and others are served."""
        rows = json.dumps({"dataframe_split": {**EXAMPLE["dataframe_split"], "data": EXAMPLE["dataframe_split"]["data"] * 4000}}).encode()
        before = self.project.server_rss_kb()
        with contextlib.ExitStack() as open_ones:
            for _ in range(8):
                raw = open_ones.enter_context(self.connect())
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.settimeout(0.2)
                with contextlib.suppress(OSError):
                    raw.sendall(request(rows) * 20)
            self.assertEqual(self.statuses(request())[0], [200])
            grown = self.project.server_rss_kb() - before
        print(f"8 clients that do not read: {grown:+d} kB")
        self.assertLess(grown, 64 * 1024)

    # ====== Bodies ======

    def test_a_body_of_100_megabytes(self):
        before = self.project.server_rss_kb()
        for headers, length in (([], True), ([b"Transfer-Encoding: chunked"], False)):
            with self.connect() as raw:
                raw.sendall(request(b"", headers=headers + ([b"Content-Length: %d" % (100 * MIB)] if length else []), length=False))
                piece = b" " * MIB
                with contextlib.suppress(ConnectionError):
                    for _ in range(100):
                        raw.sendall(piece if length else b"%x\r\n%s\r\n" % (MIB, piece))
                    if not length:
                        raw.sendall(b"0\r\n\r\n")
                self.assertIn(b"HTTP/1.1 413 ", raw.recv(65536))
        self.assertLess(self.project.server_rss_kb() - before, 48 * 1024)

    def test_bodies(self):
        def split(row):
            return b'{"dataframe_split": {"columns": ["amount", "hour", "age"], "data": [%s]}}' % row

        infer = b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}'
        table = [
            (b"[" * 8000000, 400), (b'{"a":' * 200000, 400), (split(b"[" * 100000), 400),
            (split(b"[NaN, 1, 2]"), 200), (split(b"[1, NaN, 2]"), 400), (split(b"[Infinity, 1, 2]"), 400), (split(b"[-Infinity, 1, 2]"), 400),
            (split(b"[1e999, 1, 2]"), 400), (split(b"[-1e999, 1, 2]"), 400), (split(b"[1e-999, 1, 2]"), 200), (split(b"[1e38, 1, 2]"), 200), (split(b"[1e39, 1, 2]"), 400),
            (split(b"[0.%s, 1, 2]" % (b"1" * 100000)), 200), (split(b"[1, 1, 2], [1, 2]"), 400), (split(b"[1, 9223372036854775808, 2]"), 400),
            (split(b'["1", 1, 2]'), 400), (split(b"[01, 1, 2]"), 400), (split(b"[.5, 1, 2]"), 400), (split(b"[1,, 2]"), 400), (split(b"[1, 2, 3],"), 400),
            (split(b"[1, 1, 2]") + b"x", 400), (split(b"[1, 1, 2]") + b"\0", 400), (b"\xef\xbb\xbf" + split(b"[1, 1, 2]"), 400), (split(b"[1, 1, 2]").decode().encode("utf-16"), 400),
            (split(b"[1, 1, 2]")[:-1] + b', "dataframe_split": {"columns": ["amount", "hour", "age"], "data": [[9, 9, 9]]}}', 400),
            (b'{"dataframe_split": {"columns": ["amount", "hour", "age"], "columns": ["age", "hour", "amount"], "data": [[1, 1, 2]]}}', 400),
            (b'{"dataframe_split": {"columns": ["amount", "hour", "age"], "data": [[1, 1, 2]], "data": [[9, 9, 9]]}}', 400),
            (b'{"dataframe_split": {"columns": ["amount", "hour", "age", "age"], "data": [[1, 1, 2, 3]]}}', 400),
            (b'{"dataframe_records": [{"amount": 1, "hour": 1, "age": 2, "age": 3}]}', 400),
            (b'{"dataframe_split": {"columns": ["\xff", "hour", "age"], "data": [[1, 1, 2]]}}', 400), (b'{"dataframe_split": {"columns": ["\xed\xa0\x80", "hour", "age"], "data": []}}', 400),
            (b'{"dataframe_split": {"columns": ["\\ud800", "hour", "age"], "data": [[1, 1, 2]]}}', 400), (b'{"dataframe_split": {"columns": ["\\u0000", "amount", "hour", "age"], "data": [[0, 1, 1, 2]]}}', 200),
            (b"\xff" * 1000, 400), (b"\0" * 1000, 400), (b"", 400),
        ]
        for body, status in table:
            statuses, got = self.statuses(request(body))
            self.assertEqual(statuses, [status], (body[:120], got[:600]))
        for body, status in ((infer, 200), (infer.replace(b"[1, 3]", b"[-1, 3]"), 400), (infer.replace(b"[1, 3]", b"[4611686018427387904, 4]"), 413), (infer.replace(b"[1, 3]", b"[1e0, 3]"), 400),
                             (infer.replace(b"[1, 3]", b"[]"), 400), (infer.replace(b'"FP32"', b'"BYTES"'), 400), (infer.replace(b'"data"', b'"data": [3, 2, 1], "data"'), 400),
                             (infer.replace(b"[1, 2, 3]", b"[[[[[1, 2, 3]]]]]"), 400), (infer.replace(b"[1, 2, 3]", b"[1, 1e999, 3]"), 400)):
            statuses, got = self.statuses(request(body, b"/v2/models/fraud/infer"))
            self.assertEqual(statuses, [status], (body, got))
        for body, status in ((b"amount,hour,age\n1,2,3\n", 200), (b"amount,hour,age\n1,2\n", 400), (b'amount,hour,age\n"1,2,3\n', 400), (b"amount,hour,amount\n1,2,3\n", 400), (b"a\0b,hour,age\n1,2,3\n", 400),
                             (b"amount,hour,age\n" + b"," * MIB, 400), (b'amount,hour,age\n"' + b"x" * MIB, 400), (b"\xff,hour,age\n1,2,3\n", 400), (b"amount,hour,age\n1e999,2,3\n", 400), (b"", 400)):
            statuses, got = self.statuses(request(body, kind=b"text/csv"))
            self.assertEqual(statuses, [status], (body[:80], got))

    def test_random_bytes(self):
        """Requests with some bytes changed, dropped or doubled: an answer, or the end of the connection."""
        seed = random.randrange(1 << 30)
        dice, count = random.Random(seed), rounds(400, 20000, "damaged requests")
        base = [request(), request(b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}', b"/v2/models/fraud/infer"),
                request(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), headers=[b"Transfer-Encoding: chunked"], length=False), request(b"amount,hour,age\n1,2,3\n", kind=b"text/csv")]
        damaged = []
        for _ in range(count):
            sent = bytearray(dice.choice(base) * dice.randint(1, 2))
            for _ in range(dice.randint(1, 6)):
                at = dice.randrange(len(sent))
                way = dice.randrange(3)
                if way == 0:
                    sent[at] = dice.randrange(256)
                elif way == 1:
                    del sent[at:at + dice.randint(1, 8)]
                else:
                    sent[at:at] = sent[at:at + dice.randint(1, 30)]
            damaged.append(bytes(sent))
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            for sent, statuses in zip(damaged, pool.map(self.statuses_or_none, damaged)):
                self.assertIsNotNone(statuses, f"no answer and no end: seed {seed}: {sent}")
                self.assertNotIn(500, statuses, f"seed {seed}: {sent}")

    def statuses_or_none(self, sent):
        try:
            return self.statuses(sent)[0]
        except TimeoutError:
            return None

    # ====== Many ======

    def test_ten_thousand_connections_that_say_nothing(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 2000), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        before = self.project.server_rss_kb()
        with contextlib.ExitStack() as idle:
            for _ in range(IDLE):
                idle.enter_context(self.connect())
            connections = [idle.enter_context(self.connect()) for _ in range(2)]
            times = []
            for i in range(200):
                begun = time.perf_counter()
                connections[i % 2].sendall(request(close=False))
                self.assertIn(b"HTTP/1.1 200 ", connections[i % 2].recv(65536))
                times.append(time.perf_counter() - begun)
            grown = self.project.server_rss_kb() - before
        print(f"{IDLE} idle connections: {grown:+d} kB, p50 {sorted(times)[100] * 1e6:.0f} us a request beside them")
        end = time.monotonic() + 300
        while len(os.listdir(f"/proc/{self.pid}/fd")) > 200:
            self.assertLess(time.monotonic(), end, "descriptors of closed connections stay open")
            time.sleep(0.05)


class Killed(unittest.TestCase):
    def test_kill_9_under_load(self):
        """The server dies with requests under way; started again, it serves the same version by itself."""
        project = Serving()
        self.addCleanup(project.close)
        project.release(small_model(project.path("m")))
        project.release(small_model(project.path("n"), example={"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}))
        ready = []
        for _ in range(rounds(3, 100, "kills under load")):
            stop = threading.Event()
            odd = []

            def ask():
                while not stop.is_set():
                    try:
                        status, headers, answer = project.ask("POST", "/invocations", BODY, {"Content-Type": "application/json"})
                    except (OSError, Exception):  # noqa: B014 -- a server that is gone: any of http.client's errors
                        continue
                    if (status, headers["X-Model-Deployment"], len(json.loads(answer)["predictions"])) != (200, "2", 2):
                        odd.append((status, answer))

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            os.kill(project.server_pid(), signal.SIGKILL)
            begun = time.perf_counter()
            server = project.start("serve")
            try:
                project.wait_for_server(60)
                ready.append(time.perf_counter() - begun)
                time.sleep(0.1)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(odd, [])
            server.terminate()
            server.communicate(timeout=60)
            self.assertEqual(server.returncode, 0)
            log = project.path(".mlengine", "serve.log")
            self.restart(project, log)
        ready.sort()
        print(f"ready again after kill -9, under load: p50 {ready[len(ready) // 2] * 1e3:.0f} ms, at most {ready[-1] * 1e3:.0f} ms")

    def restart(self, project, log):
        """In the background again, so that its pid is in the log."""
        project.write("again.lua", 'require("mlengine.serve").ensure()\n')
        project.run("run", "again.lua")
        project.wait_for_server(60)


if __name__ == "__main__":
    unittest.main(verbosity=2)
