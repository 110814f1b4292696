"""Permissions of the IAM directory, met by boto3: what is allowed works, what is not is refused as S3 refuses it."""

import json

import pytest
import urllib3
from botocore.exceptions import ClientError

from kit import clients
from kit.server import resigned_for, start_serve

ACCOUNT, USER = "111122223333", "arn:aws:iam::111122223333:user/suite"
BUCKET = "permissions"


def statement(effect: str, actions: list[str], resource: str, condition: dict | None = None) -> dict:
    condition = {"Condition": condition} if condition else {}
    return {"Effect": effect, "Action": actions, "Resource": resource, **condition}


HOME = f"arn:aws:s3:::{BUCKET}/home/${{aws:username}}/*"
STATEMENTS = [
    statement("Allow", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], HOME),
    statement("Allow", ["s3:ListMultipartUploadParts"], HOME),
    statement(
        "Allow", ["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}", {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}
    ),
    statement("Deny", ["s3:PutObject"], HOME, {"StringEquals": {"s3:x-amz-storage-class": "GLACIER"}}),
    statement("Deny", ["s3:*"], f"arn:aws:s3:::{BUCKET}/*/secret/*"),
]


@pytest.fixture(scope="module")
def gateway(dev, tmp_path_factory):
    top = tmp_path_factory.mktemp("permissions")
    user = top / "iam" / ACCOUNT / "users" / "suite"
    (user / "policies").mkdir(parents=True)
    (user / "user.toml").write_text("")
    (user / "policies" / "home.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": STATEMENTS}))
    backend = clients.s3(dev)
    backend.create_bucket(Bucket=BUCKET)
    for key in ("home/other/k", "home/suite/secret/k"):
        backend.put_object(Bucket=BUCKET, Key=key, Body=b"not for everybody")
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), iam=top / "iam")
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="module")
def s3(gateway):
    return clients.s3(gateway)


def put(s3, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"mine")


def test_what_is_allowed_works(s3):
    put(s3, "home/suite/a b", "home/suite/c")
    assert s3.get_object(Bucket=BUCKET, Key="home/suite/a b")["Body"].read() == b"mine"
    assert s3.head_object(Bucket=BUCKET, Key="home/suite/c")["ContentLength"] == 4
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="home/suite/", Delimiter="/")
    assert {entry["Key"] for entry in listed["Contents"]} >= {"home/suite/a b", "home/suite/c"}
    s3.copy_object(Bucket=BUCKET, Key="home/suite/copy", CopySource={"Bucket": BUCKET, "Key": "home/suite/a b"})
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="home/suite/large")["UploadId"]
    names = {"Bucket": BUCKET, "Key": "home/suite/large", "UploadId": upload}
    part = s3.upload_part(**names, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**names, MultipartUpload=parts)
    s3.delete_object(Bucket=BUCKET, Key="home/suite/copy")


OTHER, SECRET = {"Bucket": BUCKET, "Key": "home/other/k"}, {"Bucket": BUCKET, "Key": "home/suite/secret/k"}
MINE = {"Bucket": BUCKET, "Key": "home/suite/new"}
BECAUSE, DENIED = "because no identity-based policy allows the {}", "with an explicit deny in an identity-based policy"


@pytest.mark.parametrize(
    "operation, parameters, action, resource, why",
    [
        ("list_buckets", {}, "s3:ListAllMyBuckets", "*", BECAUSE),
        ("list_objects_v2", {"Bucket": BUCKET}, "s3:ListBucket", BUCKET, BECAUSE),
        ("list_objects_v2", {"Bucket": BUCKET, "Prefix": "home/other/"}, "s3:ListBucket", BUCKET, BECAUSE),
        ("get_object", OTHER, "s3:GetObject", f"{BUCKET}/home/other/k", BECAUSE),
        ("get_object", SECRET, "s3:GetObject", f"{BUCKET}/home/suite/secret/k", DENIED),
        ("get_object", {**MINE, "VersionId": "v"}, "s3:GetObjectVersion", f"{BUCKET}/home/suite/new", BECAUSE),
        ("copy_object", {**MINE, "CopySource": OTHER}, "s3:GetObject", f"{BUCKET}/home/other/k", BECAUSE),
        ("copy_object", {**OTHER, "CopySource": OTHER}, "s3:PutObject", f"{BUCKET}/home/other/k", BECAUSE),
        ("put_object", {**MINE, "Tagging": "a=b"}, "s3:PutObjectTagging", f"{BUCKET}/home/suite/new", BECAUSE),
        ("put_object", {**MINE, "ACL": "private"}, "s3:PutObjectAcl", f"{BUCKET}/home/suite/new", BECAUSE),
        ("put_object", {**MINE, "StorageClass": "GLACIER"}, "s3:PutObject", f"{BUCKET}/home/suite/new", DENIED),
        ("get_bucket_policy", {"Bucket": BUCKET}, "s3:GetBucketPolicy", BUCKET, BECAUSE),
        ("delete_bucket", {"Bucket": BUCKET}, "s3:DeleteBucket", BUCKET, BECAUSE),
    ],
)
def test_what_is_not_allowed_is_refused_as_s3_refuses_it(s3, operation, parameters, action, resource, why):
    with pytest.raises(ClientError) as refused:
        getattr(s3, operation)(**parameters)
    error = refused.value.response
    assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (403, "AccessDenied")
    why = why.format(f"{action} action")
    assert error["Error"]["Message"] == (
        f'User: {USER} is not authorized to perform: {action} on resource: "arn:aws:s3:::{resource}" {why}'
    )


def test_objects_are_deleted_together_only_if_each_may_be(s3):
    put(s3, "home/suite/x & y", "home/suite/z")

    def delete(*keys: str):
        return s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})

    with pytest.raises(ClientError, match="s3:DeleteObject on resource") as refused:
        delete("home/suite/z", "home/other/k")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert s3.head_object(Bucket=BUCKET, Key="home/suite/z")["ContentLength"] == 4
    deleted = delete("home/suite/x & y", "home/suite/z")["Deleted"]
    assert {entry["Key"] for entry in deleted} == {"home/suite/x & y", "home/suite/z"}


def test_a_presigned_url_grants_no_more_than_its_signer_has(s3):
    put(s3, "home/suite/shared")
    pool = urllib3.PoolManager(retries=False)
    for key, status in (("home/suite/shared", 200), ("home/other/k", 403)):
        url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
        assert pool.request("GET", url).status == status
