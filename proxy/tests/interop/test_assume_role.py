"""`sigward assume-role` and `sigward whoami` in a real shell, and as the credential process of the SDKs."""

import base64
import hmac
import json
import os
import shlex
import struct
import time
from pathlib import Path

import pytest

from kit.commands import program, run
from kit.server import Gateway, binary, resigned_for, start_serve

ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/suite"
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
DEVICE = f"arn:aws:iam::{ACCOUNT}:mfa/suite"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def session(name: str, session_name: str = "suite") -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session_name}"


@pytest.fixture(scope="module")
def gateway(dev, tmp_path_factory):
    top = tmp_path_factory.mktemp("assume-role")
    account = top / "iam" / ACCOUNT
    (account / "users/suite").mkdir(parents=True)
    devices = f'[[mfa_devices]]\nserial_number = "{DEVICE}"\nsecret_file = "totp"\n'
    (account / "users/suite/user.toml").write_text(f'id = "AIDASUITEUSER00000001"\n{devices}')
    (account / "users/suite/totp").write_text(f"{TOTP}\n")
    (account / "users/suite/totp").chmod(0o600)
    user, reader = {"AWS": USER}, {"AWS": role("reader")}
    everything = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    add_role(account, "reader", user, everything, {})
    add_role(account, "writer", user, everything, {})
    add_role(account, "inner", reader, everything, {})
    add_role(account, "guarded", user, everything, {"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    add_role(account, "outside", user, everything, {"StringEquals": {"sts:ExternalId": "team=a/b,c@d"}})
    gateway = start_serve(top / "serve", dev.endpoint, resigned_for(dev, top), iam=top / "iam")
    yield gateway
    gateway.process.stop()


def add_role(account: Path, name: str, principal: dict, actions: list[str], condition: dict) -> None:
    (account / "roles" / name).mkdir(parents=True)
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions, "Condition": condition}
    document = {"Version": "2012-10-17", "Statement": statement}
    (account / "roles" / name / "trust.json").write_text(json.dumps(document))


@pytest.fixture
def environment(gateway: Gateway, tmp_path) -> dict[str, str]:
    """Of a user at a terminal, with a home directory of their own."""
    return {
        **gateway.credentials.environment(),
        "AWS_REGION": gateway.region,
        "AWS_ENDPOINT_URL": gateway.endpoint,
        "HOME": str(tmp_path),
        "USER": "suite",
        "PATH": f"{binary().parent}:{os.environ['PATH']}",
    }


def sigward(*arguments: str) -> str:
    return shlex.join([str(binary()), *arguments])


def assumed(*arguments: str) -> str:
    """A line of shell that works as a role from then on, or fails."""
    return f'lines=$({sigward("assume-role", *arguments)}) && eval "$lines"'


WHO = sigward("whoami", "--json")


def shell(environment: dict[str, str], *lines: str, program: str = "sh") -> list[str]:
    """Runs lines in one shell and returns the ARNs that `WHO` printed."""
    script = " || exit 1\n".join([*lines, "true"])
    return [json.loads(line)["Arn"] for line in run([program, "-c", script], **environment).splitlines()]


@pytest.mark.parametrize("name", ["sh", "bash"])
def test_a_shell_works_as_one_role_after_another_and_comes_back(environment, name):
    lines = [
        WHO,
        assumed(role("reader")),
        WHO,
        assumed(role("writer"), "--role-session-name", "second"),
        WHO,
        f'eval "$({sigward("assume-role", "--unset")})"',
        WHO,
        'test -z "$SIGWARD_ASSUMED_ROLE$SIGWARD_ORIGINAL_AWS_ACCESS_KEY_ID$AWS_SESSION_TOKEN"',
    ]
    arns = [USER, session("reader"), session("writer", "second"), USER]
    assert shell(environment, *lines, program=program(name)) == arns


def test_a_role_is_gone_through_only_when_asked(environment):
    through = [assumed(role("reader")), assumed(role("inner"), "--chain"), WHO]
    assert shell(environment, *through) == [session("inner")]
    refused = run(
        ["sh", "-c", f"{assumed(role('reader'))}; {sigward('assume-role', role('inner'))}"], expect=1, **environment
    )
    assert f"sigward: AccessDenied: User: {USER} is not authorized to perform: sts:AssumeRole" in refused


def test_what_a_shell_could_take_for_its_own_arrives_as_it_is(environment):
    statement = {
        "Sid": "Its",
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::it's/${aws:username}/`$x`*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    wish = ["--external-id", "team=a/b,c@d", "--tag", "Cost Center=a=b", "--transitive-tag-key", "Cost Center"]
    wish += ["--policy", policy, "--source-identity", "al.ice"]
    assert shell(environment, assumed(role("outside"), *wish), WHO) == [session("outside")]


def test_credentials_come_from_profiles_too(environment, gateway, tmp_path):
    directory = tmp_path / "aws"
    directory.mkdir()
    keys = gateway.credentials
    secret = f"aws_access_key_id = {keys.access_key_id}\naws_secret_access_key={keys.secret_access_key}\n"
    (directory / "credentials").write_text(f"[suite]\n{secret}")
    (directory / "config").write_text(
        f"[profile suite]\nregion = {gateway.region} # near\nendpoint_url = {gateway.endpoint}\n"
    )
    files = {
        "AWS_CONFIG_FILE": str(directory / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
        "AWS_PROFILE": "suite",
    }
    bare = {name: value for name, value in environment.items() if not name.startswith("AWS_")} | files
    lines = [
        WHO,
        assumed(role("reader")),
        'test -z "$AWS_PROFILE"',
        WHO,
        f'eval "$({sigward("assume-role", "--unset")})"',
    ]
    lines += ['test "$AWS_PROFILE" = suite', WHO]
    assert shell(bare, *lines) == [USER, session("reader"), USER]


def totp(now: float) -> str:
    """RFC 6238 with SHA-1, six digits, thirty seconds."""
    digest = hmac.digest(base64.b32decode(TOTP), struct.pack(">Q", int(now) // 30), "sha1")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def test_a_second_factor_is_passed_and_kept_with_its_session(environment):
    assert "AccessDenied" in run(["sh", "-c", sigward("assume-role", role("guarded"))], expect=1, **environment)
    wish = ["--serial-number", DEVICE, "--json"]
    first = json.loads(
        run([str(binary()), "assume-role", role("guarded"), *wish, "--token-code", totp(time.time())], **environment)
    )
    # Nobody is asked again: there is no terminal that anybody could be asked at.
    again = json.loads(run(["setsid", str(binary()), "assume-role", role("guarded"), *wish], **environment))
    assert first == again
    assert first["AssumedRoleUser"]["Arn"] == session("guarded")
    asked = run(["setsid", str(binary()), "assume-role", role("guarded"), *wish, "--no-cache"], expect=2, **environment)
    assert "no terminal" in asked


def test_a_kept_session_is_the_users_alone(environment, tmp_path):
    command = [str(binary()), "assume-role", role("reader"), "--json"]
    first, again = (json.loads(run(command, **environment)) for _ in range(2))
    assert first == again
    fresh = json.loads(run([*command, "--no-cache"], **environment))
    longer = json.loads(run([*command, "--duration-seconds", "1800"], **environment))
    ids = {answer["Credentials"]["AccessKeyId"] for answer in (first, fresh, longer)}
    assert len(ids) == 3
    files = list((tmp_path / ".cache" / "sigward" / "sessions").iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in [*files, files[0].parent]} == {0o600, 0o700}


BOTO3 = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"


@pytest.mark.parametrize(
    "client, arguments",
    [("python", ["-c", BOTO3]), ("aws", ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"])],
)
def test_sdks_take_it_as_their_credential_process(environment, gateway, tmp_path, client, arguments):
    config = tmp_path / "config"
    keys = gateway.credentials
    (tmp_path / "credentials").write_text(
        f"[base]\naws_access_key_id={keys.access_key_id}\naws_secret_access_key={keys.secret_access_key}\n"
        f"region={gateway.region}\n"
    )
    process = sigward("assume-role", role("reader"), "--credential-process", "--profile", "base")
    config.write_text(f"[default]\nregion = {gateway.region}\ncredential_process = {process}\n")
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    kept = {name: environment[name] for name in ("AWS_ENDPOINT_URL", "HOME", "USER")}
    assert run([program(client), *arguments], **kept, **files).strip() == session("reader")


def test_what_is_refused_says_why_and_nothing_more(environment, gateway):
    wrong = {**environment, "AWS_SECRET_ACCESS_KEY": "canary-of-a-secret"}
    for command, said in {
        sigward("assume-role", role("reader")): "SignatureDoesNotMatch: ",
        sigward("assume-role", "not-an-arn"): "ValidationError: ",
        sigward("whoami"): "SignatureDoesNotMatch: ",
        sigward("whoami", "--endpoint-url", gateway.admin): "not as an STS does",
    }.items():
        output = run(["sh", "-c", command], expect=1, **(environment if "not-an-arn" in command else wrong))
        assert output.startswith("sigward: ")
        assert said in output
        assert "canary" not in output
