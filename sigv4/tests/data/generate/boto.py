"""Requests of botocore: whole clients, with the network cut off at the last moment."""

import io
import json
from urllib.parse import urlsplit

import botocore.auth
import botocore.client
import botocore.config
import botocore.crt.auth
import botocore.session
import botocore.signers
from botocore.awsrequest import AWSResponse

from .rows import CREDENTIALS, LONG_TERM, NOW, REGION, SESSION, Credential, Row

KEYS = [
    "object", "a//b", "/leading", "trailing/", "x/./y", "x/../y", "..", "a b", "a+b", "a%2Fb", "100%", "ü/日本/🙂",
    "q?v=1", "h#f", "k=v&w", "~-._", "!*'();:@$,[]", "{curly}|pipe^", "back\\slash", '"quoted"', "<xml>", "tab\there",
    " leading space", "trailing space ", "a%20b", "%", "C:\\dir\\file.txt", "e\u0301 combining", "0" * 600,
]
# Written by the transport, or of this machine; never signed.
NOISE = ("host", "user-agent", "amz-sdk-invocation-id", "amz-sdk-request")
FROZEN = lambda remove_tzinfo=True: NOW.replace(tzinfo=None) if remove_tzinfo else NOW


def freeze() -> None:
    for module in (botocore.auth, botocore.crt.auth, botocore.signers):
        module.get_current_datetime = FROZEN


SESSION_OF_BOTOCORE = botocore.session.get_session()


def client(service: str, credential: Credential, region: str = REGION, endpoint: str | None = None, **config):
    return SESSION_OF_BOTOCORE.create_client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=credential.access_key_id,
        aws_secret_access_key=credential.secret,
        aws_session_token=credential.session_token,
        config=botocore.config.Config(retries={"total_max_attempts": 1}, **config),
    )


def capture(made, operation: str, **parameters):
    """The request as it would have been sent."""
    sent = []

    def stop(request, **_):
        sent.append(request)
        raw = io.BytesIO(b"")
        raw.stream = lambda *_, **__: iter([b""])
        return AWSResponse(request.url, 500, {}, raw)

    made.meta.events.register("before-send", stop)
    try:
        getattr(made, operation)(**parameters)
    except botocore.exceptions.ClientError:
        pass
    finally:
        made.meta.events.unregister("before-send", stop)
    return sent[0]


def row(name: str, request, credential: Credential, **fields) -> Row:
    parts = urlsplit(request.url)
    target = request.url.split(parts.netloc, 1)[1] or "/"
    headers = [("Host", parts.netloc)]
    for header, value in request.headers.items():
        if header.lower() not in NOISE:
            headers.append((header, value.decode() if isinstance(value, bytes) else str(value)))
    body = request.body
    if body is None:
        body = b""
    elif hasattr(body, "read"):
        body = body.read()
    elif isinstance(body, str):
        body = body.encode()
    return Row(f"botocore {name}", "botocore", request.method, target, headers, bytes(body), credential, **fields)


def s3(credential=LONG_TERM, style="path", **config):
    return client("s3", credential, endpoint="https://s3.example.com", s3={"addressing_style": style}, **config)


def objects():
    """Keys of every kind, in both styles, with every kind of credential, signed in every way."""
    for key in KEYS:
        where = {"Bucket": "bucket", "Key": key}
        yield row(f"get {key[:20]!r}", capture(s3(), "get_object", **where), LONG_TERM)
        yield row(f"put {key[:20]!r}", capture(s3(SESSION, "virtual"), "put_object", **where, Body=b"hello"), SESSION)
        url = s3(SESSION, signature_version="s3v4").generate_presigned_url("get_object", where, ExpiresIn=60)
        yield presigned(f"presigned get {key[:20]!r}", "GET", url, SESSION)
    asymmetric = {"signature_version": "s3v4a", "sigv4a_signing_region_set": "*"}
    for key in KEYS[:20]:
        where = {"Bucket": "bucket", "Key": key}
        yield row(f"sigv4a get {key[:20]!r}", capture(s3(**asymmetric), "get_object", **where), LONG_TERM)


def presigned(name: str, method: str, url: str, credential: Credential, headers=(), **fields) -> Row:
    host = urlsplit(url).netloc
    target = url.split(host, 1)[1]
    return Row(f"botocore {name}", "botocore", method, target, [("Host", host), *headers], b"", credential, **fields)


def operations():
    """One request for each way in which operations differ."""
    where = {"Bucket": "bucket", "Key": "k"}
    calls = {
        "list_buckets": {},
        "create_bucket": {"Bucket": "bucket", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}},
        "head_bucket": {"Bucket": "bucket"},
        "list_objects_v2": {"Bucket": "bucket", "Prefix": "a b+c/&=", "Delimiter": "/", "StartAfter": "ü", "MaxKeys": 5},
        "list_object_versions": {"Bucket": "bucket", "KeyMarker": "a=b"},
        "delete_objects": {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b&<"}]}},
        "put_bucket_versioning": {"Bucket": "bucket", "VersioningConfiguration": {"Status": "Enabled"}},
        "put_bucket_policy": {"Bucket": "bucket", "Policy": json.dumps({"Version": "2012-10-17"})},
        "get_object": {**where, "Range": "bytes=0-9", "VersionId": "null", "ResponseContentType": "a/b; c=d"},
        "head_object": {**where, "ChecksumMode": "ENABLED", "IfMatch": '"etag"'},
        "delete_object": {**where, "VersionId": "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo"},
        "copy_object": {**where, "CopySource": {"Bucket": "other", "Key": "a b+ü"}, "MetadataDirective": "COPY"},
        "put_object_tagging": {**where, "Tagging": {"TagSet": [{"Key": "k", "Value": "v w"}]}},
        "create_multipart_upload": {**where, "Metadata": {"a": "b"}, "StorageClass": "STANDARD_IA"},
        "upload_part": {**where, "PartNumber": 1, "UploadId": "up+load/id=", "Body": b"part"},
        "complete_multipart_upload": {
            **where,
            "UploadId": "u",
            "MultipartUpload": {"Parts": [{"ETag": '"e"', "PartNumber": 1}]},
        },
        "put_object": {
            **where,
            "Body": b"hello",
            "Metadata": {"spaces": "a  b   c", "long": "x" * 1500, "empty": ""},
            "ContentType": "text/plain; charset=utf-8",
            "ContentMD5": "XUFAKrxLKna5cZ2REBfFkg==",
            "CacheControl": "no-cache",
            "Tagging": "a=b&c=d%20e",
            "SSECustomerAlgorithm": "AES256",
            "SSECustomerKey": b"0" * 32,
        },
    }
    for name, credential in CREDENTIALS.items():
        for operation, parameters in calls.items():
            for version in ("s3v4", "s3v4a") if name == "session" else ("s3v4",):
                made = s3(credential, signature_version=version)
                yield row(f"{version} {operation} {name}", capture(made, operation, **parameters), credential)


def framings():
    """Bodies as botocore frames them: hashed, unsigned, and with each checksum in a trailer."""
    where = {"Bucket": "bucket", "Key": "k"}
    for version in ("s3v4", "s3v4a"):
        for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
            for size in (0, 5, 70_000):
                body = b"z" * size
                made = s3(SESSION, signature_version=version)
                trailing = capture(made, "put_object", **where, Body=io.BytesIO(body), ChecksumAlgorithm=algorithm)
                yield row(f"{version} trailing {algorithm} {size}", trailing, SESSION, content=body)
            hashed = client("s3", SESSION, endpoint="http://s3.example.com", signature_version=version)
            made = capture(hashed, "put_object", **where, Body=b"hello", ChecksumAlgorithm=algorithm)
            yield row(f"{version} {algorithm} in a header", made, SESSION, content=b"hello")
        signed = s3(SESSION, signature_version=version, request_checksum_calculation="when_required")
        signed.meta.config.s3["payload_signing_enabled"] = True
        yield row(f"{version} signed payload", capture(signed, "put_object", **where, Body=b"hello"), SESSION, content=b"hello")
        plain = s3(SESSION, signature_version=version, request_checksum_calculation="when_required")
        yield row(f"{version} unsigned payload", capture(plain, "put_object", **where, Body=b"hello"), SESSION, content=b"hello")


def others():
    """Services with the other rules: query, JSON and REST protocols, paths to be encoded twice."""
    generic = {"dialect": "generic"}
    for name, credential in CREDENTIALS.items():
        sts = client("sts", credential)
        made = capture(sts, "assume_role", RoleArn="arn:aws:iam::123456789012:role/a b", RoleSessionName="s=1&2")
        yield row(f"sts assume_role {name}", made, credential, service="sts", **generic)
        yield row(f"sts identity {name}", capture(sts, "get_caller_identity"), credential, service="sts", **generic)
        iam = client("iam", credential, region="us-east-1")
        yield row(f"iam {name}", capture(iam, "list_users", PathPrefix="/a b/"), credential, service="iam", **generic)
        table = {"TableName": "t", "Item": {"k": {"S": "ü & <x>"}}}
        made = capture(client("dynamodb", credential), "put_item", **table)
        yield row(f"dynamodb {name}", made, credential, service="dynamodb", **generic)
        function = {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:f:1", "Payload": b'{"a": 1}'}
        made = capture(client("lambda", credential), "invoke", **function)
        yield row(f"lambda {name}", made, credential, service="lambda", **generic)
        made = capture(client("apigateway", credential), "get_resource", restApiId="a/b c", resourceId="x..y~%2F", embed=["m"])
        yield row(f"apigateway {name}", made, credential, service="apigateway", **generic)
    url = client("sts", SESSION).generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    yield presigned("sts presigned", "GET", url, SESSION, service="sts", **generic)
    made = capture(client("sts", SESSION, signature_version="v4a", sigv4a_signing_region_set="*"), "get_caller_identity")
    yield row("sts sigv4a", made, SESSION, service="sts", **generic)


def uploads():
    """Presigned uploads with headers to be kept to."""
    for credential in (LONG_TERM, SESSION):
        made = s3(credential, signature_version="s3v4")
        parameters = {
            "Bucket": "bucket", "Key": "a b", "ContentType": "image/png", "Metadata": {"owner": "suite"}, "ACL": "private",
        }
        url = made.generate_presigned_url("put_object", parameters, ExpiresIn=604800)
        headers = [("Content-Type", "image/png"), ("x-amz-meta-owner", "suite"), ("x-amz-acl", "private")]
        headers = [pair for pair in headers if pair[0].lower() in url.lower()]
        found = presigned(f"presigned put {credential.access_key_id}", "PUT", url, credential, headers)
        yield found.with_header("content-length", "0")


def rows():
    freeze()
    for make in (objects, operations, framings, others, uploads):
        yield from make()
