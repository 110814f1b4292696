"""What may grow with what gateways have been told, and how much; what grows beyond that is a leak."""

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20

# Sessions stay in a gateway's file for an hour after their end and in the log for 40, so both grow with each event for
# as long. Files grow by doubling.
FILE_BYTES_PER_EVENT = 5 * KIB
LOG_BYTES_PER_EVENT = 3 * KIB
STATE_BYTES_PER_SUBJECT = 2 * KIB
OUTPUT_BYTES_PER_REQUEST = KIB
ROOM = MIB

# Memory holds pages of the file, 64 MiB at most, each in a block of five quarters of its size, what is alive, and
# revocations.
PAGES = 64 * MIB
RESIDENT_PER_PAGE = 1.25
RESIDENT_PER_CACHED = 4 * KIB
RESIDENT_PER_MARK = KIB
RESIDENT_AT_WORK = 16 * MIB  # more than when nothing has been done yet
RESIDENT_A_MINUTE = 64 * KIB

# Whoever packs the log takes so much more meanwhile, and gives it back over minutes. A step in the middle of the time has
# the line through all points rise by half as much again.
PACKING = 6 * MIB
LINE_PER_STEP = 1.5


@dataclass(frozen=True)
class GatewaySample:
    """Bytes and counts of one gateway."""

    resident: int
    file: int
    output: int
    quarantined: float
    cached: float
    pages: float
    marks: float
    # Last place of the log that was packed when it last looked.
    packed: float


@dataclass(frozen=True)
class Sample:
    """One moment."""

    seconds: float
    # What the gateways were told so far: events, and different keys and scopes of revocation among them.
    events: int
    subjects: int
    requests: int
    gateways: list[GatewaySample]
    server_resident: int
    log: int
    state: int
    cpu_seconds: float


@dataclass(frozen=True)
class Verdict:
    what: str
    measured: float
    most: float

    def kept(self) -> bool:
        return self.measured <= self.most

    def __str__(self) -> str:
        return f"{'ok  ' if self.kept() else 'GREW'} {self.what}: {self.measured:.1f}, at most {self.most:.1f}"


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line through the points, by least squares."""
    count = len(points)
    x_mean, y_mean = (sum(point[axis] for point in points) / count for axis in (0, 1))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def explained(gateway: GatewaySample) -> float:
    """Bytes of memory that what a gateway was told may take."""
    pages = RESIDENT_PER_PAGE * min(PAGES, gateway.pages)
    return pages + RESIDENT_PER_CACHED * gateway.cached + RESIDENT_PER_MARK * gateway.marks


def verdicts(samples: list[Sample]) -> list[Verdict]:
    """On what was sampled at even intervals. The first half of the time warms up, where growth is what is judged."""
    last = samples[-1]
    warm = [sample for sample in samples if sample.seconds >= last.seconds / 2]
    found = []
    for at, gateway in enumerate(last.gateways):
        name = f"gateway-{at}"
        beyond = [(sample.seconds / 60, grown(sample, at)) for sample in warm]
        steep = RESIDENT_A_MINUTE
        if gateway.packed > warm[0].gateways[at].packed:
            steep += LINE_PER_STEP * PACKING * 60 / (last.seconds - warm[0].seconds)
        most = samples[0].gateways[at].resident + RESIDENT_AT_WORK + explained(gateway)
        file = ROOM + last.events * FILE_BYTES_PER_EVENT
        output = ROOM + (last.events + last.requests) * OUTPUT_BYTES_PER_REQUEST
        found += [
            Verdict(f"{name} memory, MiB", gateway.resident / MIB, most / MIB),
            Verdict(f"{name} unexplained memory, KiB a minute", slope(beyond) / KIB, steep / KIB),
            Verdict(f"{name} file, MiB", gateway.file / MIB, file / MIB),
            Verdict(f"{name} output, MiB", gateway.output / MIB, output / MIB),
            Verdict(f"{name} quarantine", gateway.quarantined, 0),
        ]
    log, state = ROOM + last.events * LOG_BYTES_PER_EVENT, ROOM + last.subjects * STATE_BYTES_PER_SUBJECT
    return [
        *found,
        Verdict("log, MiB", last.log / MIB, log / MIB),
        Verdict("compacted state, MiB", last.state / MIB, state / MIB),
    ]


def grown(sample: Sample, at: int) -> float:
    """Bytes of memory beyond what is explained."""
    return sample.gateways[at].resident - explained(sample.gateways[at])
