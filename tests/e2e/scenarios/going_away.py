"""nginx that ends each HTTP/2 connection after 20 requests: not one request is lost, and none sent twice."""

from __future__ import annotations

import http.server
from concurrent.futures import ThreadPoolExecutor

from harness import Scenario, equal, events, free_port, request

TOKEN = "a-static-token-of-the-tests"
CLIENTS = 8
REQUESTS = 25
PER_CONNECTION = 20


def run(scenario: Scenario) -> None:
    received: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(body.decode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    backend = scenario.serve(Handler)
    port = free_port()
    limit = f"keepalive_requests {PER_CONNECTION};"
    front = scenario.tls_front(port, backend, f"^Bearer {TOKEN}$", limit)
    token_file = scenario.directory / "token"
    token_file.write_text(TOKEN)
    proxy = scenario.proxy(
        f'[routes.fhir]\nupstream = "https://localhost:{port}"\nkind = "fhir"\nheaders = {{ X-Run = "posts" }}\n'
        f'[credentials.default.static]\ntoken = {{ file = "{token_file}" }}\n'
        f'[network]\nca_file = "{scenario.certificates() / "ca.pem"}"\n'
    )
    proxy.wait_ready()

    def client(number: int) -> list[str]:
        answers = []
        for turn in range(REQUESTS):
            body = f"{number}-{turn}"
            answer = request("POST", f"{proxy.fhir}/$echo", body.encode(), {"Content-Type": "text/plain"})
            answers.append(f"{answer.status} {answer.body.decode()}" if answer.status != 200 else answer.body.decode())
        return answers

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = [answer for of_one in clients.map(client, range(CLIENTS)) for answer in of_one]
    wanted = [f"{number}-{turn}" for number in range(CLIENTS) for turn in range(REQUESTS)]
    equal(answers, wanted, "answers")
    equal(sorted(received), sorted(wanted), "what reached the service")
    equal(front.log.read_text().splitlines(), ["posts HTTP/2.0"] * len(wanted), "nginx's access log")
    equal(proxy.process.stop(), 0, "exit code after SIGTERM")
    logged = [event for event in events(proxy.process.errors()) if event.get("message") == "request"]
    lines = [(event["method"], event["status"], event["outcome"], event["bytes_in"]) for event in logged]
    counted = [("POST", 200, "complete", len(body)) for body in wanted]
    equal(sorted(lines), sorted(counted), "the proxy's own log")
