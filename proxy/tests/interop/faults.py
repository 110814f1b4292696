"""What a hundred thousand faults of a backend leave behind in the gateway: sockets and memory, before and after.

    "$(proxy/tests/interop/install.sh)/bin/python" proxy/tests/interop/faults.py [requests] [clients]

Ends with 1 if a descriptor is left over, or memory grew by more than 32 MiB.
"""

import collections
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kit import uploads
from kit.server import Process, start_serve
from kit.signing import Signer
from kit.wire import Connection, authority

MIB = 1 << 20
PATIENCE = {"connect_timeout": "5s", "response_timeout": "5s", "stall_timeout": "5s", "idle_timeout": "1s"}
GETS = [
    "reset-before-head",
    "close-before-head",
    "close-in-head",
    "reset-in-body",
    "close-in-body",
    "close-in-chunks",
    "no-http",
    "two-lengths-closed",
    "answers-twice",
    "no-content-with-body",
    "closes-afterwards",
    "good",
]
PUTS = ["early-413", "late-403", "reset-in-upload", "good"]


def messages(gateway) -> list[bytes]:
    """One request for each fault, signed once and sent often."""
    made = []
    for fault in GETS:
        target = f"/bucket/{fault}"
        host = [("Host", authority(gateway.endpoint))]
        headers, _ = Signer(gateway.credentials, gateway.region).headers("GET", target, "", host)
        made.append(head("GET", target, headers))
    for fault in PUTS:
        upload = uploads.unsigned(gateway, f"/bucket/{fault}", b"x" * 150_000)
        made.append(head("PUT", upload.target, upload.headers) + upload.body)
    return made


def head(method: str, target: str, headers) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def work(gateway, requests: list[bytes], count: int, seen: collections.Counter) -> None:
    for number in range(count):
        with Connection(gateway.endpoint) as connection:
            try:
                connection.send(requests[number % len(requests)])
                answer = connection.rest(30.0)
            except OSError:
                answer = b""
            seen[answer[9:12].decode() or "none"] += 1


def descriptors(process: Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def main(total: int, clients: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        here = {"PYTHONPATH": str(Path(__file__).parent)}
        faulty = Process([sys.executable, "-m", "kit.faulty", "--quiet"], top / "faulty", here)
        gateway = start_serve(
            top / "serve",
            f"http://127.0.0.1:{faulty.first_line()}",
            {"auth": "identity", "eject_after": 1000, **PATIENCE},
            log_filter="error",
        )
        try:
            requests = messages(gateway)
            work(gateway, requests, len(requests) * 4, collections.Counter())
            time.sleep(3)
            before = descriptors(gateway.process), gateway.process.resident_bytes()
            seen = collections.Counter()
            share = total // clients
            threads = [threading.Thread(target=work, args=(gateway, requests, share, seen)) for _ in range(clients)]
            started = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.monotonic() - started
            time.sleep(5)
            after = descriptors(gateway.process), gateway.process.resident_bytes()
        finally:
            gateway.process.stop()
            faulty.kill()
    print(f"{share * clients} requests in {seconds:.0f} s by {clients} clients; answers: {dict(sorted(seen.items()))}")
    print(f"descriptors {before[0]} -> {after[0]}, resident {before[1] / MIB:.1f} -> {after[1] / MIB:.1f} MiB")
    return int(after[0] > before[0] or after[1] > before[1] + 32 * MIB)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(arguments + [100_000, 16][len(arguments) :])))
