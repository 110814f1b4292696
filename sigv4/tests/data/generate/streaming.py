"""Bodies in signed chunks. No AWS client for Python sends them: heads are signed by aws-c-auth, chunks over the text
that AWS documents, by the kit of the interop suite, which is held to AWS's published examples."""

import base64
import hashlib
import hmac
import sys
from pathlib import Path

from awscrt import checksums

sys.path.insert(0, str(Path(__file__).parents[4] / "proxy/tests/interop"))

from kit import asymmetric, signing  # noqa: E402
from kit.credentials import Credentials  # noqa: E402

from . import crt  # noqa: E402
from .rows import BASIC, LONG_TERM, REGION, SESSION, Row  # noqa: E402

CHUNK = 8192

CHECKSUMS = {
    "crc32": lambda data: checksums.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "crc64nvme": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum(algorithm: str, data: bytes) -> str:
    return base64.b64encode(CHECKSUMS[algorithm](data)).decode()


def upload(kind: str, pieces: list[bytes], algorithm: str | None = None, credential=LONG_TERM, change=None) -> Row:
    """`kind` is `sigv4` or `sigv4a`. `change` alters the pieces of the wire after they were signed."""
    content, asym = b"".join(pieces), kind == "sigv4a"
    trailer = (f"x-amz-checksum-{algorithm}", checksum(algorithm, content)) if algorithm else None
    words = asymmetric if asym else signing
    payload = words.SIGNED_CHUNKS_TRAILER if trailer else words.SIGNED_CHUNKS
    headers = [crt.HOST, ("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(content)))]
    headers += [("x-amz-trailer", trailer[0])] if trailer else []
    target, headers = crt.signed("PUT", "/bucket/k", headers, credential, payload, asymmetric=asym, region="*" if asym else REGION)
    signature = dict(headers)["Authorization"].rpartition("Signature=")[2]
    if asym:
        key = asymmetric.key_pair(Credentials(credential.access_key_id, credential.secret))
        seed = asymmetric.Seed(key, BASIC, f"{BASIC[:8]}/s3/aws4_request", signature)
    else:
        scope = f"{BASIC[:8]}/{REGION}/s3/aws4_request"
        key = f"AWS4{credential.secret}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        seed = signing.Seed(key, BASIC, scope, signature)
    wire = signing.signed_chunks(seed, pieces, trailer)
    if change:
        change(wire)
    name = f"awscrt {kind} chunks {'+'.join(str(len(piece)) for piece in pieces)} {algorithm or 'no trailer'}"
    return Row(name, "awscrt", "PUT", target, headers, b"".join(wire), credential, content=content)


def accepted():
    for kind in ("sigv4", "sigv4a"):
        for sizes in ([], [5], [CHUNK], [CHUNK, 100]):
            pieces = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
            for algorithm in (None, *CHECKSUMS):
                yield upload(kind, pieces, algorithm, SESSION if algorithm == "sha1" else LONG_TERM)


def refused():
    """What was signed is right; what arrives is not."""
    pieces = [b"A" * CHUNK, b"B" * CHUNK, b"C" * 100]

    def swap(wire):
        wire[0], wire[1] = wire[1], wire[0]

    def flip(wire):
        wire[1] = wire[1].replace(b"B", b"b", 1)

    def drop(wire):
        del wire[1]

    def repeat(wire):
        wire.insert(1, wire[0])

    def cut(wire):
        del wire[3:]

    def resign(wire):
        wire[1] = wire[1].replace(b"chunk-signature=", b"chunk-signature=0", 1)

    def unsigned(wire):
        line, _, rest = wire[1].partition(b"\r\n")
        wire[1] = line.partition(b";")[0] + b"\r\n" + rest

    def no_crlf(wire):
        wire[1] = wire[1][:-2]

    def size(wire):
        wire[0] = wire[0].replace(b"2000;", b"zz;", 1)

    def huge(wire):
        wire[0] = wire[0].replace(b"2000;", b"ffffffffffffffff;", 1)

    def long_line(wire):
        wire[0] = b"0" * 1100 + wire[0]

    def early_end(wire):
        del wire[1:3]

    def checksum_value(wire):
        wire[-1] = wire[-1].replace(b":", b":A", 1)

    def no_trailer(wire):
        wire[-1] = b"\r\n"

    def no_trailer_signature(wire):
        wire[-1] = wire[-1].partition(b"x-amz-trailer-signature")[0] + b"\r\n"

    def other_trailer(wire):
        wire[-1] = b"x-amz-meta-a:b\r\n" + wire[-1]

    def no_colon(wire):
        wire[-1] = b"nothing\r\n" + wire[-1]

    plain = {
        "chunks swapped": (swap, "SignatureMismatch"),
        "a byte changed": (flip, "SignatureMismatch"),
        "a chunk dropped": (drop, "SignatureMismatch"),
        "a chunk repeated": (repeat, "SignatureMismatch"),
        "the end cut off": (cut, "Truncated"),
        "the end brought forward": (early_end, "SignatureMismatch"),
        "another signature": (resign, "SignatureMismatch"),
        "a chunk without signature": (unsigned, "MissingChunkSignature"),
        "no line end after the data": (no_crlf, "MissingChunkEnd"),
        "a size that is none": (size, "MalformedChunkHeader"),
        "a size beyond the announced": (huge, "LengthMismatch"),
        "a line without end": (long_line, "ChunkHeaderTooLong"),
    }
    trailing = {
        "another checksum": (checksum_value, "SignatureMismatch"),
        "no trailer": (no_trailer, "MissingTrailerSignature"),
        "no trailer signature": (no_trailer_signature, "MissingTrailerSignature"),
        "a trailer not announced": (other_trailer, "UnannouncedTrailer"),
        "a trailer without colon": (no_colon, "MalformedTrailer"),
    }
    for kind in ("sigv4", "sigv4a"):
        for what, (change, expect) in plain.items():
            yield upload(kind, pieces, change=change).spoilt(what, expect, content=None)
        for what, (change, expect) in trailing.items():
            yield upload(kind, pieces, "crc32", change=change).spoilt(what, expect, content=None)
        small = upload(kind, [b"A" * 100, b"B" * 100])
        yield small.spoilt("a small chunk that is not the last", "ChunkTooSmall", content=None)
        good = upload(kind, pieces, "crc32c")
        yield good.spoilt("without its decoded length", "SignatureMismatch").with_header("x-amz-decoded-content-length", None)
        yield good.spoilt("with another decoded length", "SignatureMismatch").with_header("x-amz-decoded-content-length", "1")
        yield good.spoilt("another trailer announced", "SignatureMismatch").with_header("x-amz-trailer", "x-amz-checksum-sha1")


def rows():
    yield from accepted()
    yield from refused()
