"""What people say by annotations, driven through simulated worlds: pause, retry, veto, approve."""

import asyncio

from asiarch.api.candidate import Candidate
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.core.reconcile import reconcile
from asiarch.loop import turn
from tests.builders import GATES, RECALL, a_search
from tests.invariants import check_always, check_ended
from tests.worlds import SimulatedWorld, lineage, played

GUARDED = RECALL.model_copy(update={"name": "dear", "approval": True})


def driven(world: SimulatedWorld) -> SimulatedWorld:
    """The world once its search has come to rest."""
    asyncio.run(world.drive())
    return world


def turned(world: SimulatedWorld) -> None:
    """Take one turn."""
    asyncio.run(turn(world, "s", world.now))


def driven_to(world: SimulatedWorld, name: str) -> Candidate:
    """Take turns until a candidate's order is under way."""
    while name not in world.candidates or world.candidates[name].status.order is None:
        plan = asyncio.run(turn(world, "s", world.now))
        assert not plan.idle or world.next_end(), f"{name} never had an order"
    turned(world)
    return world.candidates[name]


def test_a_paused_search_starts_nothing_and_goes_on_where_it_was() -> None:
    undisturbed = driven(SimulatedWorld(a_search(candidates=3)))
    world = SimulatedWorld(a_search(candidates=3))
    driven_to(world, "s-0001")
    world.annotate("s", pause="true")
    driven(world)
    check_always(world)
    assert (world.search.status.phase, world.search.status.reason) == ("Suspended", Reason.PAUSED)
    world.annotate("s", pause="false")
    driven(world)
    check_ended(world)
    assert lineage(world) == lineage(undisturbed)


def test_a_paused_candidate_gets_no_new_order_and_holds_up_nobody() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    driven_to(world, "s-0002")
    world.annotate("s-0002", pause="true")
    driven(world)
    check_always(world)
    paused = world.candidates["s-0002"].status
    assert (paused.order, paused.reason) == (None, Reason.PAUSED)
    assert "asiarch.dev/pause" in paused.message
    assert world.search.status.counts.live == 1
    assert world.search.status.phase == "Running"
    world.annotate("s-0002", pause="false")
    driven(world)
    check_ended(world)
    assert world.candidates["s-0002"].status.message == ""


def test_a_paused_candidate_in_repair_keeps_the_reason_of_its_repair() -> None:
    def broken(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.candidate != "s-0002" or order.kind != "train":
            return results
        return (results[0].model_copy(update={"reason": Reason.WRONG_SHAPE, "message": "line 3"}),)

    world = SimulatedWorld(a_search(candidates=1), play=broken)
    driven_to(world, "s-0002")
    while (order := world.candidates["s-0002"].status.order) is None or order.kind != "train":
        assert world.next_end()
        turned(world)
    world.annotate("s-0002", pause="true")
    driven(world)
    status = world.candidates["s-0002"].status
    assert (status.phase, status.reason, status.message) == ("Repairing", Reason.WRONG_SHAPE, "line 3")


def test_a_retry_stops_the_order_and_tries_the_step_anew_once_for_each_value() -> None:
    world = SimulatedWorld(a_search(candidates=1))
    before = driven_to(world, "s-0002").status.order
    assert before is not None
    world.annotate("s-0002", retry="today")
    turned(world)
    assert world.stopped == [before.name]
    turned(world)
    after = world.candidates["s-0002"].status
    assert after.order is not None
    assert (after.order.attempt, after.retried, after.excused) == (2, "today", 1)
    driven(world)
    check_ended(world)
    assert world.stopped == [before.name]


def test_a_retry_of_a_candidate_that_waits_or_has_ended_stops_nothing() -> None:
    world = SimulatedWorld(a_search(candidates=2))
    world.annotate("s", pause="true")
    driven(world)
    world.annotate("s-0000", retry="early")
    driven(world)
    assert world.candidates["s-0000"].status.retried == "early"
    world.annotate("s", pause="false")
    driven(world)
    writes = world.writes
    world.annotate("s-0003", retry="late")
    driven(world)
    assert (world.stopped, world.writes) == ([], writes)
    assert world.candidates["s-0003"].status.retried == ""


def test_a_retry_of_a_step_that_waits_after_lost_attempts_tries_it_at_once() -> None:
    def gone(order: Order) -> tuple[Result, ...]:
        if order.kind != "train" or order.attempt > 8:
            return played(order)
        return (Result(order=order.name, attempt=order.attempt, reason=Reason.NODE_LOST, message="gone"),)

    world = SimulatedWorld(a_search(candidates=1), play=gone)
    while "s-0000" not in world.candidates or world.candidates["s-0000"].status.lost < 8:
        asyncio.run(world.drive(turns=1))
    assert world.candidates["s-0000"].status.retry_at is not None
    world.annotate("s-0000", retry="the node is back")
    turned(world)
    status = world.candidates["s-0000"].status
    assert status.order is not None
    assert (status.order.attempt, status.retried, status.retry_at) == (9, "the node is back", None)
    driven(world)
    check_ended(world)


def test_ever_new_retries_are_no_sign_of_failure() -> None:
    world = SimulatedWorld(a_search(candidates=1))
    driven_to(world, "s-0002")
    for value in range(30):
        world.annotate("s-0002", retry=f"{value}")
        turned(world)
        turned(world)
    order = world.candidates["s-0002"].status.order
    assert order is not None
    assert order.attempt == 31
    driven(world)
    check_ended(world)
    assert world.candidates["s-0002"].status.phase == "Complete"


def test_a_vetoed_candidate_ends_once_its_order_has() -> None:
    world = SimulatedWorld(a_search(candidates=2))
    order = driven_to(world, "s-0002").status.order
    assert order is not None
    world.annotate("s-0002", veto="reads the labels")
    driven(world)
    check_ended(world)
    status = world.candidates["s-0002"].status
    assert (status.phase, status.reason) == ("Rejected", Reason.VETOED)
    assert world.stopped == [order.name]


def test_a_veto_on_one_that_waits_takes_it_out_at_once_and_charges_what_was_used() -> None:
    world = SimulatedWorld(a_search(candidates=2))
    order = driven_to(world, "s-0000").status.order
    assert order is not None
    world.annotate("s-0000", veto="true")
    world.now += 30
    driven(world)
    assert world.candidates["s-0000"].status.cost.seconds == 30
    assert (world.search.status.phase, world.search.status.reason) == ("Failed", Reason.BASELINE_FAILED)
    waiting = SimulatedWorld(a_search(candidates=1, suspend=True))
    driven(waiting)
    waiting.annotate("s-0001", veto="true")
    driven(waiting)
    assert waiting.candidates["s-0001"].status.phase == "Rejected"
    assert waiting.ran == []


def test_a_finished_candidate_that_is_vetoed_never_leads_and_never_breeds() -> None:
    world = driven(SimulatedWorld(a_search(candidates=6)))
    best = world.search.status.best
    assert best is not None
    before = len(world.candidates)
    world.annotate(best.candidate, veto="true")
    budget = world.search.spec.budget.model_copy(update={"candidates": 30})
    spec = world.search.spec.model_copy(update={"budget": budget})
    world.search = world.search.model_copy(update={"spec": spec})
    driven(world)
    check_ended(world)
    assert world.search.status.best is not None
    assert world.search.status.best.candidate != best.candidate
    younger = [c for c in world.candidates.values() if (c.status.ordinal or 0) >= before]
    assert younger
    assert not any(best.candidate in (*c.spec.parents, *c.spec.references) for c in younger)
    assert world.candidates[best.candidate].status.phase == "Complete"


def test_a_rung_that_wants_approval_is_climbed_by_those_approved_and_by_baselines() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3, ladder=(GATES, GUARDED))))
    check_always(world)
    waiting = world.candidates["s-0003"].status
    assert (waiting.order, waiting.reason) == (None, Reason.AWAITING_APPROVAL)
    assert "asiarch.dev/approve=dear" in waiting.message
    assert world.search.status.counts.proposed == 3
    assert world.candidates["s-0001"].status.phase == "Complete"
    assert asyncio.run(turn(world, "s", world.now)).idle
    for name, word in (("s-0002", "dear"), ("s-0003", "true"), ("s-0004", "gates")):
        world.annotate(name, approve=word)
    driven(world)
    phases = [world.candidates[name].status.phase for name in ("s-0002", "s-0003", "s-0004")]
    assert phases == ["Complete", "Complete", "Evaluating"]


def test_an_equal_observation_with_annotations_gives_an_equal_plan() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    driven_to(world, "s-0002")
    world.annotate("s-0002", retry="now", veto="true")
    seen = asyncio.run(world.observe("s"))
    assert reconcile(seen, world.now) == reconcile(seen, world.now)
