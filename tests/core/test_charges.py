"""What an order is charged that was lost: what its processes are known to have run, or the time since it was named."""

from dataclasses import replace

import pytest

from asiarch.api.order import Measurement, Result
from asiarch.api.reason import Reason
from asiarch.api.search import Cost, Rung
from asiarch.core.actions import CandidateWrite
from asiarch.core.observation import Child, Traits
from asiarch.core.reconcile import reconcile
from tests.builders import GATES, T0, a_candidate, a_search, an_observation

SEEDS, GPUS, ELAPSED = 3, 8, 1000.0
DEAR = Rung(
    name="big", task="SyntheticRecall", deadline="1h", resources={"nvidia.com/gpu": GPUS}, seeds=SEEDS
)
SEARCH = a_search(ladder=(GATES, DEAR), candidates=1)
BASELINES = tuple(
    a_candidate(n, origin="Baseline", scores={"gates": None, "big": 0.5}, rung=1) for n in (0, 1)
)
NAME = "s-0002-train-big-a1"


def measured(index: int, seconds: float) -> Result:
    return Result(
        order=NAME,
        attempt=1,
        index=index,
        measurement=Measurement(score="0.7"),
        cost=Cost(seconds=seconds),
    )


def lost(index: int, reason: Reason = Reason.LOST, seconds: float = 0.0) -> Result:
    return Result(order=NAME, attempt=1, index=index, reason=reason, cost=Cost(seconds=seconds))


def charged(*results: Result, ran: float | None = None, traits: Traits) -> float:
    """Seconds of training that are booked when the order ends so, a while after it was named."""
    waiting = a_candidate(2, phase="Evaluating", scores={"gates": None}, rung=1, fitness=None)
    plan = reconcile(an_observation(SEARCH, *BASELINES, waiting), T0)
    (named,) = (w for w in plan.statuses if isinstance(w, CandidateWrite))
    candidate = waiting.model_copy(update={"status": named.status})
    assert named.status.order is not None
    assert named.status.order.name == NAME
    seen = an_observation(SEARCH, *BASELINES, candidate, children=[Child(NAME, results, ran=ran)])
    plan = reconcile(replace(seen, traits=traits), T0 + ELAPSED)
    (write,) = (w for w in plan.statuses if isinstance(w, CandidateWrite))
    cost = write.status.cost
    assert cost.gpu_seconds == pytest.approx(GPUS * cost.seconds)
    assert write.status.lost == 1
    return cost.seconds


CLUSTER, LAPTOP = Traits(keeps_time=True, keeps_all=False), Traits()


@pytest.mark.parametrize("reason", [Reason.UNSCHEDULABLE, Reason.IMAGE_PULL_FAILED, Reason.LOST])
def test_what_ran_is_charged_whatever_it_was_lost_for(reason: Reason) -> None:
    assert charged(lost(0, reason), ran=3000.0, traits=CLUSTER) == 3000.0


def test_what_never_ran_costs_nothing() -> None:
    assert charged(lost(0, Reason.UNSCHEDULABLE), traits=CLUSTER) == 0.0


def test_a_seed_of_which_nobody_can_tell_costs_the_time_since_it_was_named() -> None:
    assert charged(measured(0, 60.0), lost(1), lost(2), traits=CLUSTER) == 60.0 + 2 * ELAPSED


def test_a_lost_seed_that_told_how_long_it_ran_costs_that() -> None:
    assert charged(lost(0, seconds=30.0), lost(1), lost(2), traits=CLUSTER) == 30.0 + 2 * ELAPSED


def test_no_more_is_charged_than_was_reserved_whatever_is_said() -> None:
    most = SEEDS * 3600.0
    assert charged(lost(0), ran=5 * 3600.0, traits=CLUSTER) == most
    assert charged(measured(0, 9000.0), lost(1, seconds=9000.0), traits=CLUSTER) == most


def test_on_a_laptop_seeds_run_one_after_the_other() -> None:
    assert charged(lost(0), traits=LAPTOP) == ELAPSED
