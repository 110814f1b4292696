"""SigV4a: what AWS's own signer signs is accepted, in every framing, and answered as SigV4 is where it is wrong."""

import os

import pytest

from kit import asymmetric, clients, signing
from kit.server import resigned_for, start_serve
from kit.uploads import split
from kit.wire import authority, exchange

KEYS = ["object", "a b/ü+%2F~", "x/../y", "a//b", "-._~!$&'()*,;=:@", "日本/語.txt"]
REGION_SETS = ["us-east-1", "*", "eu-west-1,us-east-1", "us-*"]


def client(gateway, credentials=None, region_set=None, signature_version="s3v4a", **config):
    return clients.s3(
        gateway,
        credentials,
        signature_version=signature_version,
        sigv4a_signing_region_set=region_set or gateway.region,
        **config,
    )


def put(gateway, bucket, region_set, credentials=None, body=b"x"):
    """A PUT signed by the library, sent byte for byte."""
    headers = [("Host", authority(gateway.endpoint)), ("Content-Length", str(len(body)))]
    target, headers = asymmetric.signed(
        "PUT", f"/{bucket}/object", headers, credentials or gateway.credentials, region_set, signing.sha256(body)
    )
    return exchange(gateway.endpoint, "PUT", target, headers, body)


@pytest.mark.parametrize("key", KEYS)
def test_boto_moves_objects(dev, credentials, bucket, key):
    s3, body = client(dev, credentials), os.urandom(20_000)
    s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"owner": "a  b"})
    dev.backend.assert_stored(bucket, body)
    assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=5-9")["Body"].read() == body[5:10]
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]


@pytest.mark.parametrize("region_set", REGION_SETS)
def test_the_region_set_must_hold_the_region(dev, bucket, region_set):
    assert put(dev, bucket, region_set).status == 200


@pytest.mark.parametrize("region_set", ["eu-west-1", "eu-*", "us-east-2,us-west-1"])
def test_a_region_set_without_the_region_is_answered_as_a_wrong_region(dev, bucket, region_set):
    with dev.backend.untouched():
        answer = put(dev, bucket, region_set)
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")
    assert answer.error()["Region"] == dev.region


def test_a_wrong_secret_is_a_mismatch(dev, bucket):
    with dev.backend.untouched():
        answer = put(dev, bucket, "*", dev.credentials.with_secret("not the secret"))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.error()["StringToSign"].startswith("AWS4-ECDSA-P256-SHA256\n")


def test_the_region_set_cannot_be_widened(dev, bucket):
    headers = [("Host", authority(dev.endpoint)), ("Content-Length", "0")]
    target, headers = asymmetric.signed("PUT", f"/{bucket}/object", headers, dev.credentials, "eu-west-1")
    widened = [(name, "*" if name.lower() == "x-amz-region-set" else value) for name, value in headers]
    with dev.backend.untouched():
        answer = exchange(dev.endpoint, "PUT", target, widened)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("key", ["object", "a%20b/%C3%BC%2B%252F", "x/../y", "a//b"])
@pytest.mark.parametrize("region_set", REGION_SETS)
def test_presigned_requests_are_accepted(dev, credentials, bucket, key, region_set):
    body, host = os.urandom(3000), ("Host", authority(dev.endpoint))
    target, headers = asymmetric.signed(
        "PUT", f"/{bucket}/{key}", [host], credentials, region_set, expires=60
    )
    assert "X-Amz-Region-Set=" in target
    assert exchange(dev.endpoint, "PUT", target, [*headers, ("Content-Length", "3000")], body).status == 200
    dev.backend.assert_stored(bucket, body)
    target, headers = asymmetric.signed("GET", f"/{bucket}/{key}", [host], credentials, region_set, expires=60)
    assert exchange(dev.endpoint, "GET", target, headers).body == body
    with dev.backend.untouched():
        answer = exchange(dev.endpoint, "GET", f"{target}&versionId=1", headers)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.fixture(params=[asymmetric.chunked, asymmetric.chunked_with_trailer])
def upload(request):
    return request.param


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 100_000])
def test_signed_chunks_are_decoded(dev, credentials, bucket, upload, size):
    body = os.urandom(size)
    assert upload(dev, f"/{bucket}/object", split(body), credentials).send().status == 200
    dev.backend.assert_stored(bucket, body)


@pytest.mark.parametrize("part", [0, 1, -2, -1])
def test_a_byte_changed_in_a_chunk_or_trailer_is_refused(dev, bucket, part):
    body = os.urandom(20_000)
    upload = asymmetric.chunked_with_trailer(dev, f"/{bucket}/object", split(body))
    spoilt = bytearray(upload.wire[part])
    # In the data; in the signatures of the 0-chunk and of the trailer, which have some padding at their end.
    spoilt[-10 if part in (0, 1) else -60] ^= 1
    upload.wire[part] = bytes(spoilt)
    answer = upload.send()
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    dev.backend.assert_stored(bucket, body, copies=0)


def test_trailing_checksums_of_boto_are_kept(dev, bucket):
    s3, body = client(dev), os.urandom(30_000)
    clients.send_trailing_checksums(s3)
    s3.put_object(Bucket=bucket, Key="object", Body=body, ChecksumAlgorithm="CRC32")
    head = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == signing.crc32(body)


def test_a_gateway_that_signs_anew_takes_it(tls_gateway, bucket):
    """The backend gets SigV4, and nothing of the other signature."""
    s3, body = client(tls_gateway), os.urandom(20_000)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body


def test_an_operator_may_turn_it_off(tmp_path, dev):
    off = start_serve(tmp_path / "off", dev.endpoint, resigned_for(dev, tmp_path), gateway={"sigv4a": False})
    try:
        answer = put(off, "bucket", "*")
        assert (answer.status, answer.code) == (501, "NotImplemented")
        assert answer.error()["Header"] == "Authorization"
        assert clients.s3(off).list_buckets()["Buckets"]
    finally:
        off.process.stop()


def test_the_sts_takes_it(dev):
    sts = clients.client("sts", dev, signature_version="v4a", sigv4a_signing_region_set="*")
    assert sts.get_caller_identity()["Account"]


def test_boto_signs_anew_for_the_region_that_the_refusal_names(dev, bucket):
    clients.s3(dev).put_object(Bucket=bucket, Key="object", Body=b"found")
    elsewhere = client(dev, region_set="eu-west-1")
    assert elsewhere.get_object(Bucket=bucket, Key="object")["Body"].read() == b"found"
