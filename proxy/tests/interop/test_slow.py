"""A thousand clients that are slow on purpose, beside clients that are not: those who work are served, and those who do not
are cut off, at a cost in memory that has a bound."""

import select
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from kit.server import start_serve
from kit.signing import UNSIGNED, Signer
from kit.wire import authority, exchange

CLIENTS = 1_000
MIB = 1 << 20


@pytest.fixture
def gateway(tmp_path, sink):
    limits = {"head_timeout": "3s", "stall_timeout": "3s", "max_connections": 5_000}
    # The backend, one process for all of them, is given more time: a client to whom nothing is on its way because that is
    # slow is sent what there is, and then cut off by a FIN that it does not see before it reads.
    backend = {"auth": "identity", "response_timeout": "3s", "stall_timeout": "10s"}
    gateway = start_serve(tmp_path / "serve", sink.endpoint, backend, gateway=limits)
    yield gateway
    gateway.process.stop()


def head(gateway, method: str, target: str, extra=()) -> bytes:
    host = [("Host", authority(gateway.endpoint))]
    headers, _ = Signer(gateway.credentials, gateway.region).headers(method, target, "", host, UNSIGNED)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in [*headers, *extra]), "", ""]
    return "\r\n".join(lines).encode()


def connect(gateway) -> socket.socket:
    parts = urlsplit(gateway.endpoint)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((parts.hostname, parts.port))
    return client


# What each sends at once, and what it sends bit by bit afterwards.
KINDS = {
    "head": lambda gateway: (b"GET /bucket/4 HTTP/1.1\r\n", b"x-slow: 1\r\n"),
    "body": lambda gateway: (head(gateway, "PUT", "/bucket/object", [("Content-Length", "1000000")]) + b"x", b""),
    "reading": lambda gateway: (head(gateway, "GET", f"/bucket/{64 * MIB}"), b""),
}


def cut_off(clients: list[socket.socket], seconds: float) -> int:
    """How many connections the gateway has ended before the time is over."""
    ended, deadline = set(), time.monotonic() + seconds
    poller = select.poll()
    by_number = {client.fileno(): client for client in clients}
    for number in by_number:
        poller.register(number, select.POLLERR | select.POLLHUP | select.POLLRDHUP)
    while len(ended) < len(clients) and time.monotonic() < deadline:
        for number, _ in poller.poll(100):
            poller.unregister(number)
            ended.add(number)
    return len(ended)


def drip(clients: list[socket.socket], bit: bytes, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        for client in clients:
            try:
                client.send(bit)
            except OSError:
                pass


@pytest.mark.parametrize("kind", KINDS)
def test_slow_clients_hold_up_nobody(gateway, kind, record_property):
    exchange(gateway.endpoint, "GET", "/bucket/4", [])
    before = gateway.process.resident_bytes()
    first, bit = KINDS[kind](gateway)
    slow = [connect(gateway) for _ in range(CLIENTS)]
    stop = threading.Event()
    try:
        for client in slow:
            client.sendall(first)
        dripping = threading.Thread(target=drip, args=(slow if bit else [], bit, stop))
        dripping.start()
        waits = []
        good = head(gateway, "GET", "/bucket/1024")
        for _ in range(300):
            started = time.monotonic()
            answer = b""
            with connect(gateway) as client:
                client.sendall(good)
                while len(answer.partition(b"\r\n\r\n")[2]) < 1024:
                    piece = client.recv(65536)
                    assert piece, "a good client was cut off"
                    answer += piece
            waits.append(time.monotonic() - started)
        grown = gateway.process.resident_bytes() - before
        # They are ended, however often they send a bit more.
        assert cut_off(slow, 30.0) == CLIENTS
    finally:
        stop.set()
        for client in slow:
            client.close()
    dripping.join()
    waits.sort()
    record_property("p99_seconds", waits[int(len(waits) * 0.99)])
    print(f"{kind}: p50 {waits[150] * 1e3:.1f} ms, p99 {waits[297] * 1e3:.1f} ms, memory grew by {grown / MIB:.1f} MiB")
    assert grown < CLIENTS * 512 * 1024, "more than 512 KiB for each of them"
