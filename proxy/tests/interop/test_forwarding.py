"""What a backend sees of a request: nothing that was not authorised, and nothing less than what was signed."""

import socket
import time

import pytest

from kit import uploads
from kit.server import resigned_for, start_serve
from kit.signing import Signer
from kit.sink import recorded
from kit.wire import Connection, authority, exchange


@pytest.fixture(params=["identity", "resign", "passthrough"])
def gateway(request, tmp_path, dev, sink):
    """A gateway with each kind of backend authentication."""
    auth = resigned_for(dev, tmp_path) if request.param == "resign" else {"auth": request.param}
    gateway = start_serve(tmp_path / "serve", sink.endpoint, auth)
    gateway.auth = request.param
    yield gateway
    gateway.process.stop()


def signer(gateway) -> Signer:
    return Signer(gateway.credentials, gateway.region)


def host(gateway) -> tuple[str, str]:
    return "Host", authority(gateway.endpoint)


@pytest.mark.parametrize("spelling", ["X-Amz-SignedHeaders", "X%2DAmz-SignedHeaders"])
def test_a_signed_condition_cannot_be_taken_off_a_url(gateway, sink, spelling):
    signed = [host(gateway), ("if-none-match", "*")]
    query = signer(gateway).presign("PUT", "/bucket/object", "", signed, 600)
    target = f"/bucket/object?{query.replace('X-Amz-SignedHeaders', spelling)}"
    extra = [("Connection", "if-none-match"), ("Content-Length", "1")]
    assert exchange(gateway.endpoint, "PUT", target, [*signed, *extra], b"x").status == 200
    assert recorded(sink)[0]["headers"]["if-none-match"] == ["*"]


def test_a_signed_condition_cannot_be_taken_off_a_request(gateway, sink):
    signed = [host(gateway), ("if-none-match", "*"), ("Content-Length", "0")]
    headers, _ = signer(gateway).headers("PUT", "/bucket/object", "", signed)
    headers = [(name, value.replace(", Signed", ",\tSigned")) for name, value in headers]
    assert exchange(gateway.endpoint, "PUT", "/bucket/object", [*headers, ("Connection", "if-none-match")]).status == 200
    assert recorded(sink)[0]["headers"]["if-none-match"] == ["*"]


def test_underscores_hide_no_header_that_must_be_signed(gateway, sink):
    query = signer(gateway).presign("PUT", "/bucket/object", "", [host(gateway)], 600)
    disguised = [("x_amz_copy_source", "/other/secret"), ("x-amz_acl", "public-read"), ("content_length", "9")]
    headers = [host(gateway), *disguised, ("Content-Length", "1")]
    assert exchange(gateway.endpoint, "PUT", f"/bucket/object?{query}", headers, b"x").status == 200
    assert not any("_" in name for name in recorded(sink)[0]["headers"])


def test_metadata_may_have_underscores(gateway, sink):
    assert uploads.plain(gateway, "/bucket/object", b"x", [("x-amz-meta-my_key", "kept")]).send().status == 200
    assert recorded(sink)[0]["headers"]["x-amz-meta-my_key"] == ["kept"]


def test_a_plus_is_spelt_as_what_was_authorised(gateway, sink):
    headers, _ = signer(gateway).headers("PUT", "/bucket/a%2Bb", "", [host(gateway), ("Content-Length", "0")])
    assert exchange(gateway.endpoint, "PUT", "/bucket/a+b", headers).status == 200
    expected = "/bucket/a+b" if gateway.auth == "passthrough" else "/bucket/a%2Bb"
    assert recorded(sink)[0]["target"] == expected


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_a_method_about_the_connection_goes_no_further(gateway, sink, method):
    headers, _ = signer(gateway).headers(method, "/bucket/object", "", [host(gateway)])
    assert exchange(gateway.endpoint, method, "/bucket/object", headers).code == "MethodNotAllowed"
    assert recorded(sink) == []


def test_a_client_that_does_not_wait_is_in_the_log(tmp_path):
    """The backend may have done what was asked: that nobody hears the answer does not undo it."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        endpoint = f"http://127.0.0.1:{backend.getsockname()[1]}"
        gateway = start_serve(tmp_path / "serve", endpoint, {"auth": "identity"})
        headers, _ = signer(gateway).headers("DELETE", "/bucket/object", "", [host(gateway)])
        with Connection(gateway.endpoint) as connection:
            connection.send_head("DELETE", "/bucket/object", headers)
            asked, _ = backend.accept()
            assert asked.recv(65536).startswith(b"DELETE /bucket/object ")
            connection.reset()
        gateway.process.wait_for(lambda: 'reason="client_gone"} 1' in gateway.metrics())
        asked.close()
    assert gateway.process.stop() == 0
    (line,) = [line for line in gateway.process.output().decode().splitlines() if "/bucket/object" in line]
    assert "client_gone" in line and gateway.credentials.access_key_id in line and "DeleteObject" in line


def test_refused_bodies_are_thrown_away_and_not_kept(dev):
    """Whoever has no credential may open as many connections as there are."""
    clients, size = 100, 1_000_000
    before = dev.process.resident_bytes()
    head = [host(dev), ("Content-Length", str(2 * size))]
    connections = [Connection(dev.endpoint) for _ in range(clients)]
    grown = 0
    for connection in connections:
        connection.send_head("PUT", "/bucket/object", head)
    for connection in connections:
        connection.send(bytes(size))
        grown = max(grown, dev.process.resident_bytes() - before)
    time.sleep(0.1)
    grown = max(grown, dev.process.resident_bytes() - before)
    for connection in connections:
        connection.close()
    assert grown < clients * size / 2, f"{grown} bytes more for {clients} refused clients"
