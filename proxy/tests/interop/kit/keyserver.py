"""A web server with one document of access keys, which answers as it is told."""

import hashlib
import http.server
import json
import ssl
import threading
import time
from pathlib import Path

from .credentials import Credentials
from .server import self_signed

ACCOUNT = "111122223333"
PATH = "/keys.json"


def entry(credentials: Credentials, user: str = "listed", **more) -> dict:
    """A key as a document has it; `None` leaves a field out."""
    fields = {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}",
        **more,
    }
    return {name: value for name, value in fields.items() if value is not None}


def document(*entries: dict) -> bytes:
    return json.dumps({"access_keys": entries}).encode()


class KeyServer:
    """HTTPS on a free port. `body` is what it serves, `trouble` how it fails."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True)
        self.certificate, self._key = self_signed(directory)
        self.body, self.trouble, self.token = document(), "", None
        # Status and validator of each request, as they came.
        self.answered: list[tuple[int, str | None]] = []
        self._server, self.port = None, 0
        self.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}{PATH}"

    def start(self) -> None:
        """Begins to answer, on the port it has once got."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """From now on nobody can connect."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def serve(self, *entries: dict) -> None:
        self.body = document(*entries)

    def asked(self, times: int) -> None:
        """Waits until it has been asked so many times more, each time to the end."""
        target = len(self.answered) + times
        deadline = time.monotonic() + 30
        while len(self.answered) < target:
            assert time.monotonic() < deadline, self.answered
            time.sleep(0.01)


def _handler(keys: KeyServer):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known, trouble, body = self.headers.get("If-None-Match"), keys.trouble, keys.body
            tag = f'"{hashlib.sha256(body).hexdigest()}"'
            if self.path != PATH:
                return self._answer(404, known)
            if keys.token and self.headers.get("Authorization") != f"Bearer {keys.token}":
                return self._answer(401, known)
            if trouble == "error":
                return self._answer(500, known)
            if trouble == "slow":
                time.sleep(2)
            if known == tag and trouble != "truncated":
                return self._answer(304, known, tag)
            if trouble == "truncated":
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                keys.answered.append((200, known))
                self.close_connection = True
                return None
            return self._answer(200, known, tag, body)

        def _answer(self, status: int, known: str | None, tag: str | None = None, body: bytes = b"") -> None:
            self.send_response(status)
            if tag:
                self.send_header("ETag", tag)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            keys.answered.append((status, known))

        def log_message(self, *_):
            pass

    return Handler
