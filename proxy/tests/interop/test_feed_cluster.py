"""A log that three servers keep, of which the one that leads is killed: nothing that was acknowledged is lost."""

import itertools
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from kit import clients, events
from kit.clients import code
from kit.credentials import Credentials
from kit.nats import Cluster, programs
from kit.server import Gateway, resigned_for, sealing_key, start_serve

# How often the server that leads is killed.
KILLS = 2


class Site:
    """Gateways on one cluster, whose tokens say nothing: all they know comes from the log."""

    def __init__(self, dev: Gateway, directory: Path, cluster: Cluster):
        key, backend = sealing_key(directory / "sealing.key", "cluster"), resigned_for(dev, directory)
        store = {"sealing_key_files": [str(key)], "sealed_tokens": False}
        self.start = lambda name: self._keep(
            start_serve(directory / name, dev.endpoint, backend, store=store, feed=cluster.feed(name))
        )
        self.gateways: list[Gateway] = []

    def _keep(self, gateway: Gateway) -> Gateway:
        self.gateways.append(gateway)
        return gateway

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.process.stop()


@pytest.fixture(params=programs(), ids=lambda path: Path(path).name)
def cluster(request, tmp_path):
    cluster = Cluster(tmp_path / "cluster", request.param)
    yield cluster
    cluster.stop()


@pytest.fixture
def site(dev, tmp_path, cluster):
    site = Site(dev, tmp_path, cluster)
    yield site
    site.stop()


class Work:
    """Issues sessions by one gateway and revokes every second one by another; keeps what was acknowledged."""

    def __init__(self, issuing: Gateway, revoking: Gateway):
        self.alive: list[Credentials] = []
        self.revoked: list[Credentials] = []
        self.refused = 0
        self._gateways, self._stop = (issuing, revoking), threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def done(self) -> int:
        return len(self.alive) + len(self.revoked)

    def _run(self) -> None:
        issuing, revoking = self._gateways
        for number in itertools.count():
            if self._stop.is_set():
                return
            try:
                session = clients.session(issuing)
            except (ClientError, BotoCoreError):
                self.refused += 1
                continue
            if number % 2:
                self.alive.append(session)
                continue
            try:
                answer = events.post(
                    revoking, events.event("session.revoked", {"access_key_id": session.access_key_id})
                )
            except OSError:
                continue
            if answer.status == 200:
                self.revoked.append(session)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def until(what: str, holds, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


def test_no_acknowledged_event_is_lost_when_the_leader_is_killed(site, cluster, record_property):
    first, second = site.start("first"), site.start("second")
    work, paused = Work(first, second), []
    try:
        for _ in range(KILLS):
            before = work.done()
            until("events are acknowledged", lambda before=before: work.done() >= before + 20)
            leader = cluster.leader("sigward_log")
            cluster.servers[leader].kill()
            killed, before = time.monotonic(), work.done()
            until("another server leads", lambda before=before: work.done() >= before + 20)
            paused.append(time.monotonic() - killed)
            cluster.servers[leader].start()
    finally:
        work.end()
    assert work.alive and work.revoked
    print(f"\n{work.done()} acknowledged, {work.refused} not; 20 more {[f'{each:.1f} s' for each in paused]} after a kill")
    # A gateway that starts with nothing knows all of it from the log.
    third = site.start("third")
    for gateway in (first, second, third):
        wrong = [each for each in work.alive if code(gateway, each) != "OK"]
        assert not wrong, f"{len(wrong)} of {len(work.alive)} sessions are lost"
        wrong = [each for each in work.revoked if code(gateway, each) != "AccessDenied"]
        assert not wrong, f"{len(wrong)} of {len(work.revoked)} revocations are lost"
