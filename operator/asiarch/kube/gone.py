"""Records for candidates whose objects somebody else deleted, so that no ordinal, no cost and no idea is lost."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from asiarch.api.candidate import Candidate, Origin
from asiarch.api.names import candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core import budget
from asiarch.core.observation import Record


def lost(
    search: ArchitectureSearch,
    records: Mapping[str, Record],
    before: Mapping[str, Record],
    last: Mapping[str, Candidate],
) -> list[Record]:
    """A record for each ordinal that was given and that nobody has.

    `before` is what was seen of all candidates last, `last` holds at least those of them that were at work. What the
    search had spent beyond what is known of is booked on the first, and on each what was reserved for its orders, so
    that no budget is won back by deleting.
    """
    gaps = _gaps(search, records, before)
    seen = {r.ordinal: r for r in before.values()}
    found = [
        _deleted(seen[gap])
        if gap in seen and seen[gap].name not in records
        else _unseen(search, gap, seen[gap].cost if gap in seen else Cost(), records)
        for gap in gaps
    ]
    if found:
        rest = _rest(search.status.cost, [r.cost for r in (*records.values(), *found)])
        found[0] = replace(found[0], cost=found[0].cost + rest)
    names = {*records, *(r.name for r in found)}

    def open_orders(gone: Record) -> Iterable[str]:
        """What may have run of a candidate that isn't in its cost: of one that was seen, the order that it named."""
        if gone.ordinal not in seen:
            name = candidate_name(search.name, gone.ordinal)
            return (order for order in search.status.reservations if _whose(order, names) == name)
        candidate = last.get(seen[gone.ordinal].name)
        ref = None if candidate is None else candidate.status.order
        return () if ref is None else (ref.name,)

    return [replace(r, cost=r.cost + _reserved(search, open_orders(r))) for r in found]


def _reserved(search: ArchitectureSearch, names: Iterable[str]) -> Cost:
    """What is reserved for orders of these names: nobody can know any more how much of it was used."""
    known = search.status.reservations
    return budget.total(known[name] for name in names if name in known)


def _whose(order: str, names: Collection[str]) -> str:
    """The candidate that an order's name begins with; of several, the longest."""
    return max((name for name in names if order.startswith(f"{name}-")), key=len, default="")


def _gaps(
    search: ArchitectureSearch, records: Mapping[str, Record], before: Mapping[str, Record]
) -> list[int]:
    """The ordinals that were given and that nobody has.

    A candidate has its ordinal a moment after it was counted. What waits for one under the name that goes with an
    ordinal will have that; users' candidates, whose names say nothing, will have the highest.
    """
    taken, seen = ({r.ordinal for r in known.values()} for known in (records, before))
    waiting = [r for r in records.values() if r.ordinal < 0]
    named = {r.name for r in waiting if r.origin != "User"}
    gaps = [
        ordinal
        for ordinal in range(_given(search, records, before))
        if ordinal not in taken and (ordinal in seen or candidate_name(search.name, ordinal) not in named)
    ]
    first = max(*taken, *seen, len(search.spec.baselines) - 1, -1)
    late = [ordinal for ordinal in gaps if ordinal > first]
    return gaps[: len(gaps) - min(len(waiting) - len(named), len(late))]


def _given(search: ArchitectureSearch, records: Mapping[str, Record], before: Mapping[str, Record]) -> int:
    """How many ordinals were given: up to the highest that is there or was seen, or as many as the search had counted.

    A count that somebody wrote by hand is not believed beyond what the search may have.
    """
    highest = max((r.ordinal for r in (*records.values(), *before.values())), default=-1) + 1
    counted = search.status.counts.baselines + search.status.counts.proposed
    most = len(search.spec.baselines) + search.spec.budget.candidates
    return max(highest, counted if counted <= most else 0)


def _deleted(seen: Record) -> Record:
    """What is kept of a candidate that was seen: its end if it had one, but it never leads nor breeds again.

    Without the yardstick nothing can be judged, so that one has failed.
    """
    ended = seen.terminal and seen.ordinal > 0
    return replace(seen, phase=seen.phase if ended else "Failed", reason=Reason.DELETED, vetoed=True)


def _unseen(search: ArchitectureSearch, ordinal: int, cost: Cost, records: Mapping[str, Record]) -> Record:
    """What is known of a candidate that nobody was there to see, or whose name another one bears since."""
    name = candidate_name(search.name, ordinal)
    if name in records:
        name = f"{name}-gone"
    origin: Origin = "Baseline" if ordinal < len(search.spec.baselines) else "Proposed"
    return Record(name=name, ordinal=ordinal, origin=origin, phase="Failed", reason=Reason.DELETED, cost=cost)


def _rest(spent: Cost, known: Sequence[Cost]) -> Cost:
    """What was spent beyond what is known of."""
    booked = budget.total(known)
    return Cost(
        seconds=max(0.0, spent.seconds - booked.seconds),
        gpu_seconds=max(0.0, spent.gpu_seconds - booked.gpu_seconds),
        tokens=max(0, spent.tokens - booked.tokens),
        usd=max(0.0, spent.usd - booked.usd),
    )
