"""Kill -9 under load: what was acknowledged before is true after."""

import itertools
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import pytest

from kit import clients, events, signing
from kit.credentials import Credentials
from kit.server import Gateway, sigward, start_dev
from kit.signing import Signer
from kit.wire import authority, exchange

ISSUERS, EVENT_ISSUERS, REVOKERS = 4, 1, 3
ROUNDS = 4


@dataclass
class Ledger:
    """What the server acknowledged. A revocation without an answer may or may not have happened."""

    issued: dict[str, Credentials] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    waiting: SimpleQueue = field(default_factory=SimpleQueue)

    def add(self, credentials: Credentials, number: int) -> None:
        self.issued[credentials.access_key_id] = credentials
        if number % 3 == 0:
            self.waiting.put(credentials.access_key_id)


def get_session_token(gateway: Gateway) -> Credentials:
    body = b"Action=GetSessionToken&Version=2011-06-15&DurationSeconds=3600"
    headers = [
        ("Host", authority(gateway.endpoint)),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", str(len(body))),
    ]
    signed, _ = Signer(gateway.credentials, gateway.region, "sts").headers(
        "POST", "/", "", headers, signing.sha256(body)
    )
    answer = exchange(gateway.endpoint, "POST", "/", signed, body)
    assert answer.status == 200, answer.status
    return Credentials.from_sts(answer.error())


def status_and_code(gateway: Gateway, credentials: Credentials) -> tuple[int, str]:
    signed, _ = Signer(credentials, gateway.region).headers("GET", "/", "", [("Host", authority(gateway.endpoint))])
    answer = exchange(gateway.endpoint, "GET", "/", signed)
    return answer.status, "" if answer.status == 200 else answer.code


def load(gateway: Gateway, ledger: Ledger, over: threading.Event) -> list[threading.Thread]:
    """Starts the threads; each ends at its first failure, which is the kill."""

    def issue(mint):
        for number in itertools.count():
            try:
                credentials = mint(gateway)
            except (OSError, AssertionError):
                return
            ledger.add(credentials, number)

    def revoke():
        while not over.is_set():
            try:
                access_key_id = ledger.waiting.get(timeout=0.05)
            except Empty:
                continue
            ledger.tried.add(access_key_id)
            try:
                done = sigward("revoke", "--admin", gateway.admin, "--access-key-id", access_key_id)
            except subprocess.TimeoutExpired:
                return
            if done.returncode != 0:
                return
            ledger.revoked.add(access_key_id)

    targets = (
        [(issue, (get_session_token,))] * ISSUERS
        + [(issue, (events.issue,))] * EVENT_ISSUERS
        + [(revoke, ())] * REVOKERS
    )
    threads = [threading.Thread(target=target, args=arguments) for target, arguments in targets]
    for thread in threads:
        thread.start()
    return threads


def check(gateway: Gateway, ledger: Ledger) -> None:
    def verdict(credentials: Credentials):
        return credentials.access_key_id, status_and_code(gateway, credentials)

    with ThreadPoolExecutor(4) as pool:
        for access_key_id, answer in pool.map(verdict, ledger.issued.values()):
            if access_key_id in ledger.revoked:
                assert answer == (403, "AccessDenied"), f"the revocation of {access_key_id} was lost"
            elif access_key_id not in ledger.tried:
                assert answer == (200, ""), f"the credential {access_key_id} was lost"
            else:
                assert answer in ((200, ""), (403, "AccessDenied"))


def test_everything_acknowledged_survives_kill_9(tmp_path, record_property):
    ledger = Ledger()
    for number in range(ROUNDS):
        gateway = start_dev(tmp_path / "data", tmp_path / f"logs-{number}")
        check(gateway, ledger)
        over = threading.Event()
        had_issued, had_revoked = len(ledger.issued), len(ledger.revoked)
        threads = load(gateway, ledger, over)
        deadline = time.monotonic() + 30
        # Enough of both, and a different moment each time.
        while len(ledger.issued) < had_issued + 60 + 23 * number or len(ledger.revoked) < had_revoked + 8:
            assert time.monotonic() < deadline, "the load came to a halt"
            time.sleep(0.001)
        gateway.process.kill()
        over.set()
        for thread in threads:
            thread.join(70)
            assert not thread.is_alive()
    gateway = start_dev(tmp_path / "data", tmp_path / "logs-last")
    check(gateway, ledger)
    record_property("issued", len(ledger.issued))
    record_property("revoked", len(ledger.revoked))
    gateway.process.stop()


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_second_start_finds_everything_as_it_was(tmp_path, ending):
    first = start_dev(tmp_path / "data", tmp_path / "logs-1")
    s3, body = clients.s3(first), os.urandom(5000)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a//b/ü", Body=body, Metadata={"kept": "too"}, ContentType="text/x")
    session, revoked = get_session_token(first), events.issue(first)
    assert sigward("revoke", "--admin", first.admin, "--access-key-id", revoked.access_key_id).returncode == 0
    getattr(first.process, ending)()
    second = start_dev(tmp_path / "data", tmp_path / "logs-2")
    assert (second.credentials, second.region, second.state) == (first.credentials, first.region, first.state)
    assert status_and_code(second, second.credentials) == (200, "")
    assert status_and_code(second, session) == (200, "")
    assert status_and_code(second, revoked) == (403, "AccessDenied")
    answer = clients.s3(second, session).get_object(Bucket="kept", Key="a//b/ü")
    assert (answer["Body"].read(), answer["Metadata"], answer["ContentType"]) == (body, {"kept": "too"}, "text/x")
    second.process.stop()
