"""A proxy on loopback that does what networks and servers do."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy:
    """Hands requests on to `server`, unless `fault(method, path, nth)` says otherwise.

    A fault is None, ("status", code, headers[, body]), "drop" (the request never arrives), "lose" (it does, the answer
    never comes back), ("after", code) (it does, and the answer is that status), ("cut", bytes) (the answer ends early),
    ("edit", function of the answer's bytes) or ("slow", seconds). `nth` counts the requests of that method and path from 1. `strip` is taken
    out of each path before it is handed on; `headers` take the place of the client's.
    """

    def __init__(self, server_port, fault=None, tls=None, strip=None, headers=None):
        self.counts, self.seen, self.fault, lock = {}, [], fault or (lambda *_: None), threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self, body):
                upstream = http.client.HTTPConnection("127.0.0.1", server_port, timeout=120)
                sent = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "transfer-encoding")}
                upstream.request(self.command, self.path.replace(strip, "", 1) if strip else self.path, body, {**sent, **(headers or {})})
                try:
                    answer = upstream.getresponse()
                    return answer.status, answer.getheaders(), answer.read()
                finally:
                    upstream.close()

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                path = self.path.split("?")[0]
                with lock:
                    key = (self.command, path)
                    nth = proxy.counts[key] = proxy.counts.get(key, 0) + 1
                    proxy.seen.append((self.command, path, dict(self.headers)))
                proxy.request = self.path, body  # of a client that asks one thing at a time
                what = proxy.fault(self.command, path, nth)
                if what == "drop":
                    return self.hang_up()
                if what and what[0] == "status":
                    return self.answer(what[1], list(what[2].items()), what[3] if len(what) > 3 else b"the proxy says so")
                if what and what[0] == "slow":
                    time.sleep(what[1])
                try:
                    status, headers, answer = self.forward(body)
                except OSError:
                    return self.hang_up()
                if what == "lose":
                    return self.hang_up()
                if what and what[0] == "after":
                    return self.answer(what[1], [], b"the proxy says so")
                if what and what[0] == "edit":
                    answer = what[1](answer)
                self.answer(status, headers, answer, what[1] if what and what[0] == "cut" else None)

            def hang_up(self):
                self.close_connection = True
                with contextlib.suppress(OSError):  # the client was first
                    self.connection.shutdown(socket.SHUT_RDWR)

            def answer(self, status, headers, body, cut=None):
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body[:cut])
                if cut is not None:
                    self.hang_up()

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # a client that hangs up
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
