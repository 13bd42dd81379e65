"""Records for candidates whose objects somebody else deleted, so that no ordinal, no cost and no idea is lost."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from asiarch.api.candidate import Candidate, Origin, Phase
from asiarch.api.names import candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core import budget
from asiarch.core.lifecycle import NEXT
from asiarch.core.observation import Record
from asiarch.kube.archive import GAPS


def united(search: str, archived: Iterable[Record], present: Mapping[str, Record]) -> dict[str, Record]:
    """Records by name, each ordinal once: what is present stands, then what was archived later.

    Of several that bore a name the last one has it; those before it are told by their ordinals.
    """
    there = {r.ordinal for r in present.values()}
    kept = {r.ordinal: r for r in archived if r.ordinal not in there}
    found = {r.name: r for _, r in sorted(kept.items())} | dict(present)
    for one in kept.values():
        if found[one.name] is not one:
            renamed = _renamed(search, one, found)
            found[renamed.name] = renamed
    return found


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
    if not gaps:
        return []
    missed = {gap: _deleted(seen[gap]) if gap in seen else _unseen(search, gap) for gap in gaps}
    missed |= _counted_ends(search, records, missed, {gap: seen[gap].phase for gap in gaps if gap in seen})
    rest = _rest(search.status.cost, [r.cost for r in (*records.values(), *missed.values())])
    missed[gaps[0]] = replace(missed[gaps[0]], cost=missed[gaps[0]].cost + rest)
    found = [r for r in united(search.name, missed.values(), records).values() if r.ordinal in missed]
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

    It may have counted more than its budget allows: users' candidates run beyond that, and it may have been cut. But a
    count that somebody wrote by hand is not believed without end.
    """
    highest = max((r.ordinal for r in (*records.values(), *before.values())), default=-1) + 1
    counted = search.status.counts.baselines + search.status.counts.proposed
    return max(highest, counted if counted <= highest + GAPS else 0)


def _deleted(seen: Record) -> Record:
    """What is kept of a candidate that was seen: its end if it had one, but it never leads nor breeds again.

    Without the yardstick nothing can be judged, so that one has failed.
    """
    ended = seen.terminal and seen.ordinal > 0
    return replace(seen, phase=seen.phase if ended else "Failed", reason=Reason.DELETED, vetoed=True)


def _unseen(search: ArchitectureSearch, ordinal: int) -> Record:
    """What is known of a candidate that nobody was there to see."""
    name = candidate_name(search.name, ordinal)
    origin: Origin = "Baseline" if ordinal < len(search.spec.baselines) else "Proposed"
    return Record(name=name, ordinal=ordinal, origin=origin, phase="Failed", reason=Reason.DELETED)


def _counted_ends(
    search: ArchitectureSearch,
    records: Mapping[str, Record],
    missed: Mapping[int, Record],
    phases: Mapping[int, Phase],
) -> dict[int, Record]:
    """Those missed ones that didn't fail: the search counted an end that nobody else has, and its counts never fall.

    It counts ends just before its candidates say them. `phases` are those in which some were seen last; one from which
    no single step leads to that end hasn't had it.
    """
    counts: Mapping[Phase, int] = {
        "Complete": search.status.counts.complete,
        "Rejected": search.status.counts.rejected,
    }
    known = Counter(r.phase for r in (*records.values(), *missed.values()))
    found: dict[int, Record] = {}
    for end, counted in counts.items():
        before = {None, *(phase for (phase, _), then in NEXT.items() if then == end)}
        may_be = (n for n in missed if n > 0 and n not in found and phases.get(n) in before)
        for ordinal in islice(may_be, max(0, counted - known[end])):
            found[ordinal] = replace(missed[ordinal], phase=end, vetoed=True)
    return found


def _renamed(search: str, record: Record, taken: Collection[str]) -> Record:
    """A record whose name another one bears since; whoever made that one anew wants what was deleted tried again."""
    name = candidate_name(search, record.ordinal)
    while name in taken:
        name += "-gone"
    fingerprint = None if record.reason == Reason.DELETED else record.fingerprint
    return replace(record, name=name, fingerprint=fingerprint)


def _rest(spent: Cost, known: Sequence[Cost]) -> Cost:
    """What was spent beyond what is known of."""
    booked = budget.total(known)
    return Cost(
        seconds=max(0.0, spent.seconds - booked.seconds),
        gpu_seconds=max(0.0, spent.gpu_seconds - booked.gpu_seconds),
        tokens=max(0, spent.tokens - booked.tokens),
        usd=max(0.0, spent.usd - booked.usd),
    )
