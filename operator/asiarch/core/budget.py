"""What a search may still spend: worst-case cost is reserved before an order starts and settled after it."""

from collections.abc import Iterable

from asiarch.api.base import seconds
from asiarch.api.order import OrderKind
from asiarch.api.search import Budget, Cost, Rung, SearchSpec
from asiarch.core.observation import Record

START_ALLOWANCE = 60
"""Seconds that an order's processes may need to come up, on top of their own limit."""


def spent(records: Iterable[Record]) -> Cost:
    """Sum what the candidates cost so far."""
    return total(r.cost for r in records)


def total(costs: Iterable[Cost]) -> Cost:
    """Sum costs."""
    used, gpu_seconds, tokens, usd = 0.0, 0.0, 0, 0.0
    for cost in costs:
        used += cost.seconds
        gpu_seconds += cost.gpu_seconds
        tokens += cost.tokens
        usd += cost.usd
    return Cost(seconds=used, gpu_seconds=gpu_seconds, tokens=tokens, usd=usd)


def limit(spec: SearchSpec, kind: OrderKind, rung: Rung | None) -> int:
    """Seconds that one index of an order may take."""
    return seconds(spec.agents.deadline if rung is None or kind != "train" else rung.deadline)


def worst_case(spec: SearchSpec, kind: OrderKind, rung: Rung | None) -> Cost:
    """The most that an order can cost."""
    if rung is None or kind != "train":
        cost = spec.agents.order_cost
        return Cost(tokens=cost.tokens, usd=float(cost.usd))
    return training_cost(rung, rung.seeds * seconds(rung.deadline))


def training_cost(rung: Rung, used: float) -> Cost:
    """Cost of `used` seconds of a training process on the rung's accelerators."""
    return Cost(seconds=used, gpu_seconds=used * sum(rung.resources.values()))


def needs(cost: Cost, field: str) -> bool:
    """Whether a cost uses anything of a field of the budget."""
    return {"gpuHours": cost.gpu_seconds, "tokens": cost.tokens, "usd": cost.usd}[field] > 0


def shortage(budget: Budget, committed: Cost) -> tuple[str, ...]:
    """Name the fields of the budget that `committed` (spent, reserved and wanted) would overshoot."""
    limits = (
        ("gpuHours", budget.gpu_hours, committed.gpu_seconds / 3600),
        ("tokens", budget.tokens, committed.tokens),
        ("usd", budget.usd, committed.usd),
    )
    return tuple(name for name, most, wanted in limits if most is not None and wanted > float(most))
