#!/usr/bin/env python3
"""How much memory the gateway holds while it moves a lot: eight clients, one gibibyte each way by default.

    memory.py [--clients N] [--mebibytes N]

The gateway runs as `sigward serve` in front of `kit.sink`, a backend that keeps nothing, so that the figure is
the gateway's alone. Uploads rotate through the framings; the clients send one block over and over, whose hash
is known, so that they cost little themselves. A browser's form is one of the framings.
"""

import argparse
import hashlib
import os
import struct
import sys
import tempfile
import threading
import time
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kit import forms, signing
from kit.credentials import Credentials
from kit.server import Gateway, Process, resigned_for, start_serve
from kit.signing import Signer
from kit.wire import Connection, authority

MEBIBYTE = 1 << 20
BLOCK = os.urandom(MEBIBYTE)
BLOCK_SHA256 = signing.sha256(BLOCK)
PAYLOADS = ["hash", signing.UNSIGNED, signing.SIGNED_CHUNKS, signing.UNSIGNED_CHUNKS_TRAILER, "form"]


@dataclass(frozen=True)
class Report:
    """Resident memory of the gateway in bytes: before, and the range while bytes moved."""

    idle: int
    lowest: int
    highest: int
    moved: int
    seconds: float

    def __str__(self) -> str:
        idle, lowest, highest, moved = (
            value / MEBIBYTE for value in (self.idle, self.lowest, self.highest, self.moved)
        )
        return (
            f"moved {moved:,.0f} MiB in {self.seconds:.1f} s ({moved / self.seconds:,.0f} MiB/s); "
            f"RSS idle {idle:.1f} MiB, then {lowest:.1f} to {highest:.1f} MiB"
        )


@contextmanager
def gateway_and_sink(directory: Path):
    """`sigward serve` before a backend that keeps nothing."""
    sink = Process([sys.executable, "-m", "kit.sink"], directory / "sink", {"PYTHONPATH": str(Path(__file__).parent)})
    gateway = None
    try:
        endpoint = f"http://127.0.0.1:{sink.first_line()}"
        nobody = Gateway(sink, endpoint, "", "us-east-1", Credentials("AKIASINK", "the sink does not look"))
        gateway = start_serve(directory / "serve", endpoint, resigned_for(nobody, directory))
        yield gateway
    finally:
        if gateway:
            gateway.process.stop()
        sink.kill()


def hash_of_blocks(count: int) -> str:
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(BLOCK)
    return digest.hexdigest()


def crc32_of_blocks(count: int) -> str:
    value = 0
    for _ in range(count):
        value = zlib.crc32(BLOCK, value)
    return b64encode(struct.pack(">I", value)).decode()


def post(gateway: Gateway, count: int) -> None:
    """Uploads `count` blocks by form."""
    form = forms.form(gateway, "bucket", b"")
    with form.start(len(form.body) + count * MEBIBYTE) as connection:
        connection.send(form.head())
        for _ in range(count):
            connection.send(BLOCK)
        connection.send(form.tail())
        answer = connection.receive("POST")
        assert answer.status == 204, answer


def put(gateway: Gateway, payload: str, count: int, sha256: str, crc32: str) -> None:
    """Uploads `count` blocks in one request."""
    if payload == "form":
        return post(gateway, count)
    trailer = f"x-amz-checksum-crc32:{crc32}\r\n\r\n".encode()
    extra = []
    if payload == signing.SIGNED_CHUNKS:
        framing = len(f"{MEBIBYTE:x};chunk-signature=\r\n\r\n") + 64
        length = count * (MEBIBYTE + framing) + len("0;chunk-signature=\r\n\r\n") + 64
    elif payload == signing.UNSIGNED_CHUNKS_TRAILER:
        length = count * (MEBIBYTE + len(f"{MEBIBYTE:x}\r\n\r\n")) + len("0\r\n") + len(trailer)
        extra = [("x-amz-trailer", "x-amz-checksum-crc32")]
    else:
        length = count * MEBIBYTE
    if payload.startswith("STREAMING"):
        extra += [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(count * MEBIBYTE))]
    headers = [("Host", authority(gateway.endpoint)), ("Content-Length", str(length)), *extra]
    declared = sha256 if payload == "hash" else payload
    signed, seed = Signer(gateway.credentials, gateway.region).headers("PUT", "/bucket/object", "", headers, declared)
    with Connection(gateway.endpoint, timeout=300) as connection:
        connection.send_head("PUT", "/bucket/object", signed)
        previous = seed.signature
        for _ in range(count):
            if payload == signing.SIGNED_CHUNKS:
                previous = seed.chunk(previous, BLOCK_SHA256)
                connection.send(f"{MEBIBYTE:x};chunk-signature={previous}\r\n".encode())
            elif payload == signing.UNSIGNED_CHUNKS_TRAILER:
                connection.send(f"{MEBIBYTE:x}\r\n".encode())
            connection.send(BLOCK)
            if payload.startswith("STREAMING"):
                connection.send(b"\r\n")
        if payload == signing.SIGNED_CHUNKS:
            last = seed.chunk(previous, signing.EMPTY_SHA256)
            connection.send(f"0;chunk-signature={last}\r\n\r\n".encode())
        elif payload == signing.UNSIGNED_CHUNKS_TRAILER:
            connection.send(b"0\r\n" + trailer)
        answer = connection.receive("PUT")
        assert answer.status == 200, (payload, answer)


def get(gateway: Gateway, count: int) -> None:
    """Downloads `count` blocks in one request and throws them away."""
    target = f"/bucket/{count * MEBIBYTE}"
    signed, _ = Signer(gateway.credentials, gateway.region).headers(
        "GET", target, "", [("Host", authority(gateway.endpoint))]
    )
    with Connection(gateway.endpoint, timeout=300) as connection:
        connection.send_head("GET", target, signed)
        received = connection.discard_body()
        assert received == count * MEBIBYTE, received


def measure(gateway: Gateway, clients: int, mebibytes: int) -> Report:
    """Every client uploads and then downloads `mebibytes`, all at the same time."""
    sha256, crc32 = hash_of_blocks(mebibytes), crc32_of_blocks(mebibytes)

    def both_ways(number: int) -> None:
        put(gateway, PAYLOADS[number % len(PAYLOADS)], mebibytes, sha256, crc32)
        get(gateway, mebibytes)

    # One small round first: connections, threads and caches exist before the idle figure is taken.
    for payload in PAYLOADS:
        put(gateway, payload, 1, BLOCK_SHA256, crc32_of_blocks(1))
        get(gateway, 1)
    idle = gateway.process.resident_bytes()
    samples, over = [idle], threading.Event()

    def sample() -> None:
        while not over.wait(0.02):
            samples.append(gateway.process.resident_bytes())

    sampler = threading.Thread(target=sample)
    sampler.start()
    started = time.monotonic()
    try:
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(both_ways, range(clients)))
    finally:
        over.set()
        sampler.join()
    seconds = time.monotonic() - started
    return Report(idle, min(samples[1:], default=idle), max(samples), 2 * clients * mebibytes * MEBIBYTE, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--mebibytes", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, gateway_and_sink(Path(directory)) as gateway:
        print(measure(gateway, options.clients, options.mebibytes))


if __name__ == "__main__":
    main()
