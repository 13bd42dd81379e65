"""Names the next order of each waiting candidate, within the slots and the budget."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asiarch.api.base import Instant, timestamp
from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.names import order_name
from asiarch.api.order import Order, OrderKind
from asiarch.api.search import ArchitectureSearch, Cost, Rung
from asiarch.core import budget, chance, controls, lifecycle


@dataclass(frozen=True, slots=True)
class Grants:
    """The orders that a turn names, by candidate; and what budget was short for the next one."""

    orders: Mapping[str, OrderRef]
    reserved: Mapping[str, Cost]
    short: str | None = None


def grant(
    search: ArchitectureSearch,
    live: Iterable[Candidate],
    spent: Cost,
    reserved: Mapping[str, Cost],
    now: Instant,
) -> Grants:
    """Name the next order of each waiting candidate, oldest first, within the slots and the budget.

    Before all others come those that have been promised: see `promised`.
    """
    live = tuple(live)
    added = promised(search, live, now)
    waiting, free = _queue(search, live, now)
    wanted = [(c, _next_order(search, c, kind, now)) for c, kind in waiting]
    orders: dict[str, OrderRef] = {}
    committed = budget.total([spent, *reserved.values(), *added.values()])
    for candidate, order in sorted(wanted, key=lambda pair: pair[1].name not in added):
        pool = "train" if order.kind == "train" else "agent"
        if free[pool] == 0:
            continue
        if order.name not in added:
            worst = worst_case(search, candidate)
            if short := budget.shortage(search.spec.budget, committed + worst):
                return Grants(orders, added, short)
            added[order.name], committed = worst, committed + worst
        orders[candidate.name] = order
        free[pool] -= 1
    return Grants(orders, added)


def promised(search: ArchitectureSearch, live: Iterable[Candidate], now: Instant) -> dict[str, Cost]:
    """Reservations of orders that no candidate names yet, and that would be the next ones of theirs.

    Their candidates' writes never happened, or happened and haven't been seen: so nobody else gets what they hold.
    """
    kinds = ((c, lifecycle.WORK.get(c.status.phase)) for c in live if c.status.order is None)
    names = (_next_order(search, c, kind, now).name for c, kind in kinds if kind is not None)
    return {name: search.status.reservations[name] for name in names if name in search.status.reservations}


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
    """Candidates that wait for an order, and the slots that are free; the yardstick is measured before all others."""
    named = [c.status.order.kind for c in live if c.status.order is not None]
    training = named.count("train")
    evaluation, agents = search.spec.evaluation.parallelism, search.spec.agents.parallelism
    free = {"train": max(0, evaluation - training), "agent": max(0, agents - (len(named) - training))}
    yardstick_is_live = any(c.status.ordinal == 0 for c in live)
    waiting = []
    for candidate in live:
        kind = lifecycle.WORK.get(candidate.status.phase)
        if kind is None or candidate.status.order is not None or _rests(candidate, search, now):
            continue
        if kind != "train" or not yardstick_is_live or candidate.status.ordinal == 0:
            waiting.append((candidate, kind))
    return waiting, free


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
    attempt = candidate.status.lost + 1
    rung = _rung(search, candidate).name if kind == "train" else None
    name = order_name(candidate.name, kind, attempt, rung, _turn(candidate, kind))
    deadline = _deadline(search, candidate, kind, now)
    return OrderRef(name=name, kind=kind, rung=rung, attempt=attempt, deadline=deadline)


def _deadline(search: ArchitectureSearch, candidate: Candidate, kind: OrderKind, now: Instant) -> str:
    """When an order that is named now is overdue."""
    rung = _rung(search, candidate) if kind == "train" else None
    indices = rung.seeds if rung else 1
    return timestamp(now + indices * budget.limit(search.spec, kind, rung) + budget.START_ALLOWANCE)
