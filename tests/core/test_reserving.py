"""An order is reserved together with the one that follows it in the same kind of slot: that spares writes."""

import asyncio

import pytest

from asiarch.api.base import timestamp
from asiarch.api.candidate import Candidate
from asiarch.api.names import PAUSE, VETO
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import Agents, ArchitectureSearch, Budget, Cost, OrderCost, SearchStatus, Stop
from asiarch.core import budget, orders
from asiarch.core.actions import CandidateWrite, Plan, SearchWrite
from asiarch.core.observation import Child
from asiarch.core.reconcile import reconcile
from asiarch.loop import turn
from tests.builders import GATES, RECALL, T0, a_candidate, a_search, an_observation
from tests.invariants import check_always, check_ended
from tests.worlds import SimulatedWorld, played

BASELINES = tuple(
    a_candidate(n, origin="Baseline", scores={"gates": None, "recall": 0.5}, rung=1) for n in (0, 1)
)
DEAR = Agents(parallelism=1, order_cost=OrderCost(tokens=100))
PAIR = ("s-0002-propose-a1", "s-0002-build-a1")
PAIR_AND_TRAINING = {PAIR[0], "s-0003-train-recall-a1"}


def searching(tokens: int | None = None, **fields: object) -> ArchitectureSearch:
    """A search whose agents' orders cost up to 100 tokens; its last candidate has been proposed."""
    budget = Budget(candidates=1, tokens=tokens)
    return a_search(ladder=(GATES, RECALL), agents=DEAR, budget=budget, **fields)  # type: ignore[arg-type]


def after(plan: Plan, search: ArchitectureSearch) -> ArchitectureSearch:
    """The search as a plan writes it."""
    written = [write.status for write in plan.statuses if isinstance(write, SearchWrite)]
    return search.model_copy(update={"status": written[-1]}) if written else search


def named(plan: Plan) -> Candidate:
    """The one candidate that a plan writes."""
    (write,) = (write for write in plan.statuses if isinstance(write, CandidateWrite))
    return write.candidate.model_copy(update={"status": write.status})


def ended(candidate: Candidate, *results: Result) -> Child:
    """What became of a candidate's order."""
    assert candidate.status.order is not None
    return Child(candidate.status.order.name, results)


def proposed(search: ArchitectureSearch) -> tuple[ArchitectureSearch, Candidate]:
    """The search and its candidate once the first order is named."""
    first = a_candidate(2, phase="Proposing", code=None)
    plan = reconcile(an_observation(search, *BASELINES, first), T0 + 100)
    return after(plan, search), named(plan)


HALF = Cost(tokens=50)


def with_an_idea(candidate: Candidate, cost: Cost = HALF) -> Child:
    """A researcher has brought what it was asked for, for half of its tokens unless told otherwise."""
    ref = candidate.status.order
    assert ref is not None
    (result,) = played(orders.order_of(candidate, ref, searching()))
    return ended(candidate, result.model_copy(update={"cost": cost}))


def test_the_next_order_of_the_same_slot_is_reserved_with_the_first() -> None:
    search, candidate = proposed(searching(tokens=200))
    assert candidate.status.order is not None
    assert set(search.status.reservations) == set(PAIR)
    assert {cost.tokens for cost in search.status.reservations.values()} == {100}


def test_where_the_budget_has_no_room_for_both_the_first_is_reserved_alone() -> None:
    search, candidate = proposed(searching(tokens=199))
    assert candidate.status.order is not None
    assert set(search.status.reservations) == {PAIR[0]}


def test_what_was_reserved_is_named_without_a_write_of_the_search() -> None:
    search, candidate = proposed(searching(tokens=200))
    child = with_an_idea(candidate)
    plan = reconcile(an_observation(search, *BASELINES, candidate, children=[child]), T0 + 101)
    assert [type(write) for write in plan.statuses] == [CandidateWrite]
    order = named(plan).status.order
    assert order is not None
    assert order.name == PAIR[1]


def test_what_was_spent_is_said_with_the_next_reservation() -> None:
    search, candidate = proposed(searching(tokens=200))
    plan = reconcile(
        an_observation(search, *BASELINES, candidate, children=[with_an_idea(candidate)]), T0 + 101
    )
    building = named(plan)
    ref = building.status.order
    assert ref is not None
    written = Child(ref.name, played(orders.order_of(building, ref, search)), code=a_candidate(9).status.code)
    plan = reconcile(an_observation(search, *BASELINES, building, children=[written]), T0 + 102)
    later = after(plan, search)
    assert later.status.cost.tokens == 50
    assert {"s-0002-train-gates-a1", "s-0002-train-recall-a1"} <= set(later.status.reservations)


@pytest.mark.parametrize(("approval", "seconds"), [(False, 0.0), (True, 7.0)])
def test_what_was_spent_is_said_at_once_where_nothing_follows(*, approval: bool, seconds: float) -> None:
    ladder = (GATES, RECALL.model_copy(update={"approval": approval}))
    search = a_search(ladder=ladder, budget=Budget(candidates=1))
    gated = a_candidate(2, phase="Evaluating", rung=0)
    plan = reconcile(an_observation(search, *BASELINES, gated), T0 + 100)
    search, gated = after(plan, search), named(plan)
    ref = gated.status.order
    assert ref is not None
    results = [
        result.model_copy(update={"cost": Cost(seconds=7.0)})
        for result in played(orders.order_of(gated, ref, search))
    ]
    child = ended(gated, *results)
    plan = reconcile(an_observation(search, *BASELINES, gated, children=[child]), T0 + 101)
    assert after(plan, search).status.cost.seconds == seconds


def test_a_lost_order_takes_the_next_ones_reservation_over() -> None:
    search, candidate = proposed(searching(tokens=300))
    lost = ended(candidate, Result(order=PAIR[0], attempt=1, reason=Reason.LOST, message="gone"))
    plan = reconcile(an_observation(search, *BASELINES, candidate, children=[lost]), T0 + 101)
    again = named(plan)
    assert again.status.order is not None
    assert again.status.order.name == "s-0002-propose-a2"
    later = after(plan, search)
    plan = reconcile(an_observation(later, *BASELINES, again, children=[with_an_idea(again)]), T0 + 200)
    building = named(plan).status.order
    assert building is not None
    assert building.name == PAIR[1]


def test_what_is_settled_is_free_for_others_once_that_is_written() -> None:
    two = Agents(parallelism=1, order_cost=OrderCost(tokens=100))
    search = a_search(ladder=(GATES, RECALL), agents=two, budget=Budget(candidates=2, tokens=190))
    first, second = (a_candidate(n, phase="Proposing", code=None) for n in (2, 3))
    plan = reconcile(an_observation(search, *BASELINES, first, second), T0 + 100)
    search, first = after(plan, search), named(plan)
    vetoed = first.metadata.model_copy(update={"annotations": {VETO: "true"}})
    first = first.model_copy(update={"metadata": vetoed})
    seen = an_observation(search, *BASELINES, first, second, children=[with_an_idea(first)])
    plan = reconcile(seen, T0 + 101)
    assert named(plan).name == first.name
    assert after(plan, search).status.phase == "Running"
    plan = reconcile(an_observation(after(plan, search), *BASELINES, named(plan), second), T0 + 102)
    order = named(plan).status.order
    assert order is not None
    assert order.name == "s-0003-propose-a1"


def test_nobody_who_waits_gets_nothing_since_another_was_promised_more() -> None:
    three = Agents(parallelism=3, order_cost=OrderCost(tokens=100))
    search = a_search(ladder=(GATES, RECALL), agents=three, budget=Budget(candidates=3, tokens=300))
    waiting = [a_candidate(n, phase="Proposing", code=None) for n in (2, 3, 4)]
    plan = reconcile(an_observation(search, *BASELINES, *waiting), T0 + 100)
    assert set(after(plan, search).status.reservations) == {f"s-000{n}-propose-a1" for n in (2, 3, 4)}


def next_after(search: ArchitectureSearch) -> tuple[Plan, ArchitectureSearch]:
    """What becomes of a promised order when its turn has come, of a search as somebody has edited it since."""
    before, candidate = proposed(searching(tokens=200))
    edited = search.model_copy(update={"status": before.status})
    seen = an_observation(edited, *BASELINES, candidate, children=[with_an_idea(candidate)])
    plan = reconcile(seen, T0 + 101)
    return plan, after(plan, edited)


def test_a_budget_that_was_lowered_holds_for_what_was_promised() -> None:
    plan, _ = next_after(searching(tokens=120))
    assert named(plan).status.order is None


def test_an_order_that_costs_more_by_now_is_reserved_anew_before_it_is_named() -> None:
    dearer = Agents(parallelism=1, order_cost=OrderCost(tokens=130))
    search = a_search(ladder=(GATES, RECALL), agents=dearer, budget=Budget(candidates=1, tokens=230))
    plan, later = next_after(search)
    assert isinstance(plan.statuses[0], SearchWrite)
    assert later.status.reservations[PAIR[1]].tokens == 130


def test_what_a_suspended_search_was_promised_stays_reserved_and_isnt_started() -> None:
    plan, later = next_after(searching(tokens=200, suspend=True))
    assert (named(plan).status.order, plan.actions) == (None, ())
    assert set(later.status.reservations) == set(PAIR)


@pytest.mark.parametrize(
    ("price", "reservations", "most"),
    [(100, {PAIR[0]: Cost(tokens=100)}, 100), (130, {PAIR[0]: Cost(tokens=100)}, 100), (130, {}, 130)],
    ids=["reserved", "reserved-at-an-older-price", "not-seen-to-be-reserved"],
)
def test_an_agents_order_costs_no_more_than_it_could(
    price: int, reservations: dict[str, Cost], most: int
) -> None:
    agents = Agents(parallelism=1, order_cost=OrderCost(tokens=price))
    status = SearchStatus(started_at=timestamp(T0), reservations=reservations)
    search = a_search(ladder=(GATES, RECALL), agents=agents, budget=Budget(candidates=1), status=status)
    _, candidate = proposed(searching())
    child = with_an_idea(candidate, Cost(tokens=10**9, usd=1e6, seconds=1e6, gpu_seconds=1e6))
    plan = reconcile(an_observation(search, *BASELINES, candidate, children=[child]), T0 + 101)
    assert named(plan).status.cost == Cost(tokens=most)


def paused(candidate: Candidate) -> Candidate:
    """A candidate that somebody holds."""
    metadata = candidate.metadata.model_copy(update={"annotations": {PAUSE: "true"}})
    return candidate.model_copy(update={"metadata": metadata})


def test_what_a_paused_candidate_was_promised_goes_to_those_who_wait() -> None:
    search, first = proposed(searching(tokens=200))
    second = a_candidate(3, phase="Proposing", code=None)
    seen = an_observation(search, *BASELINES, paused(first), second, children=[with_an_idea(first)])
    plan = reconcile(seen, T0 + 101)
    held = named(plan)
    assert (held.status.reason, after(plan, search).status.phase) == (Reason.PAUSED, "Running")
    plan = reconcile(an_observation(after(plan, search), *BASELINES, held, second), T0 + 102)
    order = named(plan).status.order
    assert order is not None
    assert order.name == "s-0003-propose-a1"
    assert set(after(plan, search).status.reservations) == {"s-0003-propose-a1"}


@pytest.mark.parametrize("fresh", [True, False])
def test_what_was_promised_before_a_pause_is_reserved_anew_after_it_whoever_knows_of_it(
    *, fresh: bool
) -> None:
    search, first = proposed(searching(tokens=200))
    seen = an_observation(search, *BASELINES, paused(first), children=[with_an_idea(first)])
    held = named(reconcile(seen, T0 + 101))
    taken = after(reconcile(an_observation(search, *BASELINES, held), T0 + 102), search)
    assert taken.status.reservations == {}
    goes_on = held.model_copy(update={"metadata": first.metadata})
    plan = reconcile(an_observation(taken if fresh else search, *BASELINES, goes_on), T0 + 103)
    reserved = after(plan, search).status.reservations
    order = named(plan).status.order
    assert order is not None
    assert order.name in reserved
    assert order.name not in PAIR
    assert isinstance(plan.statuses[0], SearchWrite)


@pytest.mark.parametrize(("approval", "rungs"), [(False, {"gates", "recall"}), (True, {"gates"})])
def test_nothing_is_reserved_for_what_wants_a_persons_word_first(*, approval: bool, rungs: set[str]) -> None:
    ladder = (GATES, RECALL.model_copy(update={"approval": approval}))
    gated = a_candidate(2, phase="Evaluating", rung=0)
    search = a_search(ladder=ladder, budget=Budget(candidates=1))
    plan = reconcile(an_observation(search, *BASELINES, gated), T0 + 100)
    reserved = after(plan, search).status.reservations
    assert set(reserved) == {f"s-0002-train-{rung}-a1" for rung in rungs}


@pytest.mark.parametrize(("tokens", "named"), [(0, {"s-0003-train-recall-a1"}), (None, PAIR_AND_TRAINING)])
def test_who_needs_nothing_of_what_is_short_goes_on(tokens: int | None, named: set[str]) -> None:
    """What is left of a budget waits for whoever came first; who needs none of it isn't kept waiting."""
    first = a_candidate(2, phase="Proposing", code=None)
    second = a_candidate(3, phase="Evaluating", rung=1, scores={"gates": None})
    plan = reconcile(an_observation(searching(tokens=tokens), *BASELINES, first, second), T0 + 100)
    orders = {w.status.order.name for w in plan.statuses if isinstance(w, CandidateWrite) and w.status.order}
    assert orders == named


def test_a_budget_that_was_cut_below_what_is_spent_stops_only_what_needs_it() -> None:
    spec = searching(tokens=10)
    first = a_candidate(2, phase="Proposing", code=None)
    second = a_candidate(3, phase="Evaluating", rung=1, scores={"gates": None})
    granted = orders.grant(spec, (first, second), Cost(tokens=50), {}, T0)
    assert set(granted.orders) == {"s-0003"}
    assert granted.short == ("tokens",)
    assert orders.grant(spec, (second,), Cost(tokens=50), {}, T0).short == ("tokens",)


def test_a_search_whose_budget_is_short_goes_on_while_somebody_rests_who_needs_none_of_it() -> None:
    first = a_candidate(2, phase="Proposing", code=None)
    resting = a_candidate(3, phase="Evaluating", rung=1, scores={"gates": None})
    later = {"lost": 2, "retry_at": timestamp(T0 + 104)}
    resting = resting.model_copy(update={"status": resting.status.model_copy(update=later)})
    search = searching(tokens=0)
    assert (
        after(reconcile(an_observation(search, *BASELINES, first, resting), T0 + 100), search).status.phase
        == "Running"
    )
    for others in ((), (paused(resting),)):
        plan = reconcile(an_observation(search, *BASELINES, first, *others), T0 + 100)
        assert after(plan, search).status.reason == Reason.BUDGET_EXHAUSTED
        assert after(plan, search).status.phase == "Complete"


def test_a_search_ends_whose_yardstick_cant_be_measured_though_others_would_cost_nothing() -> None:
    dear = RECALL.model_copy(update={"resources": {"nvidia.com/gpu": 8}})
    search = a_search(ladder=(GATES, dear), budget=Budget(candidates=1, gpu_hours="0.001"))
    yardstick = a_candidate(0, origin="Baseline", phase="Evaluating", rung=1, scores={"gates": None})
    other = a_candidate(1, origin="Baseline", phase="Evaluating", rung=0)
    status = after(reconcile(an_observation(search, yardstick, other), T0 + 100), search).status
    assert (status.phase, status.reason) == ("Complete", Reason.BUDGET_EXHAUSTED)


def test_what_is_left_of_a_budget_waits_for_whoever_came_first() -> None:
    """The first needs more of it than there is: nobody after it takes the rest."""
    dear = RECALL.model_copy(update={"resources": {"nvidia.com/gpu": 8}})
    cheap = GATES.model_copy(update={"resources": {"nvidia.com/gpu": 1}})
    hours = budget.training_cost(dear, budget.limit(searching().spec, "train", dear)).gpu_seconds / 3600
    spec = a_search(ladder=(cheap, dear), budget=Budget(candidates=2, gpu_hours=f"{hours * 0.9:.6f}"))
    first = a_candidate(2, phase="Evaluating", rung=1, scores={"gates": None})
    second = a_candidate(3, phase="Evaluating", rung=0)
    third = a_candidate(4, phase="Analyzing", scores={"gates": None, "recall": 0.5}, rung=1)
    granted = orders.grant(spec, (first, second, third), Cost(), {}, T0)
    assert set(granted.orders) == {"s-0004"}
    assert granted.short == ("gpuHours",)


def test_a_promise_without_its_first_order_is_none() -> None:
    status = SearchStatus(reservations={PAIR[1]: Cost(tokens=100)})
    again = a_candidate(2, phase="Proposing", lost=1)
    assert orders.promised(searching(status=status), [again]) == {}


def test_a_search_that_ends_takes_promises_back_behind_a_fence() -> None:
    status = SearchStatus(phase="Running", started_at=timestamp(T0), reservations={PAIR[1]: Cost(tokens=100)})
    over = searching(status=status, stop=Stop(deadline=timestamp(T0)))
    building = a_candidate(2, phase="Building", code=None)
    plan = reconcile(an_observation(over, *BASELINES, building), T0 + 100)
    fence, end = plan.statuses
    assert isinstance(fence, CandidateWrite)
    assert fence.candidate == building
    assert fence.status.message.startswith("The search ended before the next order")
    assert isinstance(end, SearchWrite)
    assert (end.status.phase, end.status.reservations) == ("Complete", {})


def test_an_ended_search_with_nothing_promised_writes_no_fence() -> None:
    status = SearchStatus(phase="Running", started_at=timestamp(T0))
    over = searching(status=status, stop=Stop(deadline=timestamp(T0)))
    plan = reconcile(an_observation(over, *BASELINES, a_candidate(2, phase="Building", code=None)), T0 + 100)
    assert [type(write) for write in plan.statuses] == [SearchWrite]


def test_a_search_reserves_at_most_two_orders_for_each_slot_and_leaves_none() -> None:
    world = SimulatedWorld(a_search(candidates=6, parallelism=2, ladder=(GATES, RECALL)))
    most = 0
    while not asyncio.run(turn(world, "s", world.now)).idle or world.next_end():
        check_always(world)
        most = max(most, len(world.search.status.reservations))
    check_ended(world)
    lanes = search_lanes(world.search)
    assert lanes < most <= 2 * (2 + 2)


def search_lanes(search: ArchitectureSearch) -> int:
    """How many candidates have an order at a time, at most."""
    return search.spec.agents.parallelism + search.spec.evaluation.parallelism - 1
