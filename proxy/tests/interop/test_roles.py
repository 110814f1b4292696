"""Roles, as boto3, the AWS CLI and the JavaScript SDK assume them, over an IAM directory that changes."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import botocore.loaders
import botocore.model
import pytest
from botocore.exceptions import ClientError

from kit import clients, commands, directory
from kit.credentials import Credentials
from kit.directory import ACCOUNT, DEVICE, policy, role, statement, trust
from kit.server import running

READER = role("reader")


class Rig:
    """A gateway and its IAM directory."""

    def __init__(self, top: Path):
        self.top = top
        self.iam = directory.example(top / "iam")
        self.gateway = directory.start(top, self.iam.root)

    def restart(self) -> None:
        assert self.gateway.process.stop() == 0
        self.gateway = directory.start(self.top, self.iam.root)

    def change(self, change) -> dict:
        """Changes files and waits until the gateway has seen it."""
        before = directory.report(self.gateway)["loaded_at"]
        change(self.iam)
        return directory.settle(self.gateway, before)

    def sts(self, credentials: Credentials | None = None):
        return clients.sts(self.gateway, credentials)

    def assume(self, name: str = "reader", session: str = "s1", **more) -> dict:
        return self.sts().assume_role(RoleArn=role(name), RoleSessionName=session, **more)


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig
    if rig.gateway.process in running:
        rig.gateway.process.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("shared"))
    yield rig
    rig.gateway.process.stop()


def refused(call, **parameters) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def fits(shape, value, path="answer") -> None:
    """Whether an answer holds what botocore's model says, and nothing of another kind."""
    kinds = {"string": str, "integer": int, "structure": dict, "list": list}
    if shape.type_name in kinds:
        assert isinstance(value, kinds[shape.type_name]), (path, shape.type_name, value)
    if shape.type_name != "structure":
        return
    for name in shape.required_members:
        assert name in value, f"{path}.{name} is missing"
    for name, member in value.items():
        assert name in shape.members, f"{path}.{name} is not in the model"
        fits(shape.members[name], member, f"{path}.{name}")


def test_every_answer_has_the_shape_of_botocores_model(shared):
    model = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("sts", "service-2"))
    sts = shared.sts()
    tags = [{"Key": "team", "Value": "red"}]
    allow = policy(statement("Allow", "s3:*"))
    key = shared.gateway.credentials.access_key_id
    answers = {
        "AssumeRole": sts.assume_role(
            RoleArn=READER, RoleSessionName="shape", Tags=tags, SourceIdentity="alice", Policy=allow
        ),
        "GetSessionToken": sts.get_session_token(),
        "GetFederationToken": sts.get_federation_token(Name="bob", Policy=allow, Tags=tags),
        "GetCallerIdentity": sts.get_caller_identity(),
        "GetAccessKeyInfo": sts.get_access_key_info(AccessKeyId=key),
    }
    for operation, answer in answers.items():
        answer.pop("ResponseMetadata")
        fits(model.operation_model(operation).output_shape, answer)
    assert answers["AssumeRole"]["SourceIdentity"] == "alice"
    assert 0 < answers["AssumeRole"]["PackedPolicySize"] <= 100
    assert "PackedPolicySize" not in shared.assume()
    assert answers["GetFederationToken"]["FederatedUser"]["Arn"].endswith(":federated-user/bob")


def test_a_session_is_who_was_assumed_and_no_two_are_the_same(rig):
    answer = rig.assume(session="build-17")
    user = answer["AssumedRoleUser"]
    assert user["Arn"] == "arn:aws:sts::123456789012:assumed-role/reader/build-17"
    assert user["AssumedRoleId"].startswith("AROA") and user["AssumedRoleId"].endswith(":build-17")
    session = Credentials.from_sts(answer["Credentials"])
    other = Credentials.from_sts(rig.assume(session="build-17")["Credentials"])
    assert len({session.access_key_id, other.access_key_id}) == 2
    assert session.secret_access_key != other.secret_access_key and session.session_token != other.session_token
    for _ in range(2):
        identity = rig.sts(session).get_caller_identity()
        assert (identity["Arn"], identity["UserId"]) == (user["Arn"], user["AssumedRoleId"])
        rig.restart()


def test_a_session_may_do_what_the_role_may(shared):
    s3 = clients.s3(shared.gateway)
    s3.create_bucket(Bucket="roles")
    s3.put_object(Bucket="roles", Key="a/b", Body=b"hello")
    reader = clients.s3(shared.gateway, Credentials.from_sts(shared.assume()["Credentials"]))
    assert reader.get_object(Bucket="roles", Key="a/b")["Body"].read() == b"hello"
    assert refused(reader.put_object, Bucket="roles", Key="a/b", Body=b"") == "AccessDenied"
    only = policy(statement("Allow", "s3:GetObject", "arn:aws:s3:::roles/c/*"))
    less = clients.s3(shared.gateway, Credentials.from_sts(shared.assume(Policy=only)["Credentials"]))
    assert refused(less.get_object, Bucket="roles", Key="a/b") == "AccessDenied"
    nothing = shared.sts().get_federation_token(Name="bob")["Credentials"]
    federated = clients.s3(shared.gateway, Credentials.from_sts(nothing))
    assert refused(federated.get_object, Bucket="roles", Key="a/b") == "AccessDenied"


def test_sessions_older_than_an_inline_policy_says_are_refused_and_newer_ones_are_not(rig):
    clients.s3(rig.gateway).create_bucket(Bucket="revoked")
    old = clients.s3(rig.gateway, Credentials.from_sts(rig.assume()["Credentials"]))
    old.list_objects_v2(Bucket="revoked")
    issued = directory.report(rig.gateway)["loaded_at"]
    # As the console of AWS attaches it.
    when = subprocess.check_output(["date", "-u", "+%Y-%m-%dT%H:%M:%S.%3NZ"], text=True).strip()
    condition = {"DateLessThan": {"aws:TokenIssueTime": when}}
    deny = policy(statement("Deny", ["*"], ["*"], Condition=condition))
    rig.change(lambda iam: iam.write("roles/reader/policies/AWSRevokeOlderSessions.json", deny))
    assert directory.report(rig.gateway)["loaded_at"] != issued
    assert refused(old.list_objects_v2, Bucket="revoked") == "AccessDenied"
    new = clients.s3(rig.gateway, Credentials.from_sts(rig.assume()["Credentials"]))
    new.list_objects_v2(Bucket="revoked")
    clients.s3(rig.gateway).list_objects_v2(Bucket="revoked")


def test_losing_trust_ends_nothing_and_losing_the_role_ends_all(rig):
    session = Credentials.from_sts(rig.assume()["Credentials"])
    foreign = trust({"AWS": "999999999999"})
    rig.change(lambda iam: iam.write("roles/reader/trust.json", foreign))
    assert refused(rig.assume) == "AccessDenied"
    rig.sts(session).get_caller_identity()
    rig.change(lambda iam: (iam.remove("roles/reader/trust.json"), iam.remove("roles/reader/role.toml")))
    assert refused(rig.sts(session).get_caller_identity) == "AccessDenied"
    settings = 'attached_policies = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]\n'
    rig.change(lambda iam: iam.write("roles/reader/trust.json", trust({"AWS": ACCOUNT})))
    rig.change(lambda iam: iam.write("roles/reader/role.toml", settings))
    assert refused(rig.sts(session).get_caller_identity) == "AccessDenied", "a role of the same name is another"
    rig.assume()


def test_a_bad_file_changes_nothing_and_is_told(rig):
    told = rig.change(lambda iam: iam.write("policies/bad.json", '{"Version": "2012-10-17"}'))
    assert [fault["file"] for fault in told["faults"]] == ["123456789012/policies/bad.json"]
    assert "sigward_iam_directory_faults 1" in rig.gateway.metrics()
    rig.assume()
    rig.iam.remove("policies/bad.json")


def test_a_second_factor_opens_a_role_that_asks_for_one(rig):
    assert refused(rig.assume, name="writer") == "AccessDenied"
    code = directory.code()
    rig.assume("writer", SerialNumber=DEVICE, TokenCode=code)
    assert refused(rig.assume, name="writer", SerialNumber=DEVICE, TokenCode=code) == "AccessDenied"
    session = rig.sts().get_session_token(SerialNumber=DEVICE, TokenCode=directory.code(1))["Credentials"]
    rig.sts(Credentials.from_sts(session)).assume_role(RoleArn=role("writer"), RoleSessionName="later")


@pytest.fixture
def profiles(rig, tmp_path):
    """Alice's key, and profiles that assume roles with it."""
    credentials, config = tmp_path / "credentials", tmp_path / "config"
    alice = rig.gateway.credentials
    credentials.write_text(
        f"[alice]\naws_access_key_id = {alice.access_key_id}\naws_secret_access_key = {alice.secret_access_key}\n"
    )
    config.write_text(
        f"[profile reader]\nrole_arn = {READER}\nsource_profile = alice\nrole_session_name = from-a-profile\n"
        f"duration_seconds = 900\n"
        f"[profile writer]\nrole_arn = {role('writer')}\nsource_profile = alice\nmfa_serial = {DEVICE}\n"
    )
    return {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_ENDPOINT_URL": rig.gateway.endpoint,
        "AWS_DEFAULT_REGION": rig.gateway.region,
        "HOME": str(tmp_path),
    }


def test_the_aws_cli_assumes_a_role(rig):
    environment = {**rig.gateway.credentials.environment(), "AWS_ENDPOINT_URL": rig.gateway.endpoint}
    environment["AWS_DEFAULT_REGION"] = rig.gateway.region
    command = ["sts", "assume-role", "--role-arn", READER, "--role-session-name", "cli", "--tags", "Key=team,Value=red"]
    answer = json.loads(commands.run([commands.program("aws"), *command], **environment))
    session = {**environment, **Credentials.from_sts(answer["Credentials"]).environment()}
    identity = json.loads(commands.run([commands.program("aws"), "sts", "get-caller-identity"], **session))
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/reader/cli"
    denied = [commands.program("aws"), "sts", "assume-role", "--role-arn", role("none"), "--role-session-name", "cli"]
    assert "(AccessDenied)" in commands.run(denied, expect=255, **environment)


@pytest.mark.parametrize("major", [1, 2])
def test_each_aws_cli_calls_every_operation(shared, major):
    program = commands.aws_cli(major) or commands.missing(f"no AWS CLI of version {major}")
    gateway = shared.gateway
    # Versions of 2022 know the endpoint by argument only.
    aws = [program, "--endpoint-url", gateway.endpoint, "--region", gateway.region, "--output", "json", "sts"]

    def call(*arguments: str, **environment: str) -> dict:
        return json.loads(commands.run([*aws, *arguments], **environment))

    alice = gateway.credentials.environment()
    name = f"cli-{major}"
    answers = [
        call("assume-role", "--role-arn", READER, "--role-session-name", name, **alice),
        call("get-session-token", "--duration-seconds", "900", **alice),
        call("get-federation-token", "--name", name, "--tags", "Key=team,Value=red", **alice),
    ]
    names = [f":assumed-role/reader/{name}", ":user/alice", f":federated-user/{name}"]
    for answer, expected in zip(answers, names, strict=True):
        session = Credentials.from_sts(answer["Credentials"]).environment()
        assert call("get-caller-identity", **session)["Arn"].endswith(expected)
    key = gateway.credentials.access_key_id
    assert call("get-access-key-info", "--access-key-id", key, **alice) == {"Account": "123456789012"}


def test_the_aws_cli_assumes_the_role_of_a_profile(profiles):
    aws = commands.program("aws")
    identity = json.loads(commands.run([aws, "--profile", "reader", "sts", "get-caller-identity"], **profiles))
    assert identity["Arn"].endswith(":assumed-role/reader/from-a-profile")
    commands.run([aws, "--profile", "reader", "s3", "ls"], **profiles)
    denied = commands.run([aws, "--profile", "reader", "s3", "mb", "s3://not-mine"], expect=1, **profiles)
    assert "AccessDenied" in denied


def test_boto3_asks_for_the_code_that_a_profile_wants(profiles, monkeypatch):
    for name, value in profiles.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(profile_name="writer")
    provider = session._session.get_component("credential_provider").get_provider("assume-role")
    monkeypatch.setattr(provider, "_prompter", lambda prompt: directory.code())
    identity = session.client("sts").get_caller_identity()
    assert ":assumed-role/writer/" in identity["Arn"]


def test_the_javascript_sdk_assumes_a_role(rig):
    packages = Path(sys.prefix) / "node/node_modules"
    if not (packages / "@aws-sdk/client-sts").exists():
        commands.missing("@aws-sdk/client-sts is not installed")
    script = Path(__file__).parent / "node/assume_role.js"
    gateway = rig.gateway
    told = json.loads(
        commands.run(
            [commands.program("node"), str(script), gateway.endpoint, gateway.region, READER],
            NODE_PATH=str(packages),
            **gateway.credentials.environment(),
        )
    )
    assert told["identity"] == "arn:aws:sts::123456789012:assumed-role/reader/javascript"
    assert told["refused"] == "AccessDenied"
    assert told["federated"].endswith(":federated-user/bob")
