"""Bodies that are not what was signed: the exact answer, and a backend that never shows the object."""

import os

import pytest
from botocore.exceptions import ClientError

from kit import clients, signing, uploads
from kit.uploads import split
from kit.wire import authority

BODY = os.urandom(40_000)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def spoilt(upload, index: int, change) -> "uploads.Upload":
    """The upload with one piece of its wire changed; `Content-Length` follows, as it is not signed here."""
    upload.wire[index] = change(upload.wire[index])
    return upload.set("Content-Length", str(len(upload.body)))


def make(kind, dev, bucket, *arguments):
    return kind(dev, f"/{bucket}/object", *arguments, unsigned=("content-length",))


def corrupted_body(dev, bucket):
    return spoilt(make(uploads.plain, dev, bucket, BODY), 0, lambda wire: flipped(wire, 20_000))


def corrupted_last_byte(dev, bucket):
    return spoilt(make(uploads.plain, dev, bucket, BODY), 0, lambda wire: flipped(wire, len(wire) - 1))


def truncated_body(dev, bucket):
    return spoilt(make(uploads.plain, dev, bucket, BODY), 0, lambda wire: wire[:-1])


def longer_body(dev, bucket):
    return spoilt(make(uploads.plain, dev, bucket, BODY), 0, lambda wire: wire + b"!")


def no_body_but_a_hash(dev, bucket):
    return uploads.upload(dev, f"/{bucket}/object", [b""], signing.sha256(b"something"))


def a_body_but_the_hash_of_none(dev, bucket):
    return uploads.upload(dev, f"/{bucket}/object", [BODY], signing.EMPTY_SHA256)


def malformed_content_md5(dev, bucket):
    return uploads.plain(dev, f"/{bucket}/object", BODY, [("Content-MD5", "not base64")])


def wrong_checksum_header(dev, bucket):
    return uploads.unsigned(dev, f"/{bucket}/object", BODY, [("x-amz-checksum-crc32", signing.crc32(b"other"))])


def wrong_chunk_signature(dev, bucket):
    def change(wire):
        at = wire.index(b"chunk-signature=") + 20
        return wire[:at] + (b"0" if wire[at : at + 1] != b"0" else b"1") + wire[at + 1 :]

    return spoilt(make(uploads.chunked, dev, bucket, split(BODY)), 2, change)


def wrong_terminal_chunk_signature(dev, bucket):
    return spoilt(make(uploads.chunked, dev, bucket, split(BODY)), -2, lambda wire: wire[:-66] + b"0" * 64 + b"\r\n")


def corrupted_chunk(dev, bucket):
    return spoilt(make(uploads.chunked, dev, bucket, split(BODY)), 1, lambda wire: flipped(wire, 4000))


def swapped_chunks(dev, bucket):
    upload = make(uploads.chunked, dev, bucket, split(BODY))
    upload.wire[0], upload.wire[1] = upload.wire[1], upload.wire[0]
    return upload


def left_out_chunk(dev, bucket):
    return spoilt(make(uploads.chunked, dev, bucket, split(BODY)), 1, lambda _: b"")


def unsigned_chunk(dev, bucket):
    return spoilt(
        make(uploads.chunked, dev, bucket, split(BODY)), 1, lambda wire: b"2000\r\n" + wire.split(b"\r\n", 1)[1]
    )


def small_chunk(dev, bucket):
    return make(uploads.chunked, dev, bucket, [BODY[:8191], BODY[8191:]])


def missing_terminal_chunk(dev, bucket):
    upload = make(uploads.chunked, dev, bucket, split(BODY))
    upload.wire[-2:] = []
    return upload.set("Content-Length", str(len(upload.body)))


def missing_terminal_chunk_of_unsigned_chunks(dev, bucket):
    upload = make(uploads.unsigned_with_trailer, dev, bucket, split(BODY))
    upload.wire[-2:] = []
    return upload.set("Content-Length", str(len(upload.body)))


def early_terminal_chunk(dev, bucket):
    """The chain is right, but the end came before the declared length."""
    upload = make(uploads.chunked, dev, bucket, split(BODY))
    shorter = signing.signed_chunks(upload.seed, split(BODY)[:-1])
    upload.wire = shorter
    return upload.set("Content-Length", str(len(upload.body)))


def data_after_the_terminal_chunk(dev, bucket):
    """Every byte that was announced has come: what follows the end stands where trailers stand."""
    upload = make(uploads.chunked, dev, bucket, split(BODY))
    more = signing.signed_chunks(upload.seed, [*split(BODY), b"more"])
    upload.wire = [*upload.wire[:-1], *more[-3:]]
    return upload.set("Content-Length", str(len(upload.body)))


def no_decoded_length(dev, bucket):
    upload = uploads.chunked(dev, f"/{bucket}/object", split(BODY), unsigned=("x-amz-decoded-content-length",))
    return upload.set("x-amz-decoded-content-length", None)


def not_chunked_at_all(dev, bucket):
    headers = [("x-amz-decoded-content-length", str(len(BODY)))]
    return uploads.upload(dev, f"/{bucket}/object", [BODY], signing.SIGNED_CHUNKS, headers)


def wrong_signed_trailer(dev, bucket):
    """The value was changed in flight: its signature no longer holds."""
    value = signing.crc32(b"other").encode()
    return spoilt(
        make(uploads.chunked_with_trailer, dev, bucket, split(BODY)), -1, lambda wire: wire[:21] + value + wire[29:]
    )


def wrong_trailer_signature(dev, bucket):
    return spoilt(
        make(uploads.chunked_with_trailer, dev, bucket, split(BODY)),
        -1,
        lambda wire: wire[:-68] + b"0" * 64 + b"\r\n\r\n",
    )


def missing_trailer_signature(dev, bucket):
    return spoilt(
        make(uploads.chunked_with_trailer, dev, bucket, split(BODY)),
        -1,
        lambda wire: wire.split(b"\r\n")[0] + b"\r\n\r\n",
    )


def wrong_trailing_checksum_well_signed(dev, bucket):
    upload = make(uploads.chunked_with_trailer, dev, bucket, split(BODY))
    upload.wire = signing.signed_chunks(upload.seed, split(BODY), ("x-amz-checksum-crc32", signing.crc32(b"other")))
    return upload


def wrong_trailing_checksum(dev, bucket):
    value = signing.crc32(b"other").encode()
    return spoilt(
        make(uploads.unsigned_with_trailer, dev, bucket, split(BODY)), -1, lambda wire: wire[:21] + value + wire[29:]
    )


def corrupted_unsigned_chunk(dev, bucket):
    return spoilt(make(uploads.unsigned_with_trailer, dev, bucket, split(BODY)), 1, lambda wire: flipped(wire, 4000))


def trailing_checksum_never_sent(dev, bucket):
    return spoilt(make(uploads.unsigned_with_trailer, dev, bucket, split(BODY)), -1, lambda _: b"\r\n")


def trailer_not_announced(dev, bucket):
    upload = uploads.unsigned_with_trailer(
        dev, f"/{bucket}/object", split(BODY), unsigned=("content-length", "x-amz-trailer")
    )
    return upload.set("x-amz-trailer", None)


REFUSED = {
    corrupted_body: (400, "XAmzContentSHA256Mismatch"),
    corrupted_last_byte: (400, "XAmzContentSHA256Mismatch"),
    truncated_body: (400, "XAmzContentSHA256Mismatch"),
    longer_body: (400, "XAmzContentSHA256Mismatch"),
    no_body_but_a_hash: (400, "XAmzContentSHA256Mismatch"),
    a_body_but_the_hash_of_none: (400, "XAmzContentSHA256Mismatch"),
    malformed_content_md5: (400, "InvalidDigest"),
    wrong_checksum_header: (400, "BadDigest"),
    wrong_chunk_signature: (403, "SignatureDoesNotMatch"),
    wrong_terminal_chunk_signature: (403, "SignatureDoesNotMatch"),
    corrupted_chunk: (403, "SignatureDoesNotMatch"),
    swapped_chunks: (403, "SignatureDoesNotMatch"),
    left_out_chunk: (403, "SignatureDoesNotMatch"),
    unsigned_chunk: (400, "IncompleteBody"),
    small_chunk: (403, "InvalidChunkSizeError"),
    missing_terminal_chunk: (400, "IncompleteBody"),
    missing_terminal_chunk_of_unsigned_chunks: (400, "IncompleteBody"),
    early_terminal_chunk: (400, "IncompleteBody"),
    data_after_the_terminal_chunk: (400, "MalformedTrailerError"),
    no_decoded_length: (411, "MissingContentLength"),
    not_chunked_at_all: (400, "IncompleteBody"),
    wrong_signed_trailer: (403, "SignatureDoesNotMatch"),
    wrong_trailer_signature: (403, "SignatureDoesNotMatch"),
    missing_trailer_signature: (400, "IncompleteBody"),
    wrong_trailing_checksum_well_signed: (400, "BadDigest"),
    wrong_trailing_checksum: (400, "BadDigest"),
    corrupted_unsigned_chunk: (400, "BadDigest"),
    trailing_checksum_never_sent: (400, "MalformedTrailerError"),
    trailer_not_announced: (400, "MalformedTrailerError"),
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_body_is_refused_and_never_stored(dev, bucket, spoil):
    upload = spoil(dev, bucket)
    with dev.backend.untouched():
        answer = upload.send()
        assert (answer.status, answer.code) == REFUSED[spoil], answer
        assert clients.s3(dev).list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    "spoil", [corrupted_body, corrupted_chunk, corrupted_unsigned_chunk], ids=lambda spoil: spoil.__name__
)
def test_a_spoilt_body_leaves_the_object_it_would_have_replaced(dev, bucket, spoil):
    clients.s3(dev).put_object(Bucket=bucket, Key="object", Body=b"the old content")
    with dev.backend.untouched():
        assert spoil(dev, bucket).send().status in (400, 403)
    assert clients.s3(dev).get_object(Bucket=bucket, Key="object")["Body"].read() == b"the old content"


CUT = {
    "plain": lambda dev, bucket: make(uploads.plain, dev, bucket, BODY),
    "unsigned": lambda dev, bucket: make(uploads.unsigned, dev, bucket, BODY),
    "signed chunks": lambda dev, bucket: make(uploads.chunked, dev, bucket, split(BODY)),
    "unsigned chunks": lambda dev, bucket: make(uploads.unsigned_with_trailer, dev, bucket, split(BODY)),
}


@pytest.mark.parametrize("missing", [1, 30_000])
@pytest.mark.parametrize("framing", CUT)
@pytest.mark.parametrize("end", ["half closed", "closed", "reset"])
def test_a_connection_that_ends_early_stores_nothing(dev, bucket, framing, missing, end):
    upload = CUT[framing](dev, bucket)
    with dev.backend.untouched(), upload.start() as connection:
        connection.send(upload.body[:-missing])
        if end == "half closed":
            connection.finish_sending()
            assert b"200 OK" not in connection.rest(1.0)
        elif end == "reset":
            connection.reset()


@pytest.mark.parametrize("framing", ["signed chunks", "unsigned chunks"])
def test_http_chunks_that_end_early_store_nothing(dev, bucket, framing):
    upload = CUT[framing](dev, bucket).set("Content-Length", None).set("Transfer-Encoding", "chunked")
    with dev.backend.untouched(), upload.start() as connection:
        connection.send(b"%x\r\n%s\r\n" % (len(upload.body), upload.body))
        connection.finish_sending()
        assert b"200 OK" not in connection.rest(1.0)


def test_a_spoilt_part_is_not_in_the_upload(dev, bucket):
    s3 = clients.s3(dev)
    with dev.backend.untouched():
        identity = s3.create_multipart_upload(Bucket=bucket, Key="joined")["UploadId"]
        whose = {"Bucket": bucket, "Key": "joined", "UploadId": identity}
        signer = signing.Signer(dev.credentials, dev.region)
        query = f"partNumber=1&uploadId={identity}"
        headers = [("Host", authority(dev.endpoint)), ("Content-Length", str(len(BODY)))]
        signed, _ = signer.headers("PUT", f"/{bucket}/joined", query, headers, signing.sha256(BODY))
        upload = uploads.Upload(dev, f"/{bucket}/joined?{query}", signed, [flipped(BODY, 100)])
        assert upload.send().code == "XAmzContentSHA256Mismatch"
        assert "Parts" not in s3.list_parts(**whose)
        s3.abort_multipart_upload(**whose)


LARGE = os.urandom(32 << 20)

# Refused long before the last byte has come, by the backend or by the gateway.
EARLY = {
    "no such bucket": (404, "NoSuchBucket", lambda dev, _: uploads.plain(dev, "/no-such-bucket/object", LARGE)),
    "wrong secret": (
        403,
        "SignatureDoesNotMatch",
        lambda dev, bucket: uploads.plain(
            dev, f"/{bucket}/object", LARGE, credentials=dev.credentials.with_secret("not the secret")
        ),
    ),
    "first chunk corrupted": (
        403,
        "SignatureDoesNotMatch",
        lambda dev, bucket: spoilt(
            make(uploads.chunked, dev, bucket, split(LARGE, 1 << 20)), 0, lambda wire: flipped(wire, 4000)
        ),
    ),
}


@pytest.mark.parametrize("why", EARLY)
def test_a_client_that_is_refused_while_it_sends_learns_why(dev, bucket, why):
    """The connection must take what the client has under way, or its reset overtakes the answer."""
    status, code, upload = EARLY[why]
    upload = upload(dev, bucket)
    with dev.backend.untouched(), upload.start() as connection:
        connection.send(upload.body)
        answer = connection.receive("PUT")
    assert (answer.status, answer.code) == (status, code)


def test_a_client_works_on_after_refused_uploads(dev, bucket):
    """boto3 waits for `100 Continue` and keeps its connections: a refusal must leave none that hangs or breaks."""
    wrong = clients.s3(dev, dev.credentials.with_secret("not the secret"))
    right = clients.s3(dev)
    for body in (b"small", LARGE, b"small", LARGE):
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            wrong.put_object(Bucket=bucket, Key="object", Body=body)
        with pytest.raises(ClientError, match="NoSuchBucket"):
            right.put_object(Bucket="no-such-bucket", Key="object", Body=body)
    right.put_object(Bucket=bucket, Key="object", Body=LARGE)
    dev.backend.assert_stored(bucket, LARGE)


def test_a_wrong_content_md5_is_told(dev, bucket):
    """What the client promised about its own bytes; every byte is as signed, so nothing was corrupted in flight."""
    answer = uploads.plain(dev, f"/{bucket}/object", BODY, [("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")]).send()
    assert (answer.status, answer.code) == (400, "BadDigest")


def test_two_lengths_are_never_believed(dev, bucket):
    """`Content-Length` beside `Transfer-Encoding` is how requests are smuggled."""
    inner = b"PUT /%s/smuggled HTTP/1.1\r\nHost: x\r\n\r\n" % bucket.encode()
    upload = uploads.unsigned(dev, f"/{bucket}/object", b"0\r\n\r\n" + inner)
    upload.headers.append(("Transfer-Encoding", "chunked"))
    with dev.backend.untouched():
        assert upload.send().status in (400, 403)


def test_the_rest_of_a_refused_body_is_not_taken_for_a_request(dev, bucket):
    upload = corrupted_chunk(dev, bucket)
    with dev.backend.untouched(), upload.start() as connection:
        connection.send(upload.body)
        assert connection.receive("PUT").code == "SignatureDoesNotMatch"
        assert connection.rest(0.5) == b""
