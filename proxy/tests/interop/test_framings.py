"""Body framings no Python client sends by itself, and how a body may arrive."""

import os

import pytest

from kit import clients, uploads
from kit.signing import crc32
from kit.uploads import split

FRAMINGS = {
    "plain": lambda gateway, target, body, **options: uploads.plain(gateway, target, body, **options),
    "unsigned": lambda gateway, target, body, **options: uploads.unsigned(gateway, target, body, **options),
    "signed chunks": lambda gateway, target, body, **options: uploads.chunked(gateway, target, split(body), **options),
    "signed chunks and trailer": lambda gateway, target, body, **options: uploads.chunked_with_trailer(
        gateway, target, split(body), **options
    ),
    "unsigned chunks and trailer": lambda gateway, target, body, **options: uploads.unsigned_with_trailer(
        gateway, target, split(body), **options
    ),
}


@pytest.fixture(params=FRAMINGS)
def framing(request):
    return FRAMINGS[request.param]


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 200_000])
def test_every_framing_stores_the_decoded_bytes(dev, credentials, bucket, framing, size):
    body = os.urandom(size)
    answer = framing(dev, f"/{bucket}/object", body, credentials=credentials).send()
    assert answer.status == 200, answer
    dev.backend.assert_stored(bucket, body)
    assert "ContentEncoding" not in clients.s3(dev).head_object(Bucket=bucket, Key="object")


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_body_may_arrive_in_pieces_of_any_size(dev, bucket, framing, step):
    body = os.urandom(20_000 if step > 1 else 700)
    upload = framing(dev, f"/{bucket}/object", body)
    with upload.start() as connection:
        for piece in split(upload.body, step):
            connection.send(piece)
        assert connection.receive("PUT").status == 200
    dev.backend.assert_stored(bucket, body)


def test_a_body_may_arrive_in_http_chunks(dev, bucket, framing):
    """botocore over TLS sends both framings at once: HTTP's outside, AWS's inside."""
    body = os.urandom(50_000)
    upload = framing(dev, f"/{bucket}/object", body, unsigned=("content-length",))
    upload.set("Content-Length", None).set("Transfer-Encoding", "chunked")
    wire = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in split(upload.body, 3000)) + b"0\r\n\r\n"
    with upload.start() as connection:
        connection.send(wire)
        answer = connection.receive("PUT")
    if "x-amz-decoded-content-length" in dict(upload.headers):
        assert answer.status == 200, answer
        dev.backend.assert_stored(bucket, body)
    else:
        # S3 wants to know how long an object will be.
        assert (answer.status, answer.code) == (411, "MissingContentLength")
        dev.backend.assert_stored(bucket, body, copies=0)


def test_a_connection_serves_one_upload_after_the_other(dev, bucket, framing):
    with uploads.Connection(dev.endpoint) as connection:
        for number in range(3):
            body = os.urandom(10_000)
            upload = framing(dev, f"/{bucket}/{number}", body)
            connection.send_head("PUT", upload.target, upload.headers)
            connection.send(upload.body)
            assert connection.receive("PUT").status == 200
            dev.backend.assert_stored(bucket, body)


def test_a_trailing_checksum_is_kept_by_the_backend(dev, bucket):
    body = os.urandom(30_000)
    for key, make in {"signed": uploads.chunked_with_trailer, "unsigned": uploads.unsigned_with_trailer}.items():
        assert make(dev, f"/{bucket}/{key}", split(body)).send().status == 200
        head = clients.s3(dev).head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert head["ChecksumCRC32"] == crc32(body)


def test_the_body_is_asked_for_only_after_the_head_was_verified(dev, bucket, framing):
    body = os.urandom(10_000)
    upload = framing(dev, f"/{bucket}/object", body).set("Expect", "100-continue")
    with upload.start() as connection:
        assert connection.receive("PUT").status == 100
        connection.send(upload.body)
        assert connection.receive("PUT").status == 200
    dev.backend.assert_stored(bucket, body)


def test_the_body_of_a_refused_head_is_never_asked_for(dev, bucket, framing):
    wrong = dev.credentials.with_secret("not the secret")
    upload = framing(dev, f"/{bucket}/object", b"x" * 10_000, credentials=wrong).set("Expect", "100-continue")
    with dev.backend.untouched(), upload.start() as connection:
        answer = connection.receive("PUT")
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
        # What follows would be taken for the body, or for a request: the connection must not be used again.
        assert answer.headers.get("connection", "").lower() == "close"


def test_metadata_of_any_bytes_is_verified_as_sent(dev, bucket):
    """UTF-8 in a header is signed as bytes by many clients; whether it may be stored is for the backend to say."""
    upload = uploads.plain(dev, f"/{bucket}/object", b"x", [("x-amz-meta-name", "grüße  日本")])
    answer = upload.send()
    assert answer.status == 200 or answer.code not in ("SignatureDoesNotMatch", "InternalError"), answer


def test_content_encoding_beside_aws_chunked_stays(dev, bucket):
    upload = uploads.chunked(dev, f"/{bucket}/object", [b"zipped"], unsigned=("content-encoding",))
    assert upload.set("Content-Encoding", "aws-chunked,gzip").send().status == 200
    assert clients.s3(dev).head_object(Bucket=bucket, Key="object")["ContentEncoding"] == "gzip"
