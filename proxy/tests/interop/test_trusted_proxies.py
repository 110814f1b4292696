"""Behind a proxy that rewrites Host and says who asked, how and where: nginx, byte by byte."""

import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kit import clients
from kit.server import free_port, resigned_for, start_serve
from kit.wire import Connection

BUCKET = "behind"
BODY = b"content"


@pytest.fixture(scope="module")
def gateway(dev, tmp_path_factory):
    """Trusts this machine; a second listener trusts nobody."""
    top = tmp_path_factory.mktemp("trusted")
    clients.s3(dev).create_bucket(Bucket=BUCKET)
    clients.s3(dev).put_object(Bucket=BUCKET, Key="object", Body=BODY)
    port = free_port()
    more = f"""
[[listeners]]
listen = "127.0.0.1:{port}"
trusted_proxies = []
"""
    trusted = {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), gateway=trusted, more=more)
    gateway.suspicious = f"http://127.0.0.1:{port}"
    yield gateway
    gateway.process.stop()


def through_proxy(gateway, host: str, told: dict[str, str], endpoint: str | None = None, who=None):
    """A GET that was signed for `host`, as a proxy passes it on: with a Host of its own, and with what it tells."""
    who = who or gateway.credentials
    credentials = Credentials(who.access_key_id, who.secret_access_key, who.session_token)
    request = AWSRequest("GET", f"https://{host}/{BUCKET}/object", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    request.headers["Host"] = host
    SigV4Auth(credentials, "s3", gateway.region).add_auth(request)
    headers = [(name, value) for name, value in request.headers.items() if name.lower() != "host"]
    headers = [("Host", "upstream"), *headers, *told.items(), ("Connection", "close")]
    with Connection(endpoint or gateway.endpoint) as connection:
        connection.send_head("GET", f"/{BUCKET}/object", headers)
        return connection.receive()


@pytest.mark.parametrize(
    "host, told",
    [
        ("s3.example.com", {"X-Forwarded-Host": "s3.example.com"}),
        ("s3.example.com:8443", {"X-Forwarded-Host": "s3.example.com:8443"}),
        ("s3.example.com:8443", {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-Port": "8443"}),
    ],
    ids=["host", "host with port", "port beside it"],
)
def test_the_host_that_was_asked_for_may_be_the_signed_one(gateway, host, told):
    answer = through_proxy(gateway, host, told)
    assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize("told", [{}, {"X-Forwarded-Host": "s3.example.org"}, {"Forwarded": "host=s3.example.com"}])
def test_another_host_is_a_wrong_signature(gateway, told):
    refused = through_proxy(gateway, "s3.example.com", told)
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")


def test_whoever_is_not_trusted_is_not_listened_to(gateway):
    told = {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-For": "192.0.2.66"}
    refused = through_proxy(gateway, "s3.example.com", told, endpoint=gateway.suspicious)
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    gateway.process.wait_for(lambda: b'"error_code":"SignatureDoesNotMatch"' in gateway.process.output())
    assert b"192.0.2.66" not in gateway.process.output()


@pytest.mark.parametrize(
    "hops, source",
    [("198.51.100.7, 192.0.2.7, 10.0.0.2", "192.0.2.7"), ("[2001:db8::7]:4711", "2001:db8::7")],
)
def test_the_access_log_names_the_client(gateway, hops, source):
    told = {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-For": hops}
    assert through_proxy(gateway, "s3.example.com", told).status == 200
    gateway.process.wait_for(lambda: f'"remote_ip":"{source}"'.encode() in gateway.process.output())


@pytest.mark.parametrize(
    "told, status",
    [
        ({"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}, 200),
        ({"X-Forwarded-For": "192.0.2.7, 10.0.0.2", "X-Forwarded-Proto": "https, https"}, 200),
        ({"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https, http"}, 403),
        ({"X-Forwarded-For": "192.0.2.7"}, 403),
        ({"X-Forwarded-For": "192.0.2.7, 198.51.100.1", "X-Forwarded-Proto": "https"}, 403),
        ({"X-Forwarded-For": "192.0.2.7, unknown", "X-Forwarded-Proto": "https"}, 403),
        ({"X-Forwarded-Proto": "https"}, 403),
    ],
)
def test_policies_ask_about_the_client(gateway, told, status):
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}, "Bool": {"aws:SecureTransport": "true"}}
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    answer = clients.sts(gateway).get_federation_token(Name="behind", Policy=policy)
    session = gateway.credentials.from_sts(answer["Credentials"])
    assert through_proxy(gateway, "upstream", told, who=session).status == status
