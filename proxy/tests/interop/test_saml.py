"""Roles by SAML, from identity providers that know nothing of Sigward to S3."""

import base64
import hashlib
import json
import signal
import time
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from kit import clients, saml
from kit.commands import program, run
from kit.credentials import Credentials
from kit.saml import AWS, ENDPOINT, Login
from kit.server import binary, resigned_for, start_serve

ACCOUNT = "111122223333"
ROLE, TAGGED = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "tagged"))
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/alice@example.com"


def provider_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:saml-provider/{name}"


def trust(condition: dict, *actions: str) -> str:
    principal = {"Federated": [provider_arn(name) for name in saml.PROVIDERS]}
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


@pytest.fixture(scope="module")
def providers(tmp_path_factory) -> dict[str, saml.Provider]:
    top = tmp_path_factory.mktemp("providers")
    return {name: kind(top / name, f"https://{name}.example/metadata") for name, kind in saml.PROVIDERS.items()}


@pytest.fixture(scope="module")
def gateway(dev, providers, tmp_path_factory):
    top = tmp_path_factory.mktemp("saml")
    account = top / "iam" / ACCOUNT
    reads = {"Effect": "Allow", "Action": ["s3:ListAllMyBuckets", "s3:ListBucket", "s3:GetObject"], "Resource": "*"}
    trusts = {
        "reader": trust({"StringEquals": {"SAML:aud": ENDPOINT}}, "sts:AssumeRoleWithSAML"),
        "tagged": trust(
            {
                "StringEquals": {"saml:sub_type": "persistent", "aws:RequestTag/Project": "Marketing"},
                "ForAnyValue:StringEquals": {"saml:edupersonaffiliation": ["staff"]},
            },
            "sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity",
        ),
    }  # fmt: skip
    for role, document in trusts.items():
        (account / "roles" / role / "policies").mkdir(parents=True)
        (account / "roles" / role / "trust.json").write_text(document)
        policy = json.dumps({"Version": "2012-10-17", "Statement": reads})
        (account / "roles" / role / "policies" / "reads.json").write_text(policy)
    (account / "saml-providers").mkdir()
    for name, provider in providers.items():
        (account / "saml-providers" / f"{name}.xml").write_text(provider.metadata())
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), iam=top / "iam")
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="module")
def sts(gateway):
    """Nobody signs for `AssumeRoleWithSAML`."""
    config = Config(signature_version=UNSIGNED, parameter_validation=False, retries={"total_max_attempts": 1})
    return boto3.client("sts", endpoint_url=gateway.endpoint, region_name=gateway.region, config=config)


def login(name: str, role: str = ROLE, **more) -> Login:
    attributes = {
        f"{AWS}Role": [f"{role},{provider_arn(name)}"],
        f"{AWS}RoleSessionName": ["alice@example.com"],
        **more.pop("attributes", {}),
    }
    return Login(attributes, **more)


def assume(sts, name: str, assertion: str, role: str = ROLE, **more) -> dict:
    return sts.assume_role_with_saml(RoleArn=role, PrincipalArn=provider_arn(name), SAMLAssertion=assertion, **more)


def refusal(call, *arguments, **more) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        call(*arguments, **more)
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


@pytest.mark.parametrize("signed", ["response", "assertion", "both"])
@pytest.mark.parametrize("name", saml.PROVIDERS)
def test_a_login_becomes_a_session_that_reads_s3(gateway, sts, providers, bucket, name, signed):
    answer = assume(sts, name, providers[name].respond(login(name, sign=signed)))
    assert answer["AssumedRoleUser"]["Arn"] == SESSION
    assert (answer["Subject"], answer["SubjectType"]) == ("alice", "persistent")
    assert (answer["Issuer"], answer["Audience"]) == (providers[name].entity_id, ENDPOINT)
    unique = f"{providers[name].entity_id}{ACCOUNT}/{name}"
    assert answer["NameQualifier"] == base64.b64encode(hashlib.sha1(unique.encode()).digest()).decode()
    assert "SourceIdentity" not in answer and "PackedPolicySize" not in answer
    credentials = Credentials.from_sts(answer["Credentials"])
    assert clients.sts(gateway, credentials).get_caller_identity()["Arn"] == SESSION
    s3 = clients.s3(gateway, credentials)
    assert bucket in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"")[:2] == (403, "AccessDenied")


@pytest.mark.parametrize("name", saml.PROVIDERS)
def test_the_command_line_assumes_a_role_too(gateway, providers, name, tmp_path):
    assertion = tmp_path / "assertion"
    assertion.write_text(providers[name].respond(login(name)))
    command = [program("aws"), "--endpoint-url", gateway.endpoint, "--region", gateway.region, "--output", "json"]
    command += ["sts", "assume-role-with-saml", "--role-arn", ROLE, "--principal-arn", provider_arn(name)]
    answer = json.loads(run([*command, "--saml-assertion", f"file://{assertion}", "--duration-seconds", "900"]))
    assert answer["AssumedRoleUser"]["Arn"] == SESSION
    assert Credentials.from_sts(answer["Credentials"]).session_token


@pytest.mark.parametrize("name", saml.PROVIDERS)
def test_the_sdk_for_javascript_assumes_a_role_too(gateway, providers, name):
    wish = {"RoleArn": ROLE, "PrincipalArn": provider_arn(name), "SAMLAssertion": providers[name].respond(login(name))}
    script = [str(Path(__file__).parent / "node/assume-role-with-saml.mjs"), str(saml.NODE_PACKAGES)]
    environment = {"AWS_ENDPOINT_URL": gateway.endpoint, "AWS_REGION": gateway.region}
    answer = json.loads(run([program("node"), *script], stdin=json.dumps(wish).encode(), **environment))
    assert (answer["AssumedRoleUser"]["Arn"], answer["Subject"]) == (SESSION, "alice")
    assert answer["Credentials"]["SessionToken"]


@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "xml"])
def test_a_terminal_needs_no_credentials(gateway, sts, providers, encoded, tmp_path):
    assertion, response = tmp_path / "assertion", providers["pysaml2"].respond(login("pysaml2"))
    assertion.write_bytes(response.encode() if encoded else base64.b64decode(response))
    proof = ["--saml-assertion-file", str(assertion), "--principal-arn", provider_arn("pysaml2")]
    environment = {"AWS_ENDPOINT_URL": gateway.endpoint, "AWS_REGION": gateway.region, "HOME": str(tmp_path)}
    answer = json.loads(run([str(binary()), "assume-role", ROLE, *proof, "--json"], **environment))
    assert answer["AssumedRoleUser"]["Arn"] == SESSION
    assert clients.sts(gateway, Credentials.from_sts(answer["Credentials"])).get_caller_identity()["Arn"] == SESSION


@pytest.mark.parametrize("name", saml.PROVIDERS)
def test_tags_and_source_identity_come_out_of_the_assertion(gateway, sts, providers, name):
    said = {
        f"{AWS}PrincipalTag:Project": ["Marketing"],
        f"{AWS}TransitiveTagKeys": ["Project"],
        f"{AWS}SourceIdentity": ["alice"],
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["member", "staff"],
    }
    if name == "pysaml2":
        said["eduPersonAffiliation"] = said.pop("urn:oid:1.3.6.1.4.1.5923.1.1.1.1")
    answer = assume(sts, name, providers[name].respond(login(name, TAGGED, attributes=said)), TAGGED)
    assert answer["SourceIdentity"] == "alice" and 0 < answer["PackedPolicySize"] <= 100
    for missing in said:
        if missing == f"{AWS}TransitiveTagKeys":
            continue
        fewer = {key: values for key, values in said.items() if key not in (missing, f"{AWS}TransitiveTagKeys")}
        response = providers[name].respond(login(name, TAGGED, attributes=fewer))
        if missing == f"{AWS}SourceIdentity":
            assert "SourceIdentity" not in assume(sts, name, response, TAGGED)
        else:
            denied = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML")
            assert refusal(assume, sts, name, response, TAGGED) == denied
    # The trust policy of the other role grants neither.
    for extra in ({f"{AWS}PrincipalTag:Project": ["Marketing"]}, {f"{AWS}SourceIdentity": ["alice"]}):
        response = providers[name].respond(login(name, attributes=extra))
        assert refusal(assume, sts, name, response)[:2] == (403, "AccessDenied")


@pytest.mark.parametrize("name", saml.PROVIDERS)
def test_an_assertion_is_redeemed_once(sts, providers, name):
    response = providers[name].respond(login(name))
    # What was not granted can be tried again.
    assert refusal(assume, sts, name, response, f"{ROLE}-of-nobody")[:2] == (403, "AccessDenied")
    assume(sts, name, response)
    code = refusal(assume, sts, name, response)
    assert code == (400, "InvalidIdentityToken", "The assertion has been redeemed already")


@pytest.mark.parametrize("signed", ["response", "assertion", "both"])
@pytest.mark.parametrize("name", saml.PROVIDERS)
def test_what_was_tampered_with_is_refused(sts, providers, name, signed):
    response = base64.b64decode(providers[name].respond(login(name, sign=signed)))
    for before, after in ((b">alice<", b">mallory<"), (b"role/reader,", b"role/tagged,")):
        changed = response.replace(before, after)
        assert changed != response
        code = refusal(assume, sts, name, base64.b64encode(changed).decode())
        assert code == (400, "InvalidIdentityToken", "Response signature invalid")


def test_a_provider_vouches_for_itself_only(sts, providers):
    names = list(saml.PROVIDERS)
    response = providers[names[0]].respond(login(names[1]))
    code = refusal(assume, sts, names[1], response)
    assert code == (400, "InvalidIdentityToken", "Response signature invalid")
    # Its own signature, and a pair of a role with somebody else.
    assert refusal(assume, sts, names[0], response) == (
        403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PrincipalArn": provider_arn("nobody")}, (400, "InvalidIdentityToken", "Specified provider doesn't exist")),
        ({"PrincipalArn": ROLE}, (400, "ValidationError", "Request ARN is invalid")),
        ({"SAMLAssertion": "%%%%"}, (400, "InvalidIdentityToken", "Invalid base64 SAMLResponse")),
        ({"SAMLAssertion": "A" * 100_001}, (400, "ValidationError", "1 validation error detected: Value '***'")),
        ({"DurationSeconds": 899}, (400, "ValidationError", "1 validation error detected: Value '899'")),
        ({"DurationSeconds": 7_200}, (400, "ValidationError", "The requested DurationSeconds exceeds the Max")),
        ({"Policy": "{}"}, (400, "MalformedPolicyDocument", "")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value[1],
)
def test_parameters_are_checked_as_on_aws(sts, providers, changes, code):
    name = "pysaml2"
    whole = {"RoleArn": ROLE, "PrincipalArn": provider_arn(name), "SAMLAssertion": providers[name].respond(login(name))}
    status, found, message = refusal(sts.assume_role_with_saml, **{**whole, **changes})
    assert (status, found, message[: len(code[2])]) == code


def test_a_session_ends_when_the_assertion_says(sts, providers):
    said = {f"{AWS}SessionDuration": ["900"]}
    answer = assume(sts, "pysaml2", providers["pysaml2"].respond(login("pysaml2", attributes=said)))
    assert 800 < answer["Credentials"]["Expiration"].timestamp() - time.time() <= 900


def test_metadata_nobody_can_read_do_not_come_into_force(gateway, sts, providers):
    file = gateway.state.parent / "iam" / ACCOUNT / "saml-providers" / "pysaml2.xml"
    before = file.read_text()
    file.write_text(before.replace("EntityDescriptor", "Entity"))
    try:
        gateway.process.send_signal(signal.SIGHUP)
        gateway.process.wait_for(lambda: "sigward_iam_directory_faults 1\n" in gateway.metrics())
        assume(sts, "pysaml2", providers["pysaml2"].respond(login("pysaml2")))
    finally:
        file.write_text(before)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.process.wait_for(lambda: "sigward_iam_directory_faults 0\n" in gateway.metrics())
