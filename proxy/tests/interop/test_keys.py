"""Object keys that HTTP libraries, proxies and file systems like to change: each stays itself, all the way down."""

import os
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from kit import clients, signing
from kit.backend import BackendDirectory
from kit.signing import Signer, encode_key
from kit.wire import authority, exchange

# No key goes on behind another key and a slash: `dev` keeps objects as files, which cannot be folders too.
ODD = {
    "spaces": "two  spaces and one ",
    "unicode": "grüße/日本語/😀",
    "plus": "a+b",
    "space where the plus was": "a b",
    "percent": "100%",
    "escaped slash": "a%2Fb",
    "escaped slash in lower case": "a%2fb",
    "escaped plus": "a%2Bb",
    "slash": "a/b",
    "two slashes": "a//b",
    "leading slash": "/a/b",
    "trailing slash": "c/",
    "two trailing slashes": "d//",
    "dot segment": "a/./b",
    "leading dot segment": "./a/b",
    "parent segment": "x/../a/b",
    "trailing dot": "e/.",
    "trailing parent": "f/g/..",
    "query characters": "&=?#;",
    "tilde": "a~b",
    "reserved": "!'()*:@$,",
    "quotes": '"<>&\\|^`{}[]',
    "hidden": ".hidden",
    "upper case": "A/B",
    "1,000 bytes in one segment": "n" * 1000,
    "1,000 bytes in many segments": "/".join(["s" * 49] * 20) + "e",
    "1,000 bytes of unicode": "é" * 500,
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_key_is_put_read_copied_and_deleted(dev, s3, bucket, name):
    key, body = ODD[name], os.urandom(64)
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    dev.backend.assert_stored(bucket, body)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 64
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key=key)
    dev.backend.assert_stored(bucket, body, copies=1)


def test_keys_that_look_alike_are_different_objects(dev, s3, bucket):
    bodies = {key: os.urandom(64) for key in ODD.values()}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    for key, body in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key
        dev.backend.assert_stored(bucket, body)
    in_order = sorted(bodies, key=str.encode)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == in_order
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == in_order
    for key in bodies:
        s3.delete_object(Bucket=bucket, Key=key)
    for body in bodies.values():
        dev.backend.assert_stored(bucket, body, copies=0)


# Where `dev` keeps the object: at the obvious place wherever a path can say what the key says.
PLACES = {
    "cat.jpg": "cat.jpg",
    "photos/2026/cat.jpg": "photos/2026/cat.jpg",
    "two  words/ü+&=?#;.txt": "two  words/ü+&=?#;.txt",
    ".hidden": ".hidden",
    "a%2Fb": "a%2Fb",
    "folder/": "folder/%",
    "/leading": "%/leading",
    "a//b": "a/%/b",
    "./a": "%./a",
    "x/../y": "x/%../y",
    "%41": "%%41",
    "n" * 1000: "%" + signing.sha256(b"n" * 1000),
}


@pytest.mark.parametrize("key", PLACES, ids=lambda key: key[:30])
def test_an_object_lies_where_its_key_says(dev, bucket, key):
    body = os.urandom(64)
    clients.s3(dev).put_object(Bucket=bucket, Key=key, Body=body)
    assert dev.backend.copies(bucket, body) == [dev.backend.path / bucket / PLACES[key]]


@pytest.mark.parametrize("key", ["..", ".", "../outside", "a/../../outside", "../../outside"])
def test_a_key_never_leaves_its_bucket(dev, s3, bucket, key):
    body = os.urandom(64)
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        status = 200
    except ClientError as refusal:
        status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
    # S3 may refuse a key that climbs above its bucket; it must not follow it.
    assert status in (200, 400)
    stored = status == 200
    dev.backend.assert_stored(bucket, body, copies=int(stored))
    assert len(BackendDirectory(dev.backend.path.parent).copies(".", body)) == int(stored)
    if stored:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_needless_escapes_name_the_same_object(dev, bucket):
    body = os.urandom(64)
    clients.s3(dev).put_object(Bucket=bucket, Key="a-b/~c", Body=body)
    for target in (f"/{bucket}/a%2Db/%7Ec", f"/{bucket}/%61-b/%7ec"):
        assert get(dev, target).body == body


def test_reserved_characters_may_come_unescaped(dev, bucket):
    body, key = os.urandom(64), "!'()*:@$,;=&"
    clients.s3(dev).put_object(Bucket=bucket, Key=key, Body=body)
    assert get(dev, f"/{bucket}/{key}").body == body


@pytest.fixture
def every_localhost(monkeypatch):
    """Names under `localhost` are this machine, whatever the system's resolver knows."""
    resolve = socket.getaddrinfo

    def local(host, *arguments, **options):
        return resolve("localhost" if host.endswith(".localhost") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)


def test_boto3_may_address_buckets_by_host_name(dev, credentials, bucket, every_localhost):
    here = replace(dev, endpoint=dev.endpoint.replace("127.0.0.1", "localhost"))
    s3 = clients.s3(here, credentials, s3={"addressing_style": "virtual"}, signature_version="s3v4")
    hosts = set()
    s3.meta.events.register("before-send.s3", lambda request, **_: hosts.add(urlsplit(request.url).hostname))
    for key in ("object", "a b/ü+", "a//b", "/leading", "x/../y", f"{bucket}/same"):
        body = os.urandom(64)
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        dev.backend.assert_stored(bucket, body)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        # What one style stored the other one finds.
        assert clients.s3(dev).get_object(Bucket=bucket, Key=key)["Body"].read() == body
        url = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}))
        target = f"{url.path}?{url.query}"
        assert exchange(dev.endpoint, "GET", target, [("Host", url.netloc)]).body == body
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 6
    assert hosts == {f"{bucket}.localhost"}


@pytest.mark.parametrize("host", ["bucket", "bucket.localhost"])
def test_a_virtual_hosted_bucket_is_the_same_bucket(dev, bucket, host):
    body, key = os.urandom(64), "a//b/../ü"
    clients.s3(dev).put_object(Bucket=bucket, Key=key, Body=body)
    port = authority(dev.endpoint).rpartition(":")[2]
    if host == "bucket":
        assert get(dev, f"/{bucket}/{encode_key(key)}", f"localhost:{port}").body == body
    else:
        assert get(dev, f"/{encode_key(key)}", f"{bucket}.localhost:{port}").body == body


def get(gateway, target, host=None):
    """A GET with exactly this request target."""
    signer = Signer(gateway.credentials, gateway.region)
    headers, _ = signer.headers("GET", target, "", [("Host", host or authority(gateway.endpoint))])
    answer = exchange(gateway.endpoint, "GET", target, headers)
    assert answer.status == 200, answer
    return answer
