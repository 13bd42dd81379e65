"""I3: reserved before it is spent, charged once, and never more than the budget."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.cluster.checks.evidence import (
    ORDER,
    Evidence,
    Object,
    attempt_of,
    deep,
    name_of,
    uid,
    version,
)

UNITS = ("seconds", "gpuSeconds", "tokens", "usd")
_TOLERANCE = {"seconds": 0.05, "gpuSeconds": 0.05, "tokens": 0.5, "usd": 1e-6}
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}
Cost = dict[str, float]


def nothing_overspent(evidence: Evidence) -> list[str]:
    """I3, all of it; what needs the history is left out where there is none."""
    spec = _spec(evidence)
    if spec is None:
        return []
    ledger = Prices(spec).ledger(evidence)
    return [*_in_order(evidence), *_over_time(evidence, ledger), *_at_the_end(evidence, ledger, Prices(spec))]


def _spec(evidence: Evidence) -> Object | None:
    """The search's last spec."""
    if evidence.search is not None:
        return dict(evidence.search["spec"])
    seen = [row["object"]["spec"] for row in evidence.of_kind("ArchitectureSearch")]
    return dict(seen[-1]) if seen else None


@dataclass(frozen=True)
class Charge:
    """One entry of the ledger that costs something."""

    time: float
    order: str
    index: int
    cost: Cost


class Prices:
    """What orders cost, by the search's spec."""

    def __init__(self, spec: Object) -> None:
        self._rungs = {rung["name"]: rung for rung in spec["evaluation"]["ladder"]}

    def ledger(self, evidence: Evidence) -> list[Charge]:
        """The ledger's charges, one for each pod."""
        charged = {(row["pod"], row["index"]): row for row in evidence.ledger if row["event"] == "charged"}
        return [Charge(row["time"], row["order"], row["index"], self._of(row)) for row in charged.values()]

    def _of(self, row: Object) -> Cost:
        rung = self.rung(row["order"])
        used = float(row["seconds"]) if rung is not None else 0.0
        devices = sum((rung or {}).get("resources", {}).values())
        said = {unit: float(row.get(unit, 0)) for unit in ("tokens", "usd")}
        return {"seconds": used, "gpuSeconds": used * devices, **said}

    def rung(self, order: str) -> Object | None:
        """The rung of a training order; none for an agent's."""
        step = attempt_of(order)[0]
        fits = [rung for name, rung in self._rungs.items() if f"-train-{name}" in step]
        return max(fits, key=lambda rung: len(rung["name"]), default=None)

    def worst(self, order: str) -> Cost:
        """The most that a lost attempt may be charged, since what it really used is unknown."""
        rung = self.rung(order)
        if rung is None:
            return dict.fromkeys(UNITS, 0.0)
        deadline = rung.get("deadline", "10m")
        most = rung.get("seeds", 1) * int(deadline[:-1]) * _UNIT_SECONDS[deadline[-1]]
        return {
            "seconds": most,
            "gpuSeconds": most * sum(rung.get("resources", {}).values()),
            "tokens": 0,
            "usd": 0,
        }

    def seeds(self, order: str) -> int:
        """How many indices an order has."""
        return int((self.rung(order) or {}).get("seeds", 1))


def _in_order(evidence: Evidence) -> list[str]:
    """Intent before effect, by the API server's own revisions: reserved, then named, then a Job."""
    reserved: set[str] = set()
    now: set[str] = set()
    named: set[str] = set()
    jobs: set[str] = set()
    found = []
    for row in evidence.versions:
        thing, at = row["object"], version(row["object"])
        if thing["kind"] == "ArchitectureSearch":
            now = set(deep(thing, "status.reservations", {}))
            reserved |= now
        elif thing["kind"] == "Candidate":
            order = deep(thing, "status.order.name")
            if order and order not in now | named:
                found.append(f"I3 {name_of(thing)} named {order} at revision {at} without a reservation")
            named |= {order} if order else set()
        elif thing["kind"] == "Job" and uid(thing) not in jobs:
            jobs.add(uid(thing))
            order = deep(thing, "metadata.annotations", {}).get(ORDER, thing["metadata"]["name"])
            if order not in reserved & named:
                found.append(
                    f"I3 Job of {order} came before it was reserved and named, at revision {at} or earlier"
                )
    ran = {row["order"] for row in evidence.ledger if row["event"] == "started"}
    strange = sorted(ran - reserved) if evidence.history else ()
    return found + [f"I3 {order} ran and was never reserved" for order in strange]


@dataclass
class Books:
    """What statuses said at one revision."""

    spent: dict[str, Cost] = field(default_factory=dict)
    """By candidate; one that is removed stays paid for."""
    reservations: dict[str, Cost] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    """Orders that were ever reserved."""
    proposed: set[str] = field(default_factory=set)
    _now: dict[str, str] = field(default_factory=dict)
    _once: set[str] = field(default_factory=set)

    def turn(self, thing: Object) -> None:
        """Take in one version of an object."""
        if thing["kind"] == "ArchitectureSearch":
            self.reservations = {o: _cost(c) for o, c in deep(thing, "status.reservations", {}).items()}
            self.known |= set(self.reservations)
        elif thing["kind"] == "Candidate":
            self.spent[uid(thing)] = _cost(deep(thing, "status.cost", {}))
            if thing["spec"]["origin"] == "Proposed":
                self.proposed.add(uid(thing))
            order = deep(thing, "status.order.name", "")
            self._now[uid(thing)] = order
            self._once.add(order)

    def total_spent(self) -> Cost:
        return _sum(self.spent.values())

    def total_reserved(self) -> Cost:
        """Reservations, without those of orders that have ended and are in a candidate's cost already."""
        under_way = set(self._now.values())
        return _sum(c for o, c in self.reservations.items() if o not in self._once or o in under_way)


def _over_time(evidence: Evidence, ledger: list[Charge]) -> list[str]:
    """At every version of a status: ledger ≤ spent + reserved, and no commitment grew past its limit."""
    books, found = Books(), []
    before = dict.fromkeys(UNITS, 0.0)
    limits: Cost = {}
    for row in evidence.versions:
        thing = row["object"]
        if thing["kind"] not in {"ArchitectureSearch", "Candidate"} or row["type"] == "DELETED":
            continue
        books.turn(thing)
        if thing["kind"] == "ArchitectureSearch":
            limits = _limits(thing["spec"].get("budget", {}))
        committed = _sum([books.total_spent(), books.total_reserved()])
        ran = _sum(c.cost for c in ledger if c.time <= row["moment"] and c.order in books.known)
        where = f"I3 at revision {version(thing)} ({name_of(thing)})"
        found += [
            f"{where} {unit}: the ledger has {ran[unit]:g}, spent and reserved are {committed[unit]:g}"
            for unit in UNITS
            if ran[unit] > committed[unit] + _TOLERANCE[unit]
        ]
        found += [
            f"{where} {unit}: {committed[unit]:g} spent and reserved, {most:g} allowed"
            for unit, most in limits.items()
            if unit in UNITS and committed[unit] > max(most, before[unit]) + _TOLERANCE[unit]
        ]
        before = committed
    if len(books.proposed) > limits.get("candidates", len(books.proposed)):
        found.append(f"I3 {len(books.proposed)} proposals, {limits['candidates']:g} allowed")
    return found


def _limits(budget: Object) -> Cost:
    limits = {
        unit: float(budget[unit]) for unit in ("tokens", "usd", "candidates") if budget.get(unit) is not None
    }
    if budget.get("gpuHours") is not None:
        limits["gpuSeconds"] = 3600 * float(budget["gpuHours"])
    return limits


def _at_the_end(evidence: Evidence, ledger: list[Charge], prices: Prices) -> list[str]:
    """Every charge of the ledger is in its candidate's cost, once; lost attempts may cost up to their worst case."""
    costs = {record["name"]: _cost(record.get("cost", {})) for record in evidence.archived}
    costs |= {c["metadata"]["name"]: _cost(deep(c, "status.cost", {})) for c in evidence.candidates}
    orders = _orders(evidence)
    found = []
    for name, cost in sorted(costs.items()):
        mine = [charge for charge in ledger if orders.get(charge.order) == name]
        charged = _sum(charge.cost for charge in mine)
        named = [order for order, candidate in orders.items() if candidate == name]
        most = _sum([charged, *(prices.worst(order) for order in _lost(named, mine, prices))])
        for unit in UNITS:
            if cost[unit] < charged[unit] - _TOLERANCE[unit]:
                found.append(
                    f"I3 Candidate {name} {unit}: charged {cost[unit]:g}, the ledger has {charged[unit]:g}"
                )
            if cost[unit] > most[unit] + _TOLERANCE[unit]:
                found.append(
                    f"I3 Candidate {name} {unit}: charged {cost[unit]:g}, the ledger allows {most[unit]:g}"
                )
    return found + _totals(evidence, costs)


def _totals(evidence: Evidence, costs: Mapping[str, Cost]) -> list[str]:
    """An ended search says what its candidates cost together, and reserves nothing."""
    if evidence.search is None or deep(evidence.search, "status.phase") not in {"Complete", "Failed"}:
        return []
    said, summed = _cost(deep(evidence.search, "status.cost", {})), _sum(costs.values())
    found = [
        f"I3 the search says {said[unit]:g} {unit}, its candidates {summed[unit]:g}"
        for unit in UNITS
        if abs(said[unit] - summed[unit]) > _TOLERANCE[unit]
    ]
    left = sorted(deep(evidence.search, "status.reservations", {}))
    return found + [f"I3 the search has ended and still reserves {order}" for order in left]


def _orders(evidence: Evidence) -> dict[str, str]:
    """Each order's candidate: as statuses named it, else by the order's own name."""
    found = {}
    for row in evidence.ledger:
        for kind in ("propose", "build", "repair", "analyze", "train"):
            head, middle, _ = row["order"].rpartition(f"-{kind}-")
            if middle and row["kind"] == kind:
                found[row["order"]] = head
    for row in evidence.of_kind("Candidate"):
        if order := deep(row["object"], "status.order.name"):
            found[order] = row["object"]["metadata"]["name"]
    return found


def _lost(named: Iterable[str], charges: Iterable[Charge], prices: Prices) -> Iterator[str]:
    """Attempts whose real use the operator can't know: not every index reported, or another attempt followed."""
    reported: dict[str, set[int]] = defaultdict(set)
    for charge in charges:
        reported[charge.order].add(charge.index)
    last: dict[str, int] = {}
    for order in (named := tuple(named)):
        step, attempt = attempt_of(order)
        last[step] = max(last.get(step, 0), attempt)
    for order in named:
        step, attempt = attempt_of(order)
        if attempt < last[step] or len(reported[order]) < prices.seeds(order):
            yield order


def _cost(said: Mapping[str, object]) -> Cost:
    """A cost in our units; an archived one is spelt as Python spells it."""
    spelt = {**said, "gpuSeconds": said.get("gpuSeconds", said.get("gpu_seconds", 0))}
    return {unit: float(str(spelt.get(unit, 0))) for unit in UNITS}


def _sum(costs: Iterable[Cost]) -> Cost:
    total = dict.fromkeys(UNITS, 0.0)
    for cost in costs:
        for unit in UNITS:
            total[unit] += cost[unit]
    return total
