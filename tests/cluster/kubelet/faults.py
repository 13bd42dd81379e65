"""Faults on demand: a file of rules that a test writes and the kubelet reads before it starts each pod."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

Name = Literal[
    "crash",  # exit code 1 and no result
    "double-report",  # the same result twice, and for an agent then another one
    "evict",  # the kubelet itself takes it away
    "exit0-without-result",
    "imagepull",  # never starts
    "nodelost",  # deleted by the node's taint, then by pod GC; its kubelet says nothing more
    "oom",
    "pending-forever",  # bound, and its volumes never come
    "preempt",  # the scheduler takes it away
    "silence",  # runs and never ends, until its deadline
    "slow",  # runs for so many seconds more
]


@dataclass(frozen=True)
class Fault:
    """One rule: which pods it meets, and what happens to them."""

    fault: Name
    order: str = "*"
    """The order's name, or a glob."""
    kind: str = "*"
    """The order's kind, or a glob."""
    attempt: int | None = None
    index: int | None = None
    container: str | None = None
    """Whom it meets, for oom and crash; the player of a training order unless named."""
    seconds: float = 0.0
    """How long the pod runs before it; for nodelost how long nobody says anything."""
    times: int | None = None
    """How many pods it meets at most."""


@dataclass(frozen=True)
class Told:
    """What a pod was told to do, as far as the kubelet must know."""

    name: str
    search: str
    kind: str
    attempt: int
    index: int

    def meets(self, fault: Fault) -> bool:
        """Whether a rule is about this order."""
        return (
            fnmatchcase(self.name, fault.order)
            and fnmatchcase(self.kind, fault.kind)
            and fault.attempt in (None, self.attempt)
            and fault.index in (None, self.index)
        )


class Faults:
    """The reader's end."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read = 0
        self._rules: tuple[Fault, ...] = ()
        self._met: Counter[Fault] = Counter()

    def take(self, order: Told) -> Fault | None:
        """The first rule that is about an order and not used up."""
        self._refresh()
        for fault in self._rules:
            if order.meets(fault) and (fault.times is None or self._met[fault] < fault.times):
                self._met[fault] += 1
                return fault
        return None

    def _refresh(self) -> None:
        if self._path is None or not self._path.exists():
            return
        changed = self._path.stat().st_mtime_ns
        if changed != self._read:
            self._read = changed
            self._rules = tuple(Fault(**rule) for rule in json.loads(self._path.read_text()))


def write(path: Path, faults: Iterable[Fault]) -> None:
    """Replace all rules; pods that start from now on follow these."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps([asdict(fault) for fault in faults]))
    part.replace(path)
