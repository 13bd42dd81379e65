"""Names the next order of each waiting candidate, within the slots and the budget."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asiarch.api.base import Instant, timestamp
from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.names import order_name
from asiarch.api.order import Order, OrderKind
from asiarch.api.search import ArchitectureSearch, Budget, Cost, Rung
from asiarch.core import budget, chance, controls, lifecycle


@dataclass(frozen=True, slots=True)
class Grants:
    """The orders that a turn names, by candidate; and of which fields of the budget too little is left."""

    orders: Mapping[str, OrderRef]
    reserved: Mapping[str, Cost]
    short: tuple[str, ...] = ()


def grant(
    search: ArchitectureSearch,
    live: Iterable[Candidate],
    spent: Cost,
    reserved: Mapping[str, Cost],
    now: Instant,
) -> Grants:
    """Name the next order of each waiting candidate, oldest first, within the slots and the budget.

    Before all others come those that have been promised: see `promised`. Who needs what is short for one before it
    gets nothing. With an order that is reserved now, the one that follows it in the same kind of slot is, too, where
    there is room when everybody has been served: that spares a write of the search. What this turn settles is still
    in `reserved`, and not yet in `spent`.
    """
    live = tuple(live)
    added = promised(search, live)
    waiting, free = _queue(search, live, now)
    wanted = [(c, _next_order(search, c, kind, now)) for c, kind in waiting]
    orders: dict[str, OrderRef] = {}
    fresh = []
    purse = _Purse(search.spec.budget, {"": spent, **reserved, **added})
    for candidate, order in sorted(wanted, key=lambda pair: pair[1].name not in added):
        pool = "train" if order.kind == "train" else "agent"
        if free[pool] == 0:
            continue
        worst = worst_case(search, candidate)
        if not purse.has_room(order.name, worst):
            continue
        if added.get(order.name) != worst:
            fresh.append(candidate)
        added[order.name] = purse.reserve(order.name, worst)
        orders[candidate.name] = order
        free[pool] -= 1
    if short := purse.short():
        return Grants(orders, added, short)
    for then in (ahead for c in fresh if (ahead := _ahead(search, c)) is not None):
        name, worst = next_name(search, then), worst_case(search, then)
        if not purse.shortage(name, worst):
            added[name] = purse.reserve(name, worst)
    return Grants(orders, added)


class _Purse:
    """What is spent and reserved while orders are granted."""

    def __init__(self, limits: Budget, held: dict[str, Cost]) -> None:
        """Hold the costs of orders by name; what is spent goes without one."""
        self._limits = limits
        self._held = held
        self._committed = budget.total(held.values())
        self._lacked: dict[str, None] = {}
        """The fields of which somebody wanted more than there is: what is left of them is kept for whoever that was."""

    def short(self) -> tuple[str, ...]:
        """The fields of which somebody lacks something, or more is spent by now than there was."""
        return tuple(self._lacked) or budget.shortage(self._limits, self._committed)

    def has_room(self, name: str, worst: Cost) -> bool:
        """Whether this can be reserved for an order, and nobody before it lacks what it needs."""
        short = self.shortage(name, worst)
        self._lacked |= dict.fromkeys(short)
        return not short and not any(budget.needs(worst, field) for field in self._lacked)

    def shortage(self, name: str, worst: Cost) -> tuple[str, ...]:
        """What is short if this is reserved for an order, in the place of what may be reserved for it already."""
        lacked = budget.shortage(self._limits, self._with(name, worst))
        return tuple(field for field in lacked if budget.needs(worst, field))

    def reserve(self, name: str, worst: Cost) -> Cost:
        """Reserve this for an order; returns it."""
        self._committed = self._with(name, worst)
        self._held[name] = worst
        return worst

    def _with(self, name: str, worst: Cost) -> Cost:
        before = self._held.get(name)
        if before == worst:
            return self._committed
        if before is None:
            return self._committed + worst
        return budget.total([worst, *(cost for other, cost in self._held.items() if other != name)])


def promised(search: ArchitectureSearch, live: Iterable[Candidate]) -> dict[str, Cost]:
    """Reservations of orders that no candidate names yet, and that would be the next ones of theirs.

    They were reserved together with the order before; or their candidates' writes never happened, or happened and
    haven't been seen: so nobody else gets what they hold.
    """
    known = search.status.reservations
    waiting = (c for c in live if c.status.order is None and c.status.phase in lifecycle.WORK)
    names = (name for c in waiting if (steps := steps_of(search, c))[0] in known for name in steps)
    return {name: known[name] for name in names if name in known}


def steps_of(search: ArchitectureSearch, candidate: Candidate) -> tuple[str, ...]:
    """The order that a candidate at work has or waits for, and the one that may be reserved with it."""
    ref, then = candidate.status.order, _ahead(search, candidate)
    first = next_name(search, candidate) if ref is None else ref.name
    return (first,) if then is None else (first, next_name(search, then))


def _ahead(search: ArchitectureSearch, candidate: Candidate) -> Candidate | None:
    """A candidate as it waits for its next order if all goes well; none where that needs another slot, or a person."""
    status = candidate.status
    change: dict[str, object] = {"order": None, "lost": 0}
    if status.phase == "Proposing":
        change["phase"] = "Building"
    elif status.phase == "Evaluating" and _leads_on(search, status.rung):
        change["rung"] = status.rung + 1
    else:
        return None
    then = candidate.model_copy(update={"status": status.model_copy(update=change)})
    return None if controls.hold(then, search.spec) is not None else then


def _leads_on(search: ArchitectureSearch, rung: int) -> bool:
    """Whether all that pass a rung climb on: gates give no score to be chosen by."""
    ladder = search.spec.evaluation.ladder
    return ladder[rung].task == "Gates" and rung + 1 < len(ladder)


def order_of(candidate: Candidate, ref: OrderRef, search: ArchitectureSearch) -> Order:
    """Write out the order that a candidate's status names; the same status gives the same order."""
    spec, status = search.spec, candidate.status
    rung = _rung(search, candidate) if ref.kind == "train" else None
    seed = chance.integer(f"{candidate.spec.seed}/{ref.kind}/{_turn(candidate, ref.kind)}")
    return Order(
        name=ref.name,
        kind=ref.kind,
        search=search.name,
        candidate=candidate.name,
        attempt=ref.attempt,
        seed=seed if rung is None else training_seed(search, rung),
        seconds=budget.limit(spec, ref.kind, rung),
        contract=spec.evaluation.contract,
        rung=rung,
        parameters=spec.evaluation.parameters,
        cost_exempt=candidate.spec.origin == "Baseline" and candidate.spec.source is None,
        code=None if status.code is None else status.code.digest,
    )


def go_on(search: ArchitectureSearch, live: Sequence[Candidate], short: Sequence[str]) -> bool:
    """Whether the next order of any candidate needs nothing of what is short, and waits for no person."""
    behind = _yardstick_is_live(live)

    def goes_on(candidate: Candidate) -> bool:
        kind = lifecycle.WORK.get(candidate.status.phase)
        if kind is None or (kind == "train" and behind and candidate.status.ordinal != 0):
            return False
        if controls.hold(candidate, search.spec) is not None:
            return False
        worst = worst_case(search, candidate)
        return not any(budget.needs(worst, field) for field in short)

    return any(goes_on(candidate) for candidate in live)


def renewed(search: ArchitectureSearch, candidate: Candidate, ref: OrderRef, now: Instant) -> OrderRef:
    """The same order as if it were named now, since nothing of it could run before."""
    return ref.model_copy(update={"deadline": _deadline(search, candidate, ref.kind, now)})


def training_seed(search: ArchitectureSearch, rung: Rung) -> int:
    """The seed that all candidates share on a rung, so that comparisons are paired."""
    return chance.integer(f"{search.spec.seed}/train/{rung.name}")


def worst_case(search: ArchitectureSearch, candidate: Candidate) -> Cost:
    """The most that the order of a candidate's present phase can cost."""
    kind = lifecycle.WORK[candidate.status.phase]
    return budget.worst_case(search.spec, kind, _rung(search, candidate))


def _queue(
    search: ArchitectureSearch, live: tuple[Candidate, ...], now: Instant
) -> tuple[list[tuple[Candidate, OrderKind]], dict[str, int]]:
    """Candidates that wait for an order, and the slots that are free."""
    named = [c.status.order.kind for c in live if c.status.order is not None]
    training = named.count("train")
    evaluation, agents = search.spec.evaluation.parallelism, search.spec.agents.parallelism
    free = {"train": max(0, evaluation - training), "agent": max(0, agents - (len(named) - training))}
    waiting, behind = [], _yardstick_is_live(live)
    for candidate in live:
        kind = lifecycle.WORK.get(candidate.status.phase)
        if kind is None or candidate.status.order is not None or _rests(candidate, search, now):
            continue
        if kind != "train" or not behind or candidate.status.ordinal == 0:
            waiting.append((candidate, kind))
    return waiting, free


def _yardstick_is_live(live: Iterable[Candidate]) -> bool:
    """Whether the first baseline is still at work, which is measured before all others."""
    return any(c.status.ordinal == 0 for c in live)


def _rests(candidate: Candidate, search: ArchitectureSearch, now: Instant) -> bool:
    """Whether somebody holds a candidate, or its step is to be tried again only later."""
    later = candidate.status.retry_at
    return controls.hold(candidate, search.spec) is not None or (later is not None and later > timestamp(now))


def _rung(search: ArchitectureSearch, candidate: Candidate) -> Rung:
    return search.spec.evaluation.ladder[candidate.status.rung]


def _turn(candidate: Candidate, kind: OrderKind) -> int:
    """Tell the repetitions of a step in one candidate's life apart."""
    status = candidate.status
    return status.resamples if kind in ("propose", "build") else status.repairs


def _next_order(search: ArchitectureSearch, candidate: Candidate, kind: OrderKind, now: Instant) -> OrderRef:
    rung = _rung(search, candidate).name if kind == "train" else None
    return OrderRef(
        name=next_name(search, candidate),
        kind=kind,
        rung=rung,
        attempt=candidate.status.lost + 1,
        deadline=_deadline(search, candidate, kind, now),
    )


def next_name(search: ArchitectureSearch, candidate: Candidate) -> str:
    """What the order is called that a candidate at work waits for."""
    kind = lifecycle.WORK[candidate.status.phase]
    rung = _rung(search, candidate).name if kind == "train" else None
    return order_name(candidate.name, kind, candidate.status.lost + 1, rung, _turn(candidate, kind))


def _deadline(search: ArchitectureSearch, candidate: Candidate, kind: OrderKind, now: Instant) -> str:
    """When an order that is named now is overdue."""
    rung = _rung(search, candidate) if kind == "train" else None
    indices = rung.seeds if rung else 1
    return timestamp(now + indices * budget.limit(search.spec, kind, rung) + budget.START_ALLOWANCE)
