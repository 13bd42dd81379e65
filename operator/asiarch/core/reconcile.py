"""One turn's decision: the search and its candidates are moved on together, as one pure function."""

from asiarch.api.base import Instant, instant, timestamp
from asiarch.api.candidate import Candidate, RungResult
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import Cost, SearchStatus
from asiarch.core import budget, lifecycle, orders, search
from asiarch.core.actions import (
    Action,
    CandidateWrite,
    CreateCandidate,
    Plan,
    SearchWrite,
    StartOrder,
    StopOrder,
    Write,
)
from asiarch.core.candidate import Surroundings, reconcile_candidate
from asiarch.core.observation import TERMINAL, Child, Observation, Record, record


def reconcile(seen: Observation, now: Instant) -> Plan:
    """Decide what one search and its candidates do next.

    First each live candidate takes what happened to it, in ordinal order; then the search names orders and creates
    candidates within its slots and budget. Nothing is planned when nothing has changed.
    """
    moved, records = _move(seen, now)
    judged = search.verdict(seen.search, records, now)
    live = [c for c in moved if c.status.phase in lifecycle.WORK]
    reserved, spent = _reservations(seen), budget.spent(records.values())
    creations: tuple[CreateCandidate, ...] = search.first_candidates(seen.search, records)
    granted = orders.Grants({}, {})
    if judged.starts:
        granted = orders.grant(seen.search, live, spent, _held(reserved, live), now)
        if judged.proposes and granted.short is None and not creations and _all_numbered(records):
            creations = search.next_candidates(seen.search, records)
    final = [_name_order(c, granted, now) for c in moved]
    progress = search.Progress(
        reservations={**reserved, **granted.reserved},
        busy=bool(creations) or _under_way(final, starts=judged.starts and granted.short is None),
        short=granted.short,
        spent=spent,
    )
    status = search.status(seen.search, records, judged, progress, now)
    actions = (*creations, *_starts(seen, final), *_stops(seen, final, now))
    wake_after = 0.0 if creations else _wake_after(seen, final, now)
    return Plan(_writes(seen, status, final), actions, wake_after)


def _move(seen: Observation, now: Instant) -> tuple[list[Candidate], dict[str, Record]]:
    """Number the new candidates and settle what their orders brought; each sees those before it as already moved."""
    records = dict(seen.records)
    around = Surroundings(seen.search, records, _yardstick(seen), now)
    today = timestamp(now)
    moved = []
    for candidate in _numbered(seen):
        name = candidate.name
        changed = reconcile_candidate(
            candidate, _child(seen, candidate, today), seen.sources.get(name), around
        )
        if changed is not seen.candidates[name]:
            records[name] = record(changed)
        moved.append(changed)
    return moved, records


def _numbered(seen: Observation) -> list[Candidate]:
    """Live candidates, each with an ordinal; baselines first, then what the operator created, then users' own."""
    expected = len(seen.search.spec.baselines)
    numbered = [c for c in seen.live if c.status.ordinal is not None]
    fresh = [c for c in seen.live if c.status.ordinal is None]
    baselines = [c for c in fresh if c.spec.origin == "Baseline"]
    others = sorted(
        (c for c in fresh if c.spec.origin != "Baseline"), key=lambda c: (c.spec.origin != "Proposed", c.name)
    )
    taken = sum(1 for r in seen.records.values() if r.ordinal >= 0)
    queue = baselines + others if taken + len(baselines) >= expected else baselines
    for ordinal, candidate in enumerate(queue, start=taken):
        status = candidate.status.model_copy(update={"ordinal": ordinal})
        numbered.append(candidate.model_copy(update={"status": status}))
    waiting = {c.name for c in numbered}
    return numbered + [c for c in fresh if c.name not in waiting]


def _all_numbered(records: dict[str, Record]) -> bool:
    return all(r.ordinal >= 0 for r in records.values())


def _yardstick(seen: Observation) -> tuple[RungResult, ...]:
    first = next((r for r in seen.records.values() if r.ordinal == 0), None)
    return () if first is None else seen.candidates[first.name].status.rungs


def _child(seen: Observation, candidate: Candidate, today: str) -> Child | None:
    """The order's process if it has ended; one that was named but not started by its deadline counts as lost."""
    ref = candidate.status.order
    if ref is None:
        return None
    child = seen.children.get(ref.name)
    if child is not None:
        return child if child.results is not None else None
    if today <= ref.deadline:
        return None
    message = "The order was named but never started before its deadline."
    return Child(
        ref.name, (Result(order=ref.name, attempt=ref.attempt, reason=Reason.LOST, message=message),)
    )


def _reservations(seen: Observation) -> dict[str, Cost]:
    """Reservations of the orders that the observed statuses name; one falls only after its cost was settled."""
    known = seen.search.status.reservations
    named = ((c, c.status.order.name) for c in seen.live if c.status.order is not None)
    return {name: known.get(name) or orders.worst_case(seen.search, c) for c, name in named}


def _held(reserved: dict[str, Cost], live: list[Candidate]) -> dict[str, Cost]:
    """Reservations of orders that are still under way; what was settled in this turn is spent, not reserved as well."""
    named = (c.status.order.name for c in live if c.status.order is not None)
    return {name: reserved[name] for name in named}


def _name_order(candidate: Candidate, granted: orders.Grants, now: Instant) -> Candidate:
    ref = granted.orders.get(candidate.name)
    if ref is None:
        return candidate
    started = candidate.status.started_at or timestamp(now)
    status = candidate.status.model_copy(update={"order": ref, "started_at": started})
    return candidate.model_copy(update={"status": status})


def _under_way(final: list[Candidate], *, starts: bool) -> bool:
    """Whether an order is named, or a candidate will be moved on by itself."""
    return any(c.status.order is not None or starts for c in final if c.status.phase not in TERMINAL)


def _writes(seen: Observation, status: SearchStatus, final: list[Candidate]) -> tuple[Write, ...]:
    """What changed: the search with its reservations before the candidates that name the orders."""
    writes: list[Write] = [] if status == seen.search.status else [SearchWrite(seen.search, status)]
    for candidate in final:
        old = seen.candidates[candidate.name]
        if candidate.status is not old.status:
            writes.append(CandidateWrite(old, candidate.status))
    return tuple(writes)


def _starts(seen: Observation, final: list[Candidate]) -> tuple[Action, ...]:
    """Start every order that is named and has no process yet."""
    named = ((c, c.status.order) for c in final if c.status.order is not None)
    return tuple(
        StartOrder(orders.order_of(c, ref, seen.search)) for c, ref in named if ref.name not in seen.children
    )


def _stops(seen: Observation, final: list[Candidate], now: Instant) -> tuple[Action, ...]:
    """Stop what runs past its deadline, and try it again.

    The world's own limit comes first and blames the candidate; here the clock went on while the process stood still.
    """
    today = timestamp(now)
    late = (c.status.order for c in final if c.status.order is not None and c.status.order.deadline < today)
    running = (ref for ref in late if ref.name in seen.children and seen.children[ref.name].results is None)
    return tuple(StopOrder(ref.name, Reason.LOST) for ref in running)


def _wake_after(seen: Observation, final: list[Candidate], now: Instant) -> float | None:
    """Seconds to the next moment at which time alone changes something; timestamps of one form sort as text."""
    first = min((c.status.order.deadline for c in final if c.status.order is not None), default=None)
    moments = [] if first is None else [instant(first)]
    end = search.ends_at(seen.search)
    if end is not None and end > now:
        moments.append(end)
    return max(0.0, min(moments) - now) + 0.001 if moments else None
