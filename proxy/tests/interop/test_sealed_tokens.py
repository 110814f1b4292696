"""Sealed session tokens: what gateways with one sealing key, and nothing else in common, know of each other's sessions."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from kit import clients
from kit.credentials import Credentials
from kit.server import Gateway, resigned_for, sealing_key, sigward, start_serve


class Fleet:
    """Gateways that are started for one test file and have a store each."""

    def __init__(self, dev: Gateway, directory: Path):
        self._dev, self._directory = dev, directory
        self._started: dict[str, Gateway] = {}
        self.old = sealing_key(directory / "old.key", "old")
        self.new = sealing_key(directory / "new.key", "new")

    def gateway(self, name: str, *sealing_keys: Path, **store) -> Gateway:
        if name not in self._started:
            store = {"sealing_key_files": [str(key) for key in sealing_keys], **store}
            backend = resigned_for(self._dev, self._directory)
            self._started[name] = start_serve(self._directory / name, self._dev.endpoint, backend, store=store)
        return self._started[name]

    def stop(self) -> None:
        for gateway in self._started.values():
            gateway.process.stop()


@pytest.fixture(scope="module")
def fleet(dev, tmp_path_factory) -> Iterator[Fleet]:
    fleet = Fleet(dev, tmp_path_factory.mktemp("fleet"))
    yield fleet
    fleet.stop()


def refusal(gateway: Gateway, credentials: Credentials) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        clients.s3(gateway, credentials).list_buckets()
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def works(gateway: Gateway, credentials: Credentials) -> bool:
    return "Buckets" in clients.s3(gateway, credentials).list_buckets()


UNKNOWN = ("InvalidAccessKeyId", 403)


def test_a_gateway_that_never_saw_the_issuance_accepts_the_session(fleet):
    here, there = fleet.gateway("here", fleet.old), fleet.gateway("there", fleet.old)
    session = clients.session(here)
    assert len(session.session_token) < 1024
    for _ in range(2):
        assert works(there, session)
    identity = clients.sts(there, session).get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::111122223333:user/suite"
    assert "sigward_store_unsealed_tokens_total 1" in there.metrics(), "from then on it is cached"
    listed = sigward("sessions", "list", "--admin", there.admin, "--json")
    assert session.access_key_id.encode() not in listed.stdout, "a session of another log is not in this one"


def test_a_token_is_good_for_its_own_session_only(fleet):
    here, there = fleet.gateway("here", fleet.old), fleet.gateway("there", fleet.old)
    session, other = clients.session(here), clients.session(here)
    raw = bytearray(base64.b64decode(session.session_token))
    raw[-1] ^= 1
    altered = session.with_token(base64.b64encode(raw).decode())
    assert refusal(there, altered) == UNKNOWN
    assert refusal(there, session.with_token(other.session_token)) == UNKNOWN
    assert refusal(there, session.with_token(None)) == UNKNOWN
    assert refusal(there, session.with_secret("another secret")) == ("SignatureDoesNotMatch", 403)
    assert works(there, session)
    assert refusal(there, altered) == ("InvalidToken", 400), "now that the session is known"


@pytest.mark.parametrize("scope", ["access-key-id", "parent", "user", "user-id", "account"])
def test_a_revocation_reaches_sessions_that_only_their_token_knows(fleet, scope):
    here, there = fleet.gateway("here", fleet.old), fleet.gateway("there", fleet.old)
    session = clients.session(here)
    assert works(there, session)
    arguments = {
        "access-key-id": ["--access-key-id", session.access_key_id],
        # The long-term key is of the configuration; a session is revoked by it, and so is the key.
        "parent": ["--access-key-id", here.credentials.access_key_id],
        "user": ["--user", "arn:aws:iam::111122223333:user/suite"],
        "user-id": ["--principal", "AIDASUITEUSER00000001"],
        "account": ["--account", "111122223333"],
    }
    if scope == "parent":
        there = fleet.gateway("parent", fleet.old)
        assert works(there, session)
    done = sigward("revoke", "--admin", there.admin, *arguments[scope])
    assert done.returncode == 0, done.stderr.decode()
    assert refusal(there, session) == ("AccessDenied", 403)
    assert works(here, session), "the log of the other is another log"


def test_a_rotated_sealing_key_unseals_until_it_is_taken_away(fleet):
    old = fleet.gateway("here", fleet.old)
    both = fleet.gateway("both", fleet.new, fleet.old)
    new = fleet.gateway("new", fleet.new)
    before, since = clients.session(old), clients.session(both)
    assert works(both, before)
    assert works(new, since)
    assert refusal(new, before) == UNKNOWN
    assert refusal(old, since) == UNKNOWN


def test_without_sealing_only_sessions_of_the_own_log_exist(fleet):
    sealing = fleet.gateway("here", fleet.old)
    plain = fleet.gateway("plain", fleet.old, sealed_tokens=False)
    session = clients.session(plain)
    assert len(session.session_token) == 64
    assert works(plain, session)
    assert refusal(sealing, session) == UNKNOWN
    assert refusal(plain, clients.session(sealing)) == UNKNOWN
