"""Runs three gateways on one log for a long time at a modest rate, and tells whether anything grows that should not.

    "$(proxy/tests/interop/install.sh)/bin/python" proxy/tests/interop/soak.py [minutes]

Every ten seconds memory, files and metrics are sampled; `SOAK_SAMPLES` names a file for them, as JSON lines. Nobody is
killed, so there is no excuse for a refusal, a 503, a gap, a loss of the log or a message that cannot be read. Ends with
1 if there was one, or if something grew beyond its bound.
"""

import itertools
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kit.checker import Bounds, check, report
from kit.fleet import Fleet
from kit.history import History
from kit.workload import Rates, Workload

KIB, MIB = 1 << 10, 1 << 20
EVERY = 10.0

# Most sessions end soon, so that those alive are as many at the end as after a few minutes.
RATES = Rates(issue=4.0, revoke=1.5, ask=40.0, lifetimes=(20, 40, 60), sts_lifetime=900, sts_share=0.1)

# The machine may be busy with other things.
BOUNDS = Bounds(propagation=5.0, staleness=900.0, recovery=0.0)

# Sessions stay in a gateway's file for an hour after their end and in the log for 40, so both grow with each event for
# as long; memory holds the file's pages, and what is alive. Beyond that nothing may grow.
FILE_BYTES_PER_EVENT = 10 * KIB
LOG_BYTES_PER_EVENT = 3 * KIB
STATE_BYTES_PER_SUBJECT = 2 * KIB
OUTPUT_BYTES_PER_REQUEST = KIB
RESIDENT_SLOPE = 64 * KIB  # a minute, beyond what the files grow


@dataclass(frozen=True)
class Sample:
    """One moment: bytes of each gateway, and of the server's streams."""

    seconds: float
    events: int
    subjects: int
    requests: int
    resident: list[int]
    files: list[int]
    logs: list[int]
    quarantined: list[float]
    cached: list[float]
    marks: list[float]
    server_resident: int
    log_bytes: int
    state_bytes: int
    cpu_seconds: float


def cpu_seconds(fleet: Fleet) -> float:
    """Time of gateways, server and clients so far."""
    ticks = 0
    for process in [*(node.gateway.process for node in fleet.nodes), fleet.nats.process]:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


def sample(fleet: Fleet, history: History, began: float) -> Sample:
    told = [node.sample() for node in fleet.nodes]
    for each in told:
        history.add(each)
    processes = [node.gateway.process for node in fleet.nodes]
    return Sample(
        seconds=time.monotonic() - began,
        events=len(history.issued) + len(history.revoked),
        subjects=len({revoked.scope for revoked in history.revoked})
        + sum(issued.expires is None for issued in history.issued),
        requests=len(history.asked),
        resident=[process.resident_bytes() for process in processes],
        files=[node.file_bytes() for node in fleet.nodes],
        logs=[process.stdout.stat().st_size + process.stderr.stat().st_size for process in processes],
        quarantined=[each.values["feed_quarantined"] for each in told],
        cached=[each.values["store_cache_entries"] for each in told],
        marks=[each.values["store_revocation_marks"] for each in told],
        server_resident=fleet.nats.process.resident_bytes(),
        log_bytes=fleet.nats.stored_bytes("sigward_log"),
        state_bytes=fleet.nats.stored_bytes("sigward_state"),
        cpu_seconds=cpu_seconds(fleet),
    )


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line through the points, by least squares."""
    count = len(points)
    x_mean, y_mean = (sum(point[axis] for point in points) / count for axis in (0, 1))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def verdicts(samples: list[Sample]) -> list[tuple[str, float, float]]:
    """What was measured, and its bound, in KiB but for the counts. The first half of the time warms up."""
    last = samples[-1]
    warm = [each for each in samples if each.seconds >= last.seconds / 2]
    first, found = warm[0], []
    events, subjects = last.events - first.events, last.subjects - first.subjects
    output = events + last.requests - first.requests
    for at in range(len(last.resident)):
        files = slope([(each.seconds / 60, each.files[at]) for each in warm])
        resident = slope([(each.seconds / 60, each.resident[at]) for each in warm])
        found.append((f"gateway-{at} memory, KiB a minute", resident / KIB, (max(files, 0) + RESIDENT_SLOPE) / KIB))
        grown = (last.files[at] - first.files[at]) / KIB
        # A file grows by pieces, of which one may be due.
        found.append((f"gateway-{at} file, KiB", grown, (MIB + events * FILE_BYTES_PER_EVENT) / KIB))
        found.append(
            (
                f"gateway-{at} output, KiB",
                (last.logs[at] - first.logs[at]) / KIB,
                output * OUTPUT_BYTES_PER_REQUEST / KIB,
            )
        )
        found.append((f"gateway-{at} quarantine", last.quarantined[at], 0.0))
    log, state = last.log_bytes - first.log_bytes, last.state_bytes - first.state_bytes
    found.append(("log, KiB", log / KIB, (MIB / 4 + events * LOG_BYTES_PER_EVENT) / KIB))
    found.append(("compacted state, KiB", state / KIB, (MIB / 4 + subjects * STATE_BYTES_PER_SUBJECT) / KIB))
    return found


def soak(directory: Path, minutes: float) -> tuple[list[Sample], History]:
    history, samples = History(), []
    fleet = Fleet(directory, log_filter="warn")
    try:
        workload = Workload(fleet, history, RATES, random.randrange(1 << 30))
        began = time.monotonic()
        workload.start()
        try:
            with Path(os.environ.get("SOAK_SAMPLES", os.devnull)).open("w") as file:
                for number in itertools.count():
                    time.sleep(max(0.0, began + number * EVERY - time.monotonic()))
                    samples.append(sample(fleet, history, began))
                    print(json.dumps(asdict(samples[-1])), file=file, flush=True)
                    if samples[-1].seconds >= minutes * 60:
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


def main(minutes: float) -> int:
    with tempfile.TemporaryDirectory() as directory:
        samples, history = soak(Path(directory), minutes)
    violations, figures = check(history, BOUNDS)
    last, found = samples[-1], verdicts(samples)
    share = 100 * last.cpu_seconds / last.seconds
    print(f"{last.seconds / 60:.1f} minutes, {last.events} events, {share:.0f} % of one core")
    print(report(violations, figures))
    for what, measured, bound in found:
        print(f"  {'ok  ' if measured <= bound else 'GREW'} {what}: {measured:.1f}, at most {bound:.1f}")
    return int(bool(violations) or any(measured > bound for _, measured, bound in found))


if __name__ == "__main__":
    sys.exit(main(*([float(argument) for argument in sys.argv[1:]] or [30.0])))
