"""Clients with signers of their own: the AWS CLI, curl, s3cmd and minio-py."""

import hashlib
import io
import json
import os

import pytest
import urllib3
from minio import Minio

from kit import clients
from kit.commands import program, run
from kit.signing import EMPTY_SHA256, UNSIGNED, encode_key
from kit.wire import authority


@pytest.fixture
def aws(dev, credentials):
    """Runs the AWS CLI; one environment variable sends S3 and STS to the gateway."""
    command = program("aws")

    def call(*arguments: str, **kwargs) -> str:
        environment = {**credentials.environment(), "AWS_ENDPOINT_URL": dev.endpoint, "AWS_DEFAULT_REGION": dev.region}
        return run([command, *arguments], **kwargs, **environment)

    return call


def test_aws_cli_copies_lists_and_removes(dev, aws, bucket, tmp_path):
    body, back = os.urandom(70_000), tmp_path / "back"
    (tmp_path / "there").write_bytes(body)
    aws("s3", "cp", str(tmp_path / "there"), f"s3://{bucket}/a b/ü+.bin")
    dev.backend.assert_stored(bucket, body)
    assert "ü+.bin" in aws("s3", "ls", f"s3://{bucket}/a b/")
    aws("s3", "cp", f"s3://{bucket}/a b/ü+.bin", str(back))
    assert back.read_bytes() == body
    aws("s3", "rm", f"s3://{bucket}/a b/ü+.bin")
    dev.backend.assert_stored(bucket, body, copies=0)


def test_aws_cli_uploads_large_files_in_parts(dev, aws, bucket, tmp_path):
    body = os.urandom(20 << 20)
    (tmp_path / "large").write_bytes(body)
    aws("s3", "cp", str(tmp_path / "large"), f"s3://{bucket}/large")
    dev.backend.assert_stored(bucket, body)
    assert aws("s3api", "head-object", "--bucket", bucket, "--key", "large", "--query", "ContentLength").strip() == str(
        len(body)
    )


def test_aws_cli_streams_from_standard_input(dev, aws, bucket):
    body = os.urandom(1000)
    aws("s3", "cp", "-", f"s3://{bucket}/piped", stdin=body)
    dev.backend.assert_stored(bucket, body)


def test_aws_cli_syncs_a_tree_both_ways(dev, aws, bucket, tmp_path):
    files = {f"{folder}/{number}": os.urandom(500 + number) for folder in ("a", "b c") for number in range(3)}
    there, back = tmp_path / "there", tmp_path / "back"
    for name, body in files.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(body)
    aws("s3", "sync", str(there), f"s3://{bucket}/tree")
    for body in files.values():
        dev.backend.assert_stored(bucket, body)
    aws("s3", "sync", f"s3://{bucket}/tree", str(back))
    assert {name: (back / name).read_bytes() for name in files} == files
    assert aws("s3", "sync", str(there), f"s3://{bucket}/tree") == ""


def test_aws_cli_makes_and_removes_buckets(aws, credentials):
    name = f"cli-{credentials.access_key_id[:4].lower()}"
    aws("s3", "mb", f"s3://{name}")
    assert name in aws("s3", "ls")
    aws("s3", "rb", f"s3://{name}")
    assert name not in aws("s3", "ls")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME", "SHA256"])
def test_aws_cli_sends_the_checksum_it_is_told_to(dev, aws, bucket, tmp_path, algorithm):
    body = os.urandom(3000)
    (tmp_path / "body").write_bytes(body)
    put = ["s3api", "put-object", "--bucket", bucket, "--key", "a/../b//c", "--body", str(tmp_path / "body")]
    answer = json.loads(aws(*put, "--checksum-algorithm", algorithm))
    assert answer[f"Checksum{algorithm}"]
    dev.backend.assert_stored(bucket, body)


def test_aws_cli_asks_sts_who_it_is(dev, aws, credentials):
    identity = json.loads(aws("sts", "get-caller-identity"))
    assert identity == {
        name: value for name, value in clients.sts(dev).get_caller_identity().items() if name in identity
    }
    if credentials.session_token is None:
        issued = json.loads(aws("sts", "get-session-token", "--duration-seconds", "900"))["Credentials"]
        assert issued["AccessKeyId"].startswith("ASIA")
        assert issued["SessionToken"]


def test_aws_cli_tells_the_code_of_a_refusal(dev, bucket):
    wrong = {**dev.credentials.with_secret("not the secret").environment(), "AWS_ENDPOINT_URL": dev.endpoint}
    output = run([program("aws"), "s3api", "list-buckets", "--region", dev.region], expect=255, **wrong)
    assert "SignatureDoesNotMatch" in output


def test_aws_cli_sends_trailing_checksums_over_tls(tls_gateway, bucket, tmp_path):
    body = os.urandom(9 << 20)
    (tmp_path / "body").write_bytes(body)
    environment = {
        **clients.session(tls_gateway).environment(),
        "AWS_ENDPOINT_URL": tls_gateway.endpoint,
        "AWS_CA_BUNDLE": str(tls_gateway.certificate),
        "AWS_DEFAULT_REGION": tls_gateway.region,
    }
    run([program("aws"), "s3", "cp", str(tmp_path / "body"), f"s3://{bucket}/over tls"], **environment)
    tls_gateway.backend.assert_stored(bucket, body)


@pytest.fixture
def curl(dev, credentials):
    """curl signs by itself, but leaves the payload hash of a request to its user."""
    command = [program("curl"), "--silent", "--show-error", "--fail-with-body", "--path-as-is"]
    command += [
        "--aws-sigv4",
        f"aws:amz:{dev.region}:s3",
        "--user",
        f"{credentials.access_key_id}:{credentials.secret_access_key}",
    ]
    if credentials.session_token is not None:
        command += ["-H", f"x-amz-security-token: {credentials.session_token}"]

    def call(target: str, *arguments: str, payload: str = EMPTY_SHA256, **kwargs) -> str:
        return run([*command, "-H", f"x-amz-content-sha256: {payload}", *arguments, dev.endpoint + target], **kwargs)

    return call


@pytest.mark.parametrize("unsigned", [False, True])
def test_curl_puts_gets_and_deletes(dev, curl, bucket, tmp_path, unsigned):
    body, back = os.urandom(5000), tmp_path / "back"
    (tmp_path / "there").write_bytes(body)
    target = f"/{bucket}/folder/object-1"
    payload = UNSIGNED if unsigned else hashlib.sha256(body).hexdigest()
    curl(target, "--upload-file", str(tmp_path / "there"), payload=payload)
    dev.backend.assert_stored(bucket, body)
    curl(target, "--output", str(back))
    assert back.read_bytes() == body
    assert "<Key>folder/object-1</Key>" in curl(f"/{bucket}?list-type=2&prefix=folder%2F")
    curl(target, "--request", "DELETE")
    dev.backend.assert_stored(bucket, body, copies=0)


def test_curl_with_a_wrong_hash_stores_nothing(dev, curl, bucket, tmp_path):
    (tmp_path / "there").write_bytes(os.urandom(5000))
    with dev.backend.untouched():
        answer = curl(f"/{bucket}/object", "--upload-file", str(tmp_path / "there"), payload=EMPTY_SHA256, expect=22)
    assert "XAmzContentSHA256Mismatch" in answer


@pytest.fixture
def s3cmd(dev, credentials, tmp_path):
    lines = {
        "access_key": credentials.access_key_id,
        "secret_key": credentials.secret_access_key,
        "access_token": credentials.session_token or "",
        "host_base": authority(dev.endpoint),
        "host_bucket": authority(dev.endpoint),
        "bucket_location": dev.region,
        "use_https": "False",
        "signature_v2": "False",
        "multipart_chunk_size_mb": "5",
        "max_retries": "1",
    }
    config = tmp_path / "s3cfg"
    config.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items()))
    return lambda *arguments: run([program("s3cmd"), "--config", str(config), "--no-progress", *arguments])


@pytest.mark.parametrize("size", [3000, (10 << 20) + 5])
def test_s3cmd_puts_lists_gets_and_deletes(dev, s3cmd, bucket, tmp_path, size):
    body, back = os.urandom(size), tmp_path / "back"
    (tmp_path / "there").write_bytes(body)
    where = f"s3://{bucket}/with space/ü~(1).bin"
    s3cmd("put", str(tmp_path / "there"), where)
    dev.backend.assert_stored(bucket, body)
    assert where in s3cmd("ls", f"s3://{bucket}/with space/")
    s3cmd("get", where, str(back))
    assert back.read_bytes() == body
    s3cmd("del", where)
    dev.backend.assert_stored(bucket, body, copies=0)


@pytest.fixture(params=["http", "https"])
def minio(request, credentials):
    gateway = request.getfixturevalue("dev" if request.param == "http" else "tls_gateway")
    if request.param == "https":
        credentials = clients.session(gateway) if credentials.session_token else gateway.credentials
    pool = urllib3.PoolManager(retries=False, ca_certs=str(gateway.certificate) if gateway.certificate else None)
    return Minio(
        authority(gateway.endpoint),
        access_key=credentials.access_key_id,
        secret_key=credentials.secret_access_key,
        session_token=credentials.session_token,
        secure=request.param == "https",
        region=gateway.region,
        http_client=pool,
    )


def test_minio_py_puts_gets_lists_and_removes(dev, minio, bucket):
    body, key = os.urandom(6000), "with space/ü+~.bin"
    minio.put_object(bucket, key, io.BytesIO(body), len(body), content_type="text/x", metadata={"owner": "suite"})
    dev.backend.assert_stored(bucket, body)
    answer = minio.get_object(bucket, key)
    assert answer.read() == body
    answer.release_conn()
    assert minio.stat_object(bucket, key).metadata["x-amz-meta-owner"] == "suite"
    assert [entry.object_name for entry in minio.list_objects(bucket, recursive=True)] == [key]
    minio.remove_object(bucket, key)
    dev.backend.assert_stored(bucket, body, copies=0)


def test_minio_py_uploads_streams_of_unknown_length_in_parts(dev, minio, bucket):
    body = os.urandom((12 << 20) + 3)
    minio.put_object(bucket, "unknown", io.BytesIO(body), -1, part_size=5 << 20)
    dev.backend.assert_stored(bucket, body)


def test_minio_py_presigns(dev, minio, bucket):
    body = os.urandom(100)
    minio.put_object(bucket, "a b", io.BytesIO(body), len(body))
    url = minio.presigned_get_object(bucket, "a b")
    assert encode_key("a b") in url
    assert minio._http.request("GET", url).data == body
