# venv: smtp
"""A job's notification by mail, to a real server that speaks TLS: from the start, or after STARTTLS; its authority is our own."""

import email
import email.policy
import json
import os
import ssl
import sys
import unittest

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, certificate, free_port

PASSWORD = "S3CR3T-of-mail"
PIPELINE = """return require("mlengine.pipeline").new { name = "P", jobs = {
  { name = "Ärger", script = "fail.lua", notify = { email = { "a@example.org", "b@example.org" } } } } }
"""


class Server:
    """What it was sent, over which connections, with which passwords."""

    def __init__(self, context=None, from_start=False, auth=True, refuse=None):
        self.got, self.passwords, self.refuse = [], [], refuse
        asks = {"authenticator": self.authenticate, "auth_required": True} if auth else {}
        port = free_port()
        self.controller = Controller(
            self, hostname="127.0.0.1", port=port, ready_timeout=60, ssl_context=context if from_start else None, server_hostname="localhost",
            tls_context=None if from_start else context, require_starttls=bool(context and auth and not from_start),
            auth_require_tls=context is not None and not from_start, **asks)
        self.controller.start()
        self.url = f"smtp{'s' if from_start else ''}://localhost:{port}"

    def authenticate(self, server, session, envelope, mechanism, data):
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.passwords.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        return AuthResult(success=data.password.decode() == PASSWORD, handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == self.refuse:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.got.append((envelope.mail_from, list(envelope.rcpt_tos), bytes(envelope.content),
                         server.transport.get_extra_info("ssl_object") is not None))
        return "250 taken"

    def close(self):
        self.controller.stop(no_assert=True)


class Mail(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        self.project.write("fail.lua", 'error ".\\r\\n.no luck"\n')
        self.project.write("p.lua", PIPELINE)
        self.ca, cert, key = certificate(self.project.root)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)

    def server(self, *args, **kwargs):
        server = Server(*args, **kwargs)
        self.addCleanup(server.close)
        return server

    def tell(self, server, password=PASSWORD, ca=True, user="ml"):
        """Runs the pipeline, whose job fails; what it said. The run's notes are in self.notes."""
        secret = 'user = "%s", password = { env = "MAIL_PASSWORD" }, ' % user if password else ""
        trust = f'ca_file = "{self.ca}", ' if ca else ""
        self.project.write("mlengine.conf.lua", f'return {{ mail = {{ url = "{server.url}", from = "ml@example.org", {secret}{trust} }} }}\n')
        process = self.project.start("run", "p.lua", env=dict(os.environ, MAIL_PASSWORD=password or ""))
        said = "".join(process.communicate(timeout=300))
        self.assertEqual(process.returncode, 1, said)
        history = self.project.run("history", "--limit", "1", "--json")
        run = json.loads(history)[0]
        self.assertEqual(run["state"], "failed")
        self.notes = [note["data"]["text"] for note in run["notes"]]
        self.assertNotIn(PASSWORD, said + history)
        return said

    def assert_told(self, server, encrypted=True):
        self.assertEqual(self.notes, [])
        (sender, to, text, was_encrypted), = server.got
        self.assertEqual((sender, to, was_encrypted), ("ml@example.org", ["a@example.org", "b@example.org"], encrypted))
        message = email.message_from_bytes(text, policy=email.policy.default)
        self.assertTrue(message["Subject"].startswith("P/Ärger: failed (run "), message["Subject"])
        self.assertIn("no luck", message.get_content())

    def assert_not_told(self, server, *words):
        self.assertEqual(server.got, [])
        self.assertEqual(len(self.notes), 1)
        for word in words:
            self.assertIn(word, self.notes[0])

    def test_encrypted_from_the_start(self):
        server = self.server(self.context, from_start=True)
        self.tell(server)
        self.assert_told(server)
        self.assertEqual([p[:2] for p in server.passwords], [("ml", PASSWORD)])

    def test_encrypted_after_starttls(self):
        server = self.server(self.context)
        self.tell(server)
        self.assert_told(server)
        self.assertEqual(server.passwords, [("ml", PASSWORD, True)])

    def test_without_a_password_starttls_is_taken_where_it_is_offered(self):
        server = self.server(self.context, auth=False)
        self.tell(server, password=None)
        self.assert_told(server)
        plain = self.server(auth=False)
        self.tell(plain, password=None)
        self.assert_told(plain, encrypted=False)

    def test_who_is_not_known_is_not_told(self):
        for from_start in (True, False):
            server = self.server(self.context, from_start=from_start)
            self.tell(server, ca=False)
            self.assert_not_told(server, "certificate")
            self.assertEqual(server.passwords, [])

    def test_another_name_is_another_server(self):
        server = self.server(self.context, from_start=True)
        server.url = server.url.replace("localhost", "127.0.0.1")
        self.tell(server)
        self.assert_not_told(server, "127.0.0.1")
        self.assertEqual(server.passwords, [])

    def test_a_password_is_not_sent_in_the_clear(self):
        server = self.server()
        self.tell(server)
        self.assert_not_told(server, "STARTTLS")
        self.assertEqual(server.passwords, [])

    def test_what_the_server_refuses_is_said(self):
        server = self.server(self.context, refuse="b@example.org")
        self.tell(server, password="another password")
        self.assert_not_told(server, "535")
        self.tell(server)
        self.assert_not_told(server, "550")


if __name__ == "__main__":
    unittest.main()
