"""Several endpoints of one backend, one of which comes and goes under load; and TLS with a backend that asks back."""

import json
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

from kit import uploads
from kit.server import Process, free_port, self_signed, start_serve
from kit.signing import Signer
from kit.wire import authority, exchange

KIT = Path(__file__).parent


class Endpoint:
    """A backend at a port of its own, which can be killed and started again; all it was asked is remembered."""

    def __init__(self, directory: Path):
        self.port, self._directory, self._runs = free_port(), directory, []
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "kit.sink", "--record", "--port", str(self.port)]
        process = Process(command, self._directory / str(len(self._runs)), {"PYTHONPATH": str(KIT)})
        process.first_line()
        self._runs.append(process)

    def kill(self) -> None:
        self._runs[-1].kill()

    def completed(self) -> list[str]:
        """Targets of the requests that arrived whole. Who is killed may not end its last line."""
        lines = [line for run in self._runs for line in run.stdout.read_text().splitlines()[1:]]
        entries = [json.loads(line) for line in lines if line.endswith("}")]
        return [entry["target"] for entry in entries if entry["complete"]]


def get(gateway) -> int:
    host = [("Host", authority(gateway.endpoint))]
    headers, _ = Signer(gateway.credentials, gateway.region).headers("GET", "/bucket/0", "", host)
    return exchange(gateway.endpoint, "GET", "/bucket/0", headers).status


def test_an_endpoint_that_comes_and_goes_fails_no_read_and_doubles_no_write(tmp_path):
    endpoints = [Endpoint(tmp_path / name) for name in ("a", "b")]
    urls = [f"http://127.0.0.1:{endpoint.port}" for endpoint in endpoints]
    gateway = start_serve(tmp_path / "serve", urls, {"auth": "identity", "eject_time": "100ms"})
    over, reads, writes = threading.Event(), [], {}

    def read() -> None:
        while not over.is_set():
            reads.append(get(gateway))

    def write(writer: int) -> None:
        number = 0
        while not over.is_set():
            target = f"/bucket/{writer}-{number}"
            writes[target] = uploads.plain(gateway, target, b"content").send().status
            number += 1

    threads = [threading.Thread(target=read) for _ in range(3)]
    threads += [threading.Thread(target=write, args=[writer]) for writer in range(2)]
    for thread in threads:
        thread.start()
    try:
        for endpoint in endpoints * 2:
            before = len(reads)
            endpoint.kill()
            gateway.process.wait_for(lambda seen=before: len(reads) > seen + 50)
            endpoint.start()
            time.sleep(0.2)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(reads) == {200}, f"{len(reads)} reads, among them {set(reads)}"
    assert len(reads) > 200
    arrived = [target for endpoint in endpoints for target in endpoint.completed() if target in writes]
    assert len(arrived) == len(set(arrived)), "a write arrived twice"
    assert {target for target, status in writes.items() if status == 200} <= set(arrived)
    assert set(writes.values()) <= {200, 503}
    assert sum(status == 200 for status in writes.values()) > len(writes) / 2
    assert gateway.process.stop() == 0
    for endpoint in endpoints:
        endpoint.kill()


def test_a_backend_learns_by_certificate_who_connects(tmp_path):
    for name in ("server", "client"):
        (tmp_path / name).mkdir()
    server, client = self_signed(tmp_path / "server"), self_signed(tmp_path / "client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client[0]))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*server)
    asked = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    def serve(listener: socket.socket) -> None:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            assert connection.recv(65536).startswith(b"GET /bucket/0 HTTP/1.1\r\n")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        tls = {
            "ca_file": str(server[0]),
            "server_name": "localhost",
            "certificate_file": str(client[0]),
            "private_key_file": str(client[1]),
        }
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        gateway = start_serve(tmp_path / "serve", endpoint, {"auth": "identity", **tls})
        assert get(gateway) == 200
        assert gateway.process.stop() == 0
        thread.join(10)
    assert asked == ["localhost"]


def test_a_backend_is_held_to_the_authorities_that_its_file_names_now(tmp_path):
    for name in ("server", "other"):
        (tmp_path / name).mkdir()
    server, other = self_signed(tmp_path / "server"), self_signed(tmp_path / "other")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*server)
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(Path(other[0]).read_bytes())

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return  # shut down
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65536)
                    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    connection.sendall(answer)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        backend = {"auth": "identity", "ca_file": str(trusted), "server_name": "localhost"}
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        gateway = start_serve(tmp_path / "serve", endpoint, {**backend, "eject_time": "100ms"})
        assert get(gateway) == 503
        for authorities, status in ((server[0], 200), (other[0], 503)):
            taken = gateway.process.output().count(b"configuration reloaded")
            trusted.write_bytes(Path(authorities).read_bytes())
            gateway.process.send_signal(signal.SIGHUP)
            gateway.process.wait_for(lambda: gateway.process.output().count(b"configuration reloaded") > taken)
            gateway.process.wait_for(lambda: get(gateway) == status)
        assert gateway.process.stop() == 0
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()
