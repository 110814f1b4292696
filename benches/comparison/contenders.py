"""Starts the origin and every proxy in front of it, each tuned for this: one thread, connections kept, no access log."""

import base64
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"
# Another build can be compared with the same proxies.
SIGWARD = Path(os.environ.get("SIGWARD_BIN", RELEASE / "sigward"))

# What the load generator signs with.
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

LOAD_CORE, PROXY_CORE = 0, 1
READY_SECONDS = 30
S3S_PROXY = "0.14.1"
# Each process may have so many files open.
DESCRIPTORS = 20_000


@dataclass
class Contender:
    """A proxy that runs. `tls` and `plain` are where it listens; either may be missing."""

    name: str
    plain: str | None
    tls: str | None = None
    # The processes behind each.
    plain_pids: list[int] = field(default_factory=list)
    tls_pids: list[int] = field(default_factory=list)


class Arena:
    """Everything that runs during a comparison, in a directory of its own."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.children: list[subprocess.Popen] = []
        self.certificate, self.key = self._certificate()
        self.origin_address = self._origin()

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, *_) -> None:
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def start(self, name: str, command: list, core: int, environment: dict | None = None) -> subprocess.Popen:
        log = (self.directory / f"{name}.log").open("wb")
        child = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "origin" else log,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
        self.children.append(child)
        return child

    def ready(self, name: str, child: subprocess.Popen, *ports: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if child.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{name} does not run: {(self.directory / f'{name}.log').read_text()[-2000:]}")
                    time.sleep(0.02)

    def _certificate(self) -> tuple[Path, Path]:
        certificate, key = self.directory / "certificate.pem", self.directory / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(command, check=True, capture_output=True)
        return certificate, key

    def _origin(self) -> str:
        child = self.start("origin", [RELEASE / "origin"], LOAD_CORE)
        return child.stdout.readline().decode().strip()

    def direct(self) -> Contender:
        return Contender("direct", f"http://{self.origin_address}")

    def nginx(self) -> Contender | None:
        if not (nginx := find("nginx")):
            return None
        plain, tls = free_port(), free_port()
        temporary = "\n".join(
            f"{kind}_temp_path {self.directory}/nginx-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = self.directory / "nginx.conf"
        config.write_text(f"""
            daemon off; master_process off; pid {self.directory}/nginx.pid; error_log stderr error;
            worker_rlimit_nofile {DESCRIPTORS};
            events {{ worker_connections {DESCRIPTORS - 100}; multi_accept on; }}
            http {{
                {temporary}
                access_log off; server_tokens off; client_max_body_size 0;
                keepalive_requests 1000000000; keepalive_timeout 600s;
                upstream origin {{
                    server {self.origin_address};
                    keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s;
                }}
                server {{
                    listen 127.0.0.1:{plain} backlog=4096;
                    listen 127.0.0.1:{tls} ssl http2 backlog=4096;
                    ssl_certificate {self.certificate}; ssl_certificate_key {self.key};
                    ssl_protocols TLSv1.2 TLSv1.3;
                    location / {{
                        proxy_pass http://origin; proxy_http_version 1.1;
                        proxy_set_header Connection ""; proxy_set_header Host $http_host;
                        proxy_request_buffering off; client_body_buffer_size 64k;
                        proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
                        proxy_max_temp_file_size 0;
                    }}
                }}
            }}
        """)
        child = self.start("nginx", [nginx, "-p", self.directory, "-c", config], PROXY_CORE)
        self.ready("nginx", child, plain, tls)
        return at("nginx", plain, tls, child)

    def haproxy(self) -> Contender | None:
        if not (haproxy := find("haproxy")):
            return None
        plain, tls = free_port(), free_port()
        pem = self.directory / "both.pem"
        pem.write_text(self.certificate.read_text() + self.key.read_text())
        config = self.directory / "haproxy.cfg"
        config.write_text(f"""
global
    nbthread 1
    no strict-limits
    ulimit-n {DESCRIPTORS}
    maxconn {DESCRIPTORS - 1000}
    tune.idle-pool.shared off
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout client 600s
    timeout server 600s
    timeout connect 5s
    timeout http-keep-alive 600s
frontend front
    bind 127.0.0.1:{plain} backlog 4096
    bind 127.0.0.1:{tls} ssl crt {pem} alpn h2,http/1.1 backlog 4096
    default_backend origin
backend origin
    server origin {self.origin_address} pool-max-conn 1024
""")
        child = self.start("haproxy", [haproxy, "-db", "-f", config], PROXY_CORE)
        self.ready("haproxy", child, plain, tls)
        return at("haproxy", plain, tls, child)

    def sigward(self, name: str, auth: str) -> Contender:
        """The gateway, once plain and once with TLS: it has one listener."""
        return self._of_sigward(name, auth, lambda config, _: [SIGWARD, "serve", "--config", config])

    def unverified(self) -> Contender:
        """The gateway's listener and its way to the backend, without what is in between."""
        program = RELEASE / "examples/unverified"
        return self._of_sigward("unverified", "passthrough", lambda config, port: [program, config, f"127.0.0.1:{port}"])

    def _of_sigward(self, name: str, auth: str, command) -> Contender:
        contender = Contender(name, None)
        for scheme in ("http", "https"):
            port, admin = free_port(), free_port()
            directory = self.directory / f"{name}-{scheme}"
            directory.mkdir()
            own = free_port() if name == "unverified" else port
            config = self._sigward_config(directory, (own, admin), auth, scheme == "https")
            child = self.start(directory.name, command(config, port), PROXY_CORE)
            self.ready(directory.name, child, port)
            if scheme == "http":
                contender.plain, contender.plain_pids = f"http://127.0.0.1:{port}", [child.pid]
            else:
                contender.tls, contender.tls_pids = f"https://127.0.0.1:{port}", [child.pid]
        return contender

    def _sigward_config(self, directory: Path, ports: tuple[int, int], auth: str, tls: bool) -> Path:
        sealing, secret = directory / "sealing.key", directory / "secret"
        sealing.write_text(f"sigward-sealing-key-v1:bench:{base64.b64encode(os.urandom(32)).decode()}\n")
        secret.write_text(SECRET_ACCESS_KEY)
        for file in (sealing, secret):
            file.chmod(0o600)
        lines = ["[gateway]", f'listen = "127.0.0.1:{ports[0]}"', f'regions = ["{REGION}"]']
        lines += ["max_connections = 18000", 'head_timeout = "10m"']
        if tls:
            lines += [f'tls.certificate_file = "{self.certificate}"', f'tls.private_key_file = "{self.key}"']
        lines += ["[admin]", f'listen = "127.0.0.1:{ports[1]}"']
        lines += ["[backend]", f'endpoint = "http://{self.origin_address}"', f'auth = "{auth}"']
        if auth == "resign":
            lines += ['access_key_id = "backend"', f'secret_access_key_file = "{secret}"']
        lines += ["[store]", f'path = "{directory / "events.redb"}"', f'sealing_key_files = ["{sealing}"]']
        lines += ["[log]", 'filter = "warn"', "access_log = false", "[drain]", 'delay = "0s"']
        lines += ["[[access_keys]]", f'access_key_id = "{ACCESS_KEY_ID}"', f'secret_access_key_file = "{secret}"']
        lines += ['arn = "arn:aws:iam::123456789012:user/bench"']
        config = directory / "sigward.toml"
        config.write_text("\n".join(lines) + "\n")
        return config

    def s3s(self, cache: Path) -> Contender | None:
        """An S3 proxy that verifies and sends on by AWS's SDK. Built once, where cargo can."""
        program = cache / "bin/s3s-proxy"
        if not program.exists():
            command = ["cargo", "install", "s3s-proxy", "--version", S3S_PROXY, "--locked"]
            subprocess.run([*command, "--root", cache], env={**os.environ, "CARGO_TARGET_DIR": str(cache / "target")})
        if not program.exists():
            return None
        port = free_port()
        credentials = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
        environment = {**credentials, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "RUST_LOG": "error"}
        command = [program, "--host", "127.0.0.1", "--port", port, "--endpoint-url", f"http://{self.origin_address}"]
        child = self.start("s3s", command, PROXY_CORE, environment)
        self.ready("s3s", child, port)
        return Contender("s3s", f"http://127.0.0.1:{port}", None, [child.pid])


def at(name: str, plain: int, tls: int, child: subprocess.Popen) -> Contender:
    return Contender(name, f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", [child.pid], [child.pid])


def find(program: str) -> str | None:
    """Debian keeps servers where users do not look."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
