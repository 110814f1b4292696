"""A backend that keeps nothing, so that moving gigabytes costs the machine little beside the gateway.

`python -m kit.sink` prints its port, which `--port` chooses, then serves until it is ended. `PUT` swallows a body; `GET /bucket/<n>`
answers n zero bytes. With `--record` it prints one JSON line for each request: what arrived, the first 64 KiB of
the body's bytes as Latin-1 among it, and whether the body came to its end.
"""

import argparse
import json
import socketserver

BLOCK = memoryview(bytes(1 << 20))
KEPT = 1 << 16


def recorded(sink) -> list[dict]:
    """What arrived so far at a process of this module that runs with `--record`."""
    return [json.loads(line) for line in sink.stdout.read_text().splitlines()[1:]]


class Handler(socketserver.StreamRequestHandler):
    rbufsize = 1 << 18

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline(65536):
            method, target, _ = line.decode("latin-1").split(" ")
            headers = {}
            while (line := self.rfile.readline(65536)) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers.setdefault(name.strip().lower(), []).append(value.strip())
            self.kept = bytearray()
            received, complete = self._swallow(headers)
            if self.server.record:
                entry = {"method": method, "target": target, "headers": headers, "body": self.kept.decode("latin-1")}
                line = json.dumps({**entry, "length": received, "complete": complete})
                # In one piece: connections are served by threads.
                print(f"{line}\n", end="", flush=True)
            if not complete:
                return
            self._answer(method, target)

    def _swallow(self, headers: dict[str, list[str]]) -> tuple[int, bool]:
        if "transfer-encoding" in headers:
            return self._swallow_chunked()
        length = int(headers.get("content-length", ["0"])[0])
        received = self._discard(length)
        return received, received == length

    def _swallow_chunked(self) -> tuple[int, bool]:
        total = 0
        while line := self.rfile.readline(1024):
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while (line := self.rfile.readline(65536)) not in (b"\r\n", b""):
                    pass
                return total, line == b"\r\n"
            received = self._discard(size)
            total += received
            if received < size or len(self.rfile.read(2)) < 2:
                break
        return total, False

    def _discard(self, length: int) -> int:
        buffer = memoryview(bytearray(min(length, 1 << 20)))
        received = 0
        while received < length:
            count = self.rfile.readinto1(buffer[: min(len(buffer), length - received)])
            if not count:
                break
            self.kept += buffer[: min(count, KEPT - len(self.kept))]
            received += count
        return received

    def _answer(self, method: str, target: str) -> None:
        size = int(target.partition("?")[0].rpartition("/")[2] or 0) if method in ("GET", "HEAD") else 0
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "0"\r\n\r\n'
        self.wfile.write(head.encode())
        while method == "GET" and size:
            self.wfile.write(BLOCK[: min(size, len(BLOCK))])
            size -= min(size, len(BLOCK))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, record: bool, port: int):
        super().__init__(("127.0.0.1", port), Handler)
        self.record = record

    def handle_error(self, request, client_address) -> None:
        """A peer that goes away in the middle is no news."""


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--record", action="store_true")
    arguments.add_argument("--port", type=int, default=0)
    with Server(**vars(arguments.parse_args())) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
