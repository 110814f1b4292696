"""The built-in STS as clients reach it: a form, a query, a presigned URL, on the same listener as S3."""

from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from kit import clients, events, signing
from kit.credentials import Credentials
from kit.signing import Signer
from kit.wire import Response, authority, exchange

VERSION = "Version=2011-06-15"
FORM = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")


def post(gateway, body: str, credentials: Credentials | None = None, path: str = "/") -> Response:
    signer = Signer(credentials or gateway.credentials, gateway.region, "sts")
    headers = [("Host", authority(gateway.endpoint)), FORM, ("Content-Length", str(len(body)))]
    target, _, query = path.partition("?")
    signed, _ = signer.headers("POST", target, query, headers, signing.sha256(body.encode()))
    return exchange(gateway.endpoint, "POST", path, signed, body.encode())


def get(gateway, query: str, credentials: Credentials | None = None) -> Response:
    signer = Signer(credentials or gateway.credentials, gateway.region, "sts")
    signed, _ = signer.headers("GET", "/", query, [("Host", authority(gateway.endpoint))])
    return exchange(gateway.endpoint, "GET", f"/?{query}", signed)


def presigned(gateway, query: str, credentials: Credentials | None = None) -> Response:
    """As tools prove who they are to others: the URL is the proof. The hash of no body is signed."""
    signer = Signer(credentials or gateway.credentials, gateway.region, "sts")
    host = [("Host", authority(gateway.endpoint))]
    whole = signer.presign("GET", "/", query, host, 60, signing.EMPTY_SHA256)
    return exchange(gateway.endpoint, "GET", f"/?{whole}", host)


ASK = {"form": post, "query": get, "presigned": presigned}


@pytest.mark.parametrize("how", ASK)
def test_every_way_of_asking_gets_the_same_answer(dev, credentials, how):
    answer = ASK[how](dev, f"Action=GetCallerIdentity&{VERSION}", credentials)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/xml"
    told = answer.error()
    whole = clients.sts(dev, credentials).get_caller_identity()
    assert {name: told[name] for name in ("Arn", "UserId", "Account")} == {
        name: whole[name] for name in ("Arn", "UserId", "Account")
    }
    assert told["RequestId"] == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize("how", ASK)
def test_a_session_is_issued_whichever_way_it_was_asked_for(dev, how):
    answer = ASK[how](dev, f"Action=GetSessionToken&DurationSeconds=900&{VERSION}")
    assert answer.status == 200, answer
    assert "Buckets" in clients.s3(dev, Credentials.from_sts(answer.error())).list_buckets()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_url_of_boto3_tells_who_made_it(dev, credentials, method):
    url = clients.sts(dev, credentials).generate_presigned_url("get_caller_identity", HttpMethod=method)
    host = urlsplit(url).netloc
    answer = exchange(dev.endpoint, method, f"/?{urlsplit(url).query}", [("Host", host), ("Content-Length", "0")])
    assert (answer.status, answer.error().get("Account")) == (200, "000000000000")


@pytest.mark.parametrize("how", ASK)
def test_a_wrong_secret_gets_no_answer(dev, how):
    wrong = dev.credentials.with_secret("not the secret")
    answer = ASK[how](dev, f"Action=GetSessionToken&{VERSION}", wrong)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_a_form_that_was_changed_gets_no_answer(dev):
    body = f"Action=GetSessionToken&DurationSeconds=900&{VERSION}"
    signer = Signer(dev.credentials, dev.region, "sts")
    headers = [("Host", authority(dev.endpoint)), FORM, ("Content-Length", str(len(body)))]
    signed, _ = signer.headers("POST", "/", "", headers, signing.sha256(body.encode()))
    changed = body.replace("=900", "=999").encode()
    answer = exchange(dev.endpoint, "POST", "/", signed, changed)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (f"Action=NoSuchOperation&{VERSION}", 400, "InvalidAction"),
        ("Action=GetCallerIdentity&Version=1999-01-01", 400, "InvalidAction"),
        (f"Action=GetSessionToken&DurationSeconds=soon&{VERSION}", 400, "MalformedInput"),
        (f"Action=GetSessionToken&DurationSeconds=899&{VERSION}", 400, "ValidationError"),
        (f"Action=GetSessionToken&DurationSeconds=129601&{VERSION}", 400, "ValidationError"),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_words_of_aws(dev, body, status, code):
    answer = post(dev, body)
    assert (answer.status, answer.code) == (status, code)
    assert answer.error()["Type"] == "Sender"


def test_an_action_in_query_and_form_is_refused(dev):
    answer = post(dev, f"Action=GetCallerIdentity&{VERSION}", path="/?Action=GetSessionToken")
    assert 400 <= answer.status < 500


def test_a_form_without_end_is_not_collected(dev):
    answer = post(dev, f"Action=GetCallerIdentity&{VERSION}&Padding={'x' * (1 << 20)}")
    assert 400 <= answer.status < 500


def test_a_signature_for_s3_is_none_for_sts(dev):
    signer = Signer(dev.credentials, dev.region, "s3")
    headers, _ = signer.headers("GET", "/", f"Action=GetCallerIdentity&{VERSION}", [("Host", authority(dev.endpoint))])
    answer = exchange(dev.endpoint, "GET", f"/?Action=GetCallerIdentity&{VERSION}", headers)
    assert answer.status == 403


def test_expired_and_revoked_sessions_are_told_so(own_dev):
    session = clients.session(own_dev)
    assert clients.sts(own_dev, session).get_caller_identity()
    data = {"access_key_id": session.access_key_id}
    assert 200 <= events.post(own_dev, events.event("session.revoked", data)).status < 300
    with pytest.raises(ClientError) as refusal:
        clients.sts(own_dev, session).get_caller_identity()
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError) as refusal:
        clients.session(own_dev, session.with_token("another"))
    assert refusal.value.response["Error"]["Code"] == "InvalidClientTokenId"
