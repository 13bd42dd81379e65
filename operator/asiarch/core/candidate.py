"""Moves one candidate through its lifecycle: what its order brought, and which step follows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asiarch.api.base import Instant, decimal, instant, timestamp
from asiarch.api.candidate import Candidate, CandidateStatus, Code, Lesson, Phase, RungResult
from asiarch.api.names import VETO
from asiarch.api.order import Measurement, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost, Rung
from asiarch.core import budget, controls, lifecycle, ranking
from asiarch.core.fitness import FITNESS
from asiarch.core.lifecycle import Event
from asiarch.core.observation import TERMINAL, Child, Record, Traits, Trouble

CURVE_POINTS = 8
CURVE_DIGITS = 3
DIGITS = 4
"""A candidate has to stay below 4 KiB; its order's result says more."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a candidate's next step depends on beside itself."""

    search: ArchitectureSearch
    records: Mapping[str, Record]
    """All candidates; those of lower ordinal as this turn has already moved them."""
    yardstick: tuple[RungResult, ...]
    """What the first baseline was measured at."""
    now: Instant
    traits: Traits


def reconcile_candidate(
    candidate: Candidate, child: Child | None, source: Code | None, around: Surroundings
) -> Candidate:
    """Take what happened to a candidate and move it on, the same object when nothing did; `child` has ended."""
    moved = _with(candidate, _step(candidate, child, source, around))
    retry = controls.wanted_retry(candidate)
    if retry is None or moved.status.order is not None:
        return moved
    # Whoever asks for it wants the step tried at once, not when its wait is over.
    return _with(moved, moved.status.model_copy(update={"retried": retry, "retry_at": None}))


def marked(candidate: Candidate, search: ArchitectureSearch, refusal: Trouble | None = None) -> Candidate:
    """Say beside a candidate what it waits for, or no longer: a person's word, or that its order may start.

    What is to be repaired stays said. The same object when nothing changed.
    """
    status = candidate.status
    waits = None if status.phase in TERMINAL else controls.hold(candidate, search.spec) or refusal
    said = (status.reason, status.message)
    if waits is None:
        tells = (None, "") if status.reason in controls.HOLDS | controls.REFUSALS else said
    else:
        tells = said if status.phase == "Repairing" else (waits.reason, waits.message[:1024])
    if tells == said:
        return candidate
    return _with(candidate, status.model_copy(update={"reason": tells[0], "message": tells[1]}))


def is_yardstick(candidate: Candidate) -> bool:
    """Whether a candidate is the first baseline, which climbs the whole ladder."""
    return candidate.status.ordinal == 0


def _with(candidate: Candidate, status: CandidateStatus) -> Candidate:
    return candidate if status is candidate.status else candidate.model_copy(update={"status": status})


def _change(status: CandidateStatus, event: Event, **fields: Any) -> CandidateStatus:
    """Follow an event to the next phase; the step's order is done with."""
    step = {
        "phase": lifecycle.follow(status.phase, event),
        "order": None,
        "lost": 0,
        "excused": 0,
        "retry_at": None,
    }
    return status.model_copy(update={**step, "reason": None, "message": "", **fields})


def _end(
    status: CandidateStatus, event: Event, reason: Reason, message: str, now: Instant
) -> CandidateStatus:
    """Follow an event to a terminal phase, with the reason."""
    return _change(status, event, reason=reason, message=message[:1024], finished_at=timestamp(now))


def _step(
    candidate: Candidate, child: Child | None, source: Code | None, around: Surroundings
) -> CandidateStatus:
    status = candidate.status
    may_end = status.ordinal is not None and (status.order is None or child is not None)
    if may_end and controls.is_vetoed(candidate.metadata):
        booked = status if child is None else _booked(candidate, child, around)
        return _end(booked, "vetoed", Reason.VETOED, f"Taken out by the annotation {VETO}.", around.now)
    if status.phase == "Pending":
        return _begin(candidate, source, around)
    return status if child is None else _settle(candidate, child, around)


def _begin(candidate: Candidate, source: Code | None, around: Surroundings) -> CandidateStatus:
    status, spec = candidate.status, candidate.spec
    if status.ordinal is None:
        return status
    if stranger := _stranger(candidate, around.records):
        message = f"Parent {stranger} is not an earlier candidate of this search. Name one of lower ordinal, or none."
        return _end(status, "refused", Reason.INVALID_PARENT, message, around.now)
    if spec.origin == "Proposed":
        return _change(status, "has-to-be-proposed")
    if spec.idea is not None:
        named = {"name": spec.idea[:80], "motivation": spec.idea, "recipe": spec.idea[:512]}
        return _change(status, "has-an-idea", **named)
    if source is None:
        return status
    return _change(status, "has-a-file", code=source, name=spec.baseline or candidate.name)


def _stranger(candidate: Candidate, records: Mapping[str, Record]) -> str | None:
    """Name a parent that isn't an earlier candidate; parents of lower ordinal keep the lineage free of cycles."""
    ordinal = candidate.status.ordinal or 0
    for parent in candidate.spec.parents:
        known = records.get(parent)
        if known is None or not 0 <= known.ordinal < ordinal:
            return parent
    return None


def _settle(candidate: Candidate, child: Child, around: Surroundings) -> CandidateStatus:
    """Book what the order cost, then take its result; a lost attempt is tried again."""
    results = child.results or ()
    settled = _with(candidate, _booked(candidate, child, around))
    if lost := _first_lost(results):
        return _lost(settled, lost, around)
    return SETTLE[settled.status.phase](settled, child, around)


def _first_lost(results: Sequence[Result]) -> Result | None:
    return next((r for r in results if r.reason in lifecycle.LOST), None)


def _rung(candidate: Candidate, search: ArchitectureSearch) -> Rung:
    return search.spec.evaluation.ladder[candidate.status.rung]


def _booked(candidate: Candidate, child: Child, around: Surroundings) -> CandidateStatus:
    """Add what an order cost; of a lost attempt the time since it was named, unless it is known better.

    Whatever is said of an order, it costs no more than was reserved for it.
    """
    status, results, rung = candidate.status, child.results or (), _rung(candidate, around.search)
    most = around.search.status.reservations.get(child.order) or budget.worst_case(
        around.search.spec, lifecycle.WORK[status.phase], rung
    )
    if status.phase != "Evaluating":
        tokens, usd = sum(r.cost.tokens for r in results), sum(r.cost.usd for r in results)
        cost = Cost(tokens=min(tokens, most.tokens), usd=min(usd, most.usd))
    else:
        cost = budget.training_cost(rung, min(most.seconds, _seconds(candidate, child, around)))
    return status.model_copy(update={"cost": status.cost + cost})


def _seconds(candidate: Candidate, child: Child, around: Surroundings) -> float:
    """Seconds of training to be charged for an order that has ended; on a cluster all seeds ran side by side."""
    results = child.results or ()
    used = sum(r.cost.seconds for r in results)
    lost, order = _first_lost(results), candidate.status.order
    if lost is None or order is None:
        return used
    if child.ran is not None:
        return max(used, child.ran)
    if lost.reason in lifecycle.NEVER_RAN:
        return used
    rung = _rung(candidate, around.search)
    limit = float(budget.limit(around.search.spec, "train", rung))
    named = instant(order.deadline) - rung.seeds * limit - budget.START_ALLOWANCE
    since = max(0.0, around.now - named)
    if not around.traits.keeps_time:
        return since
    silent = rung.seeds - len({r.index for r in results if r.cost.seconds > 0})
    return used + silent * min(limit, since)


def _lost(candidate: Candidate, result: Result, around: Surroundings) -> CandidateStatus:
    """Try a lost attempt again, later and later; what waits for the cluster alone is no sign of failure."""
    status = candidate.status
    excused = status.excused + (result.reason in lifecycle.EXCUSED)
    retry_at = None if result.reason == Reason.CANCELLED else _retry_at(status.lost + 1, around.now)
    again = {"order": None, "lost": status.lost + 1, "excused": excused, "retry_at": retry_at}
    if status.phase != "Repairing":
        again |= {"reason": result.reason, "message": result.message[:1024]}
    status = status.model_copy(update=again)
    failures = status.lost - status.excused
    if failures < lifecycle.MAX_LOST:
        return status
    message = f"{failures} attempts were lost, the last one: {result.message}"
    return _fail(_with(candidate, status), Reason.INFRASTRUCTURE_FAILED, message, around)


def _retry_at(lost: int, now: Instant) -> str | None:
    """When a step is tried again after so many lost attempts; the first time at once."""
    if lost <= 1:
        return None
    wait = 2.0 ** min(lost, lifecycle.MOST_DOUBLINGS)
    return timestamp(now + min(lifecycle.LONGEST_RETRY, wait))


def _fail(candidate: Candidate, reason: Reason, message: str, around: Surroundings) -> CandidateStatus:
    """End a candidate of which we could not find out; one that was measured stays measured."""
    status = candidate.status
    if status.phase == "Analyzing":
        return _change(
            status,
            "explained",
            analysis=f"{lifecycle.UNEXPLAINED}{message}"[:1024],
            finished_at=timestamp(around.now),
        )
    return _end(status, "unknown", reason, message, around.now)


def _agent_failed(candidate: Candidate, result: Result, around: Surroundings) -> CandidateStatus:
    message = result.message or f"The {candidate.status.phase.lower()} agent ended without a usable result."
    if result.reason is not None and result.reason != Reason.AGENT_FAILED:
        message = f"{result.reason}: {message}"
    return _fail(candidate, Reason.AGENT_FAILED, message, around)


def _proposed(candidate: Candidate, child: Child, around: Surroundings) -> CandidateStatus:
    result = (child.results or ())[0]
    if result.reason is not None or result.proposal is None:
        return _agent_failed(candidate, result, around)
    idea = result.proposal
    fields = {"name": idea.name, "motivation": idea.motivation, "recipe": idea.recipe, "uses": idea.uses}
    return _change(candidate.status, "proposed", **fields)


def _written(candidate: Candidate, child: Child, around: Surroundings) -> CandidateStatus:
    """Take an engineer's file; a copy of a known candidate never reaches training."""
    result, status = (child.results or ())[0], candidate.status
    if result.reason is not None or result.writing is None or child.code is None:
        return _agent_failed(candidate, result, around)
    twin = _twin(candidate, child.code, around.records)
    if twin is not None:
        return _duplicate(candidate, twin, around)
    tags = result.writing.tags
    if status.phase == "Building":
        return _change(status, "written", code=child.code, tags=tags, rung=0, rungs=())
    code = child.code.model_copy(update={"revision": status.repairs + 1})
    return _change(status, "mended", code=code, tags=tags, repairs=status.repairs + 1, rung=0, rungs=())


def _twin(candidate: Candidate, code: Code, records: Mapping[str, Record]) -> str | None:
    same = (r for r in records.values() if r.fingerprint == code.fingerprint and r.name != candidate.name)
    return min((r.name for r in same), default=None)


def _duplicate(candidate: Candidate, twin: str, around: Surroundings) -> CandidateStatus:
    status = candidate.status
    message = f"The file repeats {twin}: equal after names, comments and order are folded."
    drawn_again = status.phase == "Building" and candidate.spec.origin == "Proposed"
    if drawn_again and status.resamples < around.search.spec.agents.resamples:
        return _change(status, "repeats-a-known-one", resamples=status.resamples + 1, message=message)
    return _end(status, "repeats-once-too-often", Reason.DUPLICATE, message, around.now)


def _explained(candidate: Candidate, child: Child, around: Surroundings) -> CandidateStatus:
    result = (child.results or ())[0]
    found = result.finding
    if result.reason is not None or found is None:
        return _agent_failed(candidate, result, around)
    lesson = None
    if found.claim and found.scope:
        lesson = Lesson(
            claim=found.claim, scope=found.scope, delta=found.delta, low=found.low, high=found.high
        )
    return _change(
        candidate.status,
        "explained",
        analysis=found.analysis,
        lesson=lesson,
        finished_at=timestamp(around.now),
    )


def _measured(candidate: Candidate, child: Child, around: Surroundings) -> CandidateStatus:
    """Take a rung's results: climb, end the ladder, or go to repair."""
    results = child.results or ()
    isolation = results[-1].isolation
    candidate = _with(candidate, candidate.status.model_copy(update={"isolation": isolation}))
    for result in results:
        if result.reason is not None or result.measurement is None:
            return _unfit(candidate, result, around)
    measured = combine(_rung(candidate, around.search).name, results)
    status = candidate.status.model_copy(update={"rungs": (*candidate.status.rungs, measured)})
    if _climbs(candidate, measured, around):
        return _change(status, "climbs", rung=status.rung + 1)
    return _finish_ladder(candidate, status, around)


def _finish_ladder(candidate: Candidate, status: CandidateStatus, around: Surroundings) -> CandidateStatus:
    yardstick = status.rungs if is_yardstick(candidate) else around.yardstick
    fitness = FITNESS[around.search.spec.fitness.policy](status.rungs, yardstick)
    if fitness is None:
        message = "The metrics give no finite fitness, so the candidate can't be ranked."
        return _end(status, "refused", Reason.IMPLAUSIBLE_METRIC, message, around.now)
    if candidate.spec.origin == "Baseline":
        done = {"fitness": decimal(fitness), "finished_at": timestamp(around.now)}
        return _change(status, "measured-as-baseline", **done)
    return _change(status, "measured", fitness=decimal(fitness))


def _climbs(candidate: Candidate, measured: RungResult, around: Surroundings) -> bool:
    """Whether a further rung is due: gates and the yardstick always climb, others by the rung's promotion."""
    if candidate.status.rung + 1 >= len(around.search.spec.evaluation.ladder):
        return False
    if measured.score is None or is_yardstick(candidate):
        return True
    level = sum(1 for r in candidate.status.rungs if r.score is not None)
    others = [
        r.scores[level] for r in around.records.values() if r.depth > level and r.name != candidate.name
    ]
    return ranking.climbs(float(measured.score), others, _rung(candidate, around.search).promote)


def _unfit(candidate: Candidate, result: Result, around: Surroundings) -> CandidateStatus:
    """Reject an idea, or send broken code to the engineer while repairs are left."""
    status, reason = candidate.status, result.reason or Reason.NO_RESULT
    message = result.message or "The referee left no measurement."
    if reason in lifecycle.REFUSED:
        return _end(status, "refused", reason, message, around.now)
    if reason not in lifecycle.BROKEN:
        return _end(status, "unknown", reason, message, around.now)
    if candidate.spec.origin != "Proposed":
        event: Event = "refused" if lifecycle.BROKEN[reason] == "Rejected" else "unknown"
        return _end(status, event, reason, message, around.now)
    if status.repairs >= around.search.spec.agents.repairs:
        last = f"{reason} after {status.repairs} repairs: {message}"
        return _end(status, "unknown", Reason.REPAIR_EXHAUSTED, last, around.now)
    return _change(status, "broken", reason=reason, message=message[:1024])


def combine(rung: str, results: Sequence[Result]) -> RungResult:
    """Average a rung's measurements over its seeds; the curve is the first seed's."""
    parts = [r.measurement for r in results if r.measurement is not None]
    first = parts[0]
    scores = [m.score for m in parts if m.score is not None]
    losses = [float(m.loss) for m in parts if m.loss is not None]
    return RungResult(
        name=rung,
        score=_mean([float(s) for s in scores]),
        loss=_mean(losses),
        seeds=tuple(scores),
        metrics=_means(parts, "metrics"),
        claims=_means(parts, "claims"),
        groups=tuple(
            _mean(column, DIGITS) or "0"
            for column in zip(*[[float(g) for g in m.groups] for m in parts], strict=False)
        ),
        curve=_thinned(first.curve),
        seconds=round(sum(r.cost.seconds for r in results), 3),
        parameters=first.parameters,
        data=first.data,
    )


def _thinned(curve: Sequence[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    """At most `CURVE_POINTS` points, evenly spread, the first and the last among them."""
    last = len(curve) - 1
    places: Sequence[int] = range(len(curve))
    if last >= CURVE_POINTS:
        places = [round(place * last / (CURVE_POINTS - 1)) for place in range(CURVE_POINTS)]
    return tuple((curve[place][0], decimal(float(curve[place][1]), CURVE_DIGITS)) for place in places)


def _mean(values: Sequence[float], digits: int = 6) -> str | None:
    return decimal(sum(values) / len(values), digits) if values else None


def _means(parts: Sequence[Measurement], field: str) -> dict[str, str]:
    tables = [getattr(part, field) for part in parts]
    return {
        key: decimal(sum(float(t[key]) for t in tables) / len(tables), DIGITS)
        for key in tables[0]
        if all(key in t for t in tables)
    }


SETTLE: Mapping[Phase, Callable[[Candidate, Child, Surroundings], CandidateStatus]] = {
    "Proposing": _proposed,
    "Building": _written,
    "Repairing": _written,
    "Evaluating": _measured,
    "Analyzing": _explained,
}
