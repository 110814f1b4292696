"""Signature Version 4 by hand: every part can be left out, changed or dated otherwise.

boto3 signs the good requests of this suite; this module signs the ones boto3 would never send, and the signed
chunks no Python client sends at all. `test_kit.py` holds it to AWS's published examples and to botocore.
"""

import base64
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from .credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

Headers = list[tuple[str, str]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def crc32(data: bytes) -> str:
    """The value of `x-amz-checksum-crc32`."""
    return base64.b64encode(struct.pack(">I", zlib.crc32(data))).decode()


def encode_key(key: str) -> str:
    """An object key as it stands in a request target: encoded once, slashes and dots kept."""
    return quote(key.encode(), safe="/-._~")


def canonical_query(query: str) -> str:
    pairs = []
    for piece in filter(None, query.split("&")):
        name, _, value = piece.partition("=")
        pairs.append(tuple(quote(unquote_to_bytes(part.replace("+", "%20")), safe="-._~") for part in (name, value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_headers(headers: Headers, signed: list[str]) -> str:
    lines = []
    for name in signed:
        values = [" ".join(value.split()) for given, value in headers if given.lower() == name]
        lines.append(f"{name}:{','.join(values)}\n")
    return "".join(lines)


@dataclass(frozen=True)
class Seed:
    """What chunk signatures chain on."""

    key: bytes
    timestamp: str
    scope: str
    signature: str

    def chunk(self, previous: str, data_sha256: str) -> str:
        return self._sign(f"{ALGORITHM}-PAYLOAD", previous, f"{EMPTY_SHA256}\n{data_sha256}")

    def trailer(self, previous: str, canonical: bytes) -> str:
        return self._sign("AWS4-HMAC-SHA256-TRAILER", previous, sha256(canonical))

    def _sign(self, kind: str, previous: str, rest: str) -> str:
        text = f"{kind}\n{self.timestamp}\n{self.scope}\n{previous}\n{rest}"
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Signer:
    """Signs for one credential, region and service. `when` freezes the clock."""

    credentials: Credentials
    region: str
    service: str = "s3"
    when: datetime | None = None

    def headers(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        payload: str = EMPTY_SHA256,
        unsigned: tuple[str, ...] = (),
    ) -> tuple[Headers, Seed]:
        """The headers to send, `Authorization` among them, and the seed of chunk signatures.

        `headers` holds `Host`; every header given is signed, but for those named in `unsigned`.
        """
        timestamp = self._timestamp()
        whole = [*list(headers), ("x-amz-date", timestamp)]
        if self.service == "s3":
            whole.append(("x-amz-content-sha256", payload))
        if self.credentials.session_token is not None:
            whole.append(("x-amz-security-token", self.credentials.session_token))
        signed = sorted({name.lower() for name, _ in whole} - set(unsigned))
        seed = self._seed(timestamp, self._request(method, path, query, whole, signed, payload))
        authorization = (
            f"{ALGORITHM} Credential={self.credentials.access_key_id}/{seed.scope}, "
            f"SignedHeaders={';'.join(signed)}, Signature={seed.signature}"
        )
        return [*whole, ("Authorization", authorization)], seed

    def presign(
        self, method: str, path: str, query: str, headers: Headers, expires: int, payload: str = UNSIGNED
    ) -> str:
        """The query of a presigned request: `query` and the `X-Amz-*` parameters."""
        timestamp = self._timestamp()
        signed = sorted({name.lower() for name, _ in headers})
        parameters = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.access_key_id}/{self._scope(timestamp)}",
            "X-Amz-Date": timestamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(signed),
        }
        if self.credentials.session_token is not None:
            parameters["X-Amz-Security-Token"] = self.credentials.session_token
        pieces = [query] if query else []
        pieces += [f"{name}={quote(value, safe='-._~')}" for name, value in parameters.items()]
        whole = "&".join(pieces)
        seed = self._seed(timestamp, self._request(method, path, whole, headers, signed, payload))
        return f"{whole}&X-Amz-Signature={seed.signature}"

    def _timestamp(self) -> str:
        return (self.when or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")

    def _scope(self, timestamp: str) -> str:
        return f"{timestamp[:8]}/{self.region}/{self.service}/aws4_request"

    def _request(self, method, path, query, headers, signed, payload) -> str:
        encoded = quote(unquote_to_bytes(path), safe="/-._~")
        lines = canonical_headers(headers, signed)
        return f"{method}\n{encoded}\n{canonical_query(query)}\n{lines}\n{';'.join(signed)}\n{payload}"

    def _seed(self, timestamp: str, canonical_request: str) -> Seed:
        scope = self._scope(timestamp)
        key = f"AWS4{self.credentials.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical_request.encode())}"
        return Seed(key, timestamp, scope, hmac.new(key, text.encode(), hashlib.sha256).hexdigest())


def signed_chunks(seed: Seed, pieces: list[bytes], trailer: tuple[str, str] | None = None) -> list[bytes]:
    """aws-chunked with chunk signatures: one item for each piece, one for the terminal chunk, one for the end."""
    previous = seed.signature
    wire = []
    for piece in [*pieces, b""]:
        previous = seed.chunk(previous, sha256(piece))
        head = f"{len(piece):x};chunk-signature={previous}\r\n".encode()
        wire.append(head + piece + (b"\r\n" if piece else b""))
    if trailer is None:
        return [*wire, b"\r\n"]
    name, value = trailer
    signature = seed.trailer(previous, f"{name}:{value}\n".encode())
    return [*wire, f"{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()]


def unsigned_chunks(pieces: list[bytes], trailer: tuple[str, str]) -> list[bytes]:
    """aws-chunked without signatures, split as `signed_chunks` splits."""
    wire = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    return [*wire, b"0\r\n", f"{trailer[0]}:{trailer[1]}\r\n\r\n".encode()]
