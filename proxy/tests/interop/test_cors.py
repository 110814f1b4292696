"""Pages of other origins: what a browser would ask with curl's hands."""

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kit import clients
from kit.server import clean_environment, resigned_for, start_serve

BUCKET = "pages"
ORIGIN = "https://app.example.com"
TABLES = f"""
[[routes]]
buckets = ["{BUCKET}"]
anonymous_actions = ["s3:GetObject"]
[[routes.cors]]
allowed_origins = ["https://*.example.com"]
allowed_methods = ["GET", "PUT"]
allowed_headers = ["content-type", "x-amz-*"]
expose_headers = ["etag"]
max_age = "50m"
"""


@pytest.fixture(scope="module")
def gateway(dev, tmp_path_factory):
    top = tmp_path_factory.mktemp("cors")
    clients.s3(dev).create_bucket(Bucket=BUCKET)
    clients.s3(dev).put_object(Bucket=BUCKET, Key="object", Body=b"content")
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), more=TABLES)
    yield gateway
    gateway.process.stop()


def curl(gateway, path: str, *arguments: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer."""
    command = ["curl", "-sS", "-i", *arguments, f"{gateway.endpoint}{path}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment()).stdout
    head, body = answer.split("\n\n", 1) if "\r\n\r\n" not in answer else answer.split("\r\n\r\n", 1)
    status, *lines = head.splitlines()
    return int(status.split()[1]), {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}, body


def preflight(gateway, path: str, method: str, headers: str = "", origin: str = ORIGIN):
    asked = ["-H", f"Origin: {origin}", "-H", f"Access-Control-Request-Method: {method}"]
    if headers:
        asked += ["-H", f"Access-Control-Request-Headers: {headers}"]
    return curl(gateway, path, "-X", "OPTIONS", *asked)


def test_a_preflight_that_a_rule_fits_is_allowed(gateway):
    status, headers, body = preflight(gateway, f"/{BUCKET}/object", "PUT", "Content-Type,x-amz-date")
    assert (status, body) == (200, "")
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-methods"] == "GET, PUT"
    assert headers["access-control-allow-headers"] == "content-type, x-amz-date"
    assert headers["access-control-max-age"] == "3000"
    assert headers["access-control-expose-headers"] == "etag"
    assert headers["vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@pytest.mark.parametrize(
    "path, method, headers, origin",
    [
        (f"/{BUCKET}/object", "DELETE", "", ORIGIN),
        (f"/{BUCKET}/object", "PUT", "authorization", ORIGIN),
        (f"/{BUCKET}/object", "PUT", "", "https://example.org"),
        ("/other/object", "PUT", "", ORIGIN),
    ],
)
def test_any_other_preflight_is_forbidden(gateway, path, method, headers, origin):
    status, answer, body = preflight(gateway, path, method, headers, origin)
    assert status == 403
    assert "<Code>AccessForbidden</Code><Message>CORSResponse: " in body
    assert f"<Method>{method}</Method><ResourceType>OBJECT</ResourceType>" in body
    assert "access-control-allow-origin" not in answer


def test_answers_and_errors_may_be_read(gateway):
    for path, status in ((f"/{BUCKET}/object", 200), (f"/{BUCKET}/nothing", 404), (f"/{BUCKET}?acl", 403)):
        answer = curl(gateway, path, "-H", f"Origin: {ORIGIN}")
        assert (answer[0], answer[1]["access-control-allow-origin"]) == (status, ORIGIN), path
    stranger = curl(gateway, f"/{BUCKET}/object", "-H", "Origin: https://example.org")[1]
    assert "access-control-allow-origin" not in stranger and "Origin" in stranger["vary"]


class Backend(BaseHTTPRequestHandler):
    """Has CORS rules of its own, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    asked = []

    def do_OPTIONS(self):
        Backend.asked.append((self.path, {name.lower() for name in self.headers}))
        self.send_response(204)
        self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
        self.send_header("Access-Control-Allow-Methods", "PUT")
        self.send_header("Access-Control-Max-Age", "77")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_backend_may_answer_preflights_itself(dev, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    table = f'[[routes]]\nbuckets = ["{BUCKET}"]\nforward_preflights = true\n'
    endpoint = f"http://127.0.0.1:{server.server_port}"
    gateway = start_serve(tmp_path / "serve", endpoint, resigned_for(dev, tmp_path), more=table)
    status, headers, _ = preflight(gateway, f"/{BUCKET}/object?X-Amz-Signature=0", "PUT", "content-type")
    assert (status, headers["access-control-allow-origin"], headers["access-control-max-age"]) == (204, ORIGIN, "77")
    (path, names), = Backend.asked
    assert path == f"/{BUCKET}/object"
    asked = {"origin", "access-control-request-method", "access-control-request-headers"}
    assert names - {"connection"} == {"host", *asked}
    assert preflight(gateway, "/other/object", "PUT")[0] == 403
    gateway.process.stop()
    server.shutdown()
