"""Listeners: HTTP/2, several of them, certificates that change, the PROXY protocol, draining and reloading."""

import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest
import urllib3

from kit import clients
from kit.server import free_port, resigned_for, self_signed, start_serve
from kit.signing import Signer
from kit.wire import Connection, authority

OBJECT = b"over whatever carries it" * 4096


@pytest.fixture(scope="module")
def doors(dev, tmp_path_factory):
    """A gateway with four doors: plain, behind a load balancer, TLS, and TLS for those who prove who they are."""
    top = tmp_path_factory.mktemp("doors")
    (top / "tls").mkdir()
    (top / "client").mkdir()
    certificate, key = self_signed(top / "tls")
    client = self_signed(top / "client")
    ports = {name: free_port() for name in ("balanced", "tls", "mutual")}
    pair = f'tls.certificate_file = "{certificate}"\ntls.private_key_file = "{key}"'
    more = f"""
[[listeners]]
listen = "127.0.0.1:{ports["balanced"]}"
proxy_protocol = ["127.0.0.1"]
[[listeners]]
listen = "127.0.0.1:{ports["tls"]}"
{pair}
[[listeners]]
listen = "127.0.0.1:{ports["mutual"]}"
domains = ["mutual.localhost"]
{pair}
tls.client_auth = "required"
tls.client_ca_file = "{client[0]}"
"""
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), more=more)
    gateway.backend = dev.backend
    gateway.ports, gateway.tls, gateway.client_certificate = ports, (certificate, key), client
    clients.s3(gateway).create_bucket(Bucket="doors")
    yield gateway
    gateway.process.stop()


def presigned(gateway, endpoint: str, method: str, key: str) -> str:
    """A URL for `endpoint`, signed for its host."""
    host = authority(endpoint)
    query = clients.s3(gateway).generate_presigned_url
    operation = {"PUT": "put_object", "GET": "get_object", "HEAD": "head_object"}[method]
    saved, gateway.endpoint = gateway.endpoint, endpoint
    try:
        query = clients.s3(gateway).generate_presigned_url
        url = query(operation, Params={"Bucket": "doors", "Key": key}, ExpiresIn=600, HttpMethod=method)
    finally:
        gateway.endpoint = saved
    assert urlsplit(url).netloc == host
    return url


def curl(*args: str) -> tuple[str, bytes]:
    """Version of HTTP with status, and the body."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--write-out", "%{stderr}%{http_version} %{http_code}"]
    done = subprocess.run([*command, *args], capture_output=True)
    return done.stderr.decode().strip(), done.stdout


@pytest.fixture
def upload(tmp_path):
    """How curl uploads the object, with its length."""
    (tmp_path / "object").write_bytes(OBJECT)
    return ["--upload-file", str(tmp_path / "object")]


def test_http2_moves_objects_with_and_without_tls(doors, upload):
    certificate = str(doors.tls[0])
    for endpoint, how in [
        (doors.endpoint, ["--http2-prior-knowledge"]),
        (f"https://localhost:{doors.ports['tls']}", ["--http2", "--cacert", certificate]),
    ]:
        put = presigned(doors, endpoint, "PUT", "h2")
        assert curl(*how, *upload, put)[0] == "2 200"
        assert curl(*how, presigned(doors, endpoint, "GET", "h2")) == ("2 200", OBJECT)
        status, body = curl(*how, "--head", presigned(doors, endpoint, "HEAD", "h2"))
        assert status == "2 200" and f"content-length: {len(OBJECT)}".encode() in body.lower()
        assert b"\r\nconnection:" not in body.lower()
        status, body = curl(*how, "--header", "Host: other", presigned(doors, endpoint, "GET", "h2"))
        assert status == "2 403", "what is not signed for this host is refused"


def test_who_speaks_only_http1_is_served_on_every_door(doors, upload):
    endpoint = f"https://localhost:{doors.ports['tls']}"
    url = presigned(doors, endpoint, "PUT", "h1")
    assert curl("--http1.1", "--cacert", str(doors.tls[0]), *upload, url)[0] == "1.1 200"


def test_a_client_proves_who_it_is_and_the_log_says_so(doors, upload):
    endpoint = f"https://localhost:{doors.ports['mutual']}"
    url = presigned(doors, endpoint, "PUT", "mutual")
    how = ["--cacert", str(doors.tls[0]), *upload]
    assert curl(*how, url)[0].endswith("000"), "without a certificate there is no answer"
    certificate, key = map(str, doors.client_certificate)
    assert curl(*how, "--cert", certificate, "--key", key, url)[0] == "2 200"
    doors.process.wait_for(lambda: b'"client_certificate":"localhost,*.localhost"' in doors.process.output())


def test_a_load_balancer_says_whose_connection_it_is(doors):
    endpoint = f"http://127.0.0.1:{doors.ports['balanced']}"
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 8, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 80)
    for header, source in [(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n", "192.0.2.7"), (v2, "192.0.2.8")]:
        headers, _ = Signer(doors.credentials, doors.region).headers("GET", "/", "", [("Host", authority(endpoint))])
        with Connection(endpoint) as connection:
            connection.send(header)
            connection.send_head("GET", "/", headers)
            assert connection.receive().status == 200
        doors.process.wait_for(lambda: f'"remote_ip":"{source}"'.encode() in doors.process.output())
    with Connection(doors.endpoint) as stranger:
        stranger.send(b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stranger.receive().status == 400
    assert b"192.0.2.9" not in doors.process.output()


def served(port: int) -> bytes:
    """The certificate that a new client gets."""
    with socket.create_connection(("127.0.0.1", port)) as stream:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(stream, server_hostname="localhost") as tls:
            return tls.getpeercert(binary_form=True)


def test_a_new_certificate_is_served_and_no_connection_is_dropped(doors, tmp_path):
    port = doors.ports["tls"]
    before = served(port)
    pool = urllib3.HTTPSConnectionPool("localhost", port, ca_certs=str(doors.tls[0]), maxsize=1, retries=False)
    ask = lambda: pool.request("GET", urlsplit(presigned(doors, f"https://localhost:{port}", "GET", "h1")).path)
    assert ask().status == 403
    certificate, key = self_signed(tmp_path)
    shutil.copy(certificate, doors.tls[0])
    # Between the two writes the files do not fit, and nothing changes.
    doors.process.send_signal(1)
    doors.process.wait_for(lambda: 'sigward_tls_reload_refused{listener="listeners[1]"} 1' in doors.metrics())
    assert served(port) == before
    shutil.copy(key, doors.tls[1])
    doors.process.send_signal(1)
    doors.process.wait_for(lambda: served(port) != before)
    doors.process.wait_for(lambda: 'sigward_tls_reload_refused{listener="listeners[1]"} 0' in doors.metrics())
    assert ask().status == 403
    assert pool.num_connections == 1, "the connection from before is still in use"


def hammer(gateway, stop: threading.Event, failures: list, answered: list) -> None:
    """Asks again and again over kept connections; a connection that is refused is no failure, a cut answer is."""
    pool = urllib3.PoolManager(maxsize=1, retries=False)
    url = presigned(gateway, gateway.endpoint, "GET", "load")
    while not stop.is_set():
        try:
            answer = pool.request("GET", url, timeout=20)
            answered.append(answer.status)
            if answer.status != 200 or answer.data != OBJECT:
                failures.append((answer.status, len(answer.data)))
        except urllib3.exceptions.NewConnectionError:
            return
        except urllib3.exceptions.HTTPError as error:
            failures.append(repr(error))
            return


@pytest.fixture
def loaded(dev, tmp_path):
    """A gateway under load; gives it, what failed and what was answered."""
    gateway = start_serve(tmp_path / "serve", dev.endpoint, resigned_for(dev, tmp_path))
    gateway.backend = dev.backend
    if "doors" not in [bucket["Name"] for bucket in clients.s3(gateway).list_buckets()["Buckets"]]:
        clients.s3(gateway).create_bucket(Bucket="doors")
    clients.s3(gateway).put_object(Bucket="doors", Key="load", Body=OBJECT)
    stop, failures, answered = threading.Event(), [], []
    threads = [threading.Thread(target=hammer, args=(gateway, stop, failures, answered)) for _ in range(8)]
    for thread in threads:
        thread.start()
    gateway.process.wait_for(lambda: len(answered) > 50)
    yield gateway, failures, answered, threads
    stop.set()
    for thread in threads:
        thread.join()
    gateway.process.kill()


def test_a_drain_under_load_cuts_no_answer(loaded):
    gateway, failures, _, threads = loaded
    assert gateway.process.stop() == 0
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_reload_under_load_fails_no_request(loaded):
    gateway, failures, answered, _ = loaded
    config = gateway.state / "sigward.toml"
    text = config.read_text()
    for number in range(3):
        config.write_text(text.replace("[gateway]", f"[gateway]\nexplain_mismatch = {json.dumps(number % 2 == 1)}"))
        gateway.process.send_signal(1)
        gateway.process.wait_for(lambda: gateway.process.output().count(b"configuration reloaded") > number)
    config.write_text(text + "\nnonsense = 1\n")
    gateway.process.send_signal(1)
    gateway.process.wait_for(lambda: "\nsigward_config_reload_successful 0\n" in gateway.metrics())
    config.write_text(text.replace('listen = "127.0.0.1:', 'workers = 7\nlisten = "127.0.0.1:', 1))
    gateway.process.wait_for(lambda: "\nsigward_config_reload_successful 1\n" in gateway.metrics())
    assert b"gateway.workers" in gateway.process.output(), "what takes a restart is named"
    before = len(answered)
    gateway.process.wait_for(lambda: len(answered) > before + 50)
    assert failures == []


@pytest.mark.parametrize("again", [False, True])
def test_the_exit_code_says_that_requests_were_cut(dev, tmp_path, again):
    drain = {"timeout": "1h" if again else "300ms"}
    gateway = start_serve(tmp_path / "serve", dev.endpoint, resigned_for(dev, tmp_path), drain=drain)
    headers = [("Host", authority(gateway.endpoint)), ("Content-Length", "10")]
    headers, _ = Signer(gateway.credentials, gateway.region).headers("PUT", "/doors/cut", "", headers, "UNSIGNED-PAYLOAD")
    with Connection(gateway.endpoint) as connection:
        connection.send_head("PUT", "/doors/cut", headers)
        connection.send(b"half ")
        gateway.process.wait_for(lambda: "sigward_requests_in_flight 1" in gateway.metrics())
        if again:
            threading.Thread(target=lambda: (gateway.process.wait_for(lambda: b"draining" in gateway.process.output()), gateway.process.send_signal(15))).start()
        started = time.monotonic()
        assert gateway.process.stop() == 3
        assert time.monotonic() - started < 10
