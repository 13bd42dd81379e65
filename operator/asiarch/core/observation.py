"""What a turn sees: one search, its candidates, and what became of their orders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from asiarch.api.candidate import Candidate, Code, Lesson, Origin, Phase
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost

TERMINAL: frozenset[Phase] = frozenset({"Complete", "Rejected", "Failed"})


@dataclass(frozen=True, slots=True)
class Record:
    """What selection, budget and lineage need of one candidate; made once per change of its status."""

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
    cost: Cost = field(default_factory=Cost)
    lesson: Lesson | None = None
    uses: tuple[str, ...] = ()
    finished_at: str = ""

    @property
    def terminal(self) -> bool:
        """Whether its phase can't change any more."""
        return self.phase in TERMINAL

    @property
    def functional(self) -> bool:
        """Whether it was measured to its end, so that it may breed."""
        return self.phase == "Complete" and self.fitness is not None


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
        cost=status.cost,
        lesson=status.lesson,
        uses=status.uses,
        finished_at=status.finished_at or "",
    )


@dataclass(frozen=True, slots=True)
class Child:
    """One order's process: running while `results` is none, else what each of its indices left."""

    order: str
    results: tuple[Result, ...] | None = None
    code: Code | None = None
    """The file that an engineer's result brought, once the world has stored it."""


@dataclass(frozen=True)
class Observation:
    """One search with all that belongs to it, as the world sees it at one moment."""

    search: ArchitectureSearch
    candidates: Mapping[str, Candidate]
    records: Mapping[str, Record]
    children: Mapping[str, Child]
    sources: Mapping[str, Code] = field(default_factory=dict)
    """Stored files of baselines and users' candidates that have not begun, by candidate."""

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
