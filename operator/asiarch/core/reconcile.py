"""One turn's decision: the search and its candidates are moved on together, as one pure function."""

from collections.abc import Iterable

from asiarch.api.base import Instant, instant, timestamp
from asiarch.api.candidate import Candidate, RungResult
from asiarch.api.names import candidate_name
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost, SearchSpec, SearchStatus
from asiarch.core import budget, controls, lifecycle, orders, retention, search, verdict
from asiarch.core.actions import (
    Action,
    ArchiveCandidates,
    CandidateWrite,
    CreateCandidate,
    Plan,
    SearchWrite,
    StartOrder,
    StopOrder,
    Write,
)
from asiarch.core.candidate import Surroundings, marked, reconcile_candidate
from asiarch.core.conditions import candidate_conditions
from asiarch.core.observation import ENDED, TERMINAL, Child, Observation, Record, Trouble, record

NOTEWORTHY = 2
"""Attempts of one step in a row that are lost before a search speaks of it."""
_ENDED = "The search ended before the next order could start; it is tried when the search goes on."


def reconcile(seen: Observation, now: Instant) -> Plan:
    """Decide what one search and its candidates do next.

    First each live candidate takes what happened to it, in ordinal order; then the search names orders and creates
    candidates within its slots and budget. Nothing is planned when nothing has changed.
    """
    moved, records = _move(seen, now)
    troubles = (*seen.troubles, *verdict.conflicts(seen.search, records), *_losing(moved))
    judged = verdict.judge(seen.search, records, troubles, now)
    live = [c for c in moved if c.status.phase in lifecycle.WORK]
    reserved, spent = _reservations(seen), budget.spent(records.values())
    granted = orders.Grants({}, orders.promised(seen.search, live))
    if judged.starts:
        granted = orders.grant(seen.search, live, budget.spent(seen.records.values()), reserved, now)
    creations = _creations(seen, moved, records, judged, now) if not granted.short else ()
    final = [_sealed(_ordered(c, granted, seen.search, now), seen, now) for c in moved]
    # What falls with this turn is free in the next one, which follows at once.
    short = () if _settles(seen, live) or _gives_back(seen.search, live) else granted.short
    progress = search.Progress(
        reservations={**reserved, **granted.reserved},
        creates=bool(creations),
        waits=bool(_named(final)),
        busy=bool(creations) or _under_way(seen.search, final, short if judged.starts else None),
        short=short[0] if short else None,
        spent=spent,
        troubles=troubles,
    )
    status = search.status(seen.search, records, judged, progress, now)
    if status.phase in ENDED:
        # It is written after its candidates: what they have settled, or were promised, needs no reservation any more.
        status = status.model_copy(update={"reservations": {}})
        final = [_sealed(_taken_back(c, seen.search, _ENDED), seen, now) for c in final]
    admitted = creations if seen.traits.creates else ()
    created = admitted if search.is_answered(seen.search) else ()
    ordered = (*_starts(seen, final, judged), *_stops(seen, final, judged, now))
    wake_after = 0.0 if admitted else _wake_after(seen, final, now)
    return Plan(_writes(seen, status, final), (*created, *ordered, *_archive(seen, now)), wake_after)


def _creations(
    seen: Observation,
    moved: list[Candidate],
    records: dict[str, Record],
    judged: verdict.Verdict,
    now: Instant,
) -> tuple[CreateCandidate, ...]:
    """The baselines first, whatever the search may start, so that their files are looked at; then proposals."""
    if judged.blocked:
        return ()
    first = search.first_candidates(seen.search, records)
    if first or not judged.proposes or not all(r.ordinal >= 0 for r in records.values()):
        return first
    held = sum(1 for c in moved if _is_held(c, seen.search.spec))
    return search.next_candidates(seen.search, records, held, retention.resting(seen, now))


def _losing(moved: list[Candidate]) -> tuple[Trouble, ...]:
    """A candidate whose step is lost again and again, by nobody's word: the one that has lost most tells for all."""
    losing = (c for c in moved if c.status.reason in lifecycle.LOST - {Reason.CANCELLED})
    worst = max(losing, key=lambda c: c.status.lost, default=None)
    if worst is None or worst.status.reason is None or worst.status.lost < NOTEWORTHY:
        return ()
    status = worst.status
    message = f"Candidate {worst.name}: {status.lost} attempts of its step were lost, the last one: {status.message}"
    return (
        Trouble(worst.status.reason, f"{message[:900]} It is tried again; nothing is lost.", fatal=False),
    )


def _is_held(candidate: Candidate, spec: SearchSpec) -> bool:
    """Whether a numbered candidate waits for a person: for the file that it names, or for a word."""
    phase = candidate.status.phase
    return phase == "Pending" or (phase in lifecycle.WORK and controls.hold(candidate, spec) is not None)


def _move(seen: Observation, now: Instant) -> tuple[list[Candidate], dict[str, Record]]:
    """Number the new candidates and settle what their orders brought; each sees those before it as already moved."""
    records = dict(seen.records)
    around = Surroundings(seen.search, records, _yardstick(seen), now, seen.traits)
    today = timestamp(now)
    moved = []
    for candidate in _numbered(seen):
        name = candidate.name
        changed = reconcile_candidate(
            candidate, _child(seen, candidate, today), seen.sources.get(name), around
        )
        if changed is not seen.candidates[name]:
            records[name] = record(changed)
        told = marked(changed, seen.search, _refusal(seen, changed))
        moved.append(_renewed(told, changed, seen.search, now))
    return moved, records


def _renewed(candidate: Candidate, before: Candidate, search: ArchitectureSearch, now: Instant) -> Candidate:
    """A candidate whose order may be tried again after a refusal: its time counts from now."""
    ref, unsaid = candidate.status.order, candidate.status.reason is None
    if ref is None or not unsaid or before.status.reason not in controls.REFUSALS:
        return candidate
    again = orders.renewed(search, candidate, ref, now)
    return candidate.model_copy(update={"status": candidate.status.model_copy(update={"order": again})})


def _refusal(seen: Observation, candidate: Candidate) -> Trouble | None:
    """Why nothing of a candidate's order could be started so far."""
    ref = candidate.status.order
    child = None if ref is None else seen.children.get(ref.name)
    return None if child is None else child.refusal


def _numbered(seen: Observation) -> list[Candidate]:
    """Live candidates, each with an ordinal; baselines first, then what the operator created, then users' own.

    A baseline's ordinal is its place in the spec, whatever order they are seen in: the first is the yardstick.
    """
    expected = len(seen.search.spec.baselines)
    numbered = [c for c in seen.live if c.status.ordinal is not None]
    fresh = {c.name: c for c in seen.live if c.status.ordinal is None}
    taken = sum(1 for r in seen.records.values() if r.ordinal >= 0)
    queue: list[Candidate] = []
    for ordinal in range(taken, expected):
        candidate = fresh.get(candidate_name(seen.search.name, ordinal))
        if candidate is None or candidate.spec.origin != "Baseline":
            break
        queue.append(candidate)
    if taken + len(queue) >= expected:
        named = {c.name for c in queue}
        rest = (c for c in fresh.values() if c.name not in named)
        queue += sorted(rest, key=lambda c: (_ORIGINS.index(c.spec.origin), c.name))
    for ordinal, candidate in enumerate(queue, start=taken):
        status = candidate.status.model_copy(update={"ordinal": ordinal})
        numbered.append(candidate.model_copy(update={"status": status}))
        del fresh[candidate.name]
    return numbered + list(fresh.values())


_ORIGINS = ("Baseline", "Proposed", "User")
"""In which order candidates are numbered that are new together."""


def _yardstick(seen: Observation) -> tuple[RungResult, ...]:
    first = next((r.name for r in seen.records.values() if r.ordinal == 0), "")
    return seen.candidates[first].status.rungs if first in seen.candidates else ()


def _child(seen: Observation, candidate: Candidate, today: str) -> Child | None:
    """The order's process if it has ended; one that was named but not started by its deadline counts as lost."""
    ref = candidate.status.order
    if ref is None:
        return None
    child = seen.children.get(ref.name)
    if child is not None:
        return child if child.results is not None else None
    if seen.traits.keeps_time or today <= ref.deadline:
        return None
    message = "The order was named but never started before its deadline."
    return Child(
        ref.name, (Result(order=ref.name, attempt=ref.attempt, reason=Reason.LOST, message=message),)
    )


def _reservations(seen: Observation) -> dict[str, Cost]:
    """Reservations of the orders that the observed statuses name; one falls only after its cost was settled."""
    known, found = seen.search.status.reservations, {}
    for candidate in seen.live:
        if candidate.status.order is not None:
            first, *then = orders.steps_of(seen.search, candidate)
            found[first] = known.get(first) or orders.worst_case(seen.search, candidate)
            found |= {name: known[name] for name in then if name in known}
    return found


def _settles(seen: Observation, live: list[Candidate]) -> bool:
    """Whether an order was settled in this turn."""
    return not _named(seen.live) <= _named(live)


def _named(candidates: Iterable[Candidate]) -> set[str]:
    return {c.status.order.name for c in candidates if c.status.order is not None}


def _gives_back(search: ArchitectureSearch, live: Iterable[Candidate]) -> bool:
    """Whether a candidate that was promised an order waits for a person now."""
    return any(controls.hold(c, search.spec) for c in live if orders.promised(search, [c]))


def _ordered(
    candidate: Candidate, granted: orders.Grants, search: ArchitectureSearch, now: Instant
) -> Candidate:
    """A candidate that names the order that it was granted; what was promised to one that a person holds is free."""
    ref = granted.orders.get(candidate.name)
    if ref is None:
        return candidate if controls.hold(candidate, search.spec) is None else _taken_back(candidate, search)
    started = candidate.status.started_at or timestamp(now)
    status = candidate.status.model_copy(update={"order": ref, "started_at": started})
    return candidate.model_copy(update={"status": status})


def _taken_back(candidate: Candidate, search: ArchitectureSearch, why: str = "") -> Candidate:
    """A candidate without the promise that it may have had: its next order has another name.

    So nobody can name the promised one any more: neither a late write, nor who doesn't know yet that nothing is
    reserved for it.
    """
    if not orders.promised(search, [candidate]):
        return candidate
    status = candidate.status
    change = {"lost": status.lost + 1, "excused": status.excused + 1, "message": why or status.message}
    return candidate.model_copy(update={"status": status.model_copy(update=change)})


def _sealed(candidate: Candidate, seen: Observation, now: Instant) -> Candidate:
    """A candidate whose status changed, with its conditions and the generation that it now speaks of."""
    if candidate.status is seen.candidates[candidate.name].status:
        return candidate
    changed = {
        "observed_generation": candidate.metadata.generation,
        "conditions": candidate_conditions(candidate, now),
    }
    return candidate.model_copy(update={"status": candidate.status.model_copy(update=changed)})


def _under_way(search: ArchitectureSearch, final: list[Candidate], short: tuple[str, ...] | None) -> bool:
    """Whether an order is named, or a candidate goes on by itself with nothing of what is short; none: nobody does."""
    live = [c for c in final if c.status.phase not in TERMINAL]
    if any(c.status.order is not None for c in live):
        return True
    return short is not None and (orders.go_on(search, live, short) if short else bool(live))


def _writes(seen: Observation, status: SearchStatus, final: list[Candidate]) -> tuple[Write, ...]:
    """What changed: the search with its reservations before the candidates that name the orders.

    A search that has ended says so last: whoever waits for that finds its candidates as they ended.
    """
    searches = [] if status == seen.search.status else [SearchWrite(seen.search, status)]
    candidates = []
    for candidate in final:
        old = seen.candidates[candidate.name]
        if candidate.status is not old.status:
            candidates.append(CandidateWrite(old, candidate.status))
    return (*candidates, *searches) if status.phase in ENDED else (*searches, *candidates)


def _starts(seen: Observation, final: list[Candidate], judged: verdict.Verdict) -> tuple[Action, ...]:
    """Start every order that is named and has no process yet; a refusal is unsaid before the order is tried again."""
    if not judged.starts:
        return ()
    named = ((c, c.status.order) for c in final if c.status.order is not None and not _is_unwanted(c))
    return tuple(
        StartOrder(orders.order_of(c, ref, seen.search))
        for c, ref in named
        if ref.name not in seen.children and seen.candidates[c.name].status.reason not in controls.REFUSALS
    )


def _is_unwanted(candidate: Candidate) -> bool:
    """Whether a person wants no more of a candidate's present attempt."""
    return controls.is_vetoed(candidate.metadata) or controls.wanted_retry(candidate) is not None


def _stops(
    seen: Observation, final: list[Candidate], judged: verdict.Verdict, now: Instant
) -> tuple[Action, ...]:
    """Stop what runs and shall not: past its deadline, cancelled with the search, or by a person's word.

    What was named and never came to run is taken back as soon as nothing may start.
    """
    stops = []
    for candidate in final:
        ref = candidate.status.order
        if ref is None or ref != seen.candidates[candidate.name].status.order:
            continue
        child = seen.children.get(ref.name)
        idle = child is None or child.refusal is not None or child.held
        if judged.cancels or _is_unwanted(candidate) or (idle and not judged.starts):
            stops.append(StopOrder(ref.name, Reason.CANCELLED))
        elif child is not None and not seen.traits.keeps_time and ref.deadline < timestamp(now):
            # The world's own limit comes first and blames the candidate; here the clock went on while the process
            # stood still.
            stops.append(StopOrder(ref.name, Reason.LOST))
    return tuple(stops)


def _archive(seen: Observation, now: Instant) -> tuple[Action, ...]:
    names = retention.due(seen, now)
    return (ArchiveCandidates(names),) if names else ()


def _wake_after(seen: Observation, final: list[Candidate], now: Instant) -> float | None:
    """Seconds to the next moment at which time alone changes something; timestamps of one form sort as text."""
    named = [
        c.status.order.deadline for c in final if c.status.order is not None and not seen.traits.keeps_time
    ]
    moments = [instant(min(named))] if named else []
    moments += [m for m in (instant(c.status.retry_at) for c in final if c.status.retry_at) if m > now]
    end = verdict.ends_at(seen.search)
    if end is not None and end > now:
        moments.append(end)
    expiry = retention.wakes_at(seen, now)
    if expiry is not None:
        moments.append(expiry)
    return max(0.0, min(moments) - now) + 0.001 if moments else None
