"""`sigward explain`: the verdict of the gateway, on requests from a file."""

import json
from base64 import b64decode
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit import uploads
from kit.credentials import Credentials
from kit.server import REPOSITORY, Gateway, sigward
from kit.signing import Signer

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def published() -> Path | None:
    """Published requests by the hundred, where they lie beside the checkout."""
    beside = (above / "shared" / "vectors" / "verify-cases.json" for above in REPOSITORY.parents)
    return next((path for path in beside if path.exists()), None)


def explain(tmp_path, raw: bytes, credentials: Credentials, *options: str) -> tuple[int, dict]:
    """Exit code and JSON answer; the request comes in on standard input."""
    secret = tmp_path / "secret"
    secret.write_text(credentials.secret_access_key)
    given = ["--access-key-id", credentials.access_key_id, "--secret-access-key-file", str(secret)]
    if credentials.session_token is not None:
        token = tmp_path / "token"
        token.write_text(credentials.session_token)
        given += ["--session-token-file", str(token)]
    done = sigward("explain", *given, *options, "--json", stdin=raw)
    assert done.returncode in (0, 1), done.stderr.decode(errors="replace")
    return done.returncode, json.loads(done.stdout)


def raw_request(method: str, target: bytes, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """As it would stand on the wire; a body that nobody announced gets its length."""
    announced = {name.lower() for name, _ in headers} & {"content-length", "transfer-encoding"}
    length = [("Content-Length", str(len(body)))] if body and not announced else []
    lines = [f"{name}: {value}".encode() for name, value in [*headers, *length]]
    return b"\r\n".join([method.encode() + b" " + target + b" HTTP/1.1", *lines, b"", b""]) + body


def of_upload(upload) -> bytes:
    return raw_request("PUT", upload.target.encode(), upload.headers, upload.body)


@pytest.fixture
def somewhere() -> Gateway:
    """No server: `explain` needs none."""
    return Gateway(None, "http://storage.example:9000", "", "eu-west-1", EXAMPLE)


S3 = ("--region", "eu-west-1", "--service", "s3", "--dialect", "s3")


@pytest.mark.parametrize("make", [uploads.plain, uploads.unsigned], ids=lambda make: make.__name__)
def test_a_good_request_is_ok(tmp_path, somewhere, make):
    assert explain(tmp_path, of_upload(make(somewhere, "/b/a//b/%2F", b"body")), EXAMPLE, *S3) == (0, {"verdict": "ok"})


@pytest.mark.parametrize(
    "make",
    [uploads.chunked, uploads.chunked_with_trailer, uploads.unsigned_with_trailer],
    ids=lambda make: make.__name__,
)
def test_a_good_stream_is_ok_and_a_spoilt_one_is_not(tmp_path, somewhere, make):
    upload = make(somewhere, "/b/key", [b"x" * 9000, b"y" * 10])
    assert explain(tmp_path, of_upload(upload), EXAMPLE, *S3)[0] == 0
    upload.wire[1] = upload.wire[1].replace(b"yyy", b"yyz")
    code, answer = explain(tmp_path, of_upload(upload), EXAMPLE, *S3)
    assert (code, answer["verdict"]) == (1, "rejected")
    assert answer["code"] == ("BadDigest" if make is uploads.unsigned_with_trailer else "SignatureDoesNotMatch")


def test_a_wrong_secret_is_rejected_with_what_was_computed(tmp_path, somewhere):
    raw = of_upload(uploads.plain(somewhere, "/b/key", b"body"))
    code, answer = explain(tmp_path, raw, EXAMPLE.with_secret("not the secret"), *S3)
    assert code == 1
    assert {name: answer[name] for name in ("verdict", "code", "status")} == {
        "verdict": "rejected",
        "code": "SignatureDoesNotMatch",
        "status": 403,
    }
    assert answer["message"]
    text = json.dumps(answer)
    assert "PUT\\n/b/key\\n" in text
    assert "AWS4-HMAC-SHA256\\n" in text


def test_a_corrupted_body_is_rejected(tmp_path, somewhere):
    raw = of_upload(uploads.plain(somewhere, "/b/key", b"body")).replace(b"body", b"bodY")
    code, answer = explain(tmp_path, raw, EXAMPLE, *S3)
    assert (code, answer["code"], answer["status"]) == (1, "XAmzContentSHA256Mismatch", 400)


def test_the_clock_can_be_set(tmp_path):
    old = datetime(2013, 5, 24, tzinfo=UTC)
    host = [("Host", "examplebucket.s3.amazonaws.com"), ("Range", "bytes=0-9")]
    headers, _ = Signer(EXAMPLE, "us-east-1", when=old).headers("GET", "/test.txt", "", host)
    raw = raw_request("GET", b"/test.txt", headers, b"")
    options = ("--region", "us-east-1", "--service", "s3", "--dialect", "s3")
    assert explain(tmp_path, raw, EXAMPLE, *options, "--now", "2013-05-24T00:10:00Z")[0] == 0
    assert (
        explain(tmp_path, raw, EXAMPLE, *options, "--now", "2013-05-24T00:16:00Z")[1]["code"] == "RequestTimeTooSkewed"
    )


def test_a_session_is_judged_by_its_token_and_its_end(tmp_path, somewhere):
    session = EXAMPLE.with_token("the/token+of==a/session")
    raw = of_upload(uploads.plain(somewhere, "/b/key", b"body", credentials=session))
    assert explain(tmp_path, raw, session, *S3)[0] == 0
    assert explain(tmp_path, raw, session, *S3, "--session-expires", "2999-01-01T00:00:00Z")[0] == 0
    assert (
        explain(tmp_path, raw, session, *S3, "--session-expires", "2020-01-01T00:00:00Z")[1]["code"] == "ExpiredToken"
    )
    assert explain(tmp_path, raw, session.with_token("another"), *S3)[1]["code"] == "InvalidToken"
    assert explain(tmp_path, raw, EXAMPLE, *S3)[1]["code"] == "InvalidToken"


def test_only_the_credential_given_is_known(tmp_path, somewhere):
    raw = of_upload(uploads.plain(somewhere, "/b/key", b"body"))
    other = Credentials("AKIAOTHER", EXAMPLE.secret_access_key)
    assert explain(tmp_path, raw, other, *S3)[1]["code"] == "InvalidAccessKeyId"


def test_repeated_headers_and_bytes_beyond_ascii_are_read_as_they_are(tmp_path, somewhere):
    extra = [("x-amz-meta-name", "grüße"), ("X-Amz-Meta-List", "b"), ("x-amz-meta-list", "a")]
    raw = of_upload(uploads.plain(somewhere, "/b/%C3%BC/..//%41", b"body", extra))
    assert explain(tmp_path, raw, EXAMPLE, *S3)[0] == 0
    swapped = raw.replace(b"X-Amz-Meta-List: b\r\nx-amz-meta-list: a", b"X-Amz-Meta-List: a\r\nx-amz-meta-list: b")
    assert swapped != raw
    assert explain(tmp_path, swapped, EXAMPLE, *S3)[1]["code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "raw", [b"", b"GET", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\nHost", b"\xff" * 100, b"GET  HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_request_is_an_error_and_no_crash(tmp_path, raw):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    done = sigward("explain", "--access-key-id", "a", "--secret-access-key-file", str(secret), *S3, "--json", stdin=raw)
    assert 0 < done.returncode < 100
    assert b"panicked" not in done.stderr


def outcome(tmp_path, row: dict) -> str:
    """`ok` or the code."""
    raw = raw_request(row["method"], row["uri"].encode(), row["headers"], b64decode(row["body_base64"]))
    credentials = Credentials(row["access_key"], row["secret_key"], row["session_token"])
    options = ["--region", row["region"], "--service", row["service"], "--dialect", row["mode"], "--now", row["now"]]
    if "session_expires" in row:
        options += ["--session-expires", row["session_expires"]]
    _, answer = explain(tmp_path, raw, credentials, *options)
    return "ok" if answer["verdict"] == "ok" else answer["code"]


def kind(row: dict) -> str:
    text = json.dumps([row["uri"], row["headers"]])
    return "form" if "multipart/form-data" in text else "head"


@pytest.mark.skipif(published() is None, reason="no published vectors beside the checkout")
def test_published_requests_get_their_published_verdicts(tmp_path, capsys):
    rows = [row for row in json.loads(published().read_text()) if row.get("level") != "unit"]
    right, wrong, not_yet = Counter(), [], Counter()
    for row in rows:
        got = outcome(tmp_path, row)
        if kind(row) != "head":
            not_yet[f"{kind(row)} {'accepted' if got == 'ok' else 'refused'}"] += 1
        elif got == row["expect"] or got in row.get("also_accept", []):
            right[row["mode"]] += 1
        else:
            wrong.append(f"{row['id']}: {got}, not {row['expect']}")
    with capsys.disabled():
        print(f"\nexplain: {len(rows)} published requests: right {dict(right)}, wrong {len(wrong)}, ", end="")
        print(f"not offered {dict(not_yet)}")
    assert not wrong, "\n".join(wrong)
    accepted = [name for name in not_yet if name.endswith("accepted")]
    assert not accepted, "what is not offered was accepted"
