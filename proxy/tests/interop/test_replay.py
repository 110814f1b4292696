"""Requests that succeed once: what was captured is worth nothing, and SDKs do not notice."""

import pytest

from kit import clients, uploads
from kit.server import resigned_for, start_serve
from kit.uploads import split

BUCKET = "once"
TABLES = f"""
[[routes]]
buckets = ["{BUCKET}"]
replay_protection = true
max_body_size = "1 MiB"
"""
BODY = bytes(40_000)


@pytest.fixture(scope="module")
def gateway(dev, tmp_path_factory):
    top = tmp_path_factory.mktemp("replay")
    clients.s3(dev).create_bucket(Bucket=BUCKET)
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), more=TABLES)
    yield gateway
    gateway.process.stop()


UPLOADS = {
    "plain": lambda gateway, key: uploads.plain(gateway, f"/{BUCKET}/{key}", BODY),
    "signed chunks": lambda gateway, key: uploads.chunked(gateway, f"/{BUCKET}/{key}", split(BODY)),
    "unsigned chunks": lambda gateway, key: uploads.unsigned_with_trailer(gateway, f"/{BUCKET}/{key}", split(BODY)),
}


@pytest.mark.parametrize("framing", UPLOADS)
def test_a_captured_upload_does_not_work_again(gateway, framing):
    upload = UPLOADS[framing](gateway, framing.replace(" ", "-"))
    assert upload.send().status == 200
    answer = upload.send()
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_an_upload_that_failed_works_again(gateway):
    upload = uploads.chunked(gateway, f"/{BUCKET}/failed", split(BODY))
    right, upload.wire = upload.wire, [upload.wire[0][:-3] + b"x\r\n", *upload.wire[1:]]
    assert upload.send().status == 403
    upload.wire = right
    assert upload.send().status == 200


def test_boto3_works_as_ever(gateway):
    s3 = clients.s3(gateway)
    for number in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"key-{number}", Body=b"content")
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] >= 20


def test_a_body_that_is_too_large_is_refused(gateway):
    answer = uploads.plain(gateway, f"/{BUCKET}/large", bytes(2 << 20)).send()
    assert (answer.status, answer.code) == (400, "EntityTooLarge")
