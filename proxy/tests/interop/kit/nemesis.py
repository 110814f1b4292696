"""Kills and holds up gateways and the log's server, at random moments, from one thread for each of them."""

import contextlib
import random
import signal
import threading
import time
from dataclasses import dataclass, field

from .fleet import Fleet, Node
from .history import SERVER, Fault, History


@dataclass(frozen=True)
class Pace:
    """Seconds, drawn evenly from these."""

    between: tuple[float, float] = (0.5, 3.0)
    server_between: tuple[float, float] = (2.0, 7.0)
    down: tuple[float, float] = (0.0, 1.5)
    held: tuple[float, float] = (0.2, 4.0)
    # Now and then a gateway is held up for longer than its knowledge may be old.
    held_long: tuple[float, float] = (5.5, 7.0)


@dataclass
class Nemesis:
    """Strikes whenever it is run."""

    fleet: Fleet
    history: History
    seed: int
    pace: Pace = field(default_factory=Pace)
    killed: int = 0
    held: int = 0
    _until: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _failures: list[BaseException] = field(default_factory=list)

    def run(self, until: int) -> None:
        """Returns when it has killed so often in all, and everybody is there again."""
        self._until = until
        self._over.clear()
        threads = [threading.Thread(target=self._guard, args=(self._gateway, node)) for node in self.fleet.nodes]
        threads.append(threading.Thread(target=self._guard, args=(self._server, None)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _guard(self, strike, node: Node | None) -> None:
        rng = random.Random(f"{self.seed} {self._until} {node.name if node else SERVER}")
        between = self.pace.between if node else self.pace.server_between
        try:
            while not self._over.wait(rng.uniform(*between)):
                strike(rng, *([node] if node else []))
        except Exception as failure:
            self._failures.append(failure)
            self._over.set()

    def _count(self) -> None:
        with self._lock:
            self.killed += 1
            if self.killed >= self._until:
                self._over.set()

    def _gateway(self, rng: random.Random, node: Node) -> None:
        with contextlib.suppress(OSError):
            self.history.add(node.sample())
        began = time.monotonic()
        if rng.random() < 0.35:
            self.held += 1
            node.hold()
            time.sleep(rng.uniform(*(self.pace.held_long if rng.random() < 0.25 else self.pace.held)))
            node.release()
            self.history.add(Fault(node.name, "hold", began, time.monotonic()))
            return
        node.kill()
        self._count()
        # Some are killed again while they catch up.
        while True:
            time.sleep(rng.uniform(*self.pace.down))
            node.start()
            if rng.random() > 0.2 or self._over.is_set():
                break
            time.sleep(rng.uniform(0.0, 0.5))
            node.kill()
            self._count()
        node.wait_ready()
        self.history.add(Fault(node.name, "kill", began, time.monotonic()))

    def _server(self, rng: random.Random) -> None:
        began, nats = time.monotonic(), self.fleet.nats
        if rng.random() < 0.25:
            self.held += 1
            nats.process.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(*self.pace.held))
            nats.process.send_signal(signal.SIGCONT)
        else:
            nats.kill()
            self._count()
            time.sleep(rng.uniform(*self.pace.down))
            nats.start()
        self.history.add(Fault(SERVER, "kill or hold", began, time.monotonic()))
