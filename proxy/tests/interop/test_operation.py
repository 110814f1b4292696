"""What operators see: probes, metrics, access log, and an orderly end."""

import threading

from kit import clients, events, uploads
from kit.server import sigward, start_dev
from kit.wire import Connection, authority, exchange


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


def accepts(endpoint: str) -> bool:
    """Whether a connection can be opened."""
    try:
        Connection(endpoint).close()
    except OSError:
        return False
    return True


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
        # Whoever comes from now on goes elsewhere, while probes and operators are still answered.
        gateway.process.wait_for(lambda: not accepts(gateway.endpoint))
        assert [admin(gateway, path).status for path in ("/livez", "/readyz", "/metrics")] == [200, 503, 200]
        connection.send(upload.body[50_000:])
        assert connection.receive("PUT").status == 200
    ending.join()
    assert codes == [0]
    gateway.backend.assert_stored("drained", upload.body)


def test_a_configuration_is_checked_before_it_is_used(tmp_path):
    config = tmp_path / "sigward.toml"
    config.write_text('[gateway]\nlisten = "127.0.0.1:0"\nlissten = "x"\n')
    done = sigward("check-config", "--config", str(config))
    assert done.returncode != 0
    assert b"gateway.lissten" in done.stdout + done.stderr
