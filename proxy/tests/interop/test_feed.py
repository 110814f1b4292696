"""Three gateways on one log in NATS JetStream: what one of them issues and revokes holds on all, whoever is killed."""

import http.client
import itertools
import json
import re
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from kit import clients, events
from kit.clients import code
from kit.credentials import Credentials
from kit.nats import Nats
from kit.server import Gateway, answers, resigned_for, sealing_key, sigward, start_again, start_serve
from kit.signing import Signer

COUNT = 3

# Revocations that are timed.
REVOCATIONS = 60

# A second key that every gateway declares.
LEAKED = Credentials("AKIASUITELEAKED000001", "suite/leaked/secret/0123456789abcdef0123")


class Fleet:
    """Gateways with one sealing key and one log."""

    def __init__(self, dev: Gateway, directory: Path, **store):
        self.nats = Nats(directory / "nats")
        key = sealing_key(directory / "sealing.key", "fleet")
        backend = resigned_for(dev, directory)
        secret = directory / "leaked"
        secret.write_text(LEAKED.secret_access_key)
        leaked = [
            "[[access_keys]]",
            f'access_key_id = "{LEAKED.access_key_id}"',
            f'secret_access_key_file = "{secret}"',
            'arn = "arn:aws:iam::111122223333:user/leaked"',
        ]
        self._start = lambda name, ready=True, **feed: start_serve(
            directory / name,
            dev.endpoint,
            backend,
            store={"sealing_key_files": [str(key)], **store},
            feed={**self.nats.feed(name), **feed},
            more="\n".join(leaked),
            ready=ready,
        )
        self.gateways = [self._start(f"gateway-{at}") for at in range(COUNT)]

    def another(self, name: str, ready: bool = True, **feed) -> Gateway:
        self.gateways.append(self._start(name, ready, **feed))
        return self.gateways[-1]

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.process.stop()
        self.nats.stop()


@pytest.fixture(scope="module")
def fleet(dev, tmp_path_factory) -> Iterator[Fleet]:
    fleet = Fleet(dev, tmp_path_factory.mktemp("feed"))
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def unsealed(dev, tmp_path_factory) -> Iterator[Fleet]:
    """Gateways whose tokens say nothing: all they know comes from the log."""
    fleet = Fleet(dev, tmp_path_factory.mktemp("unsealed"), sealed_tokens=False)
    yield fleet
    fleet.stop()


def until(what: str, holds, seconds: float = 20) -> float:
    """Polls; the seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"in vain: {what}"
        time.sleep(0.005)
    return time.monotonic() - began


def revoke(gateway: Gateway, *scope: str) -> dict:
    done = sigward("revoke", "--admin", gateway.admin, "--json", *scope)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def metric(gateway: Gateway, name: str) -> float:
    lines = (line for line in gateway.metrics().splitlines() if line.startswith(f"sigward_{name} "))
    return float(next(lines).split()[1])


def test_a_session_of_one_gateway_works_on_all_at_once(fleet):
    for gateway in fleet.gateways:
        session = clients.session(gateway)
        assert [code(other, session) for other in fleet.gateways] == ["OK"] * len(fleet.gateways)


def test_a_session_that_came_by_event_works_on_all(fleet):
    session = events.issue(fleet.gateways[0])
    assert code(fleet.gateways[0], session) == "OK", "whoever acknowledged it knows it"
    for other in fleet.gateways[1:]:
        assert code(other, session) == "OK", "the others wait for it"


def test_a_session_whose_token_says_nothing_works_on_all(unsealed):
    for gateway in unsealed.gateways * 5:
        session = clients.session(gateway)
        assert [code(other, session) for other in unsealed.gateways] == ["OK"] * COUNT


class Flood:
    """Made up access key ids, from an address of its own, until it ends."""

    def __init__(self, gateway: Gateway, source: str):
        self.codes: dict[str, int] = {}
        self._gateway, self._source, self._stop = gateway, source, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, at: int) -> None:
        host = urlsplit(self._gateway.endpoint)
        connection = http.client.HTTPConnection(host.hostname, host.port, 20, source_address=(self._source, 0))
        for number in itertools.count():
            if self._stop.is_set():
                connection.close()
                return
            made_up = Credentials(f"AKIAMADEUP{at}X{number:06}", "secret")
            headers, _ = Signer(made_up, self._gateway.region).headers("GET", "/", "", [("Host", host.netloc)])
            connection.request("GET", "/", headers=dict(headers))
            answer = connection.getresponse()
            found = re.search(rb"<Code>(\w+)</Code>", answer.read()).group(1).decode()
            self.codes[found] = self.codes.get(found, 0) + 1

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_made_up_ids_from_one_address_use_up_nobody_elses_questions(unsealed):
    here, there = unsealed.gateways[:2]
    flood = Flood(there, "127.0.0.2")
    try:
        until("the flood has used up its share", lambda: lookups(there, "over_source_budget") > 100)
        for _ in range(20):
            assert code(there, clients.session(here)) == "OK"
    finally:
        flood.end()
    assert set(flood.codes) == {"InvalidAccessKeyId"} and flood.codes["InvalidAccessKeyId"] > 200
    assert lookups(there, "over_budget") == 0


def lookups(gateway: Gateway, asked: str) -> float:
    found = re.search(rf'^sigward_feed_lookups_total\{{asked="{asked}"\}} (.*)$', gateway.metrics(), re.MULTILINE)
    return float(found.group(1)) if found else 0


def test_a_key_is_made_changed_and_deleted_everywhere(fleet):
    here, there = fleet.gateways[0], fleet.gateways[2]
    made = sigward("keys", "create", "--admin", here.admin, "--json", "--user", "bob", "--account", "111122223333")
    assert made.returncode == 0, made.stderr.decode()
    made = json.loads(made.stdout)
    key = Credentials(made["access_key_id"], made["secret_access_key"])
    until("the key arrives", lambda: code(there, key) == "OK")
    session = clients.session(there, key)
    assert code(here, session) == "OK"
    for command, expected in [("disable", "InvalidAccessKeyId"), ("enable", "OK"), ("delete", "InvalidAccessKeyId")]:
        done = sigward("keys", command, "--admin", there.admin, key.access_key_id)
        assert done.returncode == 0, done.stderr.decode()
        assert code(there, key) == expected
        until(command, lambda expected=expected: code(here, key) == expected)
        assert code(here, session) == "AccessDenied", "its sessions ended with the first of these"


def test_a_revocation_holds_on_all_gateways(fleet, record_property):
    """How long it takes is printed, and judged by nobody: the machine is busy with clients, gateways and log at once."""
    took = []
    for number in range(REVOCATIONS):
        here = fleet.gateways[number % COUNT]
        others = [gateway for gateway in fleet.gateways[:COUNT] if gateway is not here]
        session = clients.session(here)
        asking = [clients.s3(other, session) for other in others]
        for client in asking:
            client.list_buckets()
        times = {}

        def watch(at: int, client, times=times) -> None:
            while True:
                try:
                    client.list_buckets()
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "AccessDenied"
                    times[at] = time.monotonic()
                    return

        watching = [threading.Thread(target=watch, args=each) for each in enumerate(asking)]
        for thread in watching:
            thread.start()
        sent = time.monotonic()
        answer = events.post(here, events.event("session.revoked", {"access_key_id": session.access_key_id}))
        assert answer.status == 200, answer
        assert code(here, session) == "AccessDenied", "whoever acknowledged it enforces it"
        for thread in watching:
            thread.join(20)
        assert len(times) == len(asking), "a revocation did not arrive"
        took += [(at - sent) * 1000 for at in times.values()]
    p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    record_property("revocation_p50_ms", round(p50, 1))
    record_property("revocation_p99_ms", round(p99, 1))
    print(f"\nrevoked on the other gateways after {p50:.1f} ms (p50), {p99:.1f} ms (p99), {max(took):.1f} ms (most)")


class Traffic:
    """Requests that are all valid, against gateways that are up; what is refused is kept."""

    def __init__(self, fleet: Fleet, sessions: list[Credentials]):
        self.refused, self.served, self._stop = [], 0, threading.Event()
        self.up = list(fleet.gateways[:COUNT])
        self._sessions = sessions
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, at: int) -> None:
        known = {}
        for number in itertools.count(at):
            if self._stop.is_set():
                return
            gateway = self.up[number % len(self.up)]
            session = self._sessions[number % len(self._sessions)]
            pair = (gateway.endpoint, session.access_key_id)
            client = known.setdefault(pair, None) or clients.s3(gateway, session)
            known[pair] = client
            try:
                client.list_buckets()
                self.served += 1
            except (ConnectionError, HTTPClientError):
                # A killed gateway is no refusal; a load balancer would ask another.
                pass
            except ClientError as error:
                self.refused.append((gateway.endpoint, error.response["Error"]["Code"]))

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_restarts_of_server_and_gateways_refuse_no_valid_request(fleet):
    sessions = [clients.session(gateway) for gateway in fleet.gateways[:COUNT]]
    sessions.append(events.issue(fleet.gateways[0]))
    for gateway in fleet.gateways[:COUNT]:
        until("all sessions are there", lambda gateway=gateway: code(gateway, sessions[-1]) == "OK")
    traffic = Traffic(fleet, sessions)
    try:
        for _ in range(2):
            fleet.nats.kill()
            time.sleep(1)
            fleet.nats.start()
            time.sleep(0.5)
        for gateway in list(traffic.up):
            traffic.up = [other for other in traffic.up if other is not gateway]
            time.sleep(0.3)
            gateway.process.kill()
            start_again(gateway)
            traffic.up = [*traffic.up, gateway]
    finally:
        traffic.end()
    assert not traffic.refused, traffic.refused[:10]
    assert traffic.served > 100
    session = clients.session(fleet.gateways[1])
    assert [code(gateway, session) for gateway in fleet.gateways[:COUNT]] == ["OK"] * COUNT


def test_what_was_acknowledged_survives_kills_of_all(fleet):
    sessions = [clients.session(gateway) for gateway in fleet.gateways[:COUNT]]
    for gateway, session in zip(fleet.gateways, sessions):
        revoke(gateway, "--access-key-id", session.access_key_id)
    for gateway in fleet.gateways[:COUNT]:
        gateway.process.kill()
    fleet.nats.kill()
    fleet.nats.start()
    for gateway in fleet.gateways[:COUNT]:
        start_again(gateway)
        assert [code(gateway, session) for session in sessions] == ["AccessDenied"] * COUNT


def issues(gateway) -> bool:
    try:
        clients.session(gateway)
    except ClientError:
        return False
    return True


def test_without_the_log_the_known_are_served_and_nothing_is_issued(fleet):
    here = fleet.gateways[0]
    session = clients.session(here)
    revoked = clients.session(here)
    revoke(here, "--access-key-id", revoked.access_key_id)
    fleet.nats.kill()
    try:
        assert (code(here, session), code(here, revoked)) == ("OK", "AccessDenied")
        assert code(fleet.gateways[1], session) == "OK", "by its token, or the log's last word"
        with pytest.raises(ClientError) as refused:
            clients.session(here)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        until("the silence shows", lambda: metric(here, "feed_age_seconds") >= 3)
    finally:
        fleet.nats.start()
    until("the log is heard again", lambda: metric(here, "feed_age_seconds") < 3)
    until("credentials are issued again", lambda: issues(here))
    assert code(fleet.gateways[1], clients.session(here)) == "OK"


def test_a_new_gateway_knows_everything_when_it_is_ready(fleet):
    session, revoked = clients.session(fleet.gateways[0]), clients.session(fleet.gateways[0])
    opaque = events.issue(fleet.gateways[0])
    revoke(fleet.gateways[1], "--access-key-id", revoked.access_key_id)
    new = fleet.another("gateway-new")
    assert [code(new, each) for each in (session, opaque, revoked)] == ["OK", "OK", "AccessDenied"]


class Asking:
    """Asks a gateway again and again what it says to a credential, until it ends."""

    def __init__(self, gateway: Gateway, credentials: Credentials):
        self.codes: list[str] = []
        self._gateway, self._credentials, self._stop = gateway, credentials, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.codes.append(code(self._gateway, self._credentials))
            except (ConnectionError, HTTPClientError):
                pass

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)


def test_a_declared_key_that_was_revoked_is_refused_by_a_gateway_that_knows_nothing(fleet):
    first, *_, last = fleet.gateways[:COUNT]
    assert [code(gateway, LEAKED) for gateway in fleet.gateways[:COUNT]] == ["OK"] * COUNT
    revoke(first, "--access-key-id", LEAKED.access_key_id, "--wait")
    assert [code(gateway, LEAKED) for gateway in fleet.gateways[:COUNT]] == ["AccessDenied"] * COUNT
    last.process.kill()
    (last.state / "sigward.redb").unlink()
    asking, other = Asking(last, LEAKED), Asking(last, last.credentials)
    try:
        start_again(last)
        until("the other key is served", lambda: other.codes[-1:] == ["OK"])
        time.sleep(1)
    finally:
        asking.end()
        other.end()
    assert asking.codes[-1] == "AccessDenied"
    assert set(asking.codes) <= {"AccessDenied", "ServiceUnavailable"}
    assert set(other.codes) <= {"OK", "ServiceUnavailable"}
    with pytest.raises(ClientError, match="AccessDenied"):
        clients.session(last, LEAKED)


def test_a_key_declared_while_the_log_is_away_waits_for_what_was_revoked(fleet):
    away = fleet.another("gateway-away")
    until("its file is told that it has caught up", lambda: metric(away, "feed_age_seconds") in (0, 1))
    time.sleep(2)
    away.process.stop()
    late = Credentials("AKIASUITELATE00000001", LEAKED.secret_access_key)
    revoke(fleet.gateways[0], "--access-key-id", late.access_key_id)
    config = away.state / "sigward.toml"
    declared = config.read_text()
    leaked = declared[declared.index("[[access_keys]]\naccess_key_id = \"" + LEAKED.access_key_id) :]
    config.write_text(f"{declared}\n{leaked.replace(LEAKED.access_key_id, late.access_key_id)}")
    fleet.nats.kill()
    try:
        start_again(away, "livez")
        until("whom it knows is served", lambda: code(away, away.credentials) == "OK")
        assert code(away, late) == "ServiceUnavailable"
    finally:
        fleet.nats.start()
    until("what was revoked is known", lambda: code(away, late) == "AccessDenied")
    away.process.stop()
    start_again(away)
    log = away.process.stdout.read_text() + away.process.stderr.read_text()
    told = [line for line in log.splitlines() if "is revoked, and stays so" in line]
    assert any(late.access_key_id in line for line in told)
    assert late.secret_access_key not in log


def test_nothing_secret_is_in_the_stream(fleet):
    session = events.issue(fleet.gateways[0])
    store = fleet.nats._directory / "store"
    stored = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert session.access_key_id.encode() in stored
    assert session.secret_access_key.encode() not in stored
    assert session.session_token.encode() not in stored


def test_revoke_waits_for_the_gateways_and_names_those_that_lag(fleet):
    here, stopped = fleet.gateways[0], fleet.gateways[1]
    session = clients.session(here)
    arguments = ["revoke", "--admin", here.admin, "--access-key-id", session.access_key_id]
    there = len(fleet.gateways)
    until("all are heard", lambda: metric(here, "feed_gateways") == there)
    done = sigward(*arguments, "--wait")
    assert done.returncode == 0, done.stderr.decode()
    assert all(f"gateway-{at}".encode() in done.stdout for at in range(COUNT))
    assert [code(gateway, session) for gateway in fleet.gateways] == ["AccessDenied"] * there
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        lagging = sigward(*arguments, "--wait", "--wait-seconds", "1")
        enough = sigward(*arguments, f"--wait={there - 1}")
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    assert lagging.returncode == 3 and b"gateway-1" in lagging.stderr, lagging
    assert enough.returncode == 0, enough.stderr.decode()
    assert code(stopped, session) == "AccessDenied"


def test_sealing_keys_are_rotated_one_gateway_after_the_other(dev, tmp_path_factory):
    fleet = Fleet(dev, tmp_path_factory.mktemp("rotation"))
    try:
        old = fleet.gateways[0].state.parent / "sealing.key"
        new = sealing_key(old.with_name("new.key"), "new")
        sessions = [clients.session(gateway) for gateway in fleet.gateways]
        for keys in ([old, new], [new, old]):
            for gateway in fleet.gateways:
                gateway.process.stop()
                config = gateway.state / "sigward.toml"
                lines = config.read_text().splitlines()
                names = json.dumps([str(key) for key in keys])
                lines = [f"sealing_key_files = {names}" if "sealing_key_files" in line else line for line in lines]
                config.write_text("\n".join(lines) + "\n")
                start_again(gateway)
                sessions.append(clients.session(gateway))
                for other in fleet.gateways:
                    assert [code(other, session) for session in sessions] == ["OK"] * len(sessions)
    finally:
        fleet.stop()


def test_a_gateway_that_is_killed_while_it_reads_packs_comes_to_what_the_others_know(unsealed):
    issuer = unsealed.gateways[0]
    sessions = events.issue_many(issuer, 55_000)
    revoked = sessions[:3]
    revoke(issuer, "--access-key-id", revoked[0].access_key_id)
    # All but some 18,000, whenever it was that one of them looked: less than 16,384 is not worth packing.
    gateways = unsealed.gateways[:COUNT]
    until("sessions are packed", lambda: max(metric(one, "feed_packed") for one in gateways) > 36_000, seconds=60)
    starts = unsealed.another("starts", ready=False)
    for at, seconds in enumerate([0.0, 0.1, 0.2, 0.4, 0.7]):
        time.sleep(seconds)
        starts.process.kill()
        if at < 2:
            revoke(issuer, "--access-key-id", revoked[at + 1].access_key_id)
        sessions += events.issue_many(issuer, 100)
        start_again(starts, "livez")
    starts.process.wait_for(lambda: answers(f"{starts.admin}/readyz"))
    assert metric(starts, "store_log_position") >= metric(issuer, "store_log_position")
    assert [code(starts, session) for session in revoked] == ["AccessDenied"] * 3
    sampled = [*sessions[3:55_000:777], *sessions[55_000:]]
    assert {code(starts, session) for session in sampled} == {"OK"}
    fresh = unsealed.another("fresh")
    assert metric(fresh, "feed_unpacked_total") > 30_000
    assert [code(fresh, session) for session in revoked] == ["AccessDenied"] * 3
    assert {code(fresh, session) for session in sampled} == {"OK"}
