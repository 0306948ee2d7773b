# venv: none
"""Who asks a REST catalog: OAuth2 with tokens that expire, basic, AWS's signatures, each checked on the way to the real server; and
secrets that a server repeats are told by nobody."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from catalog_servers import CANARY, Rest
from clock import make_shim
from proxy import Proxy
from support import Project

SECRET, KEY = CANARY + "se/cr+et=1", CANARY + "aws/key+1"
JSON = {"Content-Type": "application/json"}
LIFE = 3600  # of a token, in seconds; it is renewed in its last 300


def signature(method, target, headers, body, secret, region, service):
    """AWS Signature Version 4, from its documentation: what the Authorization header should end with."""
    authorization = headers["Authorization"]
    signed = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    lower = {k.lower(): " ".join(v.split()) for k, v in headers.items()}
    path, _, query = target.partition("?")
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    quoted = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for k, v in pairs)
    canonical = "\n".join([method, urllib.parse.quote(path, safe="/-_.~"), quoted, *[f"{n}:{lower[n]}" for n in signed], "", ";".join(signed),
                           hashlib.sha256(body or b"").hexdigest()])
    stamp = lower["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (stamp[:8], region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Rest()
        cls.addClassCleanup(cls.server.stop)
        cls.shim = make_shim()

    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        self.project.write("clock", "0")
        self.tokens, self.forms = {}, []

    def guard(self, check):
        """A proxy that lets through what `check(headers)` likes; it repeats what it does not like."""
        def fault(method, path, nth):
            headers = proxy.seen[-1][2]
            if path == "/v1/oauth/tokens":
                return self.grant(dict(urllib.parse.parse_qsl(proxy.request[1].decode())), headers)
            if check(method, headers):
                return None
            said = {"error": {"type": "NotAuthorizedException", "code": 401, "message": f"no: {headers.get('Authorization')}"}}
            return "status", 401, JSON, json.dumps(said).encode()
        proxy = Proxy(self.server.port, fault)
        self.addCleanup(proxy.close)
        self.proxy = proxy
        return proxy.url

    def grant(self, form, headers):
        self.forms.append(form)
        exchange = form["grant_type"].endswith("token-exchange")
        basic = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
        if not (exchange and form["subject_token"] in self.tokens and headers["Authorization"] == basic) and form.get("client_secret") != SECRET:
            return "status", 401, JSON, json.dumps({"error": "invalid_client", "error_description": f"not {form.get('client_secret')}"}).encode()
        token = f"{CANARY}token{len(self.tokens)}"
        self.tokens[token] = self.now() + LIFE
        return "status", 200, JSON, json.dumps({"access_token": token, "token_type": "bearer", "expires_in": LIFE}).encode()

    def now(self):
        """As the script has it, whose clock may be ahead."""
        with open(self.project.path("clock")) as f:
            return time.time() + int(f.read())

    def holds(self, _, headers):
        return self.tokens.get(headers.get("Authorization", "").removeprefix("Bearer "), 0) > self.now()

    def run_it(self, text, uri, code=0, **properties):
        pairs = ", ".join(f'["{k}"] = "{v}"' for k, v in {"uri": uri, **properties}.items())
        self.project.write("mlengine.conf.lua", f"catalogs = {{ default = {{ {pairs} }} }}")
        self.project.write("script.lua", 'local iceberg, frame = require "mlengine.iceberg", require "mlengine.frame"\nlocal c = iceberg.catalog()\n' + text)
        said = self.project.run("run", "script.lua", code=code)
        self.assertNotIn(CANARY, said)
        found = subprocess.run(["grep", "-rlaF", "--exclude=mlengine.conf.lua", CANARY, self.project.root], stdout=subprocess.PIPE, text=True)
        self.assertEqual(found.stdout, "")
        return said

    def test_tokens_are_had_by_the_credential_and_renewed(self):
        """One shortly before it ends, by exchange; one that has ended, by the credential. The clock is the test's."""
        uri = self.guard(self.holds)
        os.environ.update(LD_PRELOAD=self.shim, CLOCK_FILE=self.project.path("clock"))
        self.addCleanup(lambda: [os.environ.pop(name) for name in ("LD_PRELOAD", "CLOCK_FILE")])
        self.run_it(f"for _, ahead in ipairs {{ 0, {LIFE - 150}, {3 * LIFE} }} do\n"
                    '  local f <close> = io.open("clock", "w") f:write(ahead) f:flush()\n  c:list_namespaces() c:list_namespaces()\nend',
                    uri, credential=f"me:{SECRET}", scope="a b")
        self.assertEqual([form["grant_type"].rsplit(":", 1)[-1] for form in self.forms], ["client_credentials", "token-exchange", "client_credentials"])
        self.assertEqual((self.forms[0]["client_id"], self.forms[0]["scope"]), ("me", "a b"))
        refused = [1 for method, path, headers in self.proxy.seen if path != "/v1/oauth/tokens" and "Authorization" not in headers]
        self.assertEqual(refused, [])

    def test_a_token_that_is_taken_back_is_had_anew(self):
        """Between the script's two questions all tokens end, which nobody was told."""
        def check(method, headers):
            if len(self.proxy.seen) == 5:
                self.tokens.clear()
            return self.holds(method, headers)
        uri = self.guard(check)
        self.run_it("for i = 1, 8 do c:list_namespaces() end", uri, credential=f"me:{SECRET}")
        self.assertGreaterEqual(len(self.forms), 2)

    def test_a_wrong_secret_and_a_wrong_token(self):
        uri = self.guard(self.holds)
        said = self.run_it("c:list_namespaces()", uri, code=1, credential=f"me:{CANARY}wrong")
        self.assertIn("asking " + uri + "/v1/oauth/tokens for a token: 401", said)
        said = self.run_it("c:list_namespaces()", uri, code=1, token=f"{CANARY}stale")
        self.assertIn(": 401: no: Bearer *", said)
        self.assertIn("credential", said)

    def test_basic(self):
        line = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
        uri = self.guard(lambda _, headers: headers.get("Authorization") == line)
        self.run_it("c:list_namespaces()", uri, **{"auth.type": "basic", "auth.basic.username": "me", "auth.basic.password": SECRET})
        self.assertIn("this version has none, basic, oauth2 and sigv4", self.run_it("", uri, code=1, **{"auth.type": "google"}))

    def test_a_key_in_a_file_of_its_own_is_refused_by_name(self):
        said = self.run_it("", "http://127.0.0.1:1", code=1, **{"ssl.client.cert": "c.pem", "ssl.client.key": "k.pem"})
        self.assertIn("put the key into the PEM file that ssl.client.cert names", said)

    def test_signatures(self):
        """Names that are encoded, a query, a body: each request is signed as AWS would check it."""
        def check(method, headers):
            target, body = self.proxy.request
            lower = {name.lower(): value for name, value in headers.items()}
            want = signature(method, target, headers, body, KEY, "eu-west-1", "glue")
            return headers["Authorization"].endswith("Signature=" + want) and lower["x-amz-security-token"] == CANARY + "session"
        uri = self.guard(check)
        keys = {"rest.sigv4-enabled": "true", "rest.signing-name": "glue", "rest.signing-region": "eu-west-1", "client.access-key-id": "AK1",
                "client.secret-access-key": KEY, "client.session-token": CANARY + "session"}
        self.run_it('c:create_namespace("top")\nc:create_namespace("top.sp ace=ü+%")\nlocal b = frame.sql "select 1::bigint as id"\n'
                    'c:create_table("top.sp ace=ü+%.t", b.schema):append(b)\nassert(#c:list_tables() == 1)', uri, **keys)
        keys["client.secret-access-key"] = CANARY + "other"
        self.assertIn(": 401", self.run_it("c:list_namespaces()", uri, code=1, **keys))


if __name__ == "__main__":
    unittest.main()
