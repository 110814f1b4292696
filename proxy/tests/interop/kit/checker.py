"""Judges a history of several gateways: whether what they acknowledged was true from then on, everywhere.

Sessions that a revocation without an answer may have reached, or that were issued in its very millisecond, are judged
by neither side. Everything else is. `Figures` says how much there was to judge: a history that shows nothing proves
nothing.
"""

import bisect
import collections
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from .history import SERVER, Asked, Fault, History, Issued, Name, Operation, Outcome, Revoked, Sampled, View

# Seconds by which a client may mistake the time of an expiry.
MARGIN = 1.5

# Seconds after its expiry for which a session is listed in any case.
LISTED_FOR = 3_000

# Counters that stay at 0, whatever is killed.
NEVER = ("feed_gaps_total", "feed_rewritten_total", "feed_marks_ahead_total", "unreadable", "feed_lost_revocations")

# Counters that only a fault may move.
BY_FAULT = ("feed_resyncs_total", "feed_losses_total")


@dataclass(frozen=True)
class Bounds:
    """What is promised, in seconds."""

    # A revocation holds on a gateway that no fault strikes.
    propagation: float
    # A revocation holds on sessions whatever happens, where gateways fail closed: `feed.stale.hard`.
    staleness: float
    # After a fault everything answers as before.
    recovery: float
    # Gateways that do not fail closed: whom they know they serve, however long they hear nothing.
    static: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Violation:
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


@dataclass
class Figures:
    """How much was judged."""

    issued: int = 0
    issued_unavailable: int = 0
    revoked: int = 0
    asked: int = 0
    must_serve: int = 0
    must_refuse: int = 0
    must_refuse_elsewhere: int = 0
    must_refuse_expired: int = 0
    # Requests outside of every window of a fault.
    calm: int = 0
    must_serve_known: int = 0
    unavailable: int = 0
    lost: int = 0
    faults: int = 0
    longest_outage: float = 0.0


class Windows:
    """When each gateway was struck by faults of its own or of the server, and had not recovered."""

    def __init__(self, faults: list[Fault], recovery: float):
        struck = collections.defaultdict(list)
        targets = {fault.target for fault in faults}
        for fault in faults:
            for target in targets | {SERVER} if fault.target == SERVER else {fault.target}:
                struck[target].append((fault.began, fault.ended + recovery))
        self._by_target = {target: merged(spans) for target, spans in struck.items()}

    def touch(self, gateway: str, began: float, ended: float) -> bool:
        """Whether a fault strikes the gateway in this time."""
        spans = self._spans(gateway)
        at = bisect.bisect_right(spans, (ended, float("inf"))) - 1
        return at >= 0 and spans[at][1] >= began

    def _spans(self, gateway: str) -> list[tuple[float, float]]:
        return self._by_target.get(gateway) or self._by_target.get(SERVER, [])

    def calm(self, gateway: str, at: float) -> float:
        """For how long no fault has struck the gateway."""
        spans = self._spans(gateway)
        last = bisect.bisect_right(spans, (at, float("inf"))) - 1
        return max(0.0, at - spans[last][1]) if last >= 0 else float("inf")

    def longest(self) -> float:
        spans = [ended - began for spans in self._by_target.values() for began, ended in spans]
        return max(spans, default=0.0)


def merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that do not touch, in their order."""
    found: list[tuple[float, float]] = []
    for began, ended in sorted(spans):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((began, ended))
    return found


def certainly(revoked: Revoked, issued: Issued) -> bool:
    """Whether the revocation reaches the credential, once it happened."""
    if revoked.before is None:
        return issued.ended <= revoked.began
    return issued.to_millis < revoked.before


def possibly(revoked: Revoked, issued: Issued) -> bool:
    return revoked.before is None or issued.from_millis < revoked.before


class Checker:
    """One history under judgement."""

    def __init__(self, history: History, bounds: Bounds):
        self._history, self._bounds = history, bounds
        self._windows = Windows(history.faults, bounds.recovery)
        self._known = {issued.access_key_id: issued for issued in history.issued if issued.outcome is Outcome.DONE}
        self._tried = {issued.access_key_id for issued in history.issued}
        by_scope: dict[Name, list[Revoked]] = collections.defaultdict(list)
        for revoked in history.revoked:
            if revoked.outcome is not Outcome.REFUSED:
                by_scope[revoked.scope].append(revoked)
        self._reaching = {
            issued.access_key_id: [
                revoked for name in issued.names for revoked in by_scope.get(name, ()) if possibly(revoked, issued)
            ]
            for issued in self._known.values()
        }
        self._met: dict[tuple[str, str], float] = {}
        for operation in [*history.issued, *history.asked]:
            if operation.outcome is Outcome.DONE:
                pair = (operation.gateway, operation.access_key_id)
                self._met[pair] = min(self._met.get(pair, operation.ended), operation.ended)
        self.figures = Figures(faults=len(history.faults), longest_outage=self._windows.longest())

    def violations(self) -> list[Violation]:
        rules = (self._requests, self._availability, self._views, self._metrics)
        return [violation for rule in rules for violation in rule()]

    def _requests(self) -> Iterator[Violation]:
        self.figures.issued = len(self._known)
        self.figures.revoked = sum(revoked.outcome is Outcome.DONE for revoked in self._history.revoked)
        self.figures.asked = len(self._history.asked)
        for asked in self._history.asked:
            issued = self._known.get(asked.access_key_id)
            if asked.access_key_id not in self._tried and asked.outcome is Outcome.DONE:
                yield Violation("invented-served", say(asked))
            if issued is None or asked.began < issued.ended:
                continue
            yield from self._served(asked, issued)
            yield from self._refused(asked, issued)

    def _served(self, asked: Asked, issued: Issued) -> Iterator[Violation]:
        """What may no longer be served."""
        if issued.expires is not None and asked.began > issued.expires + MARGIN:
            self.figures.must_refuse_expired += 1
            if asked.outcome is Outcome.DONE:
                yield Violation("expired-served", say(asked))
        due = [revoked for revoked in self._reaching[asked.access_key_id] if self._due(revoked, issued, asked)]
        if not due:
            return
        self.figures.must_refuse += 1
        self.figures.must_refuse_elsewhere += all(revoked.gateway != asked.gateway for revoked in due)
        if asked.outcome is Outcome.DONE:
            after = asked.began - min(revoked.ended for revoked in due)
            yield Violation("revoked-served", f"{say(asked)}, {after:.3f} s after {say(due[0])}")

    def _due(self, revoked: Revoked, issued: Issued, asked: Asked) -> bool:
        """Whether the revocation has to hold for this request."""
        if revoked.outcome is not Outcome.DONE or not certainly(revoked, issued):
            return False
        since = asked.began - revoked.ended
        if revoked.gateway == asked.gateway:
            return since > 0
        closes = asked.gateway not in self._bounds.static and issued.expires is not None
        if closes and since > self._bounds.staleness:
            return True
        calm = self._windows.calm(asked.gateway, asked.began)
        return min(since, calm) > self._bounds.propagation

    def _refused(self, asked: Asked, issued: Issued) -> Iterator[Violation]:
        """What must not be refused."""
        if issued.expires is not None and asked.ended >= issued.expires - MARGIN:
            return
        if any(revoked.began <= asked.ended for revoked in self._reaching[asked.access_key_id]):
            return
        self.figures.must_serve += 1
        if asked.outcome is Outcome.REFUSED:
            yield Violation("valid-refused", say(asked))
        known = asked.gateway in self._bounds.static and self._knows(asked)
        self.figures.must_serve_known += known
        if known and asked.outcome is Outcome.UNAVAILABLE:
            yield Violation("known-turned-away", say(asked))

    def _knows(self, asked: Asked) -> bool:
        """Whether the gateway has served or issued the credential before."""
        return self._met.get((asked.gateway, asked.access_key_id), float("inf")) < asked.began

    def _availability(self) -> Iterator[Violation]:
        """503 and silence, which only faults explain."""
        operations: list[Operation] = [*self._history.issued, *self._history.revoked, *self._history.asked]
        self.figures.issued_unavailable = sum(
            issued.outcome in (Outcome.UNAVAILABLE, Outcome.LOST) for issued in self._history.issued
        )
        for operation in operations:
            self.figures.unavailable += operation.outcome is Outcome.UNAVAILABLE
            self.figures.lost += operation.outcome is Outcome.LOST
            if self._windows.touch(operation.gateway, operation.began, operation.ended):
                continue
            self.figures.calm += 1
            if operation.outcome in (Outcome.UNAVAILABLE, Outcome.LOST):
                yield Violation(f"{operation.outcome}-without-fault", say(operation))

    def _views(self) -> Iterator[Violation]:
        views = self._history.views
        for other in views[1:]:
            for what in ("sessions", "keys", "digest", "position", "marks"):
                here, there = getattr(views[0], what), getattr(other, what)
                if here != there:
                    yield Violation(
                        "views-differ", f"{what} of {views[0].gateway} and {other.gateway}: {differ(here, there)}"
                    )
        for view in views:
            for issued in self._known.values():
                if issued.expires is None or view.at < issued.expires + LISTED_FOR:
                    yield from self._kept(view, issued)

    def _kept(self, view: View, issued: Issued) -> Iterator[Violation]:
        rows = view.keys if issued.expires is None else view.sessions
        reaching = self._reaching[issued.access_key_id]
        # A long-term key that was deleted is not listed.
        if issued.access_key_id not in rows:
            if issued.expires is not None or not reaching:
                yield Violation("event-lost", f"{say(issued)} is unknown to {view.gateway}")
            return
        revoked_by = rows[issued.access_key_id]
        certain = [each for each in reaching if each.outcome is Outcome.DONE and certainly(each, issued)]
        if certain and revoked_by is None:
            yield Violation(
                "revocation-lost", f"{say(certain[0])} does not reach {issued.access_key_id} on {view.gateway}"
            )
        if not reaching and revoked_by is not None:
            yield Violation("revoked-by-nobody", f"{issued.access_key_id} on {view.gateway} by {revoked_by}")

    def _metrics(self) -> Iterator[Violation]:
        last: dict[tuple[str, int], Sampled] = {}
        for sample in sorted(self._history.sampled, key=lambda sample: sample.at):
            for name in NEVER:
                if sample.values[name]:
                    yield Violation(name, f"{sample.values[name]:.0f} on {sample.gateway}, life {sample.life}")
            before = last.get((sample.gateway, sample.life))
            since = before.at if before else sample.at
            for name in BY_FAULT:
                grown = sample.values[name] - (before.values[name] if before else 0)
                if grown > 0 and not self._windows.touch(sample.gateway, since, sample.at):
                    yield Violation(
                        f"{name}-without-fault", f"{grown:.0f} more on {sample.gateway}, life {sample.life}"
                    )
            last[sample.gateway, sample.life] = sample


def say(operation: Operation) -> str:
    about = operation.scope if isinstance(operation, Revoked) else operation.access_key_id
    return (
        f"{type(operation).__name__} {about} on {operation.gateway} at {operation.began:.3f} to {operation.ended:.3f}: "
        f"{operation.outcome} {operation.told}".rstrip()
    )


def differ(here, there) -> str:
    """What is in one and not in the other, in short."""
    if not isinstance(here, dict):
        return f"{here} and {there}"
    keys = sorted(key for key in here.keys() | there.keys() if here.get(key, "-") != there.get(key, "-"))
    return f"{len(keys)} differ, {[(key, here.get(key, '-'), there.get(key, '-')) for key in keys[:3]]}"


def check(history: History, bounds: Bounds) -> tuple[list[Violation], Figures]:
    """What is wrong with a history, and how much of it was judged."""
    checker = Checker(history, bounds)
    return checker.violations(), checker.figures


def report(violations: list[Violation], figures: Figures) -> str:
    """For people: figures, then each rule with what broke it first."""
    lines = [f"  {name}: {round(value, 1)}" for name, value in dataclasses.asdict(figures).items()]
    counted = collections.Counter(violation.rule for violation in violations)
    for rule, count in counted.items():
        first = [violation for violation in violations if violation.rule == rule][:3]
        lines += [f"  VIOLATED {count} times: {violation}" for violation in first]
    return "\n".join(lines)
