"""What clients of several gateways saw, and what was done to the gateways meanwhile, for `kit.checker` to judge.

Times are monotonic seconds of one machine; `millis` are Unix milliseconds, which is what gateways date by.
"""

import dataclasses
import json
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

# Whom faults of the log's server strike: every gateway.
SERVER = "server"

# A scope of revocation and its value: ("role", "arn:…").
Name = tuple[str, str]


class Outcome(StrEnum):
    """What became of a request."""

    DONE = "done"
    # For good: what was asked for has not happened.
    REFUSED = "refused"
    # 503: not now; an event may have happened all the same.
    UNAVAILABLE = "unavailable"
    # No answer; an event may have happened all the same.
    LOST = "lost"


@dataclass(frozen=True)
class Operation:
    """One request to one gateway."""

    gateway: str
    began: float
    ended: float
    outcome: Outcome
    # Status and code of the error, for people.
    told: str


@dataclass(frozen=True)
class Issued(Operation):
    """A credential was asked for. It is dated between the two times."""

    access_key_id: str
    # Scopes that reach it.
    names: frozenset[Name]
    from_millis: int
    to_millis: int
    # When it expires; a long-term key does not.
    expires: float | None


@dataclass(frozen=True)
class Revoked(Operation):
    """A revocation, or the end of a long-term key, was asked for."""

    scope: Name
    # Reaches what was issued strictly before; `None`: not known, or whatever was issued.
    before: int | None


@dataclass(frozen=True)
class Asked(Operation):
    """A request signed with a credential: `DONE` if it was served."""

    access_key_id: str


@dataclass(frozen=True)
class Fault:
    """Something was done to a gateway or to the server, and was over when it answered again."""

    target: str
    kind: str
    began: float
    ended: float


@dataclass(frozen=True)
class Sampled:
    """Metrics of one life of a gateway."""

    gateway: str
    life: int
    at: float
    values: dict[str, float]


@dataclass(frozen=True)
class View:
    """What a gateway knew at the end."""

    gateway: str
    at: float
    # Each session and long-term key, and how it was revoked.
    sessions: dict[str, str | None]
    keys: dict[str, str | None]
    # Everything else it said about them, in a form that is equal where that is.
    digest: str
    position: int
    marks: int


@dataclass
class History:
    """Everything that happened. Threads may add to it at the same time."""

    issued: list[Issued] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    sampled: list[Sampled] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, entry) -> None:
        with self._lock:
            self._list_of(entry).append(entry)

    def _list_of(self, entry) -> list:
        lists = {
            Issued: self.issued,
            Revoked: self.revoked,
            Asked: self.asked,
            Fault: self.faults,
            Sampled: self.sampled,
            View: self.views,
        }
        return lists[type(entry)]

    def write(self, path: Path) -> None:
        """As JSON lines, each with the name of its kind."""
        with path.open("w") as file:
            for entries in (self.issued, self.revoked, self.asked, self.faults, self.sampled, self.views):
                for entry in entries:
                    line = {"kind": type(entry).__name__, **dataclasses.asdict(entry)}
                    file.write(json.dumps(line, default=sorted) + "\n")
