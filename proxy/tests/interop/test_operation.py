"""What operators see: probes, metrics, access log, identity for the backend, and an orderly end."""

import json
import threading

import pytest

from kit import clients, events, uploads
from kit.server import sigward, start_dev, start_serve
from kit.signing import Signer
from kit.wire import authority, exchange


def admin(gateway, path: str):
    return exchange(gateway.admin, "GET", path, [("Host", authority(gateway.admin))])


def test_probes_answer(dev):
    assert admin(dev, "/livez").status == admin(dev, "/readyz").status == 200


def test_metrics_count_requests_and_rejections(dev):
    clients.s3(dev).list_buckets()
    unsigned = [("Host", authority(dev.endpoint))]
    assert exchange(dev.endpoint, "GET", "/", unsigned).status == 403
    names = {line.split("{")[0].split(" ")[0] for line in dev.metrics().splitlines() if line and line[0] != "#"}
    for name in ("sigward_build_info", "sigward_requests_total"):
        assert name in names
    for part in ("rejections", "cache", "verify", "upstream"):
        assert any(part in name for name in names), f"no metric about {part}"


def test_the_gateway_does_not_serve_the_admin_listener(dev):
    for path in ("/metrics", "/v1/events", "/livez"):
        assert exchange(dev.endpoint, "GET", path, [("Host", authority(dev.endpoint))]).status == 403


def test_the_access_log_names_principal_and_session(tmp_path):
    gateway = start_dev(tmp_path / "data", tmp_path / "logs")
    session = events.issue(gateway, session_name="named-in-the-log")
    clients.s3(gateway, session).list_buckets()
    assert gateway.process.stop() == 0
    log = gateway.process.output().decode()
    lines = [line for line in log.splitlines() if "named-in-the-log" in line and "assumed-role/reader" in line]
    assert len(lines) == 1, log[-2000:]


def test_requests_in_flight_are_finished_after_sigterm(tmp_path):
    gateway = start_dev(tmp_path / "data", tmp_path / "logs")
    clients.s3(gateway).create_bucket(Bucket="drained")
    upload = uploads.plain(gateway, "/drained/object", b"x" * 100_000)
    codes = []
    with upload.start() as connection:
        connection.send(upload.body[:50_000])
        # Verified and on its way before the signal: another request has been answered since.
        clients.s3(gateway).list_buckets()
        ending = threading.Thread(target=lambda: codes.append(gateway.process.stop()))
        ending.start()
        connection.send(upload.body[50_000:])
        assert connection.receive("PUT").status == 200
    ending.join()
    assert codes == [0]
    gateway.backend.assert_stored("drained", upload.body)


def recorded(sink) -> list[dict]:
    return [json.loads(line) for line in sink.stdout.read_text().splitlines()[1:]]


@pytest.fixture
def identity(tmp_path, sink):
    """A gateway whose backend believes its headers."""
    gateway = start_serve(tmp_path / "serve", sink.endpoint, {"auth": "identity"})
    yield gateway
    gateway.process.stop()


def test_the_backend_is_told_who_asks_and_nothing_secret(identity, sink):
    session = events.issue(identity)
    upload = uploads.chunked(
        identity, "/bucket/a//b/../%2F?x-id=PutObject".partition("?")[0], [b"content"], credentials=session
    )
    assert upload.send().status == 200
    (entry,) = recorded(sink)
    assert (entry["target"], entry["body"]) == ("/bucket/a//b/../%2F", len(b"content"))
    headers = entry["headers"]
    assert "authorization" not in headers
    assert "x-amz-security-token" not in headers
    values = [value for several in headers.values() for value in several]
    assert f"arn:aws:sts::{events.ACCOUNT}:assumed-role/reader/interop" in values
    assert not any(session.secret_access_key in value or session.session_token in value for value in values)


def test_a_client_cannot_claim_an_identity(identity, sink):
    session = events.issue(identity)
    host = [("Host", authority(identity.endpoint))]

    def ask(extra):
        headers, _ = Signer(session, identity.region).headers("GET", "/bucket/0", "", [*host, *extra])
        assert exchange(identity.endpoint, "GET", "/bucket/0", headers).status == 200

    ask([])
    told = {
        name: values
        for name, values in recorded(sink)[0]["headers"].items()
        if any(events.ACCOUNT in value for value in values)
    }
    assert told
    for variant in (str.lower, str.title, lambda name: name.replace("-", "_")):
        ask([(variant(name), "arn:aws:iam::999999999999:root") for name in told])
        again = recorded(sink)[-1]["headers"]
        assert {name: again[name] for name in told} == told
        assert not any("999999999999" in value for values in again.values() for value in values)


def test_a_spoilt_body_reaches_the_backend_unfinished(identity, sink):
    for make in (uploads.plain, uploads.chunked):
        body = b"x" * 50_000
        upload = make(identity, "/bucket/object", body if make is uploads.plain else uploads.split(body))
        upload.wire[-1 if make is uploads.plain else -3] = upload.wire[-1 if make is uploads.plain else -3].replace(
            b"xx", b"xy", 1
        )
        assert upload.send().status in (400, 403)
    # Either nothing was sent on, or it was cut off.
    assert [entry for entry in recorded(sink) if entry["complete"]] == []


def test_a_configuration_is_checked_before_it_is_used(tmp_path):
    config = tmp_path / "sigward.toml"
    config.write_text('[gateway]\nlisten = "127.0.0.1:0"\nlissten = "x"\n')
    done = sigward("check-config", "--config", str(config))
    assert done.returncode != 0
    assert b"gateway.lissten" in done.stdout + done.stderr
