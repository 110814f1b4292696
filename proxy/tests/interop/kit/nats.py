"""`nats-server` with JetStream, one or several that are a cluster, for gateways that share a log."""

import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

from .commands import missing
from .server import Process, free_port

PATHS = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/bin"

# As packages and people call the versions that are tried where they are installed.
VERSIONS = ["nats-server", "nats-server-new"]


def program() -> str:
    """`NATS_SERVER`, or the one of the system. Missing is an error in CI, a loud skip else."""
    found = os.environ.get("NATS_SERVER") or shutil.which("nats-server", path=PATHS)
    return found or missing("nats-server is not installed")


def programs() -> list[str]:
    """All versions that are here."""
    found = [shutil.which(name, path=PATHS) for name in VERSIONS]
    return [path for path in found if path] or ["nats-server"]


class Nats:
    """One server; what it stores outlives its process. `config` is more of its configuration."""

    def __init__(
        self, directory: Path, config: str = "", executable: str | None = None, address: str = "127.0.0.1"
    ):
        directory.mkdir(parents=True, exist_ok=True)
        self.address, self.port, self._directory, self._starts = address, free_port(), directory, 0
        self._executable, self._config = executable or program(), directory / "nats.conf"
        self.configure(config)
        self.start()

    def configure(self, config: str) -> None:
        """What holds after the next start."""
        store = f'jetstream {{ store_dir: "{self._directory / "store"}" }}'
        self._config.write_text(f'listen: "{self.address}:{self.port}"\n{store}\n{config}\n')

    def start(self) -> None:
        self._starts += 1
        command = [self._executable, "--config", str(self._config)]
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
        # Asked to end, an old server may take half a minute; nothing of it is needed any more.
        self.process.kill()

    def feed(self, gateway: str, scheme: str = "nats", host: str | None = None, **more) -> dict:
        """The section `[feed]` of a gateway of this name."""
        servers = [f"{scheme}://{host or self.address}:{self.port}"]
        return {"kind": "jetstream", "servers": servers, "gateway": gateway, **more}

    def ask(self, subject: str, payload: dict, login: dict) -> dict:
        """One question to the API of JetStream, and its answer."""
        body = json.dumps(payload).encode()
        with socket.create_connection((self.address, self.port), timeout=10) as connection:
            lines = connection.makefile("rwb")
            lines.readline()
            lines.write(f"CONNECT {json.dumps({'verbose': False, **login})}\r\nSUB _INBOX.kit 1\r\n".encode())
            lines.write(f"PUB {subject} _INBOX.kit {len(body)}\r\n".encode() + body + b"\r\n")
            lines.flush()
            while not (line := lines.readline()).startswith(b"MSG "):
                assert line and not line.startswith(b"-ERR"), line
            return json.loads(lines.read(int(line.split()[-1])))

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


class Cluster:
    """Three servers that keep every event thrice."""

    SIZE = 3

    def __init__(self, directory: Path, executable: str):
        routes = [free_port() for _ in range(self.SIZE)]
        self._monitors = [free_port() for _ in range(self.SIZE)]
        others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        self.servers = [
            Nats(
                directory / f"server-{at}",
                f'server_name: "server-{at}"\nhttp: "127.0.0.1:{self._monitors[at]}"\n'
                f'cluster {{ name: "test", listen: "127.0.0.1:{routes[at]}", routes: [{others}] }}',
                executable,
            )
            for at in range(self.SIZE)
        ]
        self._wait("a leader", lambda monitor: jetstream(monitor).get("meta_cluster", {}).get("leader"))

    def feed(self, gateway: str) -> dict:
        servers = [f"nats://127.0.0.1:{server.port}" for server in self.servers]
        return {"kind": "jetstream", "servers": servers, "gateway": gateway, "replicas": self.SIZE}

    def leader(self, stream: str) -> int:
        """Which server leads a stream; waited for."""
        return int(self._wait(stream, lambda monitor: leader_of(stream, monitor)).removeprefix("server-"))

    def _wait(self, what: str, probe) -> str:
        """What one of the servers knows first."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for monitor in self._monitors:
                if found := probe(monitor):
                    return found
            time.sleep(0.05)
        raise AssertionError(f"the cluster has not got {what}")

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def jetstream(monitor: int) -> dict:
    """What one server tells of JetStream; nothing while it is gone."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/jsz?accounts=1&streams=1", timeout=2) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError):
        return {}


def leader_of(stream: str, monitor: int) -> str | None:
    """As one server sees it."""
    accounts = jetstream(monitor).get("account_details", [])
    streams = [found for account in accounts for found in account.get("stream_detail", [])]
    return next((found.get("cluster", {}).get("leader") for found in streams if found["name"] == stream), None)
