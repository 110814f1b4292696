"""Ways to reach a gateway other than a plain connection: over TLS, with a client certificate, by HTTP/2, behind HAProxy or
nginx. `pytest --front NAME` runs whatever tests are named through one of them."""

import socket
import ssl
from dataclasses import replace
from pathlib import Path

from . import commands, wire
from .server import Gateway, Process, free_port, resigned_for, self_signed, start_serve

HAPROXY = """
global
    maxconn 2000
    ssl-server-verify none
defaults
    mode http
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    option http-keep-alive
frontend clients
    bind 127.0.0.1:{port}
    default_backend gateway
backend gateway
    server one 127.0.0.1:{behind} {how}
    # HTTP/2 has no reason phrases, and botocore loses an answer without one that comes before its body was asked for.
{statuses}
"""
STATUSES = (200, 204, 206, 304, 400, 403, 404, 409, 411, 412, 416)

NGINX = """
worker_processes 1;
daemon off;
pid {top}/nginx.pid;
error_log {top}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {top}/body;
    proxy_temp_path {top}/proxy;
    fastcgi_temp_path {top}/fastcgi;
    uwsgi_temp_path {top}/uwsgi;
    scgi_temp_path {top}/scgi;
    client_max_body_size 0;
    large_client_header_buffers 8 64k;
    ignore_invalid_headers off;
    upstream gateway {{ server 127.0.0.1:{behind}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""


class Front:
    """A gateway with several doors, and what stands before the one that is used."""

    def __init__(self, name: str, dev: Gateway, top: Path):
        (top / "server").mkdir(parents=True)
        (top / "client").mkdir()
        self._client = self_signed(top / "client")
        self._server = self_signed(top / "server")
        self._ports = {door: free_port() for door in ("balanced", "tls", "mutual")}
        self._serve = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), more=self._listeners())
        self._serve.backend = dev.backend
        self._top = top
        self._before: Process | None = None
        self.gateway: Gateway = getattr(self, name.replace("-", "_"))()

    def stop(self) -> None:
        if self._before:
            self._before.stop()
        self._serve.process.stop()

    def _listeners(self) -> str:
        certificate, key = self._server
        pair = f'tls.certificate_file = "{certificate}"\ntls.private_key_file = "{key}"\n'
        return "".join([
            f'[[listeners]]\nlisten = "127.0.0.1:{self._ports["balanced"]}"\nproxy_protocol = ["127.0.0.1"]\n',
            f'[[listeners]]\nlisten = "127.0.0.1:{self._ports["tls"]}"\n{pair}',
            f'[[listeners]]\nlisten = "127.0.0.1:{self._ports["mutual"]}"\n{pair}',
            f'tls.client_auth = "required"\ntls.client_ca_file = "{self._client[0]}"\n',
        ])

    # The fronts, by the names of `--front`.

    def tls(self) -> Gateway:
        return self._encrypted("tls", None)

    def mtls(self) -> Gateway:
        return self._encrypted("mutual", self._client)

    def virtual(self) -> Gateway:
        """Buckets in the host name; names below `localhost` are resolved here, as not every resolver knows them."""
        resolve = socket.getaddrinfo

        def local(host, *rest, **more):
            name = host.decode() if isinstance(host, bytes) else host
            return resolve("127.0.0.1" if name and name.endswith(".localhost") else host, *rest, **more)

        socket.getaddrinfo = local
        port = wire.authority(self._serve.endpoint).rpartition(":")[2]
        return replace(self._serve, endpoint=f"http://localhost:{port}", addressing="virtual")

    def haproxy_proxy_v1(self) -> Gateway:
        return self._haproxy(self._ports["balanced"], "send-proxy")

    def haproxy_proxy_v2(self) -> Gateway:
        return self._haproxy(self._ports["balanced"], "send-proxy-v2")

    def haproxy_h2c(self) -> Gateway:
        return self._haproxy(int(wire.authority(self._serve.endpoint).rpartition(":")[2]), "proto h2")

    def haproxy_h2(self) -> Gateway:
        return self._haproxy(self._ports["tls"], "ssl alpn h2 sni str(localhost)")

    def nginx(self) -> Gateway:
        program = commands.program("nginx")
        port = free_port()
        file = self._top / "nginx.conf"
        behind = wire.authority(self._serve.endpoint).rpartition(":")[2]
        file.write_text(NGINX.format(port=port, behind=behind, top=self._top))
        return self._behind([program, "-p", str(self._top), "-c", str(file)], port)

    def _encrypted(self, door: str, client: tuple[Path, Path] | None) -> Gateway:
        wire.context = ssl.create_default_context(cafile=str(self._server[0]))
        if client:
            wire.context.load_cert_chain(*map(str, client))
        endpoint = f"https://localhost:{self._ports[door]}"
        return replace(self._serve, endpoint=endpoint, certificate=self._server[0], client_certificate=client)

    def _haproxy(self, behind: int, how: str) -> Gateway:
        program = commands.program("haproxy")
        port = free_port()
        file = self._top / "haproxy.cfg"
        statuses = "\n".join(f"    http-response set-status {code} if {{ status {code} }}" for code in STATUSES)
        file.write_text(HAPROXY.format(port=port, behind=behind, how=how, statuses=statuses))
        return self._behind([program, "-db", "-f", str(file)], port)

    def _behind(self, command: list[str], port: int) -> Gateway:
        self._before = Process(command, self._top / "front")
        self._before.wait_for(lambda: listens(port))
        return replace(self._serve, endpoint=f"http://127.0.0.1:{port}")


NAMES = ("tls", "mtls", "virtual", "haproxy-proxy-v1", "haproxy-proxy-v2", "haproxy-h2c", "haproxy-h2", "nginx")


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
