"""How a search tells where it stands: troubles, conditions, cancelling, and whose clock counts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from asiarch.api.base import timestamp
from asiarch.api.candidate import CandidateSpec
from asiarch.api.meta import Condition
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Budget, Cost, SearchStatus, Stop
from asiarch.core import lifecycle
from asiarch.core.actions import CreateCandidate, SearchWrite
from asiarch.core.observation import Traits, Trouble
from asiarch.loop import turn
from tests.builders import RECALL, T0, a_search
from tests.invariants import check_always, check_ended
from tests.worlds import SimulatedWorld, lineage, played

MISSING = Trouble(Reason.SOURCE_NOT_FOUND, "ConfigMap mine (key: candidate.py) not found.", fatal=True)
STRANGER = Trouble(Reason.ORPHAN, "Candidate x names this search and was not created by it.", fatal=False)
ON_A_CLUSTER = Traits(keeps_time=True, keeps_all=False)


def driven(world: SimulatedWorld) -> SimulatedWorld:
    """The world once its search has come to rest."""
    asyncio.run(world.drive())
    return world


def turned(world: SimulatedWorld) -> None:
    """Take one turn."""
    asyncio.run(turn(world, "s", world.now))


def under_way(world: SimulatedWorld, name: str) -> str:
    """Take turns until a candidate's order runs; returns the order's name."""
    while name not in world.candidates or world.candidates[name].status.order is None:
        plan = asyncio.run(turn(world, "s", world.now))
        assert not plan.idle or world.next_end(), f"{name} never had an order"
    order = world.candidates[name].status.order
    assert order is not None
    return order.name


def conditions(search: ArchitectureSearch) -> dict[str, Condition]:
    """A search's conditions by type."""
    return {c.type: c for c in search.status.conditions}


def holding(search: ArchitectureSearch) -> set[str]:
    """The conditions that are true."""
    return {c.type for c in search.status.conditions if c.status == "True"}


def edited(world: SimulatedWorld, **spec: Any) -> None:
    """Edit the search's spec, as a user does."""
    metadata = world.search.metadata.model_copy(update={"generation": world.search.metadata.generation + 1})
    changed = {"spec": world.search.spec.model_copy(update=spec), "metadata": metadata}
    world.search = world.search.model_copy(update=changed)


def test_a_fatal_trouble_keeps_a_search_from_creating_anything_and_says_what_to_do() -> None:
    new = a_search(candidates=20, status=SearchStatus())
    world = driven(SimulatedWorld(new, troubles=(MISSING,)))
    status, told = world.search.status, conditions(world.search)
    assert (status.phase, status.reason, status.started_at) == ("Blocked", Reason.SOURCE_NOT_FOUND, None)
    assert world.candidates == {}
    assert holding(world.search) == {"BudgetAvailable", "Stalled"}
    for kind in ("Accepted", "Ready"):
        assert (told[kind].status, told[kind].reason) == ("False", "SourceNotFound")
        assert told[kind].message == f"{MISSING.message} 0 of 20 candidates started, 0 USD spent."


def test_the_search_goes_on_by_itself_once_the_trouble_is_gone() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3), troubles=(MISSING,)))
    world.now += 50
    world.troubles = ()
    driven(world)
    check_ended(world)
    assert lineage(world) == lineage(driven(SimulatedWorld(a_search(candidates=3))))
    assert conditions(world.search)["Accepted"].status == "True"


def test_a_trouble_in_flight_lets_orders_end_and_names_no_new_ones() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    under_way(world, "s-0002")
    ran = len(world.ran)
    world.troubles = (STRANGER, MISSING)
    driven(world)
    check_always(world)
    assert len(world.ran) == ran
    assert all(c.status.order is None for c in world.candidates.values())
    assert {"Degraded", "Stalled"} <= holding(world.search)
    world.troubles = ()
    check_ended(driven(world))


def test_a_trouble_changes_nothing_for_a_search_that_is_over() -> None:
    world = driven(SimulatedWorld(a_search(candidates=2)))
    world.troubles = (MISSING,)
    driven(world)
    assert world.search.status.phase == "Complete"
    assert "Accepted" not in holding(world.search)


def test_a_mild_trouble_degrades_a_search_that_goes_on() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3), troubles=(STRANGER,)))
    check_ended(world)
    told = conditions(world.search)
    assert holding(world.search) == {"Accepted", "Complete", "Degraded"}
    assert told["Degraded"].message.startswith(STRANGER.message)
    assert told["Ready"].reason == "Orphan"
    world.troubles = ()
    driven(world)
    assert holding(world.search) == {"Accepted", "Complete", "Ready"}


def test_a_baseline_s_name_that_somebody_took_blocks_the_search_instead_of_letting_it_wait() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    world.create("s-0001", CandidateSpec(search_name="s", origin="User", idea="mine"))
    driven(world)
    assert (world.search.status.phase, world.search.status.reason) == ("Blocked", Reason.NAME_CONFLICT)
    assert "s-0001 has the name of baseline softmax-attention" in world.search.status.message
    del world.candidates["s-0001"], world.records["s-0001"]
    check_ended(driven(world))


def test_a_running_search_is_ready_and_progresses() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    under_way(world, "s-0002")
    assert holding(world.search) == {"Accepted", "BudgetAvailable", "Progressing", "Ready"}


def test_a_search_whose_candidates_are_all_measured_is_ready_though_its_budget_is_spent() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3)))
    assert holding(world.search) == {"Accepted", "Complete", "Ready"}
    assert conditions(world.search)["BudgetAvailable"].reason == "BudgetExhausted"


def test_a_search_cut_short_by_time_is_not_ready() -> None:
    budget = Budget(candidates=9, wall_clock="60s")
    world = driven(SimulatedWorld(a_search(candidates=9, budget=budget, parallelism=4)))
    assert world.search.status.counts.live > 0
    assert holding(world.search) == {"Accepted", "Complete"}


def test_a_suspended_search_starts_nothing_and_its_time_does_not_run() -> None:
    budget = Budget(candidates=3, wall_clock="2h")
    world = driven(SimulatedWorld(a_search(budget=budget, suspend=True, status=SearchStatus())))
    assert (list(world.candidates), world.ran) == (["s-0000", "s-0001"], [])
    assert (world.search.status.phase, world.search.status.started_at) == ("Suspended", None)
    world.now += 10 * 3600
    edited(world, suspend=False)
    driven(world)
    check_ended(world)
    assert world.search.status.counts.proposed == 3


def test_a_search_is_answered_before_anything_is_created_for_it() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    first = asyncio.run(turn(world, "s", world.now))
    assert (first.actions, first.wake_after, world.candidates) == ((), 0.0, {})
    assert [type(write) for write in first.statuses] == [SearchWrite]
    assert world.search.status.phase == "Running"
    second = asyncio.run(turn(world, "s", world.now))
    assert second.statuses == ()
    assert {type(action) for action in second.actions} == {CreateCandidate}


def test_a_suspended_search_says_so_and_a_failed_one_what_it_cost() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3, suspend=True)))
    assert holding(world.search) == {"Accepted", "BudgetAvailable", "Suspended"}

    def broken(order: Order) -> tuple[Result, ...]:
        cost = Cost(seconds=3600)
        return tuple(r.model_copy(update={"reason": Reason.DIVERGED, "cost": cost}) for r in played(order))

    big = RECALL.model_copy(update={"resources": {"nvidia.com/gpu": 2}, "deadline": "1h"})
    world = driven(SimulatedWorld(a_search(candidates=3, ladder=(big,)), play=broken))
    assert holding(world.search) == {"Accepted", "BudgetAvailable", "Failed", "Stalled"}
    assert world.search.status.message.endswith("0 of 3 candidates started, 0 USD and 2 GPU hours spent.")


def test_a_condition_s_time_moves_on_a_flip_alone() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    under_way(world, "s-0000")
    first = conditions(world.search)
    driven(world)
    last = conditions(world.search)
    assert last["Accepted"].last_transition_time == first["Accepted"].last_transition_time
    assert last["Complete"].last_transition_time > first["Complete"].last_transition_time


def test_a_status_speaks_of_the_generation_that_was_seen() -> None:
    world = driven(SimulatedWorld(a_search(candidates=2)))
    edited(world, budget=Budget(candidates=3))
    driven(world)
    assert world.search.status.observed_generation == 2
    assert {c.observed_generation for c in world.search.status.conditions} == {2}
    assert {c.status.observed_generation for c in world.candidates.values()} == {1}


CANCELLING = [
    {"suspend": True},
    {"stop": Stop(deadline=timestamp(T0))},
    {"stop": Stop(target_fitness="-5")},
    {"stop": Stop(patience=1)},
]


@pytest.mark.parametrize("end", CANCELLING, ids=["suspended", "out of time", "target", "patience"])
def test_a_search_that_cancels_stops_its_orders_and_goes_on_with_them_later(end: dict[str, Any]) -> None:
    world = SimulatedWorld(a_search(candidates=6, stop_policy="Cancel"))
    order = under_way(world, "s-0005")
    before = {"suspend": False, "stop": world.search.spec.stop}
    edited(world, **end)
    driven(world)
    check_always(world)
    assert world.stopped == [order]
    assert world.search.status.phase in {"Suspended", "Complete"}
    assert world.search.status.reservations == {}
    assert asyncio.run(turn(world, "s", world.now + 10**6)).idle
    edited(world, **before)
    driven(world)
    check_ended(world)
    assert world.search.status.counts.proposed == 6
    assert lineage(world) == lineage(driven(SimulatedWorld(a_search(candidates=6))))


def test_a_search_that_drains_lets_its_orders_end() -> None:
    world = SimulatedWorld(a_search(candidates=6))
    under_way(world, "s-0003")
    edited(world, suspend=True)
    driven(world)
    assert world.stopped == []
    assert world.search.status.phase == "Suspended"


def test_a_cancelling_search_still_measures_the_last_candidate_of_its_budget() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3, parallelism=3, stop_policy="Cancel")))
    check_ended(world)
    assert world.stopped == []


def test_orders_cancelled_again_and_again_are_no_sign_of_failure() -> None:
    world = SimulatedWorld(a_search(candidates=1, stop_policy="Cancel"))
    under_way(world, "s-0002")
    for _ in range(lifecycle.MAX_LOST + 5):
        edited(world, suspend=True)
        driven(world)
        edited(world, suspend=False)
        under_way(world, "s-0002")
        turned(world)
    driven(world)
    check_ended(world)
    assert world.candidates["s-0002"].status.phase == "Complete"


def test_where_the_world_keeps_the_time_a_deadline_stops_nothing() -> None:
    world = SimulatedWorld(a_search(candidates=1), traits=ON_A_CLUSTER)
    under_way(world, "s-0000")
    turned(world)
    plan = asyncio.run(turn(world, "s", world.now + 10**6))
    assert (plan.idle, plan.wake_after, world.stopped) == (True, None, [])


def test_where_the_world_keeps_the_time_an_order_that_waits_for_its_start_is_not_lost() -> None:
    world = SimulatedWorld(a_search(candidates=1), traits=ON_A_CLUSTER)
    order = under_way(world, "s-0000")
    world.children.pop(order, None)
    world.ran.clear()
    world.now += 10**6
    turned(world)
    assert world.ran == [(order, 1)]


@pytest.mark.parametrize(
    ("reason", "used", "charged"),
    [
        (Reason.NODE_LOST, 4.5, 4.5),
        (Reason.EVICTED, 0.0, 100.0),
        (Reason.UNSCHEDULABLE, 0.0, 0.0),
        (Reason.JOB_REJECTED, 0.0, 0.0),
    ],
)
def test_a_lost_attempt_costs_what_it_used_as_far_as_that_is_known(
    reason: Reason, used: float, charged: float
) -> None:
    world = SimulatedWorld(a_search(candidates=1), traits=ON_A_CLUSTER)
    order = under_way(world, "s-0000")
    world.now += 100
    lost = Result(order=order, attempt=1, reason=reason, message="gone", cost=Cost(seconds=used))
    world.end(order, (lost,))
    turned(world)
    status = world.candidates["s-0000"].status
    assert (status.cost.seconds, status.lost) == (pytest.approx(charged, abs=0.01), 1)
    assert reason in lifecycle.LOST


def test_seeds_that_run_side_by_side_are_each_charged_until_the_attempt_was_lost() -> None:
    rung = RECALL.model_copy(update={"seeds": 3})
    world = SimulatedWorld(a_search(candidates=1, ladder=(rung,)), traits=ON_A_CLUSTER)
    order = under_way(world, "s-0000")
    world.now += 10
    world.end(order, (Result(order=order, attempt=1, reason=Reason.LOST, message="gone"),))
    turned(world)
    assert world.candidates["s-0000"].status.cost.seconds == pytest.approx(30.0, abs=0.01)


def test_a_cluster_s_world_gives_the_same_lineage_as_a_laptop_s() -> None:
    search = a_search(candidates=8)
    on_a_cluster = driven(SimulatedWorld(search, traits=replace(ON_A_CLUSTER)))
    check_ended(on_a_cluster)
    assert lineage(on_a_cluster) == lineage(driven(SimulatedWorld(search)))
