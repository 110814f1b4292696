"""Starts, watches and ends `sigward` processes."""

import base64
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .backend import BackendDirectory
from .credentials import Credentials

READY_SECONDS = 30.0
STOP_SECONDS = 20.0

REPOSITORY = Path(__file__).resolve().parents[4]

# Keeps the machine's own AWS set-up and proxies away from clients, and chance away from what is measured.
ISOLATION = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "*",
    # The kernel may back memory with huge pages at any time, 2 MiB for what used a few KiB of it: what a process needs
    # could not be told from that.
    "MIMALLOC_ALLOW_THP": "0",
}

# Started here and not yet reaped; the suite ends by checking that there is none.
running: set["Process"] = set()


def binary() -> Path:
    """The program under test: `SIGWARD_BIN`, or the newest build of this checkout."""
    if named := os.environ.get("SIGWARD_BIN"):
        return Path(named).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for path in (target / "release/sigward", target / "debug/sigward") if path.exists()]
    if not built:
        raise FileNotFoundError(f"no sigward in {target}: run `cargo build --release` or set SIGWARD_BIN")
    return max(built, key=lambda path: path.stat().st_mtime)


def clean_environment(**extra: str) -> dict[str, str]:
    """This process' environment without what would reconfigure clients or the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SIGWARD_"))}
    return {**kept, **ISOLATION, **extra}


def free_port() -> int:
    """One that no outgoing connection is given, so that it is still free when its server has been killed."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", random.randrange(10_000, lowest)))
            return listener.getsockname()[1]


class Process:
    """A child whose output goes to files."""

    def __init__(self, command: list[str], logs: Path, environment: dict[str, str] | None = None):
        logs.mkdir(parents=True, exist_ok=True)
        self.stdout, self.stderr = logs / "stdout", logs / "stderr"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=clean_environment(**(environment or {})),
            )
        running.add(self)

    @property
    def pid(self) -> int:
        return self._child.pid

    def first_line(self) -> str:
        """The first line of standard output, waited for."""
        return self.wait_for(lambda: (text := self.stdout.read_text()) and "\n" in text and text.splitlines()[0])

    def wait_for(self, probe, seconds: float = READY_SECONDS):
        """Polls until `probe` answers; fails with the child's last words."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := probe():
                return answer
            if self._child.poll() is not None:
                running.discard(self)
                raise AssertionError(f"sigward ended with {self._child.returncode}: {self.stderr.read_text()[-2000:]}")
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"sigward was not ready in {seconds} s: {self.stderr.read_text()[-2000:]}")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"sigward did not stop in {STOP_SECONDS} s")
        finally:
            running.discard(self)

    def send_signal(self, number: int) -> None:
        self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self._child.kill()
        self._child.wait()
        running.discard(self)

    def resident_bytes(self) -> int:
        """Memory the kernel holds for the process now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS in /proc")

    def output(self) -> bytes:
        """Everything it wrote."""
        return self.stdout.read_bytes() + self.stderr.read_bytes()


@dataclass
class Gateway:
    """A gateway that answers, and how to reach it."""

    process: Process
    endpoint: str
    admin: str
    region: str
    credentials: Credentials
    backend: BackendDirectory | None = None
    state: Path | None = None
    certificate: Path | None = None
    # Certificate and key that a client has to show.
    client_certificate: tuple[Path, Path] | None = None
    addressing: str = "path"

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            return answer.read().decode()


def start_dev(directory: Path, logs: Path, environment: dict[str, str] | None = None) -> Gateway:
    """`sigward dev` on free ports; the same directory finds everything as it was."""
    command = [str(binary()), "dev", "--dir", str(directory), "--port", "0", "--admin-port", "0", "--json"]
    process = Process(command, logs, environment)
    ready = json.loads(process.first_line())
    return Gateway(
        process,
        ready["endpoint"],
        ready["admin"],
        ready["region"],
        Credentials(ready["access_key_id"], ready["secret_access_key"]),
        BackendDirectory(ready["backend_dir"]),
        Path(ready["state_dir"]),
    )


LOCAL_NAMES = "DNS:localhost,DNS:*.localhost,IP:127.0.0.1"


def self_signed(directory: Path, names: str = LOCAL_NAMES) -> tuple[Path, Path]:
    """A certificate for localhost, or for other names, and its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    command += ["-addext", f"subjectAltName={names}"]
    # Clients take it as their only authority; servers ask that a leaf is none.
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def start_serve(
    directory: Path,
    backend: str | list[str],
    backend_auth: dict[str, str],
    tls: bool = False,
    log_filter: str = "info",
    gateway: dict | None = None,
    iam: Path | None = None,
    store: dict | None = None,
    audit: dict | None = None,
    feed: dict | None = None,
    drain: dict | None = None,
    more: str = "",
    ready: bool = True,
) -> Gateway:
    """`sigward serve` with a configuration of its own in front of `backend`, or of several endpoints of one.

    `gateway`, `store`, `audit` and `feed` hold further keys of these sections, `iam` is the directory of identities;
    `store` may name other sealing keys. `drain` holds the keys of its section, `more` is put at the end. One that is not
    expected to get `ready` is only waited for until it lives.
    """
    directory.mkdir(parents=True)
    credentials = Credentials("AKIASUITELONGTERM0001", "suite/long+term/secret/0123456789abcdef01")
    region, port, admin_port = "eu-central-1", free_port(), free_port()
    secret = directory / "secret"
    secret.write_text(credentials.secret_access_key)
    secret.chmod(0o600)
    if "sealing_key_files" not in (store or {}):
        sealing = sealing_key(directory / "sealing.key", "suite")
        store = {"sealing_key_files": [str(sealing)], **(store or {})}
    certificate, key = self_signed(directory) if tls else (None, None)
    lines = [
        "[gateway]",
        f'listen = "127.0.0.1:{port}"',
        f'regions = ["{region}"]',
        'domains = ["localhost"]',
        *(f"{name} = {json.dumps(value)}" for name, value in (gateway or {}).items()),
        *([f'tls.certificate_file = "{certificate}"', f'tls.private_key_file = "{key}"'] if tls else []),
        "[admin]",
        f'listen = "127.0.0.1:{admin_port}"',
        "[backend]",
        f"{'endpoint' if isinstance(backend, str) else 'endpoints'} = {json.dumps(backend)}",
        *(f"{name} = {json.dumps(value)}" for name, value in backend_auth.items()),
        "[store]",
        f'path = "{directory / "sigward.redb"}"',
        *(f"{name} = {json.dumps(value)}" for name, value in store.items()),
        *(["[iam]", f'directory = "{iam}"'] if iam else []),
        "[audit]",
        *(f"{name} = {json.dumps(value)}" for name, value in (audit or {}).items()),
        "[feed]",
        *(f"{name} = {json.dumps(value)}" for name, value in (feed or {}).items()),
        "[log]",
        f'filter = "{log_filter}"',
        "[drain]",
        *(f"{name} = {json.dumps(value)}" for name, value in {"delay": "0s", **(drain or {})}.items()),
        "[[access_keys]]",
        f'access_key_id = "{credentials.access_key_id}"',
        f'secret_access_key_file = "{secret}"',
        'arn = "arn:aws:iam::111122223333:user/suite"',
        'user_id = "AIDASUITEUSER00000001"',
        'account = "111122223333"',
        more,
    ]
    config = directory / "sigward.toml"
    config.write_text("\n".join(lines) + "\n")
    process = Process([str(binary()), "serve", "--config", str(config)], directory / "logs")
    gateway = Gateway(
        process,
        f"{'https' if tls else 'http'}://localhost:{port}" if tls else f"http://127.0.0.1:{port}",
        f"http://127.0.0.1:{admin_port}",
        region,
        credentials,
        state=directory,
        certificate=certificate,
    )
    process.wait_for(lambda: answers(f"{gateway.admin}/{'readyz' if ready else 'livez'}"))
    return gateway


def start_again(gateway: Gateway, what: str = "readyz") -> None:
    """Starts a gateway of `start_serve` that has ended, with what it left behind, and waits until it answers `what`."""
    number = len(list(gateway.state.glob("logs*")))
    command = [str(binary()), "serve", "--config", str(gateway.state / "sigward.toml")]
    gateway.process = Process(command, gateway.state / f"logs-{number}")
    gateway.process.wait_for(lambda: answers(f"{gateway.admin}/{what}"))


def sealing_key(path: Path, key_id: str) -> Path:
    """A new sealing key."""
    path.write_text(f"sigward-sealing-key-v1:{key_id}:{base64.b64encode(os.urandom(32)).decode()}\n")
    path.chmod(0o600)
    return path


def resigned_for(backend: Gateway, directory: Path) -> dict[str, str]:
    """The `[backend]` keys of a gateway that signs anew for another gateway."""
    secret = directory / "backend-secret"
    secret.write_text(backend.credentials.secret_access_key)
    return {
        "auth": "resign",
        "access_key_id": backend.credentials.access_key_id,
        "secret_access_key_file": str(secret),
        "region": backend.region,
    }


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def sigward(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess:
    """Runs a subcommand to its end."""
    return subprocess.run(
        [str(binary()), *arguments], input=stdin, capture_output=True, timeout=60, env=clean_environment()
    )
