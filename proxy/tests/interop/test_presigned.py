"""Presigned URLs: what boto3 makes works in any HTTP client, until it expires, and for nothing else."""

import os
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from kit import clients
from kit.signing import Signer
from kit.wire import authority, exchange


@pytest.fixture
def s3(dev, credentials):
    """boto3 still presigns with Signature Version 2 unless it is told otherwise."""
    return clients.s3(dev, credentials, signature_version="s3v4")


def send(method: str, url: str, headers=(), body: bytes = b""):
    """The URL as it is, byte for byte: HTTP libraries would normalise it."""
    parts = urlsplit(url)
    target = url.split(parts.netloc, 1)[1]
    length = [("Content-Length", str(len(body)))] if body or method == "PUT" else []
    return exchange(url, method, target, [("Host", parts.netloc), *length, *headers], body)


@pytest.mark.parametrize("key", ["object", "a b/ü+%2F", "x/../y", "a//b"])
def test_a_presigned_put_and_get_move_the_bytes(dev, s3, bucket, key):
    where, body = {"Bucket": bucket, "Key": key}, os.urandom(3000)
    assert send("PUT", s3.generate_presigned_url("put_object", where), body=body).status == 200
    dev.backend.assert_stored(bucket, body)
    answer = send("GET", s3.generate_presigned_url("get_object", where))
    assert (answer.status, answer.body) == (200, body)


def test_a_presigned_get_takes_a_range_and_sets_response_headers(s3, bucket):
    body = os.urandom(500)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "object"})
    answer = send("GET", url, [("Range", "bytes=5-9")])
    assert (answer.status, answer.body) == (206, body[5:10])


def test_a_presigned_put_holds_the_client_to_the_signed_content_type(dev, s3, bucket):
    where = {"Bucket": bucket, "Key": "object", "ContentType": "image/png", "Metadata": {"owner": "suite"}}
    url = s3.generate_presigned_url("put_object", where)
    signed = [("Content-Type", "image/png"), ("x-amz-meta-owner", "suite")]
    body = os.urandom(100)
    with dev.backend.untouched():
        assert send("PUT", url, [("Content-Type", "text/html"), signed[1]], body).code == "SignatureDoesNotMatch"
    assert send("PUT", url, signed, body).status == 200
    dev.backend.assert_stored(bucket, body)


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PUT", "POST"])
def test_a_url_for_one_method_is_good_for_no_other(dev, s3, bucket, method):
    s3.put_object(Bucket=bucket, Key="object", Body=b"presigned for GET only")
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "object"})
    with dev.backend.untouched():
        assert send(method, url).status == 403


def test_a_url_changed_anywhere_is_refused(dev, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"one")
    s3.put_object(Bucket=bucket, Key="objecs", Body=b"two")
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "object"}, ExpiresIn=60)
    for changed in (url.replace("/object?", "/objecs?"), url.replace("Expires=60", "Expires=61"), url + "&versionId=1"):
        assert changed != url
        answer = send("GET", changed)
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert send("GET", url).status == 200


def presigned(gateway, target: str, age: timedelta, expires: int, **changes) -> str:
    """Signed `age` ago for `expires` seconds."""
    signer = Signer(gateway.credentials, gateway.region, when=datetime.now(UTC) - age)
    query = signer.presign("GET", target, "", [("Host", authority(gateway.endpoint))], expires)
    return f"{gateway.endpoint}{target}?{query}"


def test_an_expired_url_is_refused(dev, bucket):
    answer = send("GET", presigned(dev, f"/{bucket}/object", timedelta(seconds=61), 60))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    error = answer.error()
    assert error["Message"] == "Request has expired"
    assert error["X-Amz-Expires"] == "60"
    assert error["Expires"]
    assert error["ServerTime"]


def test_a_url_outlives_the_quarter_of_an_hour_of_signed_headers(dev, bucket):
    clients.s3(dev).put_object(Bucket=bucket, Key="object", Body=b"an hour old")
    assert send("GET", presigned(dev, f"/{bucket}/object", timedelta(hours=1), 7200)).body == b"an hour old"


def test_a_url_from_the_future_is_refused(dev, bucket):
    answer = send("GET", presigned(dev, f"/{bucket}/object", timedelta(minutes=-16), 3600))
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_a_url_for_more_than_a_week_is_refused(dev, bucket):
    week = 7 * 24 * 3600
    answer = send("GET", presigned(dev, f"/{bucket}/object", timedelta(), week + 1))
    assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError")


def test_a_copy_source_cannot_be_added_to_a_presigned_put(dev, s3, bucket):
    s3.put_object(Bucket=bucket, Key="private", Body=b"not for whoever holds the URL")
    url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "stolen"})
    with dev.backend.untouched():
        answer = send("PUT", url, [("x-amz-copy-source", f"/{bucket}/private")])
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.error()["HeadersNotSigned"] == "x-amz-copy-source"


def test_a_signature_in_header_and_query_is_one_too_many(dev, s3, bucket):
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "object"})
    answer = send("GET", url, [("Authorization", "AWS4-HMAC-SHA256 Credential=x")])
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_url_of_signature_version_2_is_refused_with_the_reason(dev, bucket):
    old = clients.s3(dev, signature_version="s3")
    url = old.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "object"})
    assert "AWSAccessKeyId=" in url
    answer = send("GET", url)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "AWS4-HMAC-SHA256" in answer.error()["Message"]
