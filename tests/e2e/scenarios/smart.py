"""SMART Backend Services: PyJWT accepts the proxy's assertions, by RS384 and ES384, each of them once."""

from __future__ import annotations

import http.server
import json
import secrets
import threading
import time
import urllib.parse

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import Scenario, check, equal, expect, wait_for

CLIENT_ID = "https://client.example/backend"
KEY_ID = "2026-11"
SCOPE = "system/*.rs"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# So short that the proxy must ask again before the test's eyes.
LIFETIME = 3
TOKENS = 3


def run(scenario: Scenario) -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    by_url = Server(scenario, "RS384", rsa_key.public_key())
    ec_key = ec.generate_private_key(ec.SECP384R1())
    by_issuer = Server(scenario, "ES384", ec_key.public_key())

    config = ""
    for name, server, key, form, endpoint in (
        ("url", by_url, rsa_key, PrivateFormat.PKCS8, f'token_url = "{by_url.token_url}"'),
        ("issuer", by_issuer, ec_key, PrivateFormat.TraditionalOpenSSL, f'issuer = "{by_issuer.origin}/fhir"'),
    ):
        pem = scenario.directory / f"{name}.pem"
        pem.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
        config += (
            f'[routes.{name}]\nkind = "fhir"\nupstream = "{server.origin}/fhir"\ncredential = "{name}"\n'
            f"[credentials.{name}.smart-backend-services]\n"
            f'client_id = "{CLIENT_ID}"\nkey = {{ file = "{pem}" }}\nkey_id = "{KEY_ID}"\n'
            f'algorithm = "{server.algorithm}"\nscope = "{SCOPE}"\n{endpoint}\n'
        )
    proxy = scenario.proxy(config)
    proxy.wait_ready()

    for name, server in (("url", by_url), ("issuer", by_issuer)):

        def asked_again(name: str = name, server: Server = server) -> bool:
            expect(200, "GET", f"{proxy.url}/{name}/Patient")
            return len(server.tokens) >= TOKENS

        wait_for(f"{TOKENS} tokens by {server.algorithm}", asked_again)
        equal(server.problems, [], f"what PyJWT has against {server.algorithm}")
        equal(len(server.seen), len(server.tokens), "assertions with a jti of their own")
    equal(by_url.discoveries, 0, "discoveries with token_url")
    equal(by_issuer.discoveries, 1, "discoveries with issuer")


class Server:
    """A SMART server on loopback: its configuration, its token endpoint and a FHIR resource."""

    def __init__(self, scenario: Scenario, algorithm: str, public_key: object) -> None:
        self.algorithm = algorithm
        self.public_key = public_key
        self.tokens: set[str] = set()
        self.seen: set[str] = set()
        self.problems: list[str] = []
        self.discoveries = 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.origin = f"http://127.0.0.1:{server.server_address[1]}"
        self.token_url = f"{self.origin}/auth/token/"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scenario.cleanup.callback(server.server_close)
        scenario.cleanup.callback(server.shutdown)

    def handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        smart = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                if self.path == "/fhir/.well-known/smart-configuration":
                    smart.discoveries += 1
                    equal(self.headers["Accept"], "application/json", "Accept")
                    self.reply(200, smart.configuration())
                elif self.headers["Authorization"].removeprefix("Bearer ") in smart.tokens:
                    self.reply(200, {"resourceType": "Bundle", "type": "searchset"})
                else:
                    self.reply(401, {"resourceType": "OperationOutcome"})

            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                try:
                    equal(self.path, "/auth/token/", "path")
                    equal(self.headers["Content-Type"], "application/x-www-form-urlencoded", "Content-Type")
                    equal(self.headers["Authorization"], None, "Authorization")
                    smart.verify(dict(urllib.parse.parse_qsl(body, strict_parsing=True)))
                except Exception as problem:  # The client may be told nothing of it; the test is.
                    smart.problems.append(repr(problem))
                    self.reply(400, {"error": "invalid_client"})
                    return
                token = secrets.token_urlsafe()
                smart.tokens.add(token)
                answer = {"access_token": token, "token_type": "bearer", "expires_in": LIFETIME, "scope": SCOPE}
                self.reply(200, answer)

            def reply(self, status: int, answer: object) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def configuration(self) -> dict[str, object]:
        return {
            "token_endpoint": self.token_url,
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
            "grant_types_supported": ["client_credentials"],
            "capabilities": ["client-confidential-asymmetric"],
        }

    def verify(self, form: dict[str, str]) -> None:
        equal(form.pop("grant_type"), "client_credentials", "grant_type")
        equal(form.pop("scope"), SCOPE, "scope")
        equal(form.pop("client_assertion_type"), ASSERTION_TYPE, "client_assertion_type")
        assertion = form.pop("client_assertion")
        equal(form, {}, "other fields")

        header = {"alg": self.algorithm, "kid": KEY_ID, "typ": "JWT"}
        equal(jwt.get_unverified_header(assertion), header, "header")
        claims = jwt.decode(
            assertion,
            self.public_key,
            algorithms=[self.algorithm],
            audience=self.token_url,
            issuer=CLIENT_ID,
            options={"require": ["iss", "sub", "aud", "exp", "jti"]},
        )
        equal(claims["sub"], CLIENT_ID, "sub")
        check(claims["exp"] - time.time() <= 300, f"exp is {claims['exp'] - time.time():.0f} s ahead")
        check(claims["jti"] not in self.seen, "a jti came twice")
        self.seen.add(claims["jti"])
