"""An order that could not be started so far: it can be taken back like any other, and it costs nothing."""

from dataclasses import replace
from typing import Any

import pytest

from asiarch.api.base import timestamp
from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Rung
from asiarch.core.actions import Action, CandidateWrite, Plan, SearchWrite, StartOrder, StopOrder
from asiarch.core.budget import START_ALLOWANCE
from asiarch.core.observation import Child, Observation, Traits, Trouble
from asiarch.core.reconcile import NOTEWORTHY, reconcile
from tests.builders import GATES, T0, a_candidate, a_search, an_observation

ON_GPUS = Rung(name="big", task="SyntheticRecall", deadline="1h", resources={"nvidia.com/gpu": 8})
QUOTA = Trouble(Reason.QUOTA_EXCEEDED, "exceeded quota: none", fatal=False)
CLUSTER = Traits(keeps_time=True, keeps_all=False)


def searching(**spec: Any) -> ArchitectureSearch:
    """A search with a dear rung."""
    return a_search(parallelism=1, ladder=(GATES, ON_GPUS), **spec)


def waiting(**status: Any) -> Candidate:
    """A candidate whose training on the dear rung was named at T0: it may take an hour, and a minute to start."""
    deadline = timestamp(T0 + 3600 + START_ALLOWANCE)
    ref = OrderRef(name="s-0002-train-big-a1", kind="train", rung="big", attempt=1, deadline=deadline)
    known: Any = {"order": ref, "rung": 1, "fitness": None, **status}
    return a_candidate(2, phase="Evaluating", scores={"gates": None}, **known)


def order_of(candidate: Candidate) -> OrderRef:
    """The order that a candidate waits for."""
    assert candidate.status.order is not None
    return candidate.status.order


def seen(search: ArchitectureSearch, candidate: Candidate, child: Child | None = None) -> Observation:
    """A search on a cluster with two finished baselines and one candidate."""
    baselines = (a_candidate(0, origin="Baseline"), a_candidate(1, origin="Baseline"))
    found = an_observation(search, *baselines, candidate, children=[] if child is None else [child])
    return replace(found, traits=CLUSTER)


def of_candidate(plan: Plan) -> Candidate:
    """The candidate as a plan leaves it."""
    (write,) = (w for w in plan.statuses if isinstance(w, CandidateWrite))
    return write.candidate.model_copy(update={"status": write.status})


def orders(plan: Plan) -> list[Action]:
    """What a plan starts and stops."""
    return [action for action in plan.actions if isinstance(action, StartOrder | StopOrder)]


def refused(candidate: Candidate) -> Child:
    """Its order as the API server refused it."""
    return Child(order_of(candidate).name, refusal=QUOTA)


def test_a_candidate_says_why_its_order_cannot_start() -> None:
    candidate = waiting()
    status = of_candidate(reconcile(seen(searching(), candidate, refused(candidate)), T0)).status
    assert (status.reason, status.message) == (Reason.QUOTA_EXCEEDED, "exceeded quota: none")


def test_a_refusal_is_unsaid_before_the_order_is_tried_again() -> None:
    candidate = waiting(reason=Reason.QUOTA_EXCEEDED, message="exceeded quota: none")
    plan = reconcile(seen(searching(), candidate), T0 + 500)
    assert of_candidate(plan).status.reason is None
    assert order_of(of_candidate(plan)).deadline == timestamp(T0 + 500 + 3600 + START_ALLOWANCE)
    assert orders(plan) == []
    (again,) = orders(reconcile(seen(searching(), of_candidate(plan)), T0))
    assert isinstance(again, StartOrder)


@pytest.mark.parametrize("state", ["refused", "held by its queue", "not started yet"])
@pytest.mark.parametrize("policy", ["Drain", "Cancel"])
def test_a_suspended_search_takes_back_what_never_ran(policy: str, state: str) -> None:
    candidate = waiting()
    held = Child(order_of(candidate).name, held=True)
    child = {"refused": refused(candidate), "held by its queue": held}.get(state)
    plan = reconcile(seen(searching(suspend=True, stop_policy=policy), candidate, child), T0)
    assert orders(plan) == [StopOrder(order_of(candidate).name, Reason.CANCELLED)]


@pytest.mark.parametrize("mark", ["veto", "retry"])
def test_a_person_can_take_back_what_never_ran(mark: str) -> None:
    candidate = waiting()
    told = candidate.metadata.model_copy(update={"annotations": {f"asiarch.dev/{mark}": "today"}})
    plan = reconcile(seen(searching(), candidate.model_copy(update={"metadata": told})), T0)
    assert orders(plan) == [StopOrder(order_of(candidate).name, Reason.CANCELLED)]


@pytest.mark.parametrize(("ran", "charged"), [(0.0, 0.0), (20.0, 160.0), (None, 8 * 90.0)])
def test_what_was_cancelled_costs_what_its_processes_ran_if_that_is_known(
    ran: float | None, charged: float
) -> None:
    candidate = waiting()
    ref = order_of(candidate)
    ended = Child(ref.name, (Result(order=ref.name, attempt=1, reason=Reason.CANCELLED),), ran=ran)
    status = of_candidate(reconcile(seen(searching(suspend=True), candidate, ended), T0 + 90)).status
    assert (status.order, status.cost.gpu_seconds) == (None, pytest.approx(charged))


def test_a_step_that_is_lost_again_and_again_is_a_trouble_of_its_search() -> None:
    def said(lost: int, reason: Reason = Reason.GATEWAY_UNREACHABLE) -> str:
        why: Any = {"reason": reason, "message": "No answer from the gateway."}
        candidate = a_candidate(2, phase="Building", lost=lost, **why)
        plan = reconcile(seen(searching(), candidate), T0)
        (write,) = (w for w in plan.statuses if isinstance(w, SearchWrite))
        return next(c.message for c in write.status.conditions if c.type == "Degraded")

    assert said(NOTEWORTHY - 1) == ""
    assert said(NOTEWORTHY, Reason.CANCELLED) == ""
    assert "2 attempts of its step were lost, the last one: No answer from the gateway." in said(NOTEWORTHY)
