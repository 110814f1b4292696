"""Uploads written byte by byte: a good one to start from, every part of which a test may spoil."""

from dataclasses import dataclass, field

from . import signing
from .credentials import Credentials
from .server import Gateway
from .signing import Headers, Seed, Signer
from .wire import Connection, Response, authority, exchange

CHUNK = 8192


@dataclass
class Upload:
    """The head and the body of a PUT as they will stand on the wire; the body in the pieces it was made of."""

    gateway: Gateway
    target: str
    headers: Headers
    wire: list[bytes]
    seed: Seed | None = field(default=None, repr=False)

    @property
    def body(self) -> bytes:
        return b"".join(self.wire)

    def set(self, name: str, value: str | None) -> "Upload":
        """Replaces, adds or (with None) removes a header, after it was signed."""
        kept = [(given, old) for given, old in self.headers if given.lower() != name.lower()]
        self.headers = kept + ([(name, value)] if value is not None else [])
        return self

    def send(self) -> Response:
        return exchange(self.gateway.endpoint, "PUT", self.target, self.headers, self.body)

    def start(self) -> Connection:
        """Sends the head alone."""
        connection = Connection(self.gateway.endpoint)
        connection.send_head("PUT", self.target, self.headers)
        return connection


def split(body: bytes, size: int = CHUNK) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def upload(
    gateway: Gateway,
    target: str,
    wire: list[bytes],
    payload: str,
    extra: Headers = (),
    credentials: Credentials | None = None,
    unsigned: tuple[str, ...] = (),
    query: str = "",
) -> Upload:
    """A PUT of exactly these bytes under the given payload hash."""
    length = sum(map(len, wire))
    headers = [("Host", authority(gateway.endpoint)), ("Content-Length", str(length)), *extra]
    signer = Signer(credentials or gateway.credentials, gateway.region)
    signed, seed = signer.headers("PUT", target, query, headers, payload, unsigned)
    return Upload(gateway, f"{target}?{query}" if query else target, signed, wire, seed)


def plain(gateway: Gateway, target: str, body: bytes, extra: Headers = (), **options) -> Upload:
    """With the hash of the whole body in the head."""
    return upload(gateway, target, [body], signing.sha256(body), extra, **options)


def unsigned(gateway: Gateway, target: str, body: bytes, extra: Headers = (), **options) -> Upload:
    """`UNSIGNED-PAYLOAD`."""
    return upload(gateway, target, [body], signing.UNSIGNED, extra, **options)


def chunked(gateway: Gateway, target: str, pieces: list[bytes], extra: Headers = (), **options) -> Upload:
    """Signed chunks."""
    return _streaming(gateway, target, pieces, signing.SIGNED_CHUNKS, None, extra, options)


def chunked_with_trailer(
    gateway: Gateway, target: str, pieces: list[bytes], extra: Headers = (), trailer=None, **options
) -> Upload:
    """Signed chunks and a signed checksum in the trailer: name and value, or a CRC32."""
    trailer = trailer or _crc32(pieces)
    return _streaming(gateway, target, pieces, signing.SIGNED_CHUNKS_TRAILER, trailer, extra, options)


def unsigned_with_trailer(
    gateway: Gateway, target: str, pieces: list[bytes], extra: Headers = (), trailer=None, **options
) -> Upload:
    """Unsigned chunks and a checksum in the trailer: name and value, or a CRC32."""
    trailer = trailer or _crc32(pieces)
    return _streaming(gateway, target, pieces, signing.UNSIGNED_CHUNKS_TRAILER, trailer, extra, options)


def _crc32(pieces: list[bytes]) -> tuple[str, str]:
    return "x-amz-checksum-crc32", signing.crc32(b"".join(pieces))


def _streaming(gateway, target, pieces, payload, trailer, extra, options) -> Upload:
    decoded = str(sum(map(len, pieces)))
    announced = [("x-amz-trailer", trailer[0])] if trailer else []
    headers = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", decoded), *announced, *extra]

    def framed(seed: Seed) -> list[bytes]:
        if payload == signing.UNSIGNED_CHUNKS_TRAILER:
            return signing.unsigned_chunks(pieces, trailer)
        return signing.signed_chunks(seed, pieces, trailer)

    # The length of the wire is signed too, and does not depend on the signatures in it.
    blank = framed(Seed(b"", "", "", "0" * 64))
    made = upload(gateway, target, blank, payload, headers, **options)
    made.wire = framed(made.seed)
    return made
