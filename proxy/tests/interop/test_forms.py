"""Browser uploads: forms that boto3 signs and curl sends, and forms that nobody should send."""

import base64
import hashlib
import os
import subprocess
import urllib.parse

import pytest
import urllib3

from kit import clients, signing
from kit.forms import Form, form, signed, until
from kit.server import clean_environment, resigned_for, start_serve
from kit.sink import recorded
from kit.uploads import split
from kit.wire import authority

MALFORMED = "The body of your POST request is not well-formed multipart/form-data."


def refused(answer, status: int, code: str, message: str | None = None, **elements: str) -> None:
    """The answer is this error, with these elements among its own."""
    assert answer.status == status, answer
    error = answer.error()
    assert error["Code"] == code, error
    assert message is None or error["Message"] == message, error
    assert elements.items() <= error.items(), error


def policy_refused(answer, text: str) -> None:
    refused(answer, 403, "AccessDenied", f"Invalid according to Policy: {text}")


def md5(body: bytes) -> str:
    """The value of `Content-MD5`."""
    return base64.b64encode(hashlib.md5(body).digest()).decode()


# Good forms.


@pytest.mark.parametrize("size", [0, 1, 200_000, (1 << 20) + 3])
def test_a_form_of_boto3_stores_the_file(dev, credentials, bucket, size):
    body = os.urandom(size)
    post = clients.s3(dev, credentials, signature_version="s3v4").generate_presigned_post(bucket, "folder/${filename}")
    fields = {**post["fields"], "file": ("cat & dog.jpg", body, "image/jpeg")}
    answer = urllib3.request("POST", post["url"], fields=fields, retries=False)
    assert answer.status == 204, answer.data
    stored = clients.s3(dev).get_object(Bucket=bucket, Key="folder/cat & dog.jpg")
    assert stored["Body"].read() == body
    assert answer.headers["ETag"] == stored["ETag"]
    dev.backend.assert_stored(bucket, body)


@pytest.mark.parametrize("size", [0, 100_000, 3 << 20])
def test_curl_uploads_by_form(dev, bucket, tmp_path, size):
    body = os.urandom(size)
    file = tmp_path / "file.bin"
    file.write_bytes(body)
    post = clients.s3(dev, signature_version="s3v4").generate_presigned_post(
        bucket,
        "object",
        Fields={"Content-Type": "text/plain", "x-amz-meta-colour": "grün"},
        Conditions=[{"Content-Type": "text/plain"}, ["starts-with", "$x-amz-meta-colour", "gr"]],
    )
    fields = [item for name, value in post["fields"].items() for item in ("--form-string", f"{name}={value}")]
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *fields, "-F", f"file=@{file}", post["url"]]
    done = subprocess.run(command, capture_output=True, timeout=60, env=clean_environment())
    assert done.stdout == b"204", done
    dev.backend.assert_stored(bucket, body)
    assert clients.s3(dev).head_object(Bucket=bucket, Key="object")["ContentType"] == "text/plain"


def test_metadata_and_headers_of_an_upload_are_fields(dev, bucket):
    body = os.urandom(1000)
    fields = {
        "Cache-Control": "max-age=60",
        "Content-Disposition": "attachment",
        "Content-Encoding": "gzip",
        "Content-Type": "image/png",
        "x-amz-meta-a_b": "c d",
    }
    answer = form(dev, bucket, body, [{name: value} for name, value in fields.items()], list(fields.items())).send()
    assert answer.status == 204, answer
    head = clients.s3(dev).head_object(Bucket=bucket, Key="object")
    found = [head[name] for name in ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentType")]
    assert found == ["max-age=60", "attachment", "gzip", "image/png"]
    assert head["Metadata"] == {"a_b": "c d"}


@pytest.mark.parametrize("asked, status", [(None, 204), ("200", 200), ("201", 201), ("204", 204), ("302", 204)])
def test_the_answer_has_the_status_that_was_asked_for(dev, bucket, asked, status):
    fields = [("success_action_status", asked)] if asked else []
    body = os.urandom(100)
    answer = form(dev, bucket, body, [dict([field]) for field in fields], fields, key="a b/ü").send()
    assert answer.status == status, answer
    url = f"{dev.endpoint}/{bucket}/a%20b%2F%C3%BC"
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert (answer.headers["location"], answer.headers["etag"]) == (url, etag)
    if status == 201:
        assert answer.headers["content-type"] == "application/xml"
        told = {name: text for name, text in answer.error().items() if name != "PostResponse"}
        assert told == {"Location": url, "Bucket": bucket, "Key": "a b/ü", "ETag": etag}
    else:
        assert answer.body == b""
    dev.backend.assert_stored(bucket, body)


@pytest.mark.parametrize("page", ["https://app.example/done", "https://app.example/done?a=b#c", "javascript:alert(1)"])
def test_a_browser_is_sent_on(dev, bucket, page):
    body = os.urandom(100)
    fields = [("success_action_redirect", page), ("success_action_status", "201")]
    answer = form(dev, bucket, body, [dict([field]) for field in fields], fields, key="a/b").send()
    if page.startswith("javascript"):
        assert answer.status == 201, answer
        return
    assert (answer.status, answer.body) == (303, b"")
    sent, asked = urllib.parse.urlsplit(answer.headers["location"]), urllib.parse.urlsplit(page)
    assert (sent.netloc, sent.path, sent.fragment) == (asked.netloc, asked.path, asked.fragment)
    told = {"bucket": bucket, "key": "a/b", "etag": f'"{hashlib.md5(body).hexdigest()}"'}
    assert dict(urllib.parse.parse_qsl(sent.query)) == {**dict(urllib.parse.parse_qsl(asked.query)), **told}


@pytest.mark.parametrize("filename", ["cat.jpg", "C:\\pictures\\cat.jpg", "/home/tom/cat.jpg", "../../cat.jpg"])
def test_the_name_of_the_file_is_put_in_without_its_path(dev, bucket, filename):
    policy = {"expiration": until(60), "conditions": [{"bucket": bucket}, ["starts-with", "$key", "user/"]]}
    upload = Form(dev, bucket, signed(dev, policy, [("key", "user/${filename}")]), os.urandom(100), filename)
    assert upload.send().status == 204
    assert [item["Key"] for item in clients.s3(dev).list_objects_v2(Bucket=bucket)["Contents"]] == ["user/cat.jpg"]


@pytest.mark.parametrize(
    "shape",
    [
        {"boundary": "x"},
        {"boundary": "--", "content_type": 'multipart/form-data; boundary="{}"'},
        {"boundary": "a b'()+_,-./:=?", "content_type": 'Multipart/Form-Data;charset=utf-8;Boundary="{}"'},
        {"preamble": b"\r\n"},
        {"preamble": b"\n"},
        {"preamble": b"To whom it may concern:\r\n"},
        {"end": b"--"},
        {"end": b"--\r\nepilogue"},
        {"end": b"\r\n"},
        {"end": b' \t\r\nContent-Disposition: form-data; name="submit"\r\n\r\nUpload\r\n--' + b"x" * 9},
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_form_may_be_framed_and_cut_in_any_way(dev, bucket, shape, step):
    body = os.urandom(300) + b"\r\n--\r\n-" + os.urandom(300)
    upload = form(dev, bucket, body)
    for name, value in shape.items():
        setattr(upload, name, value)
    with upload.start() as connection:
        for piece in split(upload.body, step):
            connection.send(piece)
        answer = connection.receive("POST")
    assert answer.status == 204, answer
    dev.backend.assert_stored(bucket, body)


def test_a_form_may_be_held_back_until_it_is_asked_for(dev, bucket):
    body = os.urandom(1000)
    upload = form(dev, bucket, body)
    upload.extra = [("Expect", "100-continue")]
    with upload.start() as connection:
        assert connection.receive("POST").status == 100
        connection.send(upload.body)
        assert connection.receive("POST").status == 204
    dev.backend.assert_stored(bucket, body)


@pytest.mark.parametrize(
    "name, value",
    [
        ("Content-MD5", "7h/eo4DB5hJVrRwH0Y3rYg=="),
        ("x-amz-checksum-crc32", "rDyRVQ=="),
    ],
)
def test_checksums_are_fields_too(dev, bucket, name, value):
    upload = form(dev, bucket, b"checked", [["starts-with", f"${name}", ""]], [(name, value)])
    with dev.backend.untouched():
        refused(upload.send(), 400, "BadDigest")
        refused(upload.set(name, "not base64").send(), 400, "InvalidDigest" if name == "Content-MD5" else "InvalidRequest")
    right = md5(b"checked") if name == "Content-MD5" else signing.crc32(b"checked")
    assert upload.set(name, right).send().status == 204


def test_tags_are_a_field_in_xml(tmp_path, dev, sink):
    gateway = start_serve(tmp_path / "serve", sink.endpoint, resigned_for(dev, tmp_path))
    try:
        tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>"
        conditions, fields = [{"acl": "private"}, ["starts-with", "$tagging", ""]], [("acl", "private"), ("tagging", tags)]
        assert form(gateway, "bucket", b"x", conditions, fields).send().status == 204
        refused(form(gateway, "bucket", b"x", conditions, [("acl", "private"), ("tagging", "a=b")]).send(), 400, "MalformedXML")
        [put] = recorded(sink)
        assert (put["headers"]["x-amz-acl"], put["headers"]["x-amz-tagging"]) == (["private"], ["a%20b=1%262"])
    finally:
        gateway.process.stop()


@pytest.mark.parametrize("hosted", [False, True])
def test_what_a_backend_sees_of_a_form(tmp_path, dev, sink, hosted):
    body = os.urandom(30_000)
    for auth in ("resign", "identity", "passthrough"):
        options = resigned_for(dev, tmp_path) if auth == "resign" else {"auth": auth}
        gateway = start_serve(tmp_path / auth, sink.endpoint, options)
        try:
            upload = form(gateway, "bucket", body, [["starts-with", "$x-amz-copy-source", ""]], key="a b/ü")
            upload.fields.append(("x-amz-copy-source", "/other/secret"))
            upload.host = f"bucket.localhost:{gateway.endpoint.rpartition(':')[2]}" if hosted else ""
            upload.target = "/" if hosted else ""
            answer = upload.send()
            assert answer.status == (200 if auth == "passthrough" else 204), answer
        finally:
            gateway.process.stop()
        seen = recorded(sink)[-1]
        assert seen["complete"]
        if auth == "passthrough":
            assert (seen["method"], seen["target"]) == ("POST", "/" if hosted else "/bucket")
            assert (seen["body"].encode("latin-1"), seen["length"]) == (upload.body, len(upload.body))
            continue
        assert (seen["method"], seen["target"]) == ("PUT", "/bucket/a%20b/%C3%BC")
        assert seen["body"].encode("latin-1") == body
        assert seen["headers"]["content-length"] == [str(len(body))]
        assert not {"x-amz-copy-source", "policy", "content-type", "x-amz-credential"} & seen["headers"].keys()
        assert ("authorization" in seen["headers"]) == (auth == "resign")
        assert ("x-sigward-access-key-id" in seen["headers"]) == (auth == "identity")


# Forms that are none.


def test_only_forms_are_uploaded_by_post(dev, bucket):
    condition = "Bucket POST must be of the enclosure-type multipart/form-data"
    for content_type in ("", "application/x-www-form-urlencoded", "multipart/mixed; boundary={}"):
        upload = form(dev, bucket, b"x")
        upload.content_type = content_type
        with dev.backend.untouched():
            answer = upload.send()
        refused(answer, 412, "PreconditionFailed", Condition=condition)


def broken(change):
    def make(dev, bucket):
        upload = form(dev, bucket, b"x" * 1000)
        change(upload)
        return upload

    return make


def without_boundary(upload):
    upload.content_type = "multipart/form-data"


def with_another_boundary(upload):
    upload.content_type = "multipart/form-data; boundary=another"


def without_end(upload):
    upload.end = b""


def with_a_broken_end(upload):
    upload.end = b"x\r\n"


def with_a_nameless_field(upload):
    upload.preamble = f"--{upload.boundary}\r\nContent-Disposition: form-data\r\n\r\nx\r\n".encode()


def with_a_field_of_bytes(upload):
    upload.preamble = f'--{upload.boundary}\r\nContent-Disposition: form-data; name="x-ignore-x"\r\n\r\n\xff\r\n'.encode(
        "latin-1"
    )


@pytest.mark.parametrize(
    "change",
    [without_boundary, with_another_boundary, without_end, with_a_broken_end, with_a_nameless_field, with_a_field_of_bytes],
)
def test_a_broken_form_is_malformed(dev, bucket, change):
    with dev.backend.untouched():
        refused(broken(change)(dev, bucket).send(), 400, "MalformedPOSTRequest", MALFORMED)


def test_a_form_has_a_file(dev, bucket):
    upload = form(dev, bucket, b"")
    body = b"".join(
        f'--{upload.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in upload.fields
    )
    body += f"--{upload.boundary}--\r\n".encode()
    with upload.start(len(body)) as connection:
        connection.send(body)
        answer = connection.receive("POST")
    message = "POST requires exactly one file upload per request."
    refused(answer, 400, "InvalidArgument", message, ArgumentName="file", ArgumentValue="0")


def test_what_stands_before_the_file_is_bounded(dev, bucket):
    upload = form(dev, bucket, b"x", fields=[("x-ignore-padding", "x" * 20_480)])
    message = "Your POST request fields preceding the upload file were too large."
    with dev.backend.untouched():
        refused(upload.send(), 400, "MaxPostPreDataLengthExceededError", message)


def test_the_length_of_a_form_must_be_known(dev, bucket):
    upload = form(dev, bucket, b"x")
    upload.headers = lambda _: [*Form.headers(upload, 0)[:2], ("Transfer-Encoding", "chunked")]
    with upload.start() as connection:
        connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(upload.body), upload.body))
        refused(connection.receive("POST"), 411, "MissingContentLength")


# Forms that are not signed.


@pytest.mark.parametrize("name", ["key", "policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"])
def test_a_missing_field_is_missed_by_name(dev, bucket, name):
    message = (
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    )
    with dev.backend.untouched():
        answer = form(dev, bucket, b"x").set(name, None).send()
    refused(answer, 400, "InvalidArgument", message, ArgumentName=name, ArgumentValue="")


def test_an_unsigned_form_is_anonymous(dev, bucket):
    upload = Form(dev, bucket, [("key", "object")], b"x")
    with dev.backend.untouched():
        refused(upload.send(), 403, "AccessDenied", "Access Denied")


def test_signature_version_2_is_not_offered(dev, bucket):
    fields = [("key", "object"), ("AWSAccessKeyId", dev.credentials.access_key_id), ("policy", "e30="), ("signature", "AA")]
    refused(Form(dev, bucket, fields, b"x").send(), 400, "InvalidRequest")


def test_a_form_is_signed_in_one_way(dev, bucket):
    upload = form(dev, bucket, b"x")
    upload.extra = [("Authorization", "AWS4-HMAC-SHA256 Credential=x")]
    with dev.backend.untouched():
        refused(upload.send(), 400, "InvalidArgument", ArgumentName="Authorization")
        upload.extra, upload.target = [], f"/{bucket}?X-Amz-Signature=0"
        refused(upload.send(), 400, "InvalidArgument")


@pytest.mark.parametrize(
    "name, value, message, argument",
    [
        ("x-amz-algorithm", "invalid", "Only AWS4-HMAC-SHA256 is supported", "X-Amz-Algorithm"),
        ("x-amz-date", "invalid_date", "X-Amz-Date must be formated via ISO8601 Long format", "X-Amz-Date"),
        (
            "x-amz-credential",
            "malformed-no-slashes",
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
            "x-amz-credential",
        ),
        (
            "x-amz-credential",
            "AKID/20260101/mars-1/s3/aws4_request",
            "the region 'mars-1' is wrong; expecting '{region}'",
            "x-amz-credential",
        ),
    ],
)
def test_the_fields_of_a_signature_are_checked_before_it(dev, bucket, name, value, message, argument):
    answer = form(dev, bucket, b"x").set(name, value).send()
    message = message.format(region=dev.region)
    refused(answer, 400, "InvalidArgument", message, ArgumentName=argument, ArgumentValue=value)


def test_a_field_comes_once(dev, bucket):
    upload = form(dev, bucket, b"x")
    upload.fields.append(("KEY", "other"))
    with dev.backend.untouched():
        refused(upload.send(), 400, "InvalidArgument", ArgumentName="key")


def test_the_credential_must_be_known_and_come_with_its_token(dev, bucket, dev_session):
    unknown = dev.credentials.__class__("AKIAUNKNOWN000000001", "x")
    answer = form(dev, bucket, b"x", credentials=unknown).send()
    refused(answer, 403, "InvalidAccessKeyId", AWSAccessKeyId="AKIAUNKNOWN000000001")
    answer = form(dev, bucket, b"x", credentials=dev_session.with_token(None)).send()
    refused(answer, 403, "InvalidAccessKeyId")
    refused(form(dev, bucket, b"x", credentials=dev_session.with_token("another")).send(), 400, "InvalidToken")
    refused(form(dev, bucket, b"x", credentials=dev.credentials.with_token("one")).send(), 400, "InvalidToken")


def test_a_wrong_signature_is_explained_with_the_policy(dev, bucket):
    upload = form(dev, bucket, b"x", credentials=dev.credentials.with_secret("wrong"))
    policy = dict(upload.fields)["policy"]
    with dev.backend.untouched():
        answer = upload.send()
    refused(answer, 403, "SignatureDoesNotMatch", StringToSign=policy, SignatureProvided=dict(upload.fields)["x-amz-signature"])
    assert "CanonicalRequest" not in answer.error()


def test_a_policy_cannot_be_changed(dev, bucket):
    upload = form(dev, bucket, b"x")
    policy = dict(upload.fields)["policy"]
    with dev.backend.untouched():
        refused(upload.set("policy", policy.replace("A", "B", 1)).send(), 403, "SignatureDoesNotMatch")
        refused(upload.set("policy", f"{policy}\n").send(), 403, "SignatureDoesNotMatch")


# Forms that their policy does not allow.


def test_an_expired_policy_lets_nothing_through(dev, bucket):
    policy = {"expiration": until(-5), "conditions": [{"bucket": bucket}, {"key": "object"}]}
    upload = Form(dev, bucket, signed(dev, policy, [("key", "object")]), b"x")
    with dev.backend.untouched():
        policy_refused(upload.send(), "Policy expired.")


@pytest.mark.parametrize(
    "conditions, fields, text",
    [
        ([{"acl": "private"}], [("acl", "public-read")], 'Policy Condition failed: ["eq", "$acl", "private"]'),
        ([["eq", "$acl", "private"]], [], 'Policy Condition failed: ["eq", "$acl", "private"]'),
        (
            [["starts-with", "$Content-Type", "image/"]],
            [("Content-Type", "image/png,text/html")],
            'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]',
        ),
        ([{"key": "another"}], [], 'Policy Condition failed: ["eq", "$key", "another"]'),
        ([{"bucket": "another"}], [], 'Policy Condition failed: ["eq", "$bucket", "another"]'),
        ([], [("content-type", "text/html")], "Extra input fields: content-type"),
        ([], [("x-amz-meta-custom", "x")], "Extra input fields: x-amz-meta-custom"),
    ],
)
def test_a_form_is_what_its_policy_allows(dev, bucket, conditions, fields, text):
    with dev.backend.untouched():
        policy_refused(form(dev, bucket, b"x", conditions, fields).send(), text)


def test_a_policy_names_its_bucket(dev, bucket):
    policy = {"expiration": until(60), "conditions": [{"key": "object"}]}
    with dev.backend.untouched():
        policy_refused(Form(dev, bucket, signed(dev, policy, [("key", "object")]), b"x").send(), "Extra input fields: bucket")


@pytest.mark.parametrize(
    "policy, text",
    [
        ("", "Expecting '{' but found End-of-Input"),
        ("{", "Invalid JSON."),
        ('{"conditions": []}', "Policy missing expiration."),
        ('{"expiration": "invalid", "conditions": []}', "Invalid 'expiration' value: 'invalid'"),
        ('{"expiration": "2099-01-01T00:00:00Z"}', "Policy missing conditions."),
        ('{"expiration": "2099-01-01T00:00:00Z", "conditions": {}}', "Invalid 'conditions' value: must be a List."),
        ('{"expiration": "2099-01-01T00:00:00Z", "conditions": [], "extra": 1}', 'Unexpected: "extra"'),
        (
            '{"expiration": "2099-01-01T00:00:00Z", "conditions": [["invalid", "$key", "x"]]}',
            "Invalid Condition: unknown operation 'invalid'.",
        ),
        (
            '{"expiration": "2099-01-01T00:00:00Z", "conditions": [["eq", "$key"]]}',
            "Invalid eq: wrong number of arguments.",
        ),
    ],
)
def test_a_policy_is_a_policy(dev, bucket, policy, text):
    upload = Form(dev, bucket, signed(dev, policy, [("key", "object")]), b"x")
    with dev.backend.untouched():
        refused(upload.send(), 400, "InvalidPolicyDocument", f"Invalid Policy: {text}")


@pytest.mark.parametrize("size", [0, 9, 10, 20, 21, 1 << 20])
def test_a_file_is_of_the_size_that_the_policy_allows(dev, bucket, size):
    body = os.urandom(size)
    upload = form(dev, bucket, body, [["content-length-range", 10, "20"]])
    if 10 <= size <= 20:
        assert upload.send().status == 204
        dev.backend.assert_stored(bucket, body)
        return
    with dev.backend.untouched():
        answer = upload.send()
    if size < 10:
        refused(answer, 400, "EntityTooSmall", ProposedSize=str(size), MinSizeAllowed="10")
    else:
        refused(answer, 400, "EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed="20")


def test_a_key_does_not_lead_out_of_its_bucket(dev, bucket):
    policy = {"expiration": until(60), "conditions": [{"bucket": bucket}, ["starts-with", "$key", "user/"]]}
    with dev.backend.untouched():
        key = "user/../../other/${filename}"
        answer = Form(dev, bucket, signed(dev, policy, [("key", key)]), b"x", "a").send()
    refused(answer, 400, "InvalidArgument", ArgumentName="key", ArgumentValue="user/../../other/a")


# Forms that end badly.


def test_a_large_file_must_be_the_last_field(dev, bucket):
    upload = form(dev, bucket, os.urandom(2 << 20))
    upload.end = b'\r\nContent-Disposition: form-data; name="submit"\r\n\r\nUpload\r\n--' + upload.boundary.encode() + b"--\r\n"
    with dev.backend.untouched():
        refused(upload.send(), 400, "MalformedPOSTRequest")
    upload.end = b"--\r\n"
    assert upload.send().status == 204
    dev.backend.assert_stored(bucket, upload.file)


@pytest.mark.parametrize("size", [10_000, 2 << 20])
def test_a_form_without_its_end_stores_nothing(dev, bucket, size):
    upload = form(dev, bucket, os.urandom(size))
    with dev.backend.untouched():
        with upload.start(len(upload.body)) as connection:
            connection.send(upload.body[:-20])
            connection.reset()
        upload.end = b"x-\r\n"
        refused(upload.send(), 400, "MalformedPOSTRequest", MALFORMED)


def test_a_file_that_is_damaged_on_the_way_stores_nothing(dev, bucket):
    body = os.urandom(2 << 20)
    upload = form(dev, bucket, body, [{"Content-MD5": md5(body)}], [("Content-MD5", md5(body))])
    upload.file = body[:-1] + bytes([body[-1] ^ 1])
    with dev.backend.untouched():
        refused(upload.send(), 400, "BadDigest")
    upload.file = body
    assert upload.send().status == 204


def test_nothing_of_a_form_is_logged(dev, bucket, dev_session):
    upload = form(dev, bucket, b"x", credentials=dev_session)
    assert upload.send().status == 204
    upload.set("acl", "private").send()
    upload.set("x-amz-signature", "0" * 64).send()
    written = dev.process.output()
    fields = dict(upload.fields)
    for name in ("policy", "x-amz-security-token"):
        assert fields[name].encode() not in written, name
    assert b"PostObject" in written
    assert 'sigward_requests_total{operation="PostObject",outcome="ok"}' in dev.metrics()
