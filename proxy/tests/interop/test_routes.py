"""Two backends behind one gateway: by bucket, by host, and under other names."""

import json
from dataclasses import dataclass, replace

import pytest
from botocore.exceptions import ClientError

from kit import clients
from kit.server import Gateway, resigned_for, start_dev, start_serve

# Keys that are spelt in more than one way somewhere between client, gateway and backend.
KEYS = ["plain", "a/b c+d", "a/b&<>\"'", "größe/€", "100%25", "a/~x"]


@dataclass
class Routed:
    gateway: Gateway
    # S3 clients: through the gateway, of the backend without a name, of the one called `archive`.
    s3: object
    default: object
    archive: object


@pytest.fixture(scope="module")
def routed(tmp_path_factory) -> Routed:
    top = tmp_path_factory.mktemp("routes")
    one = start_dev(top / "one", top / "one-logs")
    two = start_dev(top / "two", top / "two-logs")
    (top / "keys-one").mkdir()
    (top / "keys-two").mkdir()
    archive = resigned_for(two, top / "keys-two")
    tables = "\n".join(
        [
            "[[backends]]",
            'name = "archive"',
            f'endpoint = "{two.endpoint}"',
            *(f"{name} = {json.dumps(value)}" for name, value in archive.items()),
            "[[routes]]",
            'buckets = ["tenant"]',
            'backend = "archive"',
            'bucket = "shared"',
            'key_prefix = "tenants/t-1/"',
            "[[routes]]",
            'buckets = ["logs-*"]',
            'backend = "archive"',
            'bucket = "old-*"',
            "[[routes]]",
            'hosts = ["localhost"]',
            'backend = "archive"',
        ]
    )
    gateway = start_serve(top / "serve", one.endpoint, resigned_for(one, top / "keys-one"), more=tables)
    routed = Routed(gateway, clients.s3(gateway), clients.s3(one), clients.s3(two))
    routed.archive.create_bucket(Bucket="shared")
    routed.archive.put_object(Bucket="shared", Key="tenants/t-2/secret", Body=b"of another tenant")
    yield routed
    for server in (gateway, one, two):
        server.process.stop()


@pytest.fixture
def filled(routed) -> Routed:
    for key in KEYS:
        routed.s3.put_object(Bucket="tenant", Key=key, Body=key.encode())
    yield routed
    for page in routed.archive.get_paginator("list_objects_v2").paginate(Bucket="shared", Prefix="tenants/t-1/"):
        for entry in page.get("Contents", []):
            routed.archive.delete_object(Bucket="shared", Key=entry["Key"])


def refused(call, **arguments) -> dict:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def test_a_bucket_without_a_route_goes_to_the_backend_without_a_name(routed):
    routed.s3.create_bucket(Bucket="photos")
    routed.s3.put_object(Bucket="photos", Key="k", Body=b"x")
    assert routed.default.get_object(Bucket="photos", Key="k")["Body"].read() == b"x"
    assert refused(routed.archive.head_bucket, Bucket="photos")["Error"]["Code"] == "404"
    assert "photos" in [bucket["Name"] for bucket in routed.s3.list_buckets()["Buckets"]]


def test_a_pattern_names_buckets_at_the_other_backend(routed):
    routed.s3.create_bucket(Bucket="logs-a")
    routed.s3.put_object(Bucket="logs-a", Key="k", Body=b"x")
    assert routed.archive.get_object(Bucket="old-a", Key="k")["Body"].read() == b"x"
    assert routed.s3.list_objects_v2(Bucket="logs-a")["Name"] == "logs-a"
    missing = refused(routed.s3.list_objects_v2, Bucket="logs-b")["Error"]
    assert missing["Code"] == "NoSuchBucket"
    assert "old-b" not in str(missing)


def test_a_host_leads_to_its_backend(routed):
    port = routed.gateway.endpoint.rsplit(":", 1)[1]
    by_host = replace(routed.gateway, endpoint=f"http://localhost:{port}")
    names = [bucket["Name"] for bucket in clients.s3(by_host).list_buckets()["Buckets"]]
    assert "shared" in names


def test_keys_are_stored_below_the_prefix_and_read_without_it(filled):
    for key in KEYS:
        assert filled.archive.get_object(Bucket="shared", Key=f"tenants/t-1/{key}")["Body"].read() == key.encode()
        assert filled.s3.get_object(Bucket="tenant", Key=key)["Body"].read() == key.encode()
        filled.s3.head_object(Bucket="tenant", Key=key)
    body = b"<Error><Key>tenants/t-1/x</Key></Error>"
    filled.s3.put_object(Bucket="tenant", Key="document", Body=body, ContentType="application/xml")
    assert filled.s3.get_object(Bucket="tenant", Key="document")["Body"].read() == body


@pytest.mark.parametrize("encoding", [{}, {"EncodingType": "url"}])
def test_listings_show_the_names_of_the_client(filled, encoding):
    first = filled.s3.list_objects_v2(Bucket="tenant", **encoding)
    assert first["Name"] == "tenant"
    assert first.get("Prefix", "") == ""
    if not encoding:
        assert sorted(entry["Key"] for entry in first["Contents"]) == sorted(KEYS)
    assert len(first["Contents"]) == len(KEYS)
    assert not any("tenants" in entry["Key"] for entry in first["Contents"])
    old = filled.s3.list_objects(Bucket="tenant", Prefix="a/", **encoding)
    assert old["Prefix"] in ("a/", "a%2F")
    assert len(old["Contents"]) == 3
    folders = filled.s3.list_objects_v2(Bucket="tenant", Delimiter="/")
    assert sorted(entry["Prefix"] for entry in folders["CommonPrefixes"]) == ["a/", "größe/"]


def test_listings_go_on_where_they_ended(filled):
    pages = filled.s3.get_paginator("list_objects_v2").paginate(Bucket="tenant", PaginationConfig={"PageSize": 2})
    assert sorted(entry["Key"] for page in pages for entry in page["Contents"]) == sorted(KEYS)
    after = filled.s3.list_objects_v2(Bucket="tenant", StartAfter="a/~x")
    assert sorted(entry["Key"] for entry in after["Contents"]) == ["größe/€", "plain"]


def test_uploads_in_parts_show_the_names_of_the_client(filled):
    created = filled.s3.create_multipart_upload(Bucket="tenant", Key="big/one")
    assert (created["Bucket"], created["Key"]) == ("tenant", "big/one")
    upload = {"Bucket": "tenant", "Key": "big/one", "UploadId": created["UploadId"]}
    part = filled.s3.upload_part(**upload, PartNumber=1, Body=b"x" * (5 << 20))
    copied = filled.s3.upload_part_copy(**upload, PartNumber=2, CopySource={"Bucket": "tenant", "Key": "plain"})
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}, {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]}]
    listed = filled.s3.list_parts(**upload)
    assert (listed["Bucket"], listed["Key"]) == ("tenant", "big/one")
    done = filled.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert (done["Bucket"], done["Key"]) == ("tenant", "big/one")
    assert "shared" not in str(done.get("Location", ""))
    head = filled.archive.head_object(Bucket="shared", Key="tenants/t-1/big/one")
    assert head["ContentLength"] == (5 << 20) + len("plain")
    gone = filled.s3.create_multipart_upload(Bucket="tenant", Key="gone")
    filled.s3.abort_multipart_upload(Bucket="tenant", Key="gone", UploadId=gone["UploadId"])


def test_copies_are_made_between_the_names_of_the_client(filled):
    for key in KEYS:
        filled.s3.copy_object(Bucket="tenant", Key=f"copy/{key}", CopySource={"Bucket": "tenant", "Key": key})
        assert filled.s3.get_object(Bucket="tenant", Key=f"copy/{key}")["Body"].read() == key.encode()


def test_nothing_is_copied_between_backends(filled):
    filled.default.create_bucket(Bucket="elsewhere")
    filled.default.put_object(Bucket="elsewhere", Key="k", Body=b"x")
    for target, source in [("tenant", "elsewhere"), ("elsewhere", "tenant")]:
        error = refused(filled.s3.copy_object, Bucket=target, Key="c", CopySource={"Bucket": source, "Key": "k"})
        assert error["Error"]["Code"] == "NotImplemented"


def test_objects_are_deleted_by_the_names_of_the_client(filled):
    filled.s3.delete_object(Bucket="tenant", Key=KEYS[0])
    listed = {"Objects": [{"Key": key} for key in KEYS[1:]]}
    done = filled.s3.delete_objects(Bucket="tenant", Delete=listed)
    assert sorted(entry["Key"] for entry in done["Deleted"]) == sorted(KEYS[1:])
    left = filled.archive.list_objects_v2(Bucket="shared")
    assert [entry["Key"] for entry in left["Contents"]] == ["tenants/t-2/secret"]


def test_errors_show_the_names_of_the_client(filled):
    error = refused(filled.s3.get_object, Bucket="tenant", Key="missing")
    assert error["Error"]["Code"] == "NoSuchKey"
    assert "tenants" not in str(error)
    assert "shared" not in str(error)


def test_nothing_leads_out_of_the_prefix(filled):
    for key in ["../t-2/secret", "a/../../t-2/secret"]:
        assert refused(filled.s3.get_object, Bucket="tenant", Key=key)["Error"]["Code"] == "InvalidArgument"
        source = {"Bucket": "tenant", "Key": key}
        copied = refused(filled.s3.copy_object, Bucket="tenant", Key="c", CopySource=source)
        assert copied["Error"]["Code"] == "InvalidArgument"
    deleted = refused(filled.s3.delete_objects, Bucket="tenant", Delete={"Objects": [{"Key": "../t-2/secret"}]})
    assert deleted["Error"]["Code"] == "InvalidArgument"
    assert "Contents" not in filled.s3.list_objects_v2(Bucket="tenant", Prefix="../t-2/")


def test_what_concerns_the_whole_bucket_is_not_offered_behind_a_prefix(routed):
    assert refused(routed.s3.delete_bucket, Bucket="tenant")["Error"]["Code"] == "NotImplemented"
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    error = refused(routed.s3.put_bucket_policy, Bucket="tenant", Policy=policy)
    assert error["Error"]["Code"] == "NotImplemented"
