"""What the domain's metrics say, derived from observations: no counting on the side, no candidate's name in a label.

Gauges follow what is seen. Counters start at 0 with the process and count transitions that this process saw, each
once: ordinals only rise and terminal phases never change, so a stale observation can't count anything again.
"""

from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from prometheus_client import CollectorRegistry, Gauge

from asiarch.api.base import instant
from asiarch.api.candidate import Candidate
from asiarch.api.meta import Condition
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core import lineage
from asiarch.core.budget import spent as spent_by
from asiarch.core.observation import Observation, Record, Trouble
from asiarch.kube.domain import (
    BAD,
    BUDGET_KINDS,
    CANDIDATE_PHASES,
    SEARCH_PHASES,
    Domain,
    Stage,
    reason_label,
)

MOST_SEARCHES = 200
"""So many searches have series of their own; what comes after them is summed up as `OTHER`."""
OTHER = "other"
INVALID = frozenset(
    {
        Reason.CONFIG_INVALID,
        Reason.DATASET_INVALID,
        Reason.INVALID_PARENT,
        Reason.NAME_CONFLICT,
        Reason.ORPHAN,
        Reason.SOURCE_INVALID,
        Reason.SOURCE_NOT_FOUND,
    }
)
"""Troubles whose cause is what a user wrote."""
STAGES: tuple[tuple[Stage, str, str], ...] = (
    ("propose", "", "Proposed"),
    ("build", "Proposed", "Built"),
    ("evaluate", "Built", "Evaluated"),
    ("analyze", "Evaluated", "Analyzed"),
)
"""Each stage of a candidate's life, the condition that begins it (none: its first order) and the one that ends it."""


@dataclass(slots=True)
class _Known:
    """One candidate as last seen, and what of it has been counted; never the object, of which there are thousands."""

    record: Record
    generation: int
    finished: bool
    cost: Cost
    duplicates: int = 0
    rungs: int = 0


@dataclass(slots=True)
class _Search:
    """One search as last seen, and what its gauges show."""

    namespace: str
    label: str
    search: ArchitectureSearch
    ordinal: int = -1
    """The highest that was seen: what has a higher one is new."""
    candidates: dict[str, _Known] = field(default_factory=dict)
    shown: dict[tuple[Gauge, str], float] = field(default_factory=dict)
    troubles: frozenset[Reason] = frozenset()
    bad: frozenset[tuple[str, str]] = frozenset()

    @property
    def place(self) -> tuple[str, str]:
        """Values of the labels `namespace` and `search`."""
        return self.namespace, self.label


class Census:
    """Keeps the domain's metrics in step with what turns observe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.domain = Domain(registry)
        self._searches: dict[tuple[str, str], _Search] = {}

    def see(self, seen: Observation, namespace: str) -> None:
        """Take note of one search; costs next to nothing when nothing of it has changed."""
        key = namespace, seen.search.name
        known = self._searches.get(key)
        first = known is None
        if known is None:
            known = self._searches[key] = _Search(namespace, self._label(key), seen.search)
        new, changed = self._changes(known, seen)
        for record in sorted(new, key=lambda r: (r.ordinal < 0, r.ordinal)):
            self._meet(known, record, seen, counted=first or 0 <= record.ordinal <= known.ordinal)
        for record in changed:
            self._follow(known, record, seen.candidates.get(record.name))
        known.ordinal = max(chain((known.ordinal,), (r.ordinal for r in chain(new, changed))))
        vanished = self._drop(known, seen)
        self._complaints(known, seen.troubles, first=first, conditions=seen.search.status.conditions)
        if first or new or changed or vanished or known.search is not seen.search:
            known.search = seen.search
            self._show(known, seen)
            self._count_searches(namespace)

    def forget(self, namespace: str, search: str) -> None:
        """Remove the series of a deleted search."""
        known = self._searches.pop((namespace, search), None)
        if known is None:
            return
        if known.label == OTHER:
            for (gauge, detail), value in known.shown.items():
                gauge.labels(*known.place, detail).dec(value)
        else:
            for family in self.domain.of_searches:
                family.remove_by_labels({"namespace": namespace, "search": known.label})
        self._count_searches(namespace)

    def _label(self, key: tuple[str, str]) -> str:
        """The search's own name while there is room; it keeps what it was given."""
        named = sum(1 for known in self._searches.values() if known.label != OTHER)
        return key[1] if named < MOST_SEARCHES else OTHER

    def _changes(self, known: _Search, seen: Observation) -> tuple[list[Record], list[Record]]:
        """Records never seen before, and those that aren't the same any more."""
        new, changed = [], []
        before = known.candidates
        for name, record in seen.records.items():
            old = before.get(name)
            if old is None:
                new.append(record)
            elif old.record is not record:
                changed.append(record)
        return new, changed

    def _meet(self, known: _Search, record: Record, seen: Observation, *, counted: bool) -> None:
        """Come to know a candidate; `counted` says that it isn't new to the world, only to us."""
        above = [known.candidates.get(parent) for parent in lineage.parents(record, seen.records)]
        generation = max((parent.generation + 1 for parent in above if parent is not None), default=0)
        met = _Known(record, generation, finished=counted and record.terminal, cost=Cost())
        known.candidates[record.name] = met
        if counted and met.finished:
            # Nothing more can be counted of it, and its object is packed away.
            met.cost = record.cost
            return
        candidate = seen.candidates.get(record.name)
        if counted:
            met.cost, met.duplicates = record.cost, _duplicates(record, candidate)
            met.rungs = _rungs(candidate)
            return
        if record.ordinal >= 0:
            self.domain.created.labels(*known.place, record.origin).inc()
        self._count(known, met, candidate)

    def _follow(self, known: _Search, record: Record, candidate: Candidate | None) -> None:
        met = known.candidates[record.name]
        if record.ordinal > known.ordinal:
            self.domain.created.labels(*known.place, record.origin).inc()
        met.record = record
        if not met.finished:
            self._count(known, met, candidate)

    def _count(self, known: _Search, met: _Known, candidate: Candidate | None) -> None:
        """Count what is new of a candidate since it was counted last."""
        record, domain = met.record, self.domain
        self._charge(known, met)
        duplicates = _duplicates(record, candidate)
        if duplicates > met.duplicates:
            domain.duplicates.labels(*known.place).inc(duplicates - met.duplicates)
            met.duplicates = duplicates
        if candidate is not None and len(candidate.status.rungs) > met.rungs:
            for rung in candidate.status.rungs[met.rungs :]:
                domain.stages.labels("train").observe(rung.seconds / max(1, len(rung.seeds)))
            met.rungs = len(candidate.status.rungs)
        if record.terminal and not met.finished:
            met.finished = True
            reason = record.reason.value if record.reason else record.phase
            domain.finished.labels(*known.place, record.phase, reason).inc()
            for stage, seconds in _stages(candidate):
                domain.stages.labels(stage).observe(seconds)

    def _charge(self, known: _Search, met: _Known) -> None:
        """Count what was spent since; an older observation counts nothing."""
        cost, before = met.record.cost, met.cost
        spent = (
            (self.domain.gpu_seconds, cost.gpu_seconds - before.gpu_seconds),
            (self.domain.tokens, cost.tokens - before.tokens),
            (self.domain.usd, cost.usd - before.usd),
        )
        for counter, more in spent:
            if more > 0:
                counter.labels(*known.place).inc(more)
        if any(more > 0 for _, more in spent):
            met.cost = Cost(
                gpu_seconds=max(cost.gpu_seconds, before.gpu_seconds),
                tokens=max(cost.tokens, before.tokens),
                usd=max(cost.usd, before.usd),
            )

    def _drop(self, known: _Search, seen: Observation) -> bool:
        """Forget finished candidates that are gone; a live one may only be missing from a stale list."""
        if len(known.candidates) == len(seen.records):
            return False
        gone = [name for name, met in known.candidates.items() if name not in seen.records and met.finished]
        for name in gone:
            del known.candidates[name]
        return bool(gone)

    def _complaints(
        self, known: _Search, troubles: Iterable[Trouble], *, first: bool, conditions: Iterable[Condition]
    ) -> None:
        """Count troubles that came up and conditions that turned bad; each counts again when it has gone and come."""
        reasons = frozenset(trouble.reason for trouble in troubles)
        for reason in reasons - known.troubles:
            if reason in INVALID:
                self.domain.invalid.labels(reason.value).inc()
        bad = frozenset((c.type, c.reason) for c in conditions if BAD.get(c.type) == c.status)
        for _, why in frozenset() if first else bad - known.bad:
            self.domain.conditions.labels(reason_label(why)).inc()
        known.troubles, known.bad = reasons, bad

    def _show(self, known: _Search, seen: Observation) -> None:
        """Set the gauges; those of searches without series of their own are summed, where a sum means something."""
        amounts = self._sums(seen)
        for (gauge, detail), value in amounts.items():
            if known.label == OTHER:
                gauge.labels(*known.place, detail).inc(value - known.shown.get((gauge, detail), 0.0))
            else:
                gauge.labels(*known.place, detail).set(value)
        for gauge, detail in known.shown.keys() - amounts.keys():
            if known.label == OTHER:
                gauge.labels(*known.place, detail).dec(known.shown[gauge, detail])
            else:
                gauge.remove(*known.place, detail)
        known.shown = amounts
        if known.label != OTHER:
            self._show_progress(known, seen)

    def _sums(self, seen: Observation) -> dict[tuple[Gauge, str], float]:
        """Gauges that may be added up over searches, by the value of their last label."""
        domain = self.domain
        status, budget = seen.search.status, seen.search.spec.budget
        phases = Tally(r.phase for r in seen.records.values())
        spent = spent_by(seen.records.values())
        limits = {
            "candidates": budget.candidates,
            "gpu_seconds": None if budget.gpu_hours is None else float(budget.gpu_hours) * 3600,
            "tokens": budget.tokens,
            "usd": budget.usd,
        }
        used = {
            "candidates": status.counts.proposed,
            "gpu_seconds": spent.gpu_seconds,
            "tokens": spent.tokens,
            "usd": spent.usd,
        }
        return {
            **{(domain.candidates, phase): phases[phase] for phase in CANDIDATE_PHASES},
            **{(domain.budget_limit, k): float(most) for k, most in limits.items() if most is not None},
            **{(domain.budget_used, kind): used[kind] for kind in BUDGET_KINDS},
        }

    def _show_progress(self, known: _Search, seen: Observation) -> None:
        domain, best = self.domain, seen.search.status.best
        if best is None:
            domain.best.remove_by_labels({"namespace": known.namespace, "search": known.label})
        else:
            domain.best.labels(*known.place, "fitness").set(float(best.fitness))
        functional = sum(1 for r in seen.records.values() if r.functional)
        bred = lineage.functional_children(seen.records)
        tips = functional - sum(1 for name in bred if name in seen.records and seen.records[name].functional)
        domain.frontier.labels(*known.place).set(tips)
        generations = (met.generation for met in known.candidates.values())
        domain.generation.labels(*known.place).set(max(generations, default=0))
        domain.stagnation.labels(*known.place).set(_stagnation(seen))

    def _count_searches(self, namespace: str) -> None:
        phases = Tally(s.search.status.phase for s in self._searches.values() if s.namespace == namespace)
        if not phases:
            self.domain.searches.remove_by_labels({"namespace": namespace})
            return
        for phase in SEARCH_PHASES:
            self.domain.searches.labels(namespace, phase).set(phases[phase])


def _stagnation(seen: Observation) -> int:
    """Proposals that ended since the best candidate did."""
    best = seen.search.status.best
    champion = None if best is None else seen.records.get(best.candidate)
    since = ("", -1) if champion is None else (champion.finished_at, champion.ordinal)
    ended = (r for r in seen.records.values() if r.terminal and r.origin != "Baseline")
    return sum(1 for r in ended if (r.finished_at, r.ordinal) > since)


def _duplicates(record: Record, candidate: Candidate | None) -> int:
    drawn_again = 0 if candidate is None else candidate.status.resamples
    return drawn_again + (record.reason == Reason.DUPLICATE and record.terminal)


def _rungs(candidate: Candidate | None) -> int:
    return 0 if candidate is None else len(candidate.status.rungs)


def _stages(candidate: Candidate | None) -> Iterable[tuple[Stage, float]]:
    """How long each stage of a finished candidate took, where its timestamps tell."""
    if candidate is None or candidate.status.started_at is None:
        return
    held = (c for c in candidate.status.conditions if c.status == "True")
    moments = {"": candidate.status.started_at, **{c.type: c.last_transition_time for c in held}}
    for stage, begin, end in STAGES:
        if begin in moments and end in moments:
            yield stage, max(0.0, instant(moments[end]) - instant(moments[begin]))
