"""An S3 some milliseconds away: moto, and before it a server that has learnt its objects by heart, so that no peer waits for moto."""

import http.client
import http.server
import os
import subprocess
import threading
import time
import urllib.request

HOP = ("connection", "content-length", "transfer-encoding", "server", "date")


class Distant:
    """Reads only. Each request is answered `delay` seconds late, objects from memory once they were asked for."""

    def __init__(self, port, delay):
        objects, distant = {}, self
        self.delay = delay

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # headers and body in one segment

            def log_message(self, *_):
                pass

            def ask(self, method, headers):
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                upstream.request(method, self.path, headers=headers)
                answer = upstream.getresponse()
                found = answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP], answer.read()
                upstream.close()
                return found

            def handle_any(self):
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", *HOP)}
                time.sleep(distant.delay)
                if self.command in ("GET", "HEAD") and "?" not in self.path:
                    if self.path not in objects:
                        found = self.ask("GET", {k: v for k, v in headers.items() if k.lower() != "range"})
                        if found[0] != 200:
                            return self.answer(*found)
                        objects[self.path] = found
                    return self.part(*objects[self.path])
                self.answer(*self.ask(self.command, headers))

            def part(self, status, headers, body):
                asked = self.headers.get("Range", "").removeprefix("bytes=")
                if asked:
                    first, _, last = asked.partition("-")
                    begin = int(first) if first else max(0, len(body) - int(last))
                    end = min(len(body), int(last) + 1) if first and last else len(body)
                    headers = [(k, v) for k, v in headers if k.lower() != "content-range"] + [("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")]
                    status, body = 206, body[begin:end]
                self.answer(status, headers, body)

            def answer(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, *_):  # the other side went away
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def start_moto(python, port):
    """Moto with a bucket `lake`; ended by terminate()."""
    moto = subprocess.Popen([os.path.join(os.path.dirname(python), "moto_server"), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    for _ in range(1200):
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/lake", method="PUT"), timeout=5).close()
            return moto
        except OSError:
            time.sleep(0.1)
    moto.kill()
    raise SystemExit("moto did not start")
