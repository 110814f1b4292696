"""Kills gateways and the log's server again and again under load, and proves that nothing acknowledged was lost.

    "$(proxy/tests/interop/install.sh)/bin/python" proxy/tests/interop/sweep.py [kills] [seed]

Three gateways share a log. Clients issue sessions by STS and by events, make and delete long-term keys, revoke by every
scope and sign requests on all of them, while each gateway and the server are killed (SIGKILL) or held up (SIGSTOP).
What clients saw is judged by `kit/checker.py`, and is written to the file that `SWEEP_HISTORY` names. `NATS_SERVER`
chooses the server. Ends with 1 if anything promised was broken, or if there was too little to judge.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kit.checker import Bounds, Figures, Violation, check, report
from kit.fleet import Fleet
from kit.history import History
from kit.nemesis import Nemesis
from kit.pulse import Pulse
from kit.workload import Rates, Workload

# Long-term silence closes gateways, so that how late a revocation can be is bounded whatever happens.
FEED = {"heartbeat": "1s", "stale.warn": "2s", "stale.alert": "3s", "stale.hard": "5s", "stale.fail_closed": True}

# Reconnecting takes up to 2 s, reading again up to 2 s more, and the next list comes within a heartbeat.
BOUNDS = Bounds(propagation=2.0, staleness=5.0, recovery=6.0)

RATES = Rates(issue=30, revoke=10, ask=150)

# Kills after which everything runs undisturbed for a while: what is turned away then has no excuse.
ROUND = 20
CALM = 8.0


@dataclass(frozen=True)
class Result:
    violations: list[Violation]
    figures: Figures
    killed: int
    held: int
    seconds: float

    def __str__(self) -> str:
        head = f"{self.killed} kills and {self.held} holds in {self.seconds:.0f} s"
        return f"{head}\n{report(self.violations, self.figures)}"


def sample(fleet: Fleet, history: History, over: threading.Event) -> None:
    """Metrics of all gateways, each second."""
    while not over.wait(1.0):
        for node in fleet.nodes:
            with contextlib.suppress(OSError):
                history.add(node.sample())


def sweep(directory: Path, kills: int, seed: int, rates: Rates = RATES) -> Result:
    """Kills so often under load, in rounds, and judges."""
    history, over = History(), threading.Event()
    fleet = Fleet(directory, feed=lambda _: FEED)
    try:
        sampler = threading.Thread(target=sample, args=(fleet, history, over))
        sampler.start()
        workload = Workload(fleet, history, rates, seed)
        nemesis = Nemesis(fleet, history, seed)
        began = time.monotonic()
        workload.start()
        try:
            with Pulse(directory, history):
                while nemesis.killed < kills:
                    nemesis.run(min(kills, nemesis.killed + ROUND))
                    time.sleep(BOUNDS.recovery + CALM)
        finally:
            workload.stop()
            over.set()
            sampler.join()
        seconds = time.monotonic() - began
        fleet.wait_settled()
        conclude(fleet, history, workload)
    finally:
        fleet.stop()
        if path := os.environ.get("SWEEP_HISTORY"):
            history.write(Path(path))
    return Result(*check(history, BOUNDS), nemesis.killed, nemesis.held, seconds)


def conclude(fleet: Fleet, history: History, workload: Workload) -> None:
    """Writes down what each gateway knows, and asks each of them about everything once more."""
    for node in fleet.nodes:
        history.add(node.sample())
        history.add(node.view())
    pairs = [(node, held.credentials) for held in workload.ledger.held for node in fleet.nodes]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: workload.witness.ask(*pair), pairs))


def main(kills: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        result = sweep(Path(directory), kills, seed)
    print(result)
    enough = result.figures.must_refuse_elsewhere > kills and result.figures.must_serve > 10 * kills
    return int(bool(result.violations) or not enough)


if __name__ == "__main__":
    # The default action would leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(arguments + [200, 1][len(arguments) :])))
