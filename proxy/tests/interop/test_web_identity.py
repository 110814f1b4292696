"""Roles by web identity: a real OpenID Connect provider, a cluster's issuer, and tokens that nobody should make."""

import hashlib
import hmac
import json
import shlex
import time
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from joserfc.jwk import RSAKey

from kit import clients, oidc
from kit.commands import program, run
from kit.credentials import Credentials
from kit.oidc import AUDIENCE, Issuer, NodeOidcProvider, compact
from kit.server import Gateway, binary, resigned_for, start_serve

ACCOUNT = "111122223333"
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
TAGS = "https://aws.amazon.com/tags"
SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)
NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
BAD_SIGNATURE = "Couldn't verify signed token."


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def provider_arn(issuer: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer.removeprefix('https://')}"


class Account:
    """The files of one account."""

    def __init__(self, top: Path):
        self.top = top
        self.directory = top / "iam" / ACCOUNT

    def write(self, path: str, content: str | dict) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))

    def add_provider(self, name: str, issuer: str, certificate: Path, clients: list[str]) -> None:
        settings = {"url": issuer, "client_ids": clients, "ca_file": str(certificate)}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
        self.write(f"oidc-providers/{name}.toml", "".join(lines))

    def add_role(self, name: str, issuers: list[str], condition: dict, *more: str) -> None:
        principal = {"Federated": [provider_arn(issuer) for issuer in issuers]}
        actions = ["sts:AssumeRoleWithWebIdentity", *more]
        statement = {"Effect": "Allow", "Principal": principal, "Action": actions, "Condition": condition}
        self.write(f"roles/{name}/trust.json", {"Version": "2012-10-17", "Statement": statement})
        allowed = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
        self.write(f"roles/{name}/policies/read.json", {"Version": "2012-10-17", "Statement": allowed})


@pytest.fixture(scope="module")
def login(tmp_path_factory):
    claims = {
        TAGS: {"principal_tags": {"Project": ["apollo"], "Team": ["red"]}, "transitive_tag_keys": ["Project"]},
        SOURCE_IDENTITY: "alice@example.com",
    }
    provider = NodeOidcProvider(tmp_path_factory.mktemp("login") / "provider", claims)
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    issuer = Issuer(tmp_path_factory.mktemp("cluster") / "issuer")
    yield issuer
    issuer.stop()


@pytest.fixture(scope="module")
def gateway(dev, login, cluster, tmp_path_factory):
    top = tmp_path_factory.mktemp("web-identity")
    account = Account(top)
    apps = [f"{algorithm}-app" for algorithm in ALGORITHMS]
    account.add_provider("login", login.issuer, login.certificate, apps)
    account.add_provider("cluster", cluster.issuer, cluster.certificate, [AUDIENCE, "another-audience"])
    name = login.issuer.removeprefix("https://")
    everything = ["sts:TagSession", "sts:SetSourceIdentity"]
    account.add_role("people", [login.issuer], {"StringLike": {f"{name}:sub": "al*"}}, *everything)
    account.add_role("untagged", [login.issuer], {})
    name = cluster.issuer.removeprefix("https://")
    account.add_role("pods", [cluster.issuer], {"StringEquals": {f"{name}:sub": "system:serviceaccount:shop:cart"}})
    account.add_role("anybody", [cluster.issuer], {"StringEquals": {f"{name}:aud": AUDIENCE}}, *everything)
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), iam=top / "iam")
    yield gateway
    gateway.process.stop()


def sts(gateway: Gateway):
    """boto3 without credentials, trying once."""
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client("sts", endpoint_url=gateway.endpoint, region_name=gateway.region, config=config)


def assume(gateway: Gateway, name: str, token: str, **more) -> dict:
    wish = {"RoleArn": role(name), "RoleSessionName": "session-1", "WebIdentityToken": token}
    return sts(gateway).assume_role_with_web_identity(**wish, **more)


def refusal(gateway: Gateway, name: str, token: str, **more) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        assume(gateway, name, token, **more)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_login_at_a_real_provider_becomes_a_session(gateway, login, algorithm):
    answer = assume(gateway, "people", login.id_token("alice", f"{algorithm}-app"))
    assert answer["SubjectFromWebIdentityToken"] == "alice"
    assert answer["Audience"] == f"{algorithm}-app"
    assert answer["Provider"] == provider_arn(login.issuer)
    assert answer["SourceIdentity"] == "alice@example.com"
    assert 0 < answer["PackedPolicySize"] <= 100
    session = Credentials.from_sts(answer["Credentials"])
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/people/session-1"
    assert answer["AssumedRoleUser"]["Arn"] == clients.sts(gateway, session).get_caller_identity()["Arn"] == arn
    assert "Buckets" in clients.s3(gateway, session).list_buckets()


def test_trust_is_in_a_subject_an_audience_and_what_the_token_brings_along(gateway, login):
    denied = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    assert refusal(gateway, "people", login.id_token("bob", "RS256-app")) == denied
    assert refusal(gateway, "pods", login.id_token("alice", "RS256-app")) == denied
    assert refusal(gateway, "nobody", login.id_token("alice", "RS256-app")) == denied
    audience = (400, "InvalidIdentityToken", "Incorrect token audience")
    assert refusal(gateway, "people", login.id_token("alice", "another-app")) == audience
    tags = (403, "AccessDenied", "Not authorized to perform sts:TagSession")
    assert refusal(gateway, "untagged", login.id_token("alice", "RS256-app")) == tags


@pytest.fixture
def pod(gateway, cluster, tmp_path) -> dict[str, str]:
    """The environment of a pod, as Kubernetes and its webhook make it."""
    token = tmp_path / "token"
    token.write_text(cluster.service_account_token("shop", "cart"))
    return {
        "AWS_ROLE_ARN": role("pods"),
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_SESSION_NAME": "cart-1",
        "AWS_REGION": gateway.region,
        "AWS_DEFAULT_REGION": gateway.region,
        "AWS_ENDPOINT_URL": gateway.endpoint,
    }


POD = f"arn:aws:sts::{ACCOUNT}:assumed-role/pods/cart-1"
BOTO3 = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
JAVASCRIPT = [str(Path(__file__).parent / "node" / "caller-identity.mjs"), str(oidc.NODE_PACKAGES)]


@pytest.mark.parametrize(
    "client, arguments",
    [
        ("python", ["-c", BOTO3]),
        ("aws", ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"]),
        ("node", JAVASCRIPT),
    ],
)
def test_sdks_in_a_pod_need_nothing_but_their_environment(pod, client, arguments):
    assert run([program(client), *arguments], **pod).strip() == POD


def test_what_a_pod_of_another_service_account_holds_is_not_enough(gateway, cluster):
    token = cluster.service_account_token("shop", "checkout")
    assert refusal(gateway, "pods", token)[:2] == (403, "AccessDenied")


def test_the_command_line_of_sigward_takes_the_same_file(gateway, pod):
    arguments = ["--web-identity-token-file", pod["AWS_WEB_IDENTITY_TOKEN_FILE"], "--role-session-name", "cart-1"]
    command = [str(binary()), "assume-role", role("pods"), "--no-cache", *arguments]
    script = f'eval "$({shlex.join(command)})" && {shlex.quote(command[0])} whoami --json'
    environment = {name: pod[name] for name in ("AWS_REGION", "AWS_ENDPOINT_URL")}
    assert json.loads(run(["sh", "-c", script], **environment))["Arn"] == POD


def odd_tokens(cluster: Issuer) -> dict[str, tuple[str, str, str]]:
    """Name, token, code and text."""
    key, claims = cluster.keys[0], cluster.claims()
    header = {"alg": "RS256", "kid": key.kid}
    public, stranger = key.as_pem(private=False), RSAKey.generate_key(2048, {"kid": key.kid})

    def hs256(head: dict) -> str:
        message = compact(head, claims, b"").rstrip(".")
        return compact(head, claims, hmac.digest(public, message.encode(), hashlib.sha256))

    now = int(time.time())
    signed = cluster.token()
    first, second, third = signed.split(".")
    invalid = "InvalidIdentityToken"
    return {
        "HS256 with the public key": (hs256({**header, "alg": "HS256"}), invalid, NOT_A_JWT),
        "none": (compact({"alg": "none"}, claims, b""), invalid, NOT_A_JWT),
        "none with a key id": (compact({**header, "alg": "none"}, claims, b""), invalid, NOT_A_JWT),
        "RS512 by a key pinned to RS256": (cluster.token({"alg": "RS512"}), invalid, BAD_SIGNATURE),
        "PS256 by a key pinned to RS256": (cluster.token({"alg": "PS256"}), invalid, BAD_SIGNATURE),
        "a stranger's key": (cluster.token(key=stranger), invalid, BAD_SIGNATURE),
        "a stranger's key in the header": (
            cluster.token({"jwk": stranger.as_dict(private=False)}, key=stranger), invalid, BAD_SIGNATURE,
        ),
        "a stranger's key set in the header": (
            cluster.token({"jku": "http://127.0.0.1:9/jwks"}, key=stranger), invalid, BAD_SIGNATURE,
        ),
        "an unknown key id": (cluster.token({"kid": "unknown"}), invalid, NO_KEY),
        "a key id that is a path": (cluster.token({"kid": "../../../../dev/null"}), invalid, NO_KEY),
        "a critical extension": (compact({**header, "crit": ["exp"]}, claims, b"x"), invalid, NOT_A_JWT),
        "a logout token": (cluster.token({"typ": "logout+jwt"}), invalid, NOT_A_JWT),
        "encryption": (f"{first}..{second}.{third}.x", invalid, NOT_A_JWT),
        "no signature": (f"{first}.{second}.", invalid, BAD_SIGNATURE),
        "another audience": (cluster.token(aud="vault"), invalid, "Incorrect token audience"),
        "another party": (cluster.token(azp="vault"), invalid, "Incorrect token audience"),
        "no subject": (cluster.token(sub=None), invalid, "Missing a required claim: sub"),
        "no audience": (cluster.token(aud=None), invalid, "Missing a required claim: aud"),
        "no end": (cluster.token(exp=None), invalid, "Missing a required claim: exp"),
        "expired": (cluster.token(exp=now - 1), "ExpiredTokenException", "Token expired: current date/time "),
        "not yet": (cluster.token(nbf=now + 3600), invalid, "Token is not yet valid"),
        "an issuer with a slash": (
            cluster.token(iss=f"{cluster.issuer}/"),
            invalid,
            f"No OpenIDConnect provider found in your account for {cluster.issuer}/",
        ),
        "an unknown issuer": (
            cluster.token(iss="https://idp.example"),
            invalid,
            "No OpenIDConnect provider found in your account for https://idp.example",
        ),
        "a plain issuer": (
            cluster.token(iss=cluster.issuer.replace("https", "http")),
            invalid,
            "No OpenIDConnect provider found in your account for http://127.0.0.1",
        ),
        "an endless token": ("x" * 20_001, "ValidationError", "1 validation error detected: "),
    }  # fmt: skip


def test_odd_tokens_are_refused_in_the_words_of_aws(gateway, cluster):
    assert assume(gateway, "anybody", cluster.token())
    wrong = {}
    for name, (token, code, text) in odd_tokens(cluster).items():
        found = refusal(gateway, "anybody", token)
        if found[:2] != (400, code) or not found[2].startswith(text) or token in found[2]:
            wrong[name] = found
    assert not wrong


def test_tokens_that_are_odd_and_good(gateway, cluster):
    for token in [
        cluster.token(aud=["vault", AUDIENCE]),
        cluster.token({"kid": "first", "typ": "at+jwt"}),
        cluster.token(azp=AUDIENCE, aud="vault"),
    ]:
        assert assume(gateway, "anybody", token)["SubjectFromWebIdentityToken"] == "alice"


def test_no_token_is_ever_logged(gateway, cluster):
    token = cluster.token(sub="canary")
    assume(gateway, "anybody", token)
    refusal(gateway, "anybody", f"{token}x")
    assert token.rsplit(".", 1)[1].encode() not in gateway.process.output()


def test_a_provider_out_of_reach_is_no_reason_to_lock_out_at_once(dev, tmp_path):
    issuer = Issuer(tmp_path / "issuer")
    account = Account(tmp_path)
    account.add_provider("issuer", issuer.issuer, issuer.certificate, [AUDIENCE])
    account.add_role("anybody", [issuer.issuer], {})
    token = issuer.token()
    issuer.stop()
    gateway = start_serve(tmp_path / "serve", dev.endpoint, resigned_for(dev, tmp_path), iam=tmp_path / "iam")
    try:
        assert refusal(gateway, "anybody", token)[:2] == (400, "IDPCommunicationError")
        issuer.start()
        wait_for(lambda: accepted(gateway, token), 20)
        issuer.stop()
        assert accepted(gateway, token), "kept keys serve"
        metrics = gateway.metrics()
        assert 'sigward_oidc_fetches_total{outcome="ok"} 1' in metrics
        assert f'provider="{issuer.issuer.removeprefix("https://")}"' in metrics
    finally:
        gateway.process.stop()


def test_a_new_key_is_found_without_asking_at_every_odd_token(gateway, cluster):
    assert assume(gateway, "anybody", cluster.token())
    former = cluster.token()
    asked = len(cluster.asked)
    cluster.rotate("second")
    token = cluster.token()
    wait_for(lambda: accepted(gateway, token), 45)
    assert refusal(gateway, "anybody", former) == (400, "InvalidIdentityToken", NO_KEY)
    # A discovery document and a key set.
    assert len(cluster.asked) - asked <= 4, cluster.asked[asked:]


def test_a_stranger_with_a_certificate_of_another_authority_gets_nowhere(dev, tmp_path):
    issuer, other = Issuer(tmp_path / "issuer"), Issuer(tmp_path / "other")
    account = Account(tmp_path)
    account.add_provider("issuer", issuer.issuer, other.certificate, [AUDIENCE])
    account.add_role("anybody", [issuer.issuer], {})
    gateway = start_serve(tmp_path / "serve", dev.endpoint, resigned_for(dev, tmp_path), iam=tmp_path / "iam")
    try:
        assert refusal(gateway, "anybody", issuer.token())[:2] == (400, "IDPCommunicationError")
        assert issuer.asked == []
    finally:
        gateway.process.stop()
        issuer.stop()
        other.stop()


def accepted(gateway: Gateway, token: str) -> bool:
    try:
        return bool(assume(gateway, "anybody", token))
    except ClientError:
        return False


def wait_for(probe, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)
