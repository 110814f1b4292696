"""What was found, as Markdown, beside what the gateway is held to."""

from statistics import median

from .cases import IDLE_BYTES, SIGNED_BODY, TARGETS, TIMES_S3S, Case
from .measure import Findings, cost


def ratio(findings: Findings, case: Case, name: str, base: str = "nginx") -> float | None:
    """The median over the rounds of one contender's cost to another's in the same round."""
    runs = findings.runs[case.name]
    pairs = [(cost(one, case), cost(other, case)) for one, other in zip(runs[name], runs[base])]
    ratios = [one / other for one, other in pairs if one is not None and other]
    return median(ratios) if ratios else None


def middle(findings: Findings, case: Case, name: str) -> float | None:
    costs = [cost(found, case) for found in findings.runs[case.name][name]]
    return median(costs) if costs and None not in costs else None


def held(value: float, target: float | None, form: str = "{:.2f}") -> str:
    """The value, and whether it is within its target."""
    if target is None:
        return form.format(value)
    sign = "≤" if value <= target else ">"
    return f"{form.format(value)} {sign} {form.format(target)}"


class Table:
    def __init__(self, head: list[str]):
        self.lines = [row(head), row(["---"] * len(head))]

    def add(self, cells: list[str]) -> None:
        self.lines.append(row(cells))

    def __str__(self) -> str:
        return "\n".join(self.lines)


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def costs(findings: Findings, cases: list[Case], names: list[str]) -> str:
    others = [name for name in names if name not in ("direct", "nginx")]
    table = Table(["case", "nginx, µs", *others])
    for case in (case for case in cases if case.unit != "idle"):
        own = middle(findings, case, "nginx")
        cells = [case.title, "–" if own is None else f"{own / 1e3:.1f}"]
        for name in others:
            found = ratio(findings, case, name)
            cells.append("–" if found is None else held(found, TARGETS.get(case.name, {}).get(name)))
        table.add(cells)
    return f"### CPU of the proxy: to nginx's\n\n{table}"


def latencies(findings: Findings, cases: list[Case], names: list[str]) -> str:
    table = Table(["case", *names])
    for case in (case for case in cases if case.unit != "idle"):
        cells = [case.title]
        for name in names:
            values = [found["latency_us"]["p99"] for found in findings.runs[case.name][name] if found["requests"]]
            cells.append(f"{median(values) / 1e3:.2f}" if values else "–")
        table.add(cells)
    return f"### Latency, p99, ms, as fast as answers come\n\n{table}"


def memory(findings: Findings, cases: list[Case], names: list[str]) -> str | None:
    cases = [case for case in cases if case.unit == "idle"]
    if not cases:
        return None
    others = [name for name in names if name != "direct"]
    table = Table(["case", *others])
    for case in cases:
        cells = [case.title]
        for name in others:
            found = middle(findings, case, name)
            is_ours = name in ("identity", "resign")
            cells.append("–" if found is None else held(found, IDLE_BYTES if is_ours else None, "{:.0f}"))
        table.add(cells)
    return f"### Memory\n\n{table}"


def beyond(findings: Findings, cases: list[Case], hash_ns: float | None) -> str | None:
    """What signed bodies cost beside their hashing, and what the s3s-based proxy costs to the gateway."""
    by_name = {case.name: case for case in cases}
    lines = []
    for name in ("put-64k-hash", "put-64k-chunks"):
        for contender in ("identity", "resign"):
            signed = middle(findings, by_name[name], contender) if name in by_name else None
            unsigned = middle(findings, by_name["put-64k"], contender) if "put-64k" in by_name else None
            if signed and unsigned and hash_ns:
                extra = (signed - unsigned) / hash_ns
                lines.append(f"- {by_name[name].title}, {contender}: {held(extra, SIGNED_BODY)} of its SHA-256 more")
    for case in cases:
        times = ratio(findings, case, "s3s", "resign") if case.unit != "idle" else None
        if times is not None:
            sign = "≥" if times >= TIMES_S3S else "<"
            lines.append(f"- {case.title}: the s3s-based proxy takes {times:.1f} times `resign` ({sign} {TIMES_S3S})")
    return "### Beside\n\n" + "\n".join(lines) if lines else None


def markdown(findings: Findings, cases: list[Case], names: list[str], hash_ns: float | None) -> str:
    parts = [
        costs(findings, cases, names),
        latencies(findings, cases, names),
        memory(findings, cases, names),
        beyond(findings, cases, hash_ns),
        f"{findings.disturbed} of {findings.total} runs were disturbed each time and count all the same.",
        *(f"FAULT: {fault}" for fault in findings.faults),
    ]
    return "\n\n".join(part for part in parts if part)
