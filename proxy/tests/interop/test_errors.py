"""Refused heads: AWS's code, status and elements, word for word where clients read them."""

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from kit import clients, events
from kit.credentials import Credentials
from kit.server import start_serve
from kit.signing import EMPTY_SHA256, UNSIGNED, Signer, crc32, sha256
from kit.wire import Connection, authority, exchange


def ask(
    gateway, credentials=None, method="GET", target="/", region=None, service="s3", when=None, change=None, extra=()
):
    """A signed request, changed after signing if asked to."""
    signer = Signer(credentials or gateway.credentials, region or gateway.region, service, when)
    path, _, query = target.partition("?")
    headers, _ = signer.headers(method, path, query, [("Host", authority(gateway.endpoint)), *extra])
    return exchange(gateway.endpoint, method, target, change(headers) if change else headers)


def without(*names):
    return lambda headers: [(name, value) for name, value in headers if name.lower() not in names]


def test_an_unknown_key_is_invalid_access_key_id(dev):
    answer = ask(dev, Credentials("AKIAUNKNOWN000000001", "secret"))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    assert answer.error()["AWSAccessKeyId"] == "AKIAUNKNOWN000000001"
    assert answer.error()["Message"] == "The AWS Access Key Id you provided does not exist in our records."


def test_a_session_without_its_token_is_invalid_access_key_id(dev, dev_session):
    answer = ask(dev, dev_session.with_token(None))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize("token", ["garbage", "", "x" * 3000])
def test_a_wrong_token_is_invalid_token(dev, dev_session, token):
    answer = ask(dev, dev_session.with_token(token))
    assert (answer.status, answer.code) == (400, "InvalidToken")
    assert answer.error()["Message"] == "The provided token is malformed or otherwise invalid."


def test_a_token_with_one_changed_character_is_invalid_token(dev, dev_session):
    token = dev_session.session_token
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    assert ask(dev, dev_session.with_token(changed)).code == "InvalidToken"


def test_a_token_beside_a_long_term_key_is_invalid_token(dev, dev_session):
    assert ask(dev, dev.credentials.with_token(dev_session.session_token)).code == "InvalidToken"


def test_a_token_of_another_session_is_invalid_token(dev, dev_session):
    other = clients.session(dev)
    assert ask(dev, dev_session.with_token(other.session_token)).code == "InvalidToken"


def test_an_expired_session_is_expired_token(dev):
    session = events.issue(dev, timedelta(seconds=1))
    time.sleep(1.1)
    answer = ask(dev, session)
    assert (answer.status, answer.code) == (400, "ExpiredToken")
    assert answer.error()["Message"] == "The provided token has expired."


def test_a_wrong_secret_is_explained(dev):
    answer = ask(dev, dev.credentials.with_secret("not the secret"), target="/a%20b?list-type=2")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    error = answer.error()
    assert error["AWSAccessKeyId"] == dev.credentials.access_key_id
    assert error["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert error["CanonicalRequest"].startswith("GET\n/a%20b\nlist-type=2\n")
    assert len(error["SignatureProvided"]) == 64
    assert bytes.fromhex(error["StringToSignBytes"].replace(" ", "")).decode() == error["StringToSign"]
    assert bytes.fromhex(error["CanonicalRequestBytes"].replace(" ", "")).decode() == error["CanonicalRequest"]


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_wrong_clock_is_request_time_too_skewed(dev, minutes):
    answer = ask(dev, when=datetime.now(UTC) + timedelta(minutes=minutes))
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    error = answer.error()
    assert error["MaxAllowedSkewMilliseconds"] == "900000"
    assert error["RequestTime"]
    assert error["ServerTime"]


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_a_little_wrong_is_accepted(dev, minutes):
    assert ask(dev, when=datetime.now(UTC) + timedelta(minutes=minutes)).status == 200


def test_a_wrong_region_is_told_the_right_one(dev):
    answer = ask(dev, region="mars-north-1")
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")
    assert answer.error()["Region"] == dev.region
    assert f"the region 'mars-north-1' is wrong; expecting '{dev.region}'" in answer.error()["Message"]


def test_a_wrong_service_is_authorization_header_malformed(dev):
    # As `ec2`, the request has no payload hash of its own to be missed.
    answer = ask(dev, service="ec2", extra=[("x-amz-content-sha256", EMPTY_SHA256)])
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")


def test_no_signature_is_access_denied(dev, bucket):
    for method in ("GET", "PUT", "DELETE"):
        with dev.backend.untouched():
            answer = exchange(
                dev.endpoint, method, f"/{bucket}/object", [("Host", authority(dev.endpoint)), ("Content-Length", "0")]
            )
        assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        ("AWS4-HMAC-SHA256", 400, "InvalidArgument"),
        ("Bearer abc", 400, "InvalidArgument"),
        ("AWS AKIA:signature", 400, "InvalidRequest"),
        ("AWS4-HMAC-SHA256 Credential=x", 400, "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0", 400, "AuthorizationHeaderMalformed"),
    ],
)
def test_a_malformed_authorization_is_told_apart(dev, value, status, code):
    answer = ask(dev, change=lambda headers: [*without("authorization")(headers), ("Authorization", value)])
    assert (answer.status, answer.code) == (status, code)


def test_a_missing_payload_hash_is_invalid_request(dev):
    answer = ask(dev, change=without("x-amz-content-sha256"))
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_an_unknown_payload_hash_is_invalid_argument(dev):
    signer = Signer(dev.credentials, dev.region)
    headers, _ = signer.headers("GET", "/", "", [("Host", authority(dev.endpoint))], "unsigned-payload")
    answer = exchange(dev.endpoint, "GET", "/", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("name", ["x-amz-meta-injected", "x-amz-copy-source", "x-amz-acl"])
def test_an_unsigned_amz_header_is_named(dev, bucket, name):
    with dev.backend.untouched():
        answer = ask(dev, method="PUT", target=f"/{bucket}/object", change=lambda headers: [*headers, (name, "value")])
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.error()["Message"] == "There were headers present in the request which were not signed"
    assert answer.error()["HeadersNotSigned"] == name


def test_an_unsigned_host_is_refused(dev):
    signer = Signer(dev.credentials, dev.region)
    headers, _ = signer.headers("GET", "/", "", [("Host", authority(dev.endpoint))], unsigned=("host",))
    assert exchange(dev.endpoint, "GET", "/", headers).status == 403


def test_a_request_for_another_host_is_refused(dev):
    other = [("Host", "s3.amazonaws.com")]
    answer = ask(dev, change=lambda headers: other + without("host")(headers))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_every_answer_names_its_request(dev, bucket):
    wrong = dev.credentials.with_secret("wrong")
    answers = [ask(dev), ask(dev, target=f"/{bucket}/missing"), ask(dev, wrong), ask(dev, wrong)]
    assert [answer.status for answer in answers] == [200, 404, 403, 403]
    assert len({answer.headers["x-amz-request-id"] for answer in answers}) == 4
    for refusal in answers[2:]:
        assert refusal.error()["RequestId"] == refusal.headers["x-amz-request-id"]
        assert refusal.error()["HostId"] == refusal.headers["x-amz-id-2"]
        assert refusal.headers["content-type"] == "application/xml"


@pytest.mark.parametrize("secret", ["right", "wrong"])
def test_an_error_to_head_has_no_body(dev, bucket, secret):
    credentials = dev.credentials if secret == "right" else dev.credentials.with_secret("not the secret")
    signer = Signer(credentials, dev.region)
    target = f"/{bucket}/missing"
    headers, _ = signer.headers("HEAD", target, "", [("Host", authority(dev.endpoint))])
    with Connection(dev.endpoint) as connection:
        connection.send_head("HEAD", target, headers)
        answer = connection.receive("HEAD")
        assert answer.status == (404 if secret == "right" else 403)
        assert answer.headers["x-amz-request-id"]
        assert connection.rest(0.3) == b""


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_malformed_escape_is_invalid_uri(dev, bucket, method):
    with dev.backend.untouched():
        headers = [("Host", authority(dev.endpoint)), ("Content-Length", "0")]
        signed, _ = Signer(dev.credentials, dev.region).headers(method, f"/{bucket}/a", "", headers)
        answer = exchange(dev.endpoint, method, f"/{bucket}/a%zz", signed)
    assert (answer.status, answer.code) == (400, "InvalidURI")


def test_a_preflight_is_answered(dev, bucket):
    headers = [
        ("Host", authority(dev.endpoint)),
        ("Origin", "https://example.com"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization,x-amz-date"),
    ]
    assert exchange(dev.endpoint, "OPTIONS", f"/{bucket}/object", headers).status < 500


def test_sts_refuses_in_its_own_words(dev):
    with pytest.raises(ClientError) as refusal:
        clients.sts(dev, Credentials("AKIAUNKNOWN000000001", "secret")).get_caller_identity()
    assert refusal.value.response["Error"]["Code"] == "InvalidClientTokenId"
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        clients.sts(dev, dev.credentials.with_secret("not the secret")).get_caller_identity()


def test_an_absent_backend_is_an_error_clients_retry(tmp_path, sink):
    gateway = start_serve(tmp_path / "serve", sink.endpoint, {"auth": "identity"})
    try:
        assert ask(gateway, target="/bucket/10").status == 200
        sink.kill()
        answer = ask(gateway, target="/bucket/10")
        assert answer.status in (502, 503)
        assert answer.code in ("SlowDown", "ServiceUnavailable")
        with pytest.raises(ClientError) as refusal:
            clients.s3(gateway, retries={"total_max_attempts": 3}).get_object(Bucket="bucket", Key="10")
        assert refusal.value.response["ResponseMetadata"]["RetryAttempts"] == 2
    finally:
        gateway.process.stop()


@pytest.mark.parametrize("size, status", [(60_000, 200), (66_000, 400)])
def test_a_head_that_is_too_large_is_told_the_limit(dev, bucket, size, status):
    headers = [("Host", authority(dev.endpoint)), ("x-padding", "x" * size)]
    signed, _ = Signer(dev.credentials, dev.region).headers("GET", f"/{bucket}", "", headers, unsigned=("x-padding",))
    answer = exchange(dev.endpoint, "GET", f"/{bucket}", signed)
    assert answer.status == status, answer
    if status == 400:
        error = answer.error()
        assert (error["Code"], error["MaxSizeAllowed"]) == ("RequestHeaderSectionTooLarge", "65536")


@pytest.mark.parametrize("payload", ["hash", "unsigned"])
def test_a_list_of_objects_to_delete_is_protected(dev, bucket, payload):
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    declared = sha256(body) if payload == "hash" else UNSIGNED

    def delete(*extra):
        headers = [("Host", authority(dev.endpoint)), ("Content-Length", str(len(body))), *extra]
        signed, _ = Signer(dev.credentials, dev.region).headers("POST", f"/{bucket}", "delete=", headers, declared)
        return exchange(dev.endpoint, "POST", f"/{bucket}?delete=", signed, body)

    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert delete(("Content-MD5", md5)).status == 200
    assert delete(("x-amz-checksum-crc32", crc32(body))).status == 200
    error = delete().error()
    assert error["Code"] == "InvalidRequest"
    assert error["Message"] == "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    assert delete(("Content-MD5", "A" * 22 + "==")).code == "BadDigest"
    assert delete(("x-amz-checksum-crc32", "AAAAAA==")).code == "BadDigest"


def test_of_several_errors_the_first_in_the_order_of_s3_is_told(dev, dev_session, bucket):
    """Mechanism, scope, date, clock, key, token, payload hash, unsigned headers, signature, body."""
    body = b"x"

    def send(credentials=dev.credentials, region=dev.region, when=None, payload=None, without=(), **other):
        headers = [("Host", authority(dev.endpoint)), ("Content-Length", "1"), ("Content-MD5", "A" * 22 + "==")]
        signer = Signer(credentials, region, when=when)
        signed, _ = signer.headers("PUT", f"/{bucket}/a", "", headers, payload or sha256(b"another"))
        kept = [(name, value) for name, value in signed if name.lower() not in without]
        return exchange(dev.endpoint, "PUT", f"/{bucket}/a{other.get('query', '')}", kept + other.get("more", []), body).code

    past = datetime.now(UTC) - timedelta(hours=1)
    unknown = Credentials("AKIAUNKNOWN000000001", "x", "token")
    wrong_token = dev_session.with_token("another").with_secret("wrong")
    wrong = dev.credentials.with_secret("wrong")
    unsigned = [("x-amz-acl", "private")]
    faults = {"when": past, "payload": "no hash", "more": unsigned}
    assert send(unknown, "mars-1", query="?X-Amz-Signature=0", **faults) == "InvalidArgument"
    assert send(unknown, "mars-1", **faults) == "AuthorizationHeaderMalformed"
    assert send(unknown, without=("x-amz-date",), payload="no hash", more=unsigned) == "AccessDenied"
    assert send(unknown, **faults) == "RequestTimeTooSkewed"
    assert send(unknown, payload="no hash", more=unsigned) == "InvalidAccessKeyId"
    assert send(wrong_token, payload="no hash", more=unsigned) == "InvalidToken"
    assert send(wrong, payload="no hash", more=unsigned) == "InvalidArgument"
    assert send(wrong, more=unsigned) == "AccessDenied"
    assert send(wrong) == "SignatureDoesNotMatch"
    assert send() == "XAmzContentSHA256Mismatch"
    assert send(payload=sha256(body)) == "BadDigest"
