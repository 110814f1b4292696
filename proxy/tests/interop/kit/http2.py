"""HTTP/2 frame by frame: what a client library would never send can be sent, and every frame that comes back is seen."""

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import hpack
from hyperframe import frame as frames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TIMEOUT = 20.0

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What became of one stream."""

    fields: Fields = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int | None:
        return int(dict(self.fields)[":status"]) if self.fields else None


class Connection:
    """One connection by prior knowledge, or over TLS by ALPN. Windows are opened wide unless told otherwise."""

    def __init__(self, endpoint: str, cafile: str | None = None, window: int = 1 << 24):
        parts = urlsplit(endpoint)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=cafile)
            context.set_alpn_protocols(["h2"])
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
            assert self._socket.selected_alpn_protocol() == "h2"
        self.encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._decoder.max_header_list_size = 1 << 20
        self._seen = b""
        self.answers: dict[int, Answer] = {}
        self.goaway: frames.GoAwayFrame | None = None
        self.closed = False
        self._next = 1
        settings = frames.SettingsFrame(0, settings={frames.SettingsFrame.INITIAL_WINDOW_SIZE: window})
        self.send(PREFACE + settings.serialize())
        self.send_frame(frames.WindowUpdateFrame(0, window_increment=max(window, 1)))

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    # Sending.

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_frame(self, frame: frames.Frame) -> None:
        self.send(frame.serialize())

    def stream(self) -> int:
        """The next stream of a client."""
        stream, self._next = self._next, self._next + 2
        return stream

    def headers(self, stream: int, fields: Fields, end: bool = True) -> bytes:
        """A HEADERS frame with the fields exactly as given, in their order."""
        block = self.encoder.encode(fields, huffman=False)
        return frame(frames.HeadersFrame, stream, block, "END_HEADERS", *(["END_STREAM"] if end else []))

    def request(self, fields: Fields, body: bytes | None = None) -> int:
        """Sends a request; its stream."""
        stream = self.stream()
        self.send(self.headers(stream, fields, end=body is None))
        if body is not None:
            for start in range(0, max(len(body), 1), 16384):
                piece = body[start : start + 16384]
                last = ["END_STREAM"] if start + 16384 >= len(body) else []
                self.send(frame(frames.DataFrame, stream, piece, *last))
        return stream

    # Receiving.

    def answer(self, stream: int, seconds: float = TIMEOUT) -> Answer:
        """Waits until the stream has ended, or the connection has."""
        answer = self.answers.setdefault(stream, Answer())
        self._receive(lambda: answer.ended or answer.reset is not None, seconds)
        return answer

    def drain(self, seconds: float) -> None:
        """Reads what comes until the peer closes or the time is over."""
        self._receive(lambda: False, seconds)

    def _receive(self, done, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not (done() or self.closed):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                return
            except OSError:
                data = b""
            self.closed = not data
            self._seen += data
            self._take_frames()

    def _take_frames(self) -> None:
        while len(self._seen) >= 9:
            head, length = frames.Frame.parse_frame_header(memoryview(self._seen[:9]))
            if len(self._seen) < 9 + length:
                return
            head.parse_body(memoryview(self._seen[9 : 9 + length]))
            self._seen = self._seen[9 + length :]
            with contextlib.suppress(OSError):
                self._take(head)

    def _take(self, head: frames.Frame) -> None:
        answer = self.answers.setdefault(head.stream_id, Answer())
        match head:
            case frames.SettingsFrame() if "ACK" not in head.flags:
                self.send(frame(frames.SettingsFrame, 0, b"", "ACK"))
            case frames.PingFrame() if "ACK" not in head.flags:
                self.send(frame(frames.PingFrame, 0, head.opaque_data, "ACK"))
            case frames.HeadersFrame():
                answer.fields += [(str(n), str(v)) for n, v in self._decoder.decode(head.data)]
            case frames.DataFrame():
                answer.body += head.data
                if head.flow_controlled_length:
                    self.send_frame(frames.WindowUpdateFrame(0, window_increment=head.flow_controlled_length))
            case frames.RstStreamFrame():
                answer.reset = head.error_code
            case frames.GoAwayFrame():
                self.goaway = head
        if "END_STREAM" in head.flags:
            answer.ended = True


def frame(kind: type[frames.Frame], stream: int, payload: bytes, *flags: str) -> bytes:
    """A frame with any payload, flags and length, sound or not."""
    bits = {"END_STREAM": 0x1, "ACK": 0x1, "END_HEADERS": 0x4, "PADDED": 0x8, "PRIORITY": 0x20}
    flag = 0
    for name in flags:
        flag |= bits[name]
    return len(payload).to_bytes(3, "big") + bytes([kind.type, flag]) + stream.to_bytes(4, "big") + payload
