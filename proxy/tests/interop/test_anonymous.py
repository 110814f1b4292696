"""SDKs that do not sign: what is for everybody works, everything else is refused as S3 refuses it."""

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from kit import clients
from kit.server import resigned_for, start_serve

BUCKET = "everybody"
TABLES = f"""
[[routes]]
buckets = ["{BUCKET}"]
anonymous_actions = ["s3:GetObject", "s3:ListBucket", "s3:PutObject"]
"""


@pytest.fixture(scope="module")
def gateway(dev, tmp_path_factory):
    top = tmp_path_factory.mktemp("anonymous")
    for name in (BUCKET, "secret"):
        clients.s3(dev).create_bucket(Bucket=name)
        clients.s3(dev).put_object(Bucket=name, Key="object", Body=b"content")
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), more=TABLES)
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="module")
def s3(gateway):
    options = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=gateway.endpoint, region_name=gateway.region, config=options)


def test_everybody_reads_and_lists(s3):
    assert s3.get_object(Bucket=BUCKET, Key="object")["Body"].read() == b"content"
    assert s3.head_object(Bucket=BUCKET, Key="object")["ContentLength"] == 7
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] >= 1


@pytest.mark.parametrize("trailing", [False, True], ids=["header", "trailer"])
def test_everybody_writes_with_a_checksum(s3, gateway, trailing):
    if trailing:
        clients.send_trailing_checksums(s3)
    s3.put_object(Bucket=BUCKET, Key="upload", Body=b"x" * 70_000)
    assert s3.get_object(Bucket=BUCKET, Key="upload")["Body"].read() == b"x" * 70_000


@pytest.mark.parametrize(
    "call",
    [
        lambda s3: s3.get_object(Bucket="secret", Key="object"),
        lambda s3: s3.delete_object(Bucket=BUCKET, Key="object"),
        lambda s3: s3.copy_object(Bucket=BUCKET, Key="copy", CopySource="secret/object"),
        lambda s3: s3.list_buckets(),
    ],
    ids=["another bucket", "another action", "from another bucket", "the service"],
)
def test_nothing_else_is_for_everybody(s3, call):
    with pytest.raises(ClientError, match="AccessDenied"):
        call(s3)


def test_a_wrong_signature_is_not_none(gateway):
    wrong = clients.s3(gateway, gateway.credentials.with_secret("not the secret"))
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.get_object(Bucket=BUCKET, Key="object")


def test_the_access_log_says_so(s3, gateway):
    s3.get_object(Bucket=BUCKET, Key="object")
    urllib3.request("GET", f"{gateway.admin}/livez")
    gateway.process.wait_for(lambda: b'"principal":"anonymous"' in gateway.process.output())
