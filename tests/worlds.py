"""A small real world in memory, for the loop: orders take pretended time, and faults come on demand."""

import heapq
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from asiarch.api.base import decimal, instant
from asiarch.api.candidate import Candidate, CandidateSpec, Code
from asiarch.api.meta import Metadata
from asiarch.api.order import Finding, Measurement, Order, Proposal, Result, Writing
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core import chance
from asiarch.core.actions import (
    Action,
    ArchiveCandidates,
    CandidateWrite,
    CreateCandidate,
    SearchWrite,
    StartOrder,
    StopOrder,
    Write,
)
from asiarch.core.observation import Child, Observation, Record, Traits, Trouble, archived, record, record_of
from asiarch.loop import turn
from tests.builders import T0, a_digest

Play = Callable[[Order], tuple[Result, ...]]
Lasts = Callable[[Order], float]


class CrashError(Exception):
    """The process dies here."""


def played(order: Order) -> tuple[Result, ...]:
    """Do any order at once, as a pure function of what it asks: honest, repeatable and different for each candidate."""
    known = {"order": order.name, "attempt": order.attempt}
    chosen = chance.integer(f"{order.candidate}/{order.seed}")
    if order.kind == "propose":
        idea = Proposal(name=f"idea {chosen % 1000}", motivation="It may help.", recipe=f"rule={chosen % 97}")
        return (Result(**known, proposal=idea),)
    if order.kind in ("build", "repair"):
        return (
            Result(**known, writing=Writing(text=f"file {chosen % 9973}", tags=(f"rule=r{chosen % 97}",))),
        )
    if order.kind == "analyze":
        found = Finding(
            analysis="It won.", claim="It helps.", scope=(f"rule=r{chosen % 97}",), delta="0.01", high="0.02"
        )
        return (Result(**known, finding=found),)
    return _measured(order)


def _measured(order: Order) -> tuple[Result, ...]:
    assert order.rung is not None
    results = []
    for index in range(order.rung.seeds):
        score = chance.uniform(f"{order.code}/{order.rung.name}/{index}")
        scored = order.rung.task != "Gates"
        found = Measurement(
            score=decimal(score) if scored else None,
            loss=decimal(3 * (1 - score)) if scored else None,
            metrics={"tokens": "1000"},
            groups=(decimal(score), decimal(score)) if scored else (),
        )
        results.append(
            Result(
                order=order.name,
                attempt=order.attempt,
                index=index,
                measurement=found,
                cost=Cost(seconds=7.0),
            )
        )
    return tuple(results)


def seven_seconds(order: Order) -> float:
    """Every order lasts as long."""
    del order
    return 7.0


@dataclass
class SimulatedWorld:
    """Objects in memory that survive a crash, orders that end in pretended time, and a ledger of what ran."""

    search: ArchitectureSearch
    play: Play = played
    lasts: Lasts = seven_seconds
    now: float = T0
    crash_after: int | None = None
    """The process dies after so many single effects."""
    candidates: dict[str, Candidate] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    ran: list[tuple[str, int]] = field(default_factory=list)
    """Ledger: order and attempt of everything that ever started."""
    children: dict[str, Child] = field(default_factory=dict)
    sources: dict[str, Code] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    traits: Traits = Traits()  # noqa: RUF009 - frozen
    troubles: tuple[Trouble, ...] = ()
    archive: dict[str, str] = field(default_factory=dict)
    """Records of candidates whose objects are gone, as JSON."""
    writes: int = 0
    turns: int = 0
    _due: list[tuple[float, int, Order]] = field(default_factory=list)

    async def observe(self, search: str) -> Observation:
        """See everything."""
        assert search == self.search.name
        return Observation(
            self.search,
            self.candidates,
            self.records,
            self.children,
            self.sources,
            self.traits,
            self.troubles,
        )

    async def commit(self, statuses: Sequence[Write]) -> None:
        """Write statuses one by one, each fenced by identity."""
        for write in statuses:
            self._effect()
            self.writes += 1
            match write:
                case SearchWrite(search, status):
                    assert search is self.search
                    self.search = search.model_copy(update={"status": status})
                case CandidateWrite(candidate, status):
                    assert self.candidates[candidate.name] is candidate
                    self._keep(candidate.model_copy(update={"status": status}))
                case _:
                    assert_never(write)

    async def carry_out(self, actions: Sequence[Action]) -> None:
        """Create candidates, start and stop orders."""
        for action in actions:
            self._effect()
            match action:
                case CreateCandidate(name, spec):
                    self.create(name, spec)
                case StartOrder(order):
                    self._start(order)
                case StopOrder(name, reason):
                    self.stopped.append(name)
                    self.end(name, (Result(order=name, attempt=1, reason=reason),))
                case ArchiveCandidates(names):
                    for name in names:
                        self._remove(name)
                case _:
                    assert_never(action)

    def create(self, name: str, spec: CandidateSpec) -> None:
        """Create a candidate; a second time changes nothing."""
        if name in self.candidates:
            return
        self._keep(Candidate(metadata=Metadata(name=name), spec=spec))
        if spec.baseline is not None or spec.source is not None:
            self.sources[name] = Code(digest=a_digest(name), fingerprint=a_digest(f"file of {name}"))

    def annotate(self, name: str, **marks: str) -> None:
        """Set annotations of the search or of a candidate, as a person does."""
        holder = self.search if name == self.search.name else self.candidates[name]
        known = {f"asiarch.dev/{mark}": value for mark, value in marks.items()}
        metadata = holder.metadata.model_copy(
            update={"annotations": {**holder.metadata.annotations, **known}}
        )
        if holder is self.search:
            self.search = self.search.model_copy(update={"metadata": metadata})
        else:
            self._keep(self.candidates[name].model_copy(update={"metadata": metadata}))

    def end(self, order: str, results: tuple[Result, ...]) -> None:
        """End an order's process with these results."""
        text = results[0].writing.text if results[0].writing else None
        code = None if text is None else Code(digest=a_digest(text), fingerprint=a_digest(f"print of {text}"))
        self.children[order] = Child(order, results, code)

    def forget_processes(self) -> None:
        """A restart: whatever was running is lost, what ended is still there."""
        for name, child in list(self.children.items()):
            if child.results is None:
                lost = Result(order=name, attempt=1, reason=Reason.LOST, message="lost")
                self.children[name] = Child(name, (lost,))
        self._due.clear()

    def next_end(self) -> bool:
        """Let pretended time pass until an order ends, with all that end at that moment; false when none is running."""
        ended = False
        while self._due and not (ended and self._due[0][0] > self.now):
            moment, _, order = heapq.heappop(self._due)
            child = self.children.get(order.name)
            if child is None or child.results is not None:
                continue
            self.now = max(self.now, moment)
            self.end(order.name, self.play(order))
            ended = True
        return ended

    async def drive(self, turns: int = 100_000) -> None:
        """Take turns until the search has ended, or has nothing under way."""
        for _ in range(turns):
            plan = await turn(self, self.search.name, self.now)
            self.turns += 1
            if plan.idle and not self.next_end() and not self._next_retry():
                return

    def _next_retry(self) -> bool:
        """Let pretended time pass until a lost step is tried again; false when none is."""
        times = [instant(c.status.retry_at) for c in self.candidates.values() if c.status.retry_at]
        later = [moment for moment in times if moment > self.now]
        self.now = min(later, default=self.now) + (0.001 if later else 0.0)
        return bool(later)

    def _effect(self) -> None:
        if self.crash_after is not None:
            if self.crash_after == 0:
                raise CrashError
            self.crash_after -= 1

    def _keep(self, candidate: Candidate) -> None:
        self.candidates[candidate.name] = candidate
        self.records[candidate.name] = record(candidate)

    def _remove(self, name: str) -> None:
        """Keep a record in the archive alone."""
        self.archive[name] = json.dumps(archived(self.records[name]))
        self.records[name] = record_of(json.loads(self.archive[name]))
        del self.candidates[name]

    def _start(self, order: Order) -> None:
        if order.name in self.children:
            return
        self.children[order.name] = Child(order.name)
        self.ran.append((order.name, order.attempt))
        heapq.heappush(self._due, (self.now + self.lasts(order), len(self.ran), order))


def lineage(world: SimulatedWorld) -> list[tuple[object, ...]]:
    """What must be equal between two runs of one search: everything but times, costs and attempts."""
    rows: list[tuple[object, ...]] = []
    for candidate in sorted(world.candidates.values(), key=lambda c: c.status.ordinal or 0):
        status = candidate.status
        rungs = tuple((r.name, r.score, tuple(r.metrics.items())) for r in status.rungs)
        rows.append(
            (
                status.ordinal,
                candidate.name,
                candidate.spec,
                status.code,
                status.phase,
                status.reason,
                status.fitness,
                rungs,
            )
        )
    return rows
