"""What was promised is kept for whom it was promised, and what was lost is tried again, later and later."""

import asyncio
from itertools import pairwise

import pytest

from asiarch.api.base import instant, timestamp
from asiarch.api.candidate import Candidate, CandidateStatus
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Budget, Cost, Rung
from asiarch.core import lifecycle, orders
from asiarch.core.actions import CandidateWrite, Plan, SearchWrite
from asiarch.core.observation import Child, Traits
from asiarch.core.reconcile import reconcile
from tests.builders import GATES, T0, a_candidate, a_search, an_observation
from tests.invariants import check_ended
from tests.worlds import SimulatedWorld, played

ON_A_GPU = Rung(name="big", task="SyntheticRecall", deadline="1h", resources={"nvidia.com/gpu": 1})
BASELINES = (a_candidate(0, origin="Baseline"), a_candidate(1, origin="Baseline"))


def waiting(ordinal: int) -> Candidate:
    """A candidate that waits for its training on the dear rung."""
    return a_candidate(ordinal, phase="Evaluating", scores={"gates": None}, rung=1, fitness=None)


def statuses_of(plan: Plan) -> dict[str, CandidateStatus]:
    """What a plan writes of candidates."""
    return {w.candidate.name: w.status for w in plan.statuses if isinstance(w, CandidateWrite)}


def promised_to(candidate: Candidate, gpu_hours: str | None = None) -> tuple[ArchitectureSearch, str]:
    """A search that has reserved a candidate's next order, which the candidate isn't seen to name."""
    budget = Budget(candidates=12, gpu_hours=gpu_hours)
    search = a_search(parallelism=1, ladder=(GATES, ON_A_GPU), budget=budget)
    worst = orders.worst_case(search, candidate)
    (name,) = orders.grant(
        a_search(parallelism=1, ladder=(GATES, ON_A_GPU)), [candidate], Cost(), {}, T0
    ).reserved
    status = search.status.model_copy(update={"reservations": {name: worst}, "phase": "Running"})
    return search.model_copy(update={"status": status}), name


def test_what_is_reserved_for_an_order_that_isnt_seen_yet_goes_to_nobody_else() -> None:
    search, name = promised_to(waiting(3), gpu_hours="1.5")
    plan = reconcile(an_observation(search, *BASELINES, waiting(2), waiting(3)), T0 + 100)
    named = {w.candidate.name: w.status.order for w in plan.statuses if isinstance(w, CandidateWrite)}
    assert [(who, ref.name) for who, ref in named.items() if ref is not None] == [("s-0003", name)]
    for write in plan.statuses:
        if isinstance(write, SearchWrite):
            assert set(write.status.reservations) == {name}


def test_a_promise_stands_while_the_search_starts_nothing() -> None:
    search, name = promised_to(waiting(3))
    held = search.model_copy(update={"spec": search.spec.model_copy(update={"suspend": True})})
    plan = reconcile(an_observation(held, *BASELINES, waiting(3)), T0 + 100)
    (write,) = (w for w in plan.statuses if isinstance(w, SearchWrite))
    assert set(write.status.reservations) == {name}


def test_a_promise_ends_with_its_candidate() -> None:
    search, _ = promised_to(waiting(3))
    plan = reconcile(an_observation(search, *BASELINES, a_candidate(3)), T0 + 100)
    assert all(not w.status.reservations for w in plan.statuses if isinstance(w, SearchWrite))


@pytest.mark.parametrize("reason", sorted(lifecycle.EXCUSED - {Reason.CANCELLED}))
def test_what_only_the_cluster_can_cure_ends_nobody(reason: Reason) -> None:
    def refused(order: Order) -> tuple[Result, ...]:
        if order.kind != "train" or order.attempt > 15:
            return played(order)
        return (Result(order=order.name, attempt=order.attempt, reason=reason, message="not yet"),)

    traits = Traits(keeps_time=True, keeps_all=False)
    world = SimulatedWorld(a_search(candidates=1), play=refused, traits=traits)
    asyncio.run(world.drive())
    check_ended(world)
    assert {c.status.phase for c in world.candidates.values()} == {"Complete"}


def test_excused_attempts_may_be_lost_without_limit() -> None:
    status = waiting(2).status.model_copy(update={"lost": 5000, "excused": 5000})
    search, often = a_search(ladder=(GATES, ON_A_GPU)), waiting(2).model_copy(update={"status": status})
    named = statuses_of(reconcile(an_observation(search, *BASELINES, often), T0))["s-0002"]
    assert named.order is not None
    again = Result(order=named.order.name, attempt=5001, reason=Reason.UNSCHEDULABLE, message="full")
    seen = an_observation(
        search,
        *BASELINES,
        often.model_copy(update={"status": named}),
        children=[Child(named.order.name, (again,))],
    )
    refused = statuses_of(reconcile(seen, T0 + 60))["s-0002"]
    assert (refused.lost, refused.retry_at) == (5001, timestamp(T0 + 60 + lifecycle.LONGEST_RETRY))


def test_lost_attempts_grow_further_apart_and_the_first_is_tried_again_at_once() -> None:
    moments: list[float] = []

    def gone(order: Order) -> tuple[Result, ...]:
        if order.kind != "train" or order.attempt > 8 or order.candidate != "s-0000":
            return played(order)
        moments.append(world.now)
        return (Result(order=order.name, attempt=order.attempt, reason=Reason.NODE_LOST, message="gone"),)

    world = SimulatedWorld(a_search(candidates=1), play=gone, lasts=lambda _: 1.0)
    asyncio.run(world.drive())
    waits = [round(b - a) for a, b in pairwise(moments)][:7]
    assert waits == [1, 5, 9, 17, 33, 65, 129]


def test_a_candidate_says_when_it_is_tried_again() -> None:
    status = waiting(2).status.model_copy(update={"lost": 2, "retry_at": "2100-01-01T00:00:00.000Z"})
    later = waiting(2).model_copy(update={"status": status})
    plan = reconcile(an_observation(a_search(ladder=(GATES, ON_A_GPU)), *BASELINES, later), T0)
    assert plan.actions == ()
    assert plan.wake_after == pytest.approx(instant("2100-01-01T00:00:00.000Z") - T0, abs=1)


def test_a_search_ends_after_its_last_candidate() -> None:
    last = a_candidate(2, phase="Pending", parents=("s-0009",))
    search = a_search(candidates=1)
    plan = reconcile(an_observation(search, *BASELINES, last), T0 + 100)
    candidate, ended = plan.statuses
    assert isinstance(candidate, CandidateWrite)
    assert isinstance(ended, SearchWrite)
    assert (candidate.status.phase, ended.status.phase) == ("Rejected", "Complete")
