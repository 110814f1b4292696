"""boto3 with long-term keys and with sessions: what is put is what the backend holds and what comes back."""

import hashlib
import os

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from kit import clients
from kit.backend import BLOCK

PART = 5 << 20
ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]

# How botocore frames an upload: over plain HTTP it signs the body and sends checksums as headers by itself.
FRAMINGS = {
    "signed body": {},
    "unsigned body": {"s3": {"payload_signing_enabled": False}},
    "no checksum": {"request_checksum_calculation": "when_required"},
    "trailing checksum": {},
}


def framed(gateway, credentials, framing):
    client = clients.s3(gateway, credentials, **FRAMINGS[framing])
    if framing == "trailing checksum":
        clients.send_trailing_checksums(client)
    return client


def read(s3, bucket, key, **arguments) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
def test_an_upload_arrives_byte_for_byte(dev, credentials, bucket, framing, size):
    s3, body = framed(dev, credentials, framing), os.urandom(size)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    dev.backend.assert_stored(bucket, body)
    assert read(s3, bucket, "object") == body
    assert s3.head_object(Bucket=bucket, Key="object")["ContentLength"] == size


@pytest.mark.parametrize("place", ["header", "trailer"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_checksum_algorithm_survives_the_way_to_the_backend(dev, credentials, bucket, algorithm, place):
    s3, body = clients.s3(dev, credentials), os.urandom(100_000)
    if place == "trailer":
        clients.send_trailing_checksums(s3)
    answer = s3.put_object(Bucket=bucket, Key="object", Body=body, ChecksumAlgorithm=algorithm)
    dev.backend.assert_stored(bucket, body)
    stored = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert stored[f"Checksum{algorithm}"] == answer[f"Checksum{algorithm}"]
    # botocore compares what it reads with the checksum in the answer.
    assert read(s3, bucket, "object", ChecksumMode="ENABLED") == body


@pytest.mark.parametrize("framing", ["signed body", "unsigned body", "trailing checksum"])
def test_64_mib_stream_through_in_one_request(dev, credentials, bucket, tmp_path, framing):
    s3, path = framed(dev, credentials, framing), tmp_path / "large"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(64):
            block = os.urandom(BLOCK)
            digest.update(block)
            file.write(block)
    with path.open("rb") as file:
        s3.put_object(Bucket=bucket, Key="large", Body=file)
    dev.backend.assert_stored(bucket, path)
    returned = hashlib.sha256()
    for block in s3.get_object(Bucket=bucket, Key="large")["Body"].iter_chunks(BLOCK):
        returned.update(block)
    assert returned.digest() == digest.digest()


def test_a_multipart_upload_is_joined_in_order(dev, s3, bucket):
    pieces = [os.urandom(PART), os.urandom(PART), os.urandom(PART + 7), os.urandom(1000)]
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="joined", ContentType="application/x-parts", Metadata={"a": "b"}
    )
    whose = {"Bucket": bucket, "Key": "joined", "UploadId": upload["UploadId"]}
    # Sent last to first: the part number counts, not the time.
    tags = {
        number: s3.upload_part(**whose, PartNumber=number, Body=piece)["ETag"]
        for number, piece in reversed(list(enumerate(pieces, 1)))
    }
    assert sorted(part["PartNumber"] for part in s3.list_parts(**whose)["Parts"]) == [1, 2, 3, 4]
    parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
    s3.complete_multipart_upload(**whose, MultipartUpload={"Parts": parts})
    dev.backend.assert_stored(bucket, b"".join(pieces))
    assert read(s3, bucket, "joined") == b"".join(pieces)
    head = s3.head_object(Bucket=bucket, Key="joined")
    assert (head["ContentType"], head["Metadata"]) == ("application/x-parts", {"a": "b"})


def test_an_aborted_multipart_upload_leaves_nothing(dev, s3, bucket):
    with dev.backend.untouched():
        upload = s3.create_multipart_upload(Bucket=bucket, Key="aborted")
        whose = {"Bucket": bucket, "Key": "aborted", "UploadId": upload["UploadId"]}
        s3.upload_part(**whose, PartNumber=1, Body=os.urandom(1000))
        s3.abort_multipart_upload(**whose)


def test_the_transfer_manager_uploads_and_downloads_in_parallel(dev, s3, bucket, tmp_path):
    body = os.urandom(4 * PART + 11)
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(body)
    transfer = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    s3.upload_file(str(there), bucket, "managed", Config=transfer)
    dev.backend.assert_stored(bucket, body)
    s3.download_file(bucket, "managed", str(back), Config=transfer)
    assert back.read_bytes() == body


def test_ranges_are_answered_with_exactly_those_bytes(s3, bucket):
    body = os.urandom(10_000)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    for text, part in {
        "bytes=0-0": body[:1],
        "bytes=10-99": body[10:100],
        "bytes=9000-": body[9000:],
        "bytes=-7": body[-7:],
    }.items():
        answer = s3.get_object(Bucket=bucket, Key="object", Range=text)
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Body"].read()) == (206, part)
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket=bucket, Key="object", Range="bytes=20000-")


def test_conditions_of_an_upload_are_kept(dev, s3, bucket):
    first, second = os.urandom(50), os.urandom(50)
    tag = s3.put_object(Bucket=bucket, Key="object", Body=first, IfNoneMatch="*")["ETag"]
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"0123456789abcdef0123456789abcdef"'}):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=bucket, Key="object", Body=second, **condition)
    dev.backend.assert_stored(bucket, first)
    s3.put_object(Bucket=bucket, Key="object", Body=second, IfMatch=tag)
    dev.backend.assert_stored(bucket, second)
    dev.backend.assert_stored(bucket, first, copies=0)


METADATA = {
    "plain": "value",
    "inner--dashes": "two  spaces   three",
    "separators": "a,b;c=d:e/f?g&h%20i+j",
    "quoted": '"it\'s" \\ <x>',
    "encoded-word": "=?UTF-8?B?w7xuw68=?=",
    "number": "0012",
}


def test_metadata_and_content_headers_come_back_unchanged(s3, bucket):
    given = {
        "ContentType": "text/plain; charset=utf-8",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
        "CacheControl": "max-age=60, private",
    }
    s3.put_object(Bucket=bucket, Key="object", Body=b"metadata", Metadata=METADATA, **given)
    head = s3.head_object(Bucket=bucket, Key="object")
    assert head["Metadata"] == METADATA
    assert {name: head[name] for name in given} == given


def test_the_content_encoding_survives_aws_chunked(dev, credentials, bucket):
    s3 = clients.s3(dev, credentials)
    clients.send_trailing_checksums(s3)
    s3.put_object(Bucket=bucket, Key="gzipped", Body=b"\x1f\x8b not really", ContentEncoding="gzip")
    s3.put_object(Bucket=bucket, Key="plain", Body=b"nothing declared")
    assert s3.head_object(Bucket=bucket, Key="gzipped")["ContentEncoding"] == "gzip"
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="plain")


def test_a_copy_keeps_the_bytes_and_the_metadata(dev, s3, bucket):
    body = os.urandom(5000)
    s3.put_object(Bucket=bucket, Key="from here/ä+b", Body=body, Metadata={"kept": "yes"})
    s3.copy_object(Bucket=bucket, Key="to there", CopySource={"Bucket": bucket, "Key": "from here/ä+b"})
    dev.backend.assert_stored(bucket, body, copies=2)
    assert s3.head_object(Bucket=bucket, Key="to there")["Metadata"] == {"kept": "yes"}


def test_a_part_can_be_copied(dev, s3, bucket):
    source, tail = os.urandom(PART), os.urandom(10)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="joined")
    whose = {"Bucket": bucket, "Key": "joined", "UploadId": upload["UploadId"]}
    copied = s3.upload_part_copy(**whose, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"})
    sent = s3.upload_part(**whose, PartNumber=2, Body=tail)
    tags = [copied["CopyPartResult"]["ETag"], sent["ETag"]]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**whose, MultipartUpload={"Parts": parts})
    dev.backend.assert_stored(bucket, source + tail)


def test_listings_show_every_object_once(s3, bucket):
    keys = [f"{folder}/{number}" for folder in ("a", "b", "c d") for number in range(5)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == keys
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == keys
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert [folder["Prefix"] for folder in folders] == ["a/", "b/", "c d/"]
    assert s3.list_objects_v2(Bucket=bucket, Prefix="c d/")["KeyCount"] == 5


def test_deleted_objects_are_gone_from_the_backend(dev, s3, bucket):
    bodies = {f"key {number}": os.urandom(100) for number in range(4)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    s3.delete_object(Bucket=bucket, Key="key 0")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in list(bodies)[1:]]})
    assert len(answer["Deleted"]) == 3
    assert "Errors" not in answer
    for body in bodies.values():
        dev.backend.assert_stored(bucket, body, copies=0)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="key 0")


def test_buckets_are_made_found_and_removed(s3, credentials):
    name = f"made-by-{credentials.access_key_id[:4].lower()}"
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    s3.get_bucket_location(Bucket=name)
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.delete_bucket(Bucket=name)
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=name)


def test_what_the_backend_refuses_is_told_in_its_own_words(s3, bucket):
    with pytest.raises(ClientError) as refusal:
        s3.get_object(Bucket=bucket, Key="missing")
    assert refusal.value.response["Error"]["Code"] == "NoSuchKey"
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket="no-such-bucket")


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
def test_trailing_checksums_over_tls_arrive_byte_for_byte(tls_gateway, bucket, size):
    body = os.urandom(size)
    for credentials in (tls_gateway.credentials, clients.session(tls_gateway)):
        key = credentials.access_key_id
        s3 = clients.s3(tls_gateway, credentials)
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        assert read(s3, bucket, key) == body
    tls_gateway.backend.assert_stored(bucket, body, copies=2)
