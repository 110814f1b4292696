"""Runs three gateways on one log for a long time at a modest rate, and tells whether anything grows that should not.

    "$(proxy/tests/interop/install.sh)/bin/python" proxy/tests/interop/soak.py [minutes] [factor]

Every ten seconds memory, files and metrics are sampled; `SOAK_SAMPLES` names a file for them, as JSON lines. Nobody
is killed, so there is no excuse for a refusal, a 503, a gap, a loss of the log or a message that cannot be read, unless
the machine itself held everybody up. Ends with 1 if there was one, or if something grew beyond its bound. A factor
multiplies the rate: with 10 a quarter of an hour fills what is bounded in memory.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kit.checker import Bounds, check, report
from kit.fleet import Fleet
from kit.growth import GatewaySample, Sample, verdicts
from kit.history import History
from kit.pulse import Pulse
from kit.workload import Rates, Workload

EVERY = 10.0

# Most sessions end soon, so that those alive are as many at the end as after a few minutes.
RATES = Rates(issue=4.0, revoke=1.5, ask=40.0, lifetimes=(20, 40, 60), sts_lifetime=900, sts_share=0.1)

# The machine may be busy with other things, and may hold everybody up.
BOUNDS = Bounds(propagation=5.0, staleness=900.0, recovery=15.0)


def cpu_seconds(fleet: Fleet) -> float:
    """Time of gateways, server and clients so far."""
    ticks = 0
    for process in [*(node.gateway.process for node in fleet.nodes), fleet.nats.process]:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


def sample(fleet: Fleet, history: History, began: float) -> Sample:
    gateways = []
    for node in fleet.nodes:
        history.add(told := node.sample())
        process = node.gateway.process
        gateways.append(
            GatewaySample(
                resident=process.resident_bytes(),
                file=node.file_bytes(),
                output=process.stdout.stat().st_size + process.stderr.stat().st_size,
                quarantined=told.values["feed_quarantined"],
                cached=told.values["store_cache_entries"],
                pages=told.values["store_page_cache_bytes"],
                marks=told.values["store_revocation_marks"],
                packed=told.values["feed_packed"],
            )
        )
    scopes, keys = {revoked.scope for revoked in history.revoked}, sum(not each.expires for each in history.issued)
    return Sample(
        seconds=time.monotonic() - began,
        events=len(history.issued) + len(history.revoked),
        subjects=len(scopes) + keys,
        requests=len(history.asked),
        gateways=gateways,
        server_resident=fleet.nats.process.resident_bytes(),
        log=fleet.nats.stored_bytes("sigward_log"),
        state=fleet.nats.stored_bytes("sigward_state"),
        cpu_seconds=cpu_seconds(fleet),
    )


def soak(directory: Path, minutes: float, rates: Rates) -> tuple[list[Sample], History]:
    history, samples = History(), []
    fleet = Fleet(directory, log_filter="warn")
    try:
        workload = Workload(fleet, history, rates, random.randrange(1 << 30))
        began = time.monotonic()
        workload.start()
        try:
            with Pulse(directory, history), Path(os.environ.get("SOAK_SAMPLES", os.devnull)).open("w") as file:
                for number in itertools.count():
                    time.sleep(max(0.0, began + number * EVERY - time.monotonic()))
                    # A machine that is held up for long leaves one out; its clients' requests are judged all the same.
                    with contextlib.suppress(OSError):
                        samples.append(sample(fleet, history, began))
                        print(json.dumps(dataclasses.asdict(samples[-1])), file=file, flush=True)
                    if time.monotonic() - began >= minutes * 60:
                        break
        finally:
            workload.stop()
        fleet.wait_settled()
        for node in fleet.nodes:
            history.add(node.sample())
            history.add(node.view())
    finally:
        fleet.stop()
    return samples, history


def main(minutes: float, factor: float) -> int:
    faster = {name: getattr(RATES, name) * factor for name in ("issue", "revoke", "ask")}
    with tempfile.TemporaryDirectory() as directory:
        samples, history = soak(Path(directory), minutes, dataclasses.replace(RATES, **faster))
    violations, figures = check(history, BOUNDS)
    last, found = samples[-1], verdicts(samples)
    share = 100 * last.cpu_seconds / last.seconds
    print(f"{last.seconds / 60:.1f} minutes, {last.events} events, {share:.0f} % of one core")
    print(f"the machine stalled {len(history.faults)} times")
    print(report(violations, figures))
    print("\n".join(f"  {verdict}" for verdict in found))
    return int(bool(violations) or not all(verdict.kept() for verdict in found))


if __name__ == "__main__":
    # The default action would leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = [float(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(arguments + [30.0, 1.0][len(arguments) :])))
