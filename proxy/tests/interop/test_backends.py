"""What the backend is sent under each of `backend.auth`, as it stands on the wire."""

import json
import os
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from kit import asymmetric, clients, events, signing, uploads
from kit.credentials import Credentials
from kit.server import Gateway, resigned_for, start_serve
from kit.signing import Signer
from kit.sink import recorded
from kit.uploads import split
from kit.wire import authority, exchange

BACKEND = Credentials("AKIATHEBACKENDSOWN01", "secret/of+the/backend")
BACKEND_REGION = "backend-region-1"

# Of the connection, not of the message (RFC 9110, 7.6.1).
HOP_BY_HOP = [
    ("Connection", "keep-alive, X-Nominated"),
    ("X-Nominated", "for the next hop only"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authorization", "Basic Zm9v"),
    ("Proxy-Connection", "keep-alive"),
    ("TE", "trailers"),
    ("Expect", "100-continue"),
]


def received(sink) -> dict:
    """The one request that arrived; no header came twice."""
    (entry,) = recorded(sink)
    assert entry["complete"]
    twice = [name for name, values in entry["headers"].items() if len(values) > 1]
    assert not twice, entry["headers"]
    return {**entry, "headers": {name: value for name, (value,) in entry["headers"].items()}}


@pytest.fixture
def identity(tmp_path, sink):
    """A gateway whose backend believes its headers."""
    gateway = start_serve(tmp_path / "serve", sink.endpoint, {"auth": "identity"})
    yield gateway
    gateway.process.stop()


@pytest.fixture
def resign(tmp_path, sink):
    """A gateway that signs with the backend's own credentials."""
    backend = Gateway(sink, sink.endpoint, "", BACKEND_REGION, BACKEND)
    gateway = start_serve(tmp_path / "serve", sink.endpoint, resigned_for(backend, tmp_path))
    yield gateway
    gateway.process.stop()


@pytest.fixture
def untouched(tmp_path, sink):
    """A gateway that sends on what it has verified as it came."""
    gateway = start_serve(tmp_path / "serve", sink.endpoint, {"auth": "passthrough"})
    yield gateway
    gateway.process.stop()


@pytest.fixture
def passthrough(tmp_path, dev):
    """A gateway in front of a gateway that knows the same long-term key: the second one verifies what the first
    one sends on."""
    back = start_serve(tmp_path / "back", dev.endpoint, resigned_for(dev, tmp_path))
    front = start_serve(tmp_path / "front", back.endpoint, {"auth": "passthrough"})
    assert (front.credentials, front.region) == (back.credentials, back.region)
    front.backend = dev.backend
    yield front, back
    for gateway in (front, back):
        gateway.process.stop()


def test_the_backend_is_told_who_asks_and_nothing_secret(identity, sink):
    session = events.issue(identity)
    upload = uploads.chunked(identity, "/bucket/a//b/../%2F", [b"content"], credentials=session)
    assert upload.send().status == 200
    entry = received(sink)
    headers = entry["headers"]
    assert (entry["target"], entry["body"]) == ("/bucket/a//b/../%2F", "content")
    assert headers.pop("x-sigward-session-expires").endswith("Z")
    assert {name: value for name, value in headers.items() if name.startswith("x-sigward-")} == {
        "x-sigward-access-key-id": session.access_key_id,
        "x-sigward-account": events.ACCOUNT,
        "x-sigward-principal-arn": f"arn:aws:sts::{events.ACCOUNT}:assumed-role/reader/interop",
        "x-sigward-user-id": "AROAINTEROPROLE000001:interop",
        "x-sigward-session-name": "interop",
        "x-sigward-session-tags": "team=storage",
    }
    assert headers["content-length"] == str(len(b"content"))
    assert headers["host"] == authority(sink.endpoint)
    for name in ("authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256", "content-encoding"):
        assert name not in headers
    for secret in (session.secret_access_key, session.session_token, upload.seed.signature):
        assert secret not in json.dumps(entry)


def test_a_long_term_key_has_no_session_to_tell_of(identity, sink):
    assert uploads.plain(identity, "/bucket/key", b"content").send().status == 200
    told = {name for name in received(sink)["headers"] if name.startswith("x-sigward-")}
    assert told == {f"x-sigward-{what}" for what in ("access-key-id", "account", "principal-arn", "user-id")}


def test_a_presigned_query_does_not_reach_the_backend(identity, sink):
    session = events.issue(identity)
    host = [("Host", authority(identity.endpoint))]
    query = Signer(session, identity.region).presign("GET", "/bucket/0", "a=%2f&versionId&b=x+y", host, 60)
    assert exchange(identity.endpoint, "GET", f"/bucket/0?{query}", host).status == 200
    entry = received(sink)
    assert entry["target"] == "/bucket/0?a=%2f&versionId&b=x+y"
    assert entry["headers"]["x-sigward-access-key-id"] == session.access_key_id


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("spell", [str.lower, str.title, lambda name: name.replace("-", "_")], ids=range(3))
def test_a_client_cannot_claim_an_identity(identity, sink, spell, signed):
    claims = [
        (spell(f"x-sigward-{what}"), "arn:aws:iam::999999999999:root")
        for what in ("principal-arn", "account", "user-id", "session-name", "session-tags", "of-a-later-version")
    ]
    host = [("Host", authority(identity.endpoint))]
    headers, _ = Signer(identity.credentials, identity.region).headers(
        "GET", "/bucket/0", "", [*host, *(claims if signed else [])]
    )
    answer = exchange(identity.endpoint, "GET", "/bucket/0", headers if signed else [*headers, *claims])
    assert answer.status == 200
    told = received(sink)["headers"]
    assert "999999999999" not in json.dumps(told)
    assert {name for name in told if "sigward" in name} == {
        f"x-sigward-{what}" for what in ("access-key-id", "account", "principal-arn", "user-id")
    }


@pytest.mark.parametrize("auth", ["identity", "resign", "untouched"])
def test_a_spoilt_body_reaches_the_backend_unfinished(request, auth, sink):
    gateway = request.getfixturevalue(auth)
    for make in (uploads.plain, uploads.chunked):
        body = b"x" * 50_000
        upload = make(gateway, "/bucket/object", body if make is uploads.plain else split(body))
        at = -1 if make is uploads.plain else -3
        upload.wire[at] = upload.wire[at].replace(b"xx", b"xy", 1)
        assert upload.send().status in (400, 403)
    # Either nothing was sent on, or it was cut off.
    assert [entry for entry in recorded(sink) if entry["complete"]] == []


def verified_by_the_backend(entry: dict, sink) -> None:
    """Recomputes the signature the backend was sent, with its own credentials."""
    headers = dict(entry["headers"])
    authorization, date = headers.pop("authorization"), headers.pop("x-amz-date")
    payload = headers.pop("x-amz-content-sha256")
    named = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert headers["host"] == authority(sink.endpoint)
    assert {name for name in headers if name == "host" or name.startswith("x-amz-")} <= set(named)
    given = [(name, value) for name, value in headers.items() if name in named]
    when = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    path, _, query = quote(entry["target"].encode("latin-1"), safe="/%?&=").partition("?")
    signed, _ = Signer(BACKEND, BACKEND_REGION, when=when).headers(entry["method"], path, query, given, payload)
    # White space after the commas is for each signer to choose.
    assert dict(signed)["Authorization"].replace(", ", ",") == authorization.replace(", ", ",")


BODY = os.urandom(20_000)
CRC32 = signing.crc32(BODY)
PLAIN = {"content-encoding": None, "x-amz-trailer": None, "x-amz-decoded-content-length": None}

# What the client sends, and what is said about it to the backend.
REFRAMED = {
    "the declared hash is kept": (
        lambda gateway, **more: uploads.plain(gateway, "/bucket/key", BODY, **more),
        {**PLAIN, "content-length": "20000", "x-amz-content-sha256": signing.sha256(BODY)},
    ),
    "an unsigned body stays unsigned": (
        lambda gateway, **more: uploads.unsigned(gateway, "/bucket/key", BODY, **more),
        {**PLAIN, "content-length": "20000", "x-amz-content-sha256": signing.UNSIGNED},
    ),
    "nothing has a length of 0": (
        lambda gateway, **more: uploads.plain(gateway, "/bucket/key", b"", **more),
        {**PLAIN, "content-length": "0", "x-amz-content-sha256": signing.EMPTY_SHA256},
    ),
    "no chunks hold nothing": (
        lambda gateway, **more: uploads.chunked(gateway, "/bucket/key", [], **more),
        {**PLAIN, "content-length": "0"},
    ),
    "signed chunks are decoded": (
        lambda gateway, **more: uploads.chunked(gateway, "/bucket/key", split(BODY), **more),
        {**PLAIN, "content-length": "20000", "x-amz-content-sha256": signing.UNSIGNED},
    ),
    "a signed trailing checksum survives": (
        lambda gateway, **more: uploads.chunked_with_trailer(gateway, "/bucket/key", split(BODY), **more),
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-content-sha256": signing.UNSIGNED_CHUNKS_TRAILER},
    ),
    "a trailing checksum survives": (
        lambda gateway, **more: uploads.unsigned_with_trailer(gateway, "/bucket/key", split(BODY), **more),
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-content-sha256": signing.UNSIGNED_CHUNKS_TRAILER},
    ),
}


def content(entry: dict) -> bytes:
    """The body without its framing, after the framing was checked."""
    wire = entry["body"].encode("latin-1")
    if entry["headers"]["x-amz-content-sha256"] != signing.UNSIGNED_CHUNKS_TRAILER:
        return wire
    assert entry["headers"]["content-encoding"] == "aws-chunked"
    data = b""
    while True:
        line, _, wire = wire.partition(b"\r\n")
        if (size := int(line, 16)) == 0:
            break
        data, end, wire = data + wire[:size], wire[size : size + 2], wire[size + 2 :]
        assert end == b"\r\n"
    assert wire == f"x-amz-checksum-crc32:{CRC32}\r\n\r\n".encode()
    assert entry["headers"]["x-amz-decoded-content-length"] == str(len(data))
    return data


@pytest.mark.parametrize(
    ("name", "in_http_chunks"),
    [(name, False) for name in REFRAMED] + [(name, True) for name in REFRAMED if "chunks" in name or "trail" in name],
)
def test_a_body_is_framed_anew_for_the_backend(resign, sink, name, in_http_chunks):
    make, said = REFRAMED[name]
    upload = make(resign, unsigned=("content-length",), credentials=clients.session(resign))
    if in_http_chunks:
        upload.set("Content-Length", None).set("Transfer-Encoding", "chunked")
        upload.wire = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in upload.wire] + [b"0\r\n\r\n"]
    assert upload.send().status == 200
    entry = received(sink)
    headers = entry["headers"]
    assert {name: headers.get(name) for name in said} == said
    assert headers["content-length"] == str(entry["length"])
    assert "transfer-encoding" not in headers
    assert content(entry) == (b"" if "noth" in name else BODY)
    verified_by_the_backend(entry, sink)


def test_the_client_s_credentials_do_not_reach_the_backend(resign, sink):
    session = clients.session(resign)
    upload = uploads.plain(resign, "/bucket/a%20b/ü", BODY, [("x-amz-meta-a", "b  c")], credentials=session)
    upload.headers += [*HOP_BY_HOP[:-1], ("X-Forwarded-For", "203.0.113.1"), ("Content-Type", "text/plain")]
    assert upload.send().status == 200
    entry = received(sink)
    text = json.dumps(entry)
    for of_the_client in (session.access_key_id, session.session_token, upload.seed.signature, "203.0.113.1"):
        assert of_the_client not in text
    headers = entry["headers"]
    assert headers["content-type"] == "text/plain"
    assert headers["x-amz-meta-a"] == "b  c"
    assert f"Credential={BACKEND.access_key_id}/" in headers["authorization"]
    verified_by_the_backend(entry, sink)


def test_headers_of_the_connection_end_at_the_gateway(resign, sink):
    upload = uploads.plain(resign, "/bucket/key", BODY)
    upload.headers += HOP_BY_HOP
    with upload.start() as connection:
        assert connection.receive("PUT").status == 100
        connection.send(upload.body)
        assert connection.receive("PUT").status == 200
    names = set(received(sink)["headers"])
    assert not names & {name.lower() for name, _ in HOP_BY_HOP}, names


def test_a_header_with_a_meaning_cannot_be_nominated_away(resign, sink):
    """`Connection: x-amz-copy-source` would make another request of the one that was signed."""
    named = [("x-amz-copy-source", "/bucket/other"), ("x-signed", "value"), ("Range", "bytes=0-1")]
    host = [("Host", authority(resign.endpoint))]
    headers, _ = Signer(resign.credentials, resign.region).headers("PUT", "/bucket/0", "", [*host, *named])
    headers += [("Content-Length", "0"), ("Connection", "x-amz-copy-source, X-Signed, range, host")]
    assert exchange(resign.endpoint, "PUT", "/bucket/0", headers).status == 200
    arrived = received(sink)["headers"]
    assert {name.lower(): value for name, value in named}.items() <= arrived.items()


def test_a_presigned_request_is_signed_anew(resign, sink):
    session = clients.session(resign)
    host = [("Host", authority(resign.endpoint))]
    query = Signer(session, resign.region).presign("PUT", "/bucket/key", "partNumber=1&uploadId=a%2Bb", host, 60)
    headers = [*host, ("Content-Length", str(len(BODY)))]
    assert exchange(resign.endpoint, "PUT", f"/bucket/key?{query}", headers, BODY).status == 200
    entry = received(sink)
    assert entry["target"] == "/bucket/key?partNumber=1&uploadId=a%2Bb"
    assert entry["body"].encode("latin-1") == BODY
    verified_by_the_backend(entry, sink)


def test_a_virtual_hosted_bucket_becomes_a_path(resign, sink):
    host = [("Host", f"some-bucket.localhost:{authority(resign.endpoint).rpartition(':')[2]}")]
    for target, path in {"/": "/some-bucket", "/a//b": "/some-bucket/a//b"}.items():
        headers, _ = Signer(resign.credentials, resign.region).headers("DELETE", target, "", host)
        assert exchange(resign.endpoint, "DELETE", target, headers).status == 200
        assert recorded(sink)[-1]["target"].rstrip("/") == path


def test_a_request_goes_through_untouched(untouched, sink):
    extra = [("x-amz-meta-a", "b"), ("X-Forwarded-For", "203.0.113.1")]
    upload = uploads.chunked_with_trailer(untouched, "/bucket/a//b/%2f", split(BODY), extra)
    upload.headers += [*HOP_BY_HOP[:-1], ("X-Sigward-Account", "999999999999")]
    assert upload.send().status == 200
    entry = received(sink)
    assert (entry["method"], entry["target"]) == ("PUT", "/bucket/a//b/%2f")
    assert entry["body"].encode("latin-1") == upload.body
    dropped = {name.lower() for name, _ in HOP_BY_HOP} | {"x-sigward-account"}
    sent = {name.lower(): value for name, value in upload.headers if name.lower() not in dropped}
    assert entry["headers"] == sent


def test_the_query_of_a_presigned_request_goes_through_untouched(untouched, sink):
    host = [("Host", authority(untouched.endpoint))]
    query = Signer(untouched.credentials, untouched.region).presign("GET", "/bucket/0", "a=%2f&b", host, 60)
    assert exchange(untouched.endpoint, "GET", f"/bucket/0?{query}", host).status == 200
    assert received(sink)["target"] == f"/bucket/0?{query}"


@pytest.mark.parametrize(
    "make",
    [
        uploads.plain,
        uploads.unsigned,
        uploads.chunked,
        uploads.chunked_with_trailer,
        uploads.unsigned_with_trailer,
        asymmetric.chunked,
        asymmetric.chunked_with_trailer,
    ],
)
def test_a_backend_verifies_what_goes_through(passthrough, bucket, make):
    front, _ = passthrough
    body = os.urandom(30_000)
    upload = make(front, f"/{bucket}/a//b", body if make in (uploads.plain, uploads.unsigned) else split(body))
    assert upload.send().status == 200
    front.backend.assert_stored(bucket, body)


def test_a_backend_signed_anew_for_sees_nothing_of_sigv4a(resign, sink):
    upload = asymmetric.chunked_with_trailer(resign, "/bucket/object", split(BODY))
    assert upload.send().status == 200
    headers = received(sink)["headers"]
    assert "x-amz-region-set" not in headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert headers["x-amz-trailer"] == "x-amz-checksum-crc32"


def test_a_client_works_through_two_gateways(passthrough, bucket):
    front, _ = passthrough
    s3, body = clients.s3(front), os.urandom(100_000)
    s3.put_object(Bucket=bucket, Key="a b/ü+", Body=body)
    front.backend.assert_stored(bucket, body)
    assert s3.get_object(Bucket=bucket, Key="a b/ü+")["Body"].read() == body
    # A session that only the first gateway knows is no more to the second than to anybody else.
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        clients.s3(front, clients.session(front)).list_buckets()
