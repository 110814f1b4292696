"""Sessions from the built-in STS and from events: what they may do, and how they end."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from kit import clients, events
from kit.credentials import Credentials
from kit.server import sigward

ROLE = f"arn:aws:iam::{events.ACCOUNT}:role"


def refusal(gateway, credentials) -> tuple[str, int, str]:
    """What ListBuckets answers; fails if it works."""
    with pytest.raises(ClientError) as caught:
        clients.s3(gateway, credentials).list_buckets()
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], caught.value.operation_name


def works(gateway, credentials) -> bool:
    return "Buckets" in clients.s3(gateway, credentials).list_buckets()


def revoke(gateway, *scope: str) -> None:
    done = sigward("revoke", "--admin", gateway.admin, *scope)
    assert done.returncode == 0, done.stderr.decode()


REVOKED = ("AccessDenied", 403, "ListBuckets")


def test_a_session_lists_as_its_user(own_dev):
    answer = clients.sts(own_dev).get_session_token(DurationSeconds=900)["Credentials"]
    remaining = answer["Expiration"] - datetime.now(UTC)
    assert timedelta(seconds=880) < remaining <= timedelta(seconds=900)
    assert answer["AccessKeyId"].startswith("ASIA")
    assert len(answer["AccessKeyId"]) == 20
    session = Credentials.from_sts(answer)
    assert works(own_dev, session)
    own, its = (clients.sts(own_dev, who).get_caller_identity() for who in (None, session))
    assert [own[name] for name in ("Arn", "UserId", "Account")] == [its[name] for name in ("Arn", "UserId", "Account")]


def test_a_session_cannot_make_another_session(own_dev):
    with pytest.raises(ClientError, match="AccessDenied"):
        clients.session(own_dev, clients.session(own_dev))


@pytest.mark.parametrize("seconds", [899, 129601])
def test_a_session_lasts_as_long_as_aws_allows(own_dev, seconds):
    # botocore knows one of the limits itself.
    sts = clients.client("sts", own_dev, parameter_validation=False)
    with pytest.raises(ClientError, match="ValidationError"):
        sts.get_session_token(DurationSeconds=seconds)


def test_a_session_of_another_sts_works_and_knows_its_principal(own_dev):
    session = events.issue(own_dev)
    assert works(own_dev, session)
    identity = clients.sts(own_dev, session).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{events.ACCOUNT}:assumed-role/reader/interop"
    assert identity["Account"] == events.ACCOUNT


def test_a_session_ends_when_its_time_is_over(own_dev):
    session = events.issue(own_dev, timedelta(seconds=2))
    ends = time.monotonic() + 2
    client = clients.s3(own_dev, session)
    assert "Buckets" in client.list_buckets()
    time.sleep(max(0.0, ends - time.monotonic()) + 0.1)
    # The same client, the same connection: the next request is refused.
    with pytest.raises(ClientError) as caught:
        client.list_buckets()
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert works(own_dev, events.issue(own_dev))


def test_revoking_an_access_key_id_ends_that_session_alone(own_dev):
    revoked, other = clients.session(own_dev), clients.session(own_dev)
    client = clients.s3(own_dev, revoked)
    assert "Buckets" in client.list_buckets()
    revoke(own_dev, "--access-key-id", revoked.access_key_id)
    with pytest.raises(ClientError, match=r"AccessDenied.*ListBuckets"):
        client.list_buckets()
    assert refusal(own_dev, revoked) == REVOKED
    assert works(own_dev, other)
    assert works(own_dev, own_dev.credentials)
    assert works(own_dev, clients.session(own_dev))


def test_revoking_a_principal_ends_its_sessions_but_not_its_key(own_dev):
    arn = clients.sts(own_dev).get_caller_identity()["Arn"]
    revoked, foreign = [clients.session(own_dev) for _ in range(2)], events.issue(own_dev)
    revoke(own_dev, "--principal", arn)
    assert [refusal(own_dev, session) for session in revoked] == [REVOKED, REVOKED]
    assert works(own_dev, foreign)
    assert works(own_dev, own_dev.credentials)
    assert works(own_dev, clients.session(own_dev))


def test_revoking_a_role_ends_what_was_issued_for_it_before(own_dev):
    revoked, other = (events.issue(own_dev, role_arn=f"{ROLE}/{name}") for name in ("revoked", "other"))
    revoke(own_dev, "--role", f"{ROLE}/revoked")
    assert refusal(own_dev, revoked) == REVOKED
    assert works(own_dev, other)
    assert works(own_dev, events.issue(own_dev, role_arn=f"{ROLE}/revoked"))
    assert works(own_dev, own_dev.credentials)


def test_revoking_an_account_ends_every_session_of_it(own_dev):
    revoked = [events.issue(own_dev, role_arn=f"{ROLE}/{name}") for name in ("one", "two")]
    foreign = clients.session(own_dev)
    revoke(own_dev, "--account", events.ACCOUNT)
    assert [refusal(own_dev, session) for session in revoked] == [REVOKED, REVOKED]
    assert works(own_dev, foreign)
    assert works(own_dev, events.issue(own_dev))
    assert works(own_dev, own_dev.credentials)


PROVIDER = f"arn:aws:iam::{events.ACCOUNT}:saml-provider/idp"


def family(gateway, tag: str) -> tuple[Credentials, Credentials, Credentials]:
    """A session that a provider vouched for, one chained from it, and one chained from that."""
    names = [f"{tag}-{number}" for number in range(3)]
    chain: list[dict] = []
    made = []
    for name in names:
        arn = f"arn:aws:sts::{events.ACCOUNT}:assumed-role/{name}/{tag}"
        principal = {"arn": arn, "user_id": f"AROA{name}:{tag}", "account": events.ACCOUNT}
        role = f"{ROLE}/{name}"
        more = {"lineage": chain, "parent_access_key_id": chain[0]["access_key_id"]} if chain else {}
        if not chain:
            federation = {"provider": f"{PROVIDER}-{tag}", "issuer": "https://idp", "subject": "carol"}
            more = {"kind": "saml", "federation": {**federation, "audience": "https://sp"}}
        issued_at = events.timestamp(datetime.now(UTC))
        session = events.issue(
            gateway,
            principal=principal,
            role_arn=role,
            session_name=tag,
            source_identity=f"carol-{tag}",
            issued_at=issued_at,
            **more,
        )
        ancestor = {"access_key_id": session.access_key_id, "principal": principal, "issued_at": issued_at}
        ancestor |= {"role_arn": role, "session_name": tag}
        if not chain:
            ancestor["provider"] = f"{PROVIDER}-{tag}"
        chain = [ancestor, *chain]
        made.append(session)
    return tuple(made)


@pytest.mark.parametrize("cascade", [False, True], ids=["plain", "cascade"])
@pytest.mark.parametrize(
    ("scope", "plain"),
    [
        ("--session-name", [True, False, False]),
        ("--role", [True, False, False]),
        ("--user", [True, False, False]),
        ("--identity-provider", [True, False, False]),
        # What was issued to a session goes with it, as it does for long-term keys; no further.
        ("--access-key-id", [True, True, False]),
        ("--source-identity", [True, True, True]),
    ],
)
def test_a_revocation_follows_the_chain_only_if_it_cascades(own_dev, scope, plain, cascade):
    tag = f"{scope.strip('-')}-{cascade}"
    members = family(own_dev, tag)
    assert all(works(own_dev, member) for member in members)
    role = f"{ROLE}/{tag}-0"
    arguments = {
        "--session-name": ["--role", role, "--session-name", tag],
        "--role": ["--role", role],
        "--user": ["--user", f"arn:aws:sts::{events.ACCOUNT}:assumed-role/{tag}-0/{tag}"],
        "--identity-provider": ["--identity-provider", f"{PROVIDER}-{tag}"],
        "--access-key-id": ["--access-key-id", members[0].access_key_id],
        "--source-identity": ["--source-identity", f"carol-{tag}"],
    }
    more = ["--cascade"] if cascade else []
    done = sigward("revoke", "--admin", own_dev.admin, *arguments[scope], *more, "--json")
    assert done.returncode == 0, done.stderr.decode()
    ended = [True, True, True] if cascade else plain
    assert json.loads(done.stdout)["sessions"] == sum(ended)
    for member, is_over in zip(members, ended, strict=True):
        assert refusal(own_dev, member) == REVOKED if is_over else works(own_dev, member)
    assert all(works(own_dev, member) for member in family(own_dev, tag)), "assumed anew"


def test_sessions_are_listed_with_their_chain(own_dev):
    first, second, third = family(own_dev, "listed")
    done = sigward("sessions", "list", "--admin", own_dev.admin, "--source-identity", "carol-listed", "--json")
    by_id = {session["access_key_id"]: session for session in json.loads(done.stdout)["sessions"]}
    assert set(by_id) == {member.access_key_id for member in (first, second, third)}
    chain = [ancestor["access_key_id"] for ancestor in by_id[third.access_key_id]["chain"]]
    assert chain == [second.access_key_id, first.access_key_id]
    assert by_id[first.access_key_id]["kind"] == "saml"


def test_a_revoked_session_cannot_upload(own_dev):
    session = clients.session(own_dev)
    clients.s3(own_dev).create_bucket(Bucket="revoked-upload")
    revoke(own_dev, "--access-key-id", session.access_key_id)
    with own_dev.backend.untouched(), pytest.raises(ClientError, match="AccessDenied"):
        clients.s3(own_dev, session).put_object(Bucket="revoked-upload", Key="object", Body=b"late")


def test_an_event_is_taken_once(own_dev):
    """Source and id name an event; what comes later under the same names changes nothing."""
    first, second, third = (events.new_credentials() for _ in range(3))
    lifetime = timedelta(minutes=15)
    for credentials, source in [(first, "/a"), (second, "/a"), (first, "/a"), (third, "/b")]:
        data = events.issued(credentials, lifetime)
        answer = events.post(own_dev, events.event("credential.issued", data, source=source, identity="once"))
        assert 200 <= answer.status < 300
    assert works(own_dev, first)
    assert refusal(own_dev, second)[:2] == ("InvalidAccessKeyId", 403)
    assert works(own_dev, third)


@pytest.mark.parametrize(
    "document",
    [
        b"not json",
        b"{}",
        json.dumps(events.event("credential.issued", {})).encode(),
        json.dumps(events.event("credential.unheard-of", {})).encode(),
        json.dumps({**events.event("credential.issued", {}), "specversion": "0.3"}).encode(),
    ],
    ids=["no json", "no event", "no data", "unknown type", "old version"],
)
def test_an_event_that_says_nothing_is_refused(own_dev, document):
    assert 400 <= events.post(own_dev, document).status < 500


@pytest.mark.parametrize("scope", ["access_key_id", "principal", "role", "account"])
def test_a_revocation_may_come_as_an_event(own_dev, scope):
    account = "500000000000"
    role, arn = f"arn:aws:iam::{account}:role/{scope}", f"arn:aws:sts::{account}:assumed-role/{scope}/me"
    whose = {"principal": {"arn": arn, "user_id": "AROAROLE00000000001:me", "account": account}, "role_arn": role}
    session, other = events.issue(own_dev, **whose), events.issue(own_dev)
    client = clients.s3(own_dev, session)
    assert "Buckets" in client.list_buckets()
    named = {"access_key_id": session.access_key_id, "principal": arn, "role": role, "account": account}
    answer = events.post(own_dev, events.event("session.revoked", {scope: named[scope]}))
    assert 200 <= answer.status < 300, answer
    # On the connection that has just been let in.
    with pytest.raises(ClientError, match=r"AccessDenied.*ListBuckets"):
        client.list_buckets()
    assert refusal(own_dev, session) == REVOKED
    assert works(own_dev, other)
    assert works(own_dev, events.issue(own_dev, **whose))


def test_a_revocation_dated_back_spares_what_was_issued_since(own_dev):
    role = f"{ROLE}/dated-back"
    before = events.issue(own_dev, role_arn=role)
    moment = datetime.now(UTC)
    time.sleep(0.002)
    since = events.issue(own_dev, role_arn=role)
    data = {"role": role, "issued_before": events.timestamp(moment)}
    assert 200 <= events.post(own_dev, events.event("session.revoked", data)).status < 300
    assert refusal(own_dev, before) == REVOKED
    assert works(own_dev, since)


def test_keys_and_sessions_are_listed_without_secrets(own_dev):
    session = events.issue(own_dev)
    sessions = sigward("sessions", "--admin", own_dev.admin, "--json")
    keys = sigward("keys", "list", "--admin", own_dev.admin, "--json")
    assert sessions.returncode == keys.returncode == 0
    assert session.access_key_id in json.dumps(json.loads(sessions.stdout))
    assert own_dev.credentials.access_key_id in json.dumps(json.loads(keys.stdout))
    for secret in (session.secret_access_key, session.session_token, own_dev.credentials.secret_access_key):
        assert secret.encode() not in sessions.stdout + sessions.stderr + keys.stdout + keys.stderr
