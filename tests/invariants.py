"""Checks I1–I6 of a simulated world; shares no code with what decides."""

import json
from collections import Counter

from tests.worlds import SimulatedWorld

TERMINAL = {"Complete", "Rejected", "Failed"}


def check_always(world: SimulatedWorld) -> None:
    """What holds at every moment."""
    numbers = {c.name: c.status.ordinal for c in world.candidates.values() if c.status.ordinal is not None}
    numbers |= {name: json.loads(kept)["ordinal"] for name, kept in world.archive.items()}
    ordinals = sorted(numbers.values())
    assert ordinals == list(range(len(ordinals))), "I1: ordinals have a gap"
    twice = [key for key, times in Counter(world.ran).items() if times > 1]
    assert not twice, f"I2: ran twice at one attempt: {twice}"
    live_orders = [c.status.order.name for c in world.candidates.values() if c.status.order is not None]
    assert len(live_orders) == len(set(live_orders)), "I2: an order is named twice"
    unreserved = set(live_orders) - set(world.search.status.reservations)
    assert not unreserved, f"I3: named without a reservation: {unreserved}"
    said = [world.search.status.cost, *world.search.status.reservations.values()]
    for unit in ("seconds", "gpu_seconds", "tokens"):
        spent = sum(getattr(c.status.cost, unit) for c in world.candidates.values())
        covered = sum(getattr(cost, unit) for cost in said)
        assert spent <= covered + 1e-6, f"I3: {spent} {unit} spent, {covered} said or reserved"
    budget = world.search.spec.budget
    if budget.gpu_hours is not None:
        used = sum(c.status.cost.gpu_seconds for c in world.candidates.values())
        assert used / 3600 <= float(budget.gpu_hours) + 1e-9, "I3: GPU hours overshot"
    proposed = [c for c in world.candidates.values() if c.spec.origin == "Proposed"]
    assert len(proposed) <= budget.candidates, "I3: more candidates than the budget"
    for candidate in world.candidates.values():
        for parent in candidate.spec.parents:
            if candidate.status.phase not in {"Pending", "Rejected"}:
                assert numbers[parent] < (candidate.status.ordinal or 0), "lineage has a cycle"


def check_ended(world: SimulatedWorld) -> None:
    """What holds once nothing is left to do."""
    check_always(world)
    assert all(c.status.ordinal is not None for c in world.candidates.values()), (
        "I1: a candidate without an ordinal"
    )
    stuck = [c.name for c in world.candidates.values() if c.status.phase not in TERMINAL]
    assert not stuck, f"I1: no terminal phase: {stuck}"
    assert not world.search.status.reservations, "I3: a reservation was left"
    assert world.search.status.phase in {"Complete", "Failed"}
