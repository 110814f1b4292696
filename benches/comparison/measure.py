"""One run of the load generator against one proxy, and whether the machine was quiet meanwhile."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field

from .cases import Case
from .contenders import ACCESS_KEY_ID, LOAD_CORE, PROXY_CORE, RELEASE, SECRET_ACCESS_KEY, Arena, Contender

# A core that takes so much longer than at its best for the same work is disturbed.
DISTURBED = 1.15
RETRIES = 4
PROBE = bytes(1 << 20)
# Seconds after which an idle connection of the gateway has given its buffers back.
RESTING = 4.0


class Quiet:
    """A short hashing loop on both cores. Its CPU time tells what shares the core's units and caches, its wall-clock
    time who else is given the core."""

    def __init__(self):
        self.best: dict[int, float] = {}

    def disturbance(self) -> float:
        """How much longer than ever before, on the worse core."""
        return max(self._core(core) for core in (LOAD_CORE, PROXY_CORE))

    def _core(self, core: int) -> float:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            start = time.thread_time()
            for _ in range(16):
                hashlib.sha256(PROBE).digest()
            took = time.thread_time() - start
        finally:
            os.sched_setaffinity(0, before)
        self.best[core] = min(took, self.best.get(core, took))
        return took / self.best[core]


@dataclass
class Findings:
    """What each run found: by case and contender, one entry a round."""

    runs: dict[str, dict[str, list[dict]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    faults: list[str] = field(default_factory=list)
    # Runs that were disturbed every time they were repeated, and count all the same.
    disturbed: int = 0
    total: int = 0


def run(arena: Arena, contender: Contender, case: Case, seconds: float) -> dict | None:
    """One run; `None` if the contender does not do this."""
    target, pids = (contender.tls, contender.tls_pids) if case.tls else (contender.plain, contender.plain_pids)
    if target is None or (case.unit == "idle" and not pids):
        return None
    command = ["taskset", "-c", str(LOAD_CORE), str(RELEASE / "load"), target, "--json", *case.arguments]
    command += ["--access-key-id", ACCESS_KEY_ID, "--secret-access-key", SECRET_ACCESS_KEY]
    if case.unit == "idle":
        seconds = max(seconds, RESTING)
    command += ["--seconds", str(seconds), "--warmup", str(min(1.0, seconds / 3)), "--ca", str(arena.certificate)]
    for pid in pids:
        command += ["--pid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if not done.stdout:
        return {"fault": done.stderr.strip()[-300:]}
    found = json.loads(done.stdout)
    # The CPU time of a GiB is that of what moved, whether or not an object came to its end meanwhile.
    if found["errors"] or not (found["requests"] or (case.unit == "gib" and found["bytes"])):
        return {"fault": f"{found['errors']} errors, {found['requests']} answers: {found['first_error']}"}
    return found


def compare(arena: Arena, contenders: list[Contender], cases: list[Case], rounds: int, seconds: float) -> Findings:
    """Every contender in turns, so that a slow minute of the machine hits all of them."""
    findings, quiet = Findings(), Quiet()
    for _ in range(10):
        quiet.disturbance()
    out: set[tuple[str, str]] = set()
    for case in cases:
        # Memory that was once taken does not come back: the first time counts.
        turns = 1 if case.unit == "idle" else rounds
        for number in range(turns):
            for contender in contenders if number % 2 == 0 else reversed(contenders):
                if (case.name, contender.name) in out:
                    continue
                found = undisturbed(findings, quiet, lambda: run(arena, contender, case, seconds), case)
                if found is None or "fault" in found:
                    out.add((case.name, contender.name))
                    if found:
                        findings.faults.append(f"{case.title}, {contender.name}: {found['fault']}")
                        note(findings.faults[-1])
                    continue
                findings.runs[case.name][contender.name].append(found)
                note(f"{case.name} {number + 1}/{turns} {contender.name}: {brief(found, case)}")
    return findings


def undisturbed(findings: Findings, quiet: Quiet, attempt, case: Case) -> dict | None:
    """Repeats what was disturbed; after some times what comes is taken."""
    findings.total += 1
    for left in reversed(range(1 if case.unit == "idle" else RETRIES)):
        before = quiet.disturbance()
        found = attempt()
        if found is None or "fault" in found or max(before, quiet.disturbance()) <= DISTURBED:
            return found
        if left == 0 and case.unit != "idle":
            findings.disturbed += 1
    return found


def cost(found: dict, case: Case) -> float | None:
    """Nanoseconds of CPU, or bytes of an idle connection."""
    match case.unit:
        case "request":
            return found["cpu_ns_per_request"]
        case "gib":
            return found["cpu_ns_per_gib"]
        case _:
            return found["idle"]["bytes_per_connection"]


def brief(found: dict, case: Case) -> str:
    taken = cost(found, case)
    return f"{taken:.0f} {'bytes' if case.unit == 'idle' else 'ns'}" if taken else f"{found['requests']} requests"


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def hash_ns(size: int) -> float:
    """What SHA-256 takes on the proxy's core, by the gateway's own library."""
    command = ["taskset", "-c", str(PROXY_CORE), str(RELEASE / "load"), "http://-", "--hash", "--size", str(size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
