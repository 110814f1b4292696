"""Pages of other origins: what a browser would ask with curl's hands."""

import subprocess

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
