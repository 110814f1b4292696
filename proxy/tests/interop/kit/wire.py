"""HTTP/1.1 byte by byte: sends exactly what a test wants to send, and sees exactly what comes back."""

import contextlib
import socket
import ssl
import struct
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from urllib.parse import urlsplit

from .signing import Headers

TIMEOUT = 20.0

# How `https://` endpoints are spoken to, where a suite has such a one.
context: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def error(self) -> dict[str, str]:
        """The elements of an S3 or STS error document, by name."""
        root = xml.fromstring(self.body)
        elements = {element.tag.rpartition("}")[2]: (element.text or "") for element in root.iter()}
        return {name: text for name, text in elements.items() if name not in ("ErrorResponse", "Error")}

    @property
    def code(self) -> str:
        return self.error()["Code"]


def authority(endpoint: str) -> str:
    """What belongs into `Host`."""
    return urlsplit(endpoint).netloc


class Connection:
    """One connection to an endpoint."""

    def __init__(self, endpoint: str, timeout: float = TIMEOUT):
        parts = urlsplit(endpoint)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._seen = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_head(self, method: str, target: str, headers: Headers) -> None:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.send("\r\n".join(lines).encode())

    def finish_sending(self) -> None:
        """Closes this side for writing: the peer sees the end of the stream."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def receive(self, method: str = "GET") -> Response:
        """The next response, interim ones (1xx) included."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {}
        for line in filter(None, head[1:]):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if method == "HEAD" or status < 200 or status in (204, 304):
            return Response(status, headers, b"")
        return Response(status, headers, self._body(headers))

    def discard_body(self) -> int:
        """Reads a successful answer and throws its body away; the body's length."""
        head = self._until(b"\r\n\r\n").lower()
        assert head.startswith(b"http/1.1 200"), head[:200]
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        received, self._seen = len(self._seen), b""
        buffer = bytearray(1 << 20)
        while received < length and (count := self._socket.recv_into(buffer)):
            received += count
        return received

    def rest(self, seconds: float) -> bytes:
        """Whatever still arrives within `seconds`, or until the peer closes."""
        self._socket.settimeout(seconds)
        try:
            while data := self._socket.recv(65536):
                self._seen += data
        except TimeoutError:
            pass
        return self._seen

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked()
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        while data := self._socket.recv(65536):
            self._seen += data
        body, self._seen = self._seen, b""
        return body

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            body += self._exactly(size)
            self._exactly(2)
        while self._until(b"\r\n") != b"\r\n":
            pass
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._seen:
            self._more()
        end = self._seen.index(mark) + len(mark)
        taken, self._seen = self._seen[:end], self._seen[end:]
        return taken

    def _exactly(self, size: int) -> bytes:
        while len(self._seen) < size:
            self._more()
        taken, self._seen = self._seen[:size], self._seen[size:]
        return taken

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the peer closed the connection before its answer was complete")
        self._seen += data


def exchange(endpoint: str, method: str, target: str, headers: Headers, body: bytes = b"") -> Response:
    """One request on a connection of its own. An answer that comes before the body is sent is still read."""
    with Connection(endpoint) as connection:
        connection.send_head(method, target, headers)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(body)
        return connection.receive(method)
