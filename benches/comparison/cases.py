"""What is compared, and what the gateway is held to."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """`unit` is what the CPU time is told for: a request, a GiB moved, or an idle connection (memory instead)."""

    name: str
    title: str
    arguments: tuple[str, ...]
    unit: str = "request"
    tls: bool = False


def get(size: int, connections: int, *more: str) -> tuple[str, ...]:
    return ("--size", str(size), "--connections", str(connections), *more)


def put(size: int, connections: int, payload: str, *more: str) -> tuple[str, ...]:
    return (*get(size, connections, *more), "--method", "put", "--payload", payload)


FEW = ("--objects", "4")

CASES = [
    Case("get-1k", "GET 1 KiB, 32 connections", get(1024, 32)),
    Case("get-1k-256", "GET 1 KiB, 256 connections", get(1024, 256)),
    Case("get-64k", "GET 64 KiB", get(65_536, 32)),
    Case("put-64k", "PUT 64 KiB, unsigned", put(65_536, 32, "unsigned")),
    Case("put-64k-hash", "PUT 64 KiB, hash", put(65_536, 32, "hash")),
    Case("put-64k-chunks", "PUT 64 KiB, signed chunks", put(65_536, 32, "chunks")),
    Case("get-64m", "GET 64 MiB, a GiB", get(64 * MIB, 4, *FEW), "gib"),
    Case("put-64m", "PUT 64 MiB, unsigned, a GiB", put(64 * MIB, 4, "unsigned", *FEW), "gib"),
    Case("tls-get-1k", "TLS, GET 1 KiB", get(1024, 32), tls=True),
    Case("tls-handshake", "TLS, a full handshake for each GET 1 KiB", get(1024, 32, "--reconnect"), tls=True),
    Case("tls-get-64m", "TLS, GET 64 MiB, a GiB", get(64 * MIB, 4, *FEW), "gib", tls=True),
    Case("h2-get-1k", "TLS, HTTP/2, GET 1 KiB, 8 × 32 streams", get(1024, 8, "--streams", "32"), tls=True),
    Case("idle", "10,000 idle connections, bytes each", ("--idle", "10000"), "idle"),
    Case("tls-idle", "TLS, 10,000 idle connections, bytes each", ("--idle", "10000"), "idle", tls=True),
]

# CPU to nginx's for the same, at most. An idle connection: KiB, at most.
SMALL = {"unverified": 0.92, "identity": 1.10, "resign": 1.20}
TARGETS = {
    "get-1k": SMALL,
    "get-1k-256": SMALL,
    "put-64k": {"resign": 0.98},
    "get-64m": {"resign": 0.88},
    "put-64m": {"resign": 0.97},
    "tls-get-1k": {"resign": 0.90},
    "tls-handshake": {"resign": 0.45},
    "tls-get-64m": {"resign": 0.78},
}
IDLE_BYTES = 8192
# A signed body's extra cost, to SHA-256 of the same bytes.
SIGNED_BODY = 1.05
# What the s3s-based proxy takes, to the gateway that signs anew, at least.
TIMES_S3S = 12
