"""A `nats-server` with JetStream, for gateways that share a log."""

import os
import shutil
import socket
from pathlib import Path

from .commands import missing
from .server import Process, free_port


def program() -> str:
    """`NATS_SERVER`, or the one of the system. Missing is an error in CI, a loud skip else."""
    paths = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/bin"
    found = os.environ.get("NATS_SERVER") or shutil.which("nats-server", path=paths)
    return found or missing("nats-server is not installed")


class Nats:
    """One server; what it stores outlives its process."""

    def __init__(self, directory: Path, address: str = "127.0.0.1"):
        self.address, self.port, self._directory, self._starts = address, free_port(), directory, 0
        self.start()

    def start(self) -> None:
        self._starts += 1
        command = [program(), "--jetstream", "--addr", self.address, "--port", str(self.port)]
        command += ["--store_dir", str(self._directory / "store")]
        self.process = Process(command, self._directory / f"logs-{self._starts}")
        # It reads all of its files first, and makes an index where it was killed.
        self.process.wait_for(self._answers, 600.0)

    def stored_bytes(self, stream: str) -> int:
        """Bytes of the files of a stream."""
        top = self._directory / "store" / "jetstream"
        return sum(path.stat().st_size for path in top.rglob(f"{stream}/**/*") if path.is_file())

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.stop()

    def feed(self, gateway: str) -> dict:
        """The section `[feed]` of a gateway of this name."""
        return {"kind": "jetstream", "servers": [f"nats://{self.address}:{self.port}"], "gateway": gateway}

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False
