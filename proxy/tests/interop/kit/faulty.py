"""A backend that misbehaves on demand.

`python -m kit.faulty` prints its port, then serves until it is ended. The last segment of a request's path names what
it does wrong; the methods of `Handler` are all there is. Every request prints one line: its method, its target and the number of the
connection it came by, so that a test sees what was sent twice and which connections were used again; with `--quiet`
none does.
"""

import itertools
import socket
import socketserver
import struct
import sys
import threading
import time

BODY = b"0123456789abcdef" * 64
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"0\"\r\n\r\n" % len(BODY)
ERROR = b"<Error><Code>%s</Code><Message>from the backend</Message></Error>"


class Gone(Exception):
    """The connection has ended as it was to end."""


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.number = next(self.server.numbers)
        self.seen = b""
        try:
            while self.request_head():
                getattr(self, self.fault.replace("-", "_"), self.good)()
        except (Gone, OSError):
            pass

    # Reading.

    def request_head(self) -> bool:
        while b"\r\n\r\n" not in self.seen:
            data = self.request.recv(65536)
            if not data:
                return False
            self.seen += data
        head, _, self.seen = self.seen.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        self.fault = self.target.partition("?")[0].rpartition("/")[2]
        if not self.server.quiet:
            with self.server.printing:
                print(self.method, self.target, self.number, flush=True)
        return True

    def swallow(self, most: int | None = None) -> None:
        """The request's body, or its first `most` bytes."""
        length = int(self.fields.get("content-length", 0))
        left = (length if most is None else min(most, length)) - len(self.seen)
        self.seen = b""
        while left > 0:
            data = self.request.recv(min(left, 1 << 18))
            if not data:
                raise Gone
            left -= len(data)

    # Answering.

    def send(self, data: bytes) -> None:
        self.request.sendall(data)

    def error(self, status: bytes, code: bytes) -> None:
        body = ERROR % code
        self.send(b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    def reset(self) -> None:
        """RST in place of FIN."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()
        raise Gone

    def hang(self) -> None:
        """Silence, until the other side gives up."""
        self.request.settimeout(60)
        while self.request.recv(65536):
            pass
        raise Gone

    # What goes wrong.

    def good(self) -> None:
        self.swallow()
        self.send(HEAD + BODY if self.method == "GET" else HEAD.replace(b"1024", b"0"))

    def reset_before_head(self) -> None:
        self.swallow()
        self.reset()

    def close_before_head(self) -> None:
        self.swallow()
        raise Gone

    def reset_in_head(self) -> None:
        self.swallow()
        self.send(HEAD[:20])
        self.reset()

    def close_in_head(self) -> None:
        self.swallow()
        self.send(HEAD[:-2])
        raise Gone

    def hang_before_head(self) -> None:
        self.swallow()
        self.hang()

    def hang_in_head(self) -> None:
        self.swallow()
        self.send(HEAD[:20])
        self.hang()

    def reset_in_body(self) -> None:
        self.send(HEAD + BODY[:100])
        time.sleep(0.05)
        self.reset()

    def close_in_body(self) -> None:
        self.send(HEAD + BODY[:100])
        raise Gone

    def hang_in_body(self) -> None:
        self.send(HEAD + BODY[:100])
        self.hang()

    def close_in_chunks(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n")
        raise Gone

    def odd_chunk(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\nxyz\r\n0123\r\n0\r\n\r\n")
        self.hang()

    def no_http(self) -> None:
        self.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        raise Gone

    def endless_head(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\n" + b"x-filler: %s\r\n" % (b"x" * 1000) * 2000)
        self.hang()

    def two_lengths(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")
        self.hang()

    def two_lengths_closed(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")
        raise Gone

    def answers_twice(self) -> None:
        """The second answer is for a request that nobody made."""
        self.swallow()
        stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
        self.send(HEAD + BODY + stray)

    def no_content_with_body(self) -> None:
        self.swallow()
        self.send(b"HTTP/1.1 204 No Content\r\n\r\n" + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")

    def interim(self) -> None:
        self.swallow()
        self.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD + BODY)

    def until_closed(self) -> None:
        self.swallow()
        self.send(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
        raise Gone

    def closes_afterwards(self) -> None:
        """Keep-alive was promised, and not kept."""
        self.good()
        raise Gone

    # What goes wrong with an upload.

    def reset_at_once(self) -> None:
        self.reset()

    def reset_in_upload(self) -> None:
        self.swallow(1000)
        self.reset()

    def hang_in_upload(self) -> None:
        self.request.settimeout(60)
        time.sleep(30)
        raise Gone

    def early_413(self) -> None:
        """Answers after the head, and closes without reading on."""
        self.error(b"413 Payload Too Large", b"EntityTooLarge")
        raise Gone

    def early_403(self) -> None:
        """Answers after the head, and reads on."""
        self.error(b"403 Forbidden", b"AccessDenied")
        self.swallow()

    def late_403(self) -> None:
        self.swallow(100_000)
        self.error(b"403 Forbidden", b"AccessDenied")
        raise Gone

    def hasty_200(self) -> None:
        """Says it has what it cannot have, and reads no further."""
        self.send(HEAD.replace(b"1024", b"0"))
        raise Gone

    def early_200(self) -> None:
        """Answers after the head, and reads on to the end."""
        self.send(HEAD.replace(b"1024", b"0"))
        self.swallow()

    def never_continues(self) -> None:
        """Knows nothing of `Expect`, and reads what comes."""
        self.good()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, quiet: bool):
        super().__init__(("127.0.0.1", 0), Handler)
        self.quiet = quiet
        self.numbers = itertools.count(1)
        self.printing = threading.Lock()

    def handle_error(self, request, client_address) -> None:
        """A peer that goes away in the middle is no news."""


if __name__ == "__main__":
    threading.stack_size(256 * 1024)
    with Server("--quiet" in sys.argv) as server:
        print(server.server_address[1], flush=True)
        sys.stdout.reconfigure(line_buffering=True)
        server.serve_forever()
