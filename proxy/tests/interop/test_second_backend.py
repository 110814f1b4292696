"""Garage behind a gateway that signs anew: a backend that others have written, and that verifies what it is sent.

Whatever goes through the gateway is read back from Garage itself, with the credential that only the gateway and
Garage know.
"""

import base64
import hashlib
import itertools
import os

import awscrt.checksums
import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from kit import clients, garage, signing, uploads
from kit.forms import form
from kit.server import resigned_for, start_serve
from kit.signing import Signer, crc32
from kit.uploads import split
from kit.wire import authority, exchange

MIB = 1 << 20
# Garage keeps what is small with its metadata, and cuts the rest into blocks of 1 MiB.
SIZES = [0, 1, 8193, 200_000, 2 * MIB + 3]

bucket_numbers = itertools.count(1)


def of_int(value: int, size: int) -> str:
    return base64.b64encode(value.to_bytes(size, "big")).decode()


def of_hash(name: str):
    return lambda body: base64.b64encode(hashlib.new(name, body).digest()).decode()


CHECKSUMS = {
    "CRC32": crc32,
    "CRC32C": lambda body: of_int(awscrt.checksums.crc32c(body), 4),
    "CRC64NVME": lambda body: of_int(awscrt.checksums.crc64nvme(body), 8),
    "SHA1": of_hash("sha1"),
    "SHA256": of_hash("sha256"),
}

def cut(make):
    """The framing, of a body that is cut into chunks."""
    return lambda gateway, target, body, **options: make(gateway, target, split(body), **options)


FRAMINGS = {
    "single hash": uploads.plain,
    "unsigned": uploads.unsigned,
    "signed chunks": cut(uploads.chunked),
    "signed chunks and trailer": cut(uploads.chunked_with_trailer),
    "unsigned chunks and trailer": cut(uploads.unsigned_with_trailer),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Garage itself."""
    endpoint = garage.start(tmp_path_factory.mktemp("garage") / "node")
    yield endpoint
    # It waits ten seconds for what may still come, and is not asked again.
    endpoint.process.kill()


@pytest.fixture(scope="module")
def gateway(store, tmp_path_factory):
    """The gateway in front of it."""
    top = tmp_path_factory.mktemp("before-garage")
    gateway = start_serve(top / "serve", store.endpoint, resigned_for(store, top))
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="module")
def told_little(store, tmp_path_factory):
    """One that takes Garage for a backend that knows no trailers and wants buckets in host names."""
    top = tmp_path_factory.mktemp("told-little")
    backend = {**resigned_for(store, top), "trailers": False, "addressing": "virtual"}
    gateway = start_serve(top / "serve", store.endpoint.replace("127.0.0.1", "localhost"), backend)
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="module")
def s3(gateway):
    return clients.s3(gateway)


@pytest.fixture(scope="module")
def behind(store):
    """boto3 that asks Garage and nobody else."""
    return clients.s3(store)


@pytest.fixture
def bucket(s3) -> str:
    """A new bucket, made through the gateway."""
    name = f"second-{next(bucket_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


def read(client, bucket: str, key: str, **arguments) -> bytes:
    return client.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


def code(error) -> str:
    return error.value.response["Error"]["Code"]


def test_garage_does_not_know_the_clients_of_the_gateway(gateway, store, bucket, s3):
    s3.put_object(Bucket=bucket, Key="object", Body=b"content")
    stranger = clients.s3(store, gateway.credentials)
    with pytest.raises(ClientError) as error:
        stranger.get_object(Bucket=bucket, Key="object")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_arrives_byte_for_byte(gateway, s3, behind, bucket, framing, size):
    body = os.urandom(size)
    key = "a b/ü+"
    answer = FRAMINGS[framing](gateway, f"/{bucket}/{signing.encode_key(key)}", body).send()
    assert answer.status == 200, answer
    assert read(behind, bucket, key) == body
    assert read(s3, bucket, key) == body
    assert "ContentEncoding" not in behind.head_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize("make", [uploads.chunked_with_trailer, uploads.unsigned_with_trailer])
@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_trailing_checksum_is_verified_and_kept_by_garage(gateway, behind, bucket, algorithm, make):
    body = os.urandom(100_000)
    trailer = (f"x-amz-checksum-{algorithm.lower()}", CHECKSUMS[algorithm](body))
    assert make(gateway, f"/{bucket}/object", split(body), trailer=trailer).send().status == 200
    head = behind.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == trailer[1]
    assert read(behind, bucket, "object") == body


@pytest.mark.parametrize("place", ["header", "trailer"])
@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_the_checksums_of_boto3_are_kept(gateway, behind, bucket, algorithm, place):
    client, body = clients.s3(gateway), os.urandom(50_000)
    if place == "trailer":
        clients.send_trailing_checksums(client)
    client.put_object(Bucket=bucket, Key="object", Body=body, ChecksumAlgorithm=algorithm)
    answer = behind.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert (answer[f"Checksum{algorithm}"], answer["Body"].read()) == (CHECKSUMS[algorithm](body), body)


def test_presigned_requests_write_and_read(gateway, behind, bucket):
    host, body = [("Host", authority(gateway.endpoint))], os.urandom(20_000)
    signer, path = Signer(gateway.credentials, gateway.region), f"/{bucket}/presigned"
    query = signer.presign("PUT", path, "", host, 60)
    length = [("Content-Length", str(len(body)))]
    assert exchange(gateway.endpoint, "PUT", f"{path}?{query}", [*host, *length], body).status == 200
    assert read(behind, bucket, "presigned") == body
    query = signer.presign("GET", path, "response-content-type=text%2Fplain", host, 60)
    answer = exchange(gateway.endpoint, "GET", f"{path}?{query}", host)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, body, "text/plain")


@pytest.mark.parametrize("size", [0, 100_000, MIB + 1])
def test_a_form_stores_its_file(gateway, behind, bucket, size):
    body = os.urandom(size)
    answer = form(gateway, bucket, body, key="folder/picture").send()
    assert answer.status == 204, answer
    assert read(behind, bucket, "folder/picture") == body


def test_a_form_of_boto3_stores_its_file(gateway, s3, behind, bucket):
    post = clients.s3(gateway, signature_version="s3v4").generate_presigned_post(bucket, "object")
    fields = {**post["fields"], "file": ("picture.jpg", b"content", "image/jpeg")}
    assert urllib3.request("POST", post["url"], fields=fields, retries=False).status == 204
    assert read(behind, bucket, "object") == b"content"


@pytest.mark.parametrize("place", ["header", "trailer"])
def test_a_multipart_upload_is_joined_in_order(gateway, behind, bucket, place, tmp_path):
    client, body = clients.s3(gateway), os.urandom(17 * MIB)
    if place == "trailer":
        clients.send_trailing_checksums(client)
    file = tmp_path / "file"
    file.write_bytes(body)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    client.upload_file(str(file), bucket, "object", Config=config)
    assert client.head_object(Bucket=bucket, Key="object")["ETag"].endswith('-4"')
    assert read(behind, bucket, "object") == body


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_part_may_come_in_every_framing(gateway, s3, behind, bucket, framing):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    bodies, parts = [os.urandom(5 * MIB), os.urandom(1000)], []
    for number, body in enumerate(bodies, 1):
        query = f"partNumber={number}&uploadId={upload}"
        answer = FRAMINGS[framing](gateway, f"/{bucket}/object", body, query=query).send()
        assert answer.status == 200, answer
        parts.append({"PartNumber": number, "ETag": answer.headers["etag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="object", UploadId=upload, MultipartUpload={"Parts": parts})
    assert read(behind, bucket, "object") == b"".join(bodies)


def test_an_aborted_multipart_upload_is_gone(s3, behind, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="object", PartNumber=1, UploadId=upload, Body=b"part")
    assert [part["Size"] for part in s3.list_parts(Bucket=bucket, Key="object", UploadId=upload)["Parts"]] == [4]
    s3.abort_multipart_upload(Bucket=bucket, Key="object", UploadId=upload)
    assert "Uploads" not in behind.list_multipart_uploads(Bucket=bucket)


def test_listings_show_every_object_once(s3, behind, bucket):
    keys = sorted([*(f"folder/{number:02}" for number in range(23)), "a b", "ü&=?", "x+y%2F"], key=str.encode)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    for client in (s3, behind):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 5})
        assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [prefix["Prefix"] for prefix in page["CommonPrefixes"]] == ["folder/"]
    assert [item["Key"] for item in s3.list_objects(Bucket=bucket, Prefix="ü&")["Contents"]] == ["ü&=?"]
    assert bucket in [item["Name"] for item in s3.list_buckets()["Buckets"]]


def test_a_copy_keeps_the_bytes_and_the_metadata(s3, behind, bucket):
    body = os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=body, Metadata={"colour": "green"}, ContentType="image/jpeg")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü"})
    answer = behind.get_object(Bucket=bucket, Key="copy")
    assert (answer["Body"].read(), answer["Metadata"], answer["ContentType"]) == (body, {"colour": "green"}, "image/jpeg")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    source = {"CopySource": {"Bucket": bucket, "Key": "a b/ü"}, "CopySourceRange": "bytes=10-5999999"}
    part = s3.upload_part_copy(Bucket=bucket, Key="parts", PartNumber=1, UploadId=upload, **source)
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    assert read(behind, bucket, "parts") == body[10:6_000_000]


def test_deleted_objects_are_gone(s3, behind, bucket):
    for key in ("one", "two", "three"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.delete_object(Bucket=bucket, Key="one")
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "two"}, {"Key": "three"}]})["Deleted"]
    assert sorted(item["Key"] for item in deleted) == ["three", "two"]
    assert "Contents" not in behind.list_objects_v2(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        behind.list_objects_v2(Bucket=bucket)
    assert code(error) == "NoSuchBucket"


def test_ranges_and_conditions_reach_garage(s3, bucket):
    body = os.urandom(2 * MIB)
    etag = s3.put_object(Bucket=bucket, Key="object", Body=body)["ETag"]
    assert read(s3, bucket, "object", Range="bytes=1048570-1048585") == body[1_048_570:1_048_586]
    assert read(s3, bucket, "object", IfMatch=etag) == body
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="object", IfNoneMatch=etag)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


def test_garage_s_errors_come_in_its_own_words(s3, behind, bucket):
    asks = {
        "NoSuchKey": lambda client: client.get_object(Bucket=bucket, Key="none"),
        "NoSuchBucket": lambda client: client.list_objects_v2(Bucket="no-such-bucket"),
        "NoSuchUpload": lambda client: client.list_parts(Bucket=bucket, Key="none", UploadId="00" * 32),
    }
    for expected, ask in asks.items():
        told = []
        for client in (s3, behind):
            with pytest.raises(ClientError) as error:
                ask(client)
            told.append((code(error), error.value.response["ResponseMetadata"]["HTTPStatusCode"]))
        assert told[0] == told[1] and told[0][0] == expected


@pytest.mark.parametrize("framing", [framing for framing in FRAMINGS if framing != "unsigned"])
def test_a_spoilt_body_is_never_stored(gateway, behind, bucket, framing):
    upload = FRAMINGS[framing](gateway, f"/{bucket}/object", b"x" * 300_000)
    spoilt = upload.body.replace(b"xx", b"xy", 1)
    assert spoilt != upload.body
    upload.wire = [spoilt]
    assert upload.send().status in (400, 403)
    with pytest.raises(ClientError):
        behind.head_object(Bucket=bucket, Key="object")


@pytest.mark.parametrize("make", [uploads.chunked_with_trailer, uploads.unsigned_with_trailer])
def test_without_trailers_the_gateway_alone_verifies_them(told_little, behind, bucket, make):
    body = os.urandom(100_000)
    assert make(told_little, f"/{bucket}/object", split(body)).send().status == 200
    answer = behind.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert answer["Body"].read() == body
    assert "ChecksumCRC32" not in answer
    upload = make(told_little, f"/{bucket}/spoilt", split(body), trailer=("x-amz-checksum-crc32", crc32(b"other")))
    answer = upload.send()
    assert (answer.status, answer.code) == (400, "BadDigest")
    with pytest.raises(ClientError):
        behind.head_object(Bucket=bucket, Key="spoilt")


def test_a_bucket_may_stand_in_the_host_name(told_little, behind, bucket):
    client, body = clients.s3(told_little), os.urandom(20_000)
    client.put_object(Bucket=bucket, Key="a b/ü+", Body=body)
    assert read(client, bucket, "a b/ü+") == read(behind, bucket, "a b/ü+") == body
    assert [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a b/ü+"]
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü+"})
    assert read(behind, bucket, "copy") == body
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "a b/ü+"}]})
    assert "Contents" not in behind.list_objects_v2(Bucket=bucket)
