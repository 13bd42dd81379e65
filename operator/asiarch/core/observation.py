"""What a turn sees: one search, its candidates, and what became of their orders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from asiarch.api.candidate import Candidate, Code, Lesson, Origin, Phase
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost, SearchPhase
from asiarch.core import controls

TERMINAL: frozenset[Phase] = frozenset({"Complete", "Rejected", "Failed"})
"""Phases of a candidate that can't change any more."""
ENDED: frozenset[SearchPhase] = frozenset({"Complete", "Failed"})
"""Phases of a search that has come to its end."""


@dataclass(frozen=True, slots=True)
class Record:
    """What selection, budget and lineage need of one candidate, also when its object is gone.

    Made once per change of the candidate.
    """

    name: str
    ordinal: int
    origin: Origin
    parents: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    phase: Phase = "Pending"
    reason: Reason | None = None
    scores: tuple[float, ...] = ()
    """Score of each scoring rung that was measured, cheap to dear."""
    depth: int = 0
    """Number of scoring rungs measured."""
    fitness: float | None = None
    fingerprint: str | None = None
    digest: str | None = None
    title: str = ""
    cost: Cost = field(default_factory=Cost)
    lesson: Lesson | None = None
    uses: tuple[str, ...] = ()
    finished_at: str = ""
    vetoed: bool = False
    pinned: bool = False

    @property
    def terminal(self) -> bool:
        """Whether its phase can't change any more."""
        return self.phase in TERMINAL

    @property
    def measured(self) -> bool:
        """Whether it was measured to its end."""
        return self.phase == "Complete" and self.fitness is not None

    @property
    def functional(self) -> bool:
        """Whether it was measured to its end and nobody took it out, so that it may breed."""
        return self.measured and not self.vetoed


def record(candidate: Candidate) -> Record:
    """Read what selection needs from a candidate."""
    spec, status = candidate.spec, candidate.status
    scores = tuple(float(r.score) for r in status.rungs if r.score is not None)
    return Record(
        name=candidate.name,
        ordinal=-1 if status.ordinal is None else status.ordinal,
        origin=spec.origin,
        parents=spec.parents,
        references=spec.references,
        phase=status.phase,
        reason=status.reason,
        scores=scores,
        depth=len(scores),
        fitness=None if status.fitness is None else float(status.fitness),
        fingerprint=None if status.code is None else status.code.fingerprint,
        digest=None if status.code is None else status.code.digest,
        title=status.name,
        cost=status.cost,
        lesson=status.lesson,
        uses=status.uses,
        finished_at=status.finished_at or "",
        vetoed=controls.is_vetoed(candidate.metadata),
        pinned=controls.is_pinned(candidate.metadata),
    )


_RECORDS = TypeAdapter(Record)


def archived(found: Record) -> dict[str, Any]:
    """A record as JSON can hold it, without what is left at its default; `record_of` is the inverse."""
    written: dict[str, Any] = _RECORDS.dump_python(found, mode="json", exclude_defaults=True)
    return written


def record_of(written: Mapping[str, Any]) -> Record:
    """Read a record from the archive; fields of a later version are passed over."""
    return _RECORDS.validate_python(written)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a world does by itself."""

    keeps_time: bool = False
    """Whether orders are ended at their deadline where they run, so that our clock decides nothing."""
    keeps_all: bool = True
    """Whether finished candidates stay for ever, so that none needs an archive."""
    creates: bool = True
    """Whether candidates can be created now; whoever keeps their store may refuse them for a while."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a world from doing all that a search asks; it is gone as soon as its cause is."""

    reason: Reason
    message: str
    fatal: bool
    """Whether nothing may be started while it lasts."""


@dataclass(frozen=True, slots=True)
class Child:
    """One order's process: running while `results` is none, else what each of its indices left."""

    order: str
    results: tuple[Result, ...] | None = None
    code: Code | None = None
    """The file that an engineer's result brought, once the world has stored it."""
    ran: float | None = None
    """Seconds that all its processes ran, where the world knows; otherwise the time since it was named counts."""
    refusal: Trouble | None = None
    """Why nothing of it could be started so far: nothing runs."""
    held: bool = False
    """Whether a queue keeps it from starting: nothing runs."""


@dataclass(frozen=True)
class Observation:
    """One search with all that belongs to it, as the world sees it at one moment."""

    search: ArchitectureSearch
    candidates: Mapping[str, Candidate]
    records: Mapping[str, Record]
    """Every candidate that ever was; the objects of finished ones may be gone, so that `candidates` lacks them."""
    children: Mapping[str, Child]
    sources: Mapping[str, Code] = field(default_factory=dict)
    """Stored files of baselines and users' candidates that have not begun, by candidate."""
    traits: Traits = Traits()
    troubles: tuple[Trouble, ...] = ()

    @cached_property
    def live(self) -> tuple[Candidate, ...]:
        """Candidates that are not in a terminal phase, in ordinal order."""
        names = (r for r in self.records.values() if not r.terminal)
        return tuple(
            self.candidates[r.name] for r in sorted(names, key=lambda r: (r.ordinal < 0, r.ordinal, r.name))
        )


def observe(
    search: ArchitectureSearch,
    candidates: Mapping[str, Candidate],
    children: Mapping[str, Child],
    sources: Mapping[str, Code] | None = None,
) -> Observation:
    """Put an observation together, with the records derived from the candidates."""
    records = {name: record(candidate) for name, candidate in candidates.items()}
    return Observation(search, candidates, records, children, sources or {})
