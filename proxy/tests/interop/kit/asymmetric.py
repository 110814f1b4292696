"""SigV4a: heads signed by AWS's C library, chunks with its elliptic curves over the text AWS documents.

The library's bindings for Python sign no chunks, and do not derive keys either: `test_kit.py` holds the derivation here
to a published key pair.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime

from awscrt import auth, http
from awscrt.crypto import EC

from . import signing
from .credentials import Credentials
from .server import Gateway
from .signing import EMPTY_SHA256, Headers, sha256
from .uploads import Upload
from .wire import authority

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
SIGNED_CHUNKS = f"STREAMING-{ALGORITHM}-PAYLOAD"
SIGNED_CHUNKS_TRAILER = f"STREAMING-{ALGORITHM}-PAYLOAD-TRAILER"
PADDED_LENGTH = 144

# The curve P-256 (SEC 2, 2.4.2).
PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def key_pair(credentials: Credentials) -> EC:
    """The key pair of a credential."""
    key = f"AWS4A{credentials.secret_access_key}".encode()
    for counter in range(1, 255):
        context = f"{ALGORITHM}\0{credentials.access_key_id}".encode() + bytes([counter])
        text = (1).to_bytes(4, "big") + context + (256).to_bytes(4, "big")
        candidate = int.from_bytes(hmac.new(key, text, hashlib.sha256).digest(), "big")
        if candidate <= ORDER - 2:
            return EC.new_key_from_der_data(_der(candidate + 1))
    raise AssertionError("no candidate is in range")


def _der(private: int) -> bytes:
    """RFC 5915, with the public key: without it the library signs with another key."""

    def tagged(tag: int, *content: bytes) -> bytes:
        whole = b"".join(content)
        return bytes([tag, len(whole)]) + whole

    curve = tagged(0xA0, bytes.fromhex("06082a8648ce3d030107"))
    point = b"".join(coordinate.to_bytes(32, "big") for coordinate in _multiple(private))
    public = tagged(0xA1, tagged(0x03, b"\0\x04" + point))
    return tagged(0x30, tagged(0x02, b"\x01"), tagged(0x04, private.to_bytes(32, "big")), curve, public)


def _multiple(times: int) -> tuple[int, int]:
    """The generator added to itself, by doubling and adding. Neither fast nor secret: for tests."""
    found, power = None, GENERATOR
    while times:
        if times & 1:
            found = power if found is None else _sum(found, power)
        power, times = _sum(power, power), times >> 1
    return found


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Of points that are not each other's opposite."""
    (x, y), (u, v) = one, other
    slope = (3 * x * x - 3) * pow(2 * y, -1, PRIME) if one == other else (v - y) * pow(u - x, -1, PRIME)
    w = (slope * slope - x - u) % PRIME
    return w, (slope * (x - w) - y) % PRIME


@dataclass(frozen=True)
class Seed:
    """What chunk signatures chain on, as `signing.Seed`; signatures are padded, the chain goes on without padding."""

    key: EC = field(repr=False)
    timestamp: str
    scope: str
    signature: str

    def chunk(self, previous: str, data_sha256: str) -> str:
        return self._sign(f"{ALGORITHM}-PAYLOAD", previous, f"{EMPTY_SHA256}\n{data_sha256}")

    def trailer(self, previous: str, canonical: bytes) -> str:
        return self._sign(f"{ALGORITHM}-TRAILER", previous, sha256(canonical))

    def _sign(self, kind: str, previous: str, rest: str) -> str:
        text = f"{kind}\n{self.timestamp}\n{self.scope}\n{previous.rstrip('*')}\n{rest}"
        return self.key.sign(hashlib.sha256(text.encode()).digest()).hex().ljust(PADDED_LENGTH, "*")


def signed(
    method: str,
    target: str,
    headers: Headers,
    credentials: Credentials,
    region_set: str,
    payload: str = signing.UNSIGNED,
    *,
    expires: int | None = None,
    service: str = "s3",
) -> tuple[str, Headers]:
    """Target and headers as the library signs them: by header, or with `expires` in the query."""
    presigned = expires is not None
    request = http.HttpRequest(method, target, http.HttpHeaders(headers))
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS
        if presigned
        else auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        ),
        region=region_set,
        service=service,
        date=datetime.now(UTC),
        use_double_uri_encode=service != "s3",
        should_normalize_uri_path=service != "s3",
        signed_body_value=payload,
        signed_body_header_type=auth.AwsSignedBodyHeaderType.NONE
        if presigned or service != "s3"
        else auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        expiration_in_seconds=expires,
    )
    auth.aws_sign_request(request, config).result(timeout=20)
    return request.path, list(request.headers)


def chunked(gateway: Gateway, target: str, pieces: list[bytes], credentials: Credentials | None = None) -> Upload:
    """A PUT in signed chunks."""
    return _upload(gateway, target, pieces, None, credentials or gateway.credentials)


def chunked_with_trailer(
    gateway: Gateway, target: str, pieces: list[bytes], credentials: Credentials | None = None
) -> Upload:
    """A PUT in signed chunks with a signed CRC32 in the trailer."""
    trailer = ("x-amz-checksum-crc32", signing.crc32(b"".join(pieces)))
    return _upload(gateway, target, pieces, trailer, credentials or gateway.credentials)


def _upload(gateway, target, pieces, trailer, credentials) -> Upload:
    key = key_pair(credentials)
    length = sum(map(len, signing.signed_chunks(Seed(key, "", "", ""), pieces, trailer)))
    headers = [
        ("Host", authority(gateway.endpoint)),
        ("Content-Length", str(length)),
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", str(sum(map(len, pieces)))),
        *([("x-amz-trailer", trailer[0])] if trailer else []),
    ]
    payload = SIGNED_CHUNKS_TRAILER if trailer else SIGNED_CHUNKS
    _, headers = signed("PUT", target, headers, credentials, gateway.region, payload)
    found = {name.lower(): value for name, value in headers}
    timestamp, signature = found["x-amz-date"], found["authorization"].rpartition("Signature=")[2]
    seed = Seed(key, timestamp, f"{timestamp[:8]}/s3/aws4_request", signature)
    made = Upload(gateway, target, headers, signing.signed_chunks(seed, pieces, trailer))
    assert len(made.body) == length
    return made
