"""The whole decision, driven through simulated worlds: nothing is lost, doubled or overspent, whatever happens."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asiarch.api.base import decimal, timestamp
from asiarch.api.candidate import CandidateSpec
from asiarch.api.order import Finding, Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import Budget, Cost, FileSource, Fitness, Retention, Rung, Selection, Stop
from asiarch.core import chance, lifecycle
from asiarch.core.observation import Traits
from asiarch.core.reconcile import reconcile
from asiarch.loop import turn
from tests.builders import GATES, RECALL, T0, a_search
from tests.invariants import check_always, check_ended
from tests.worlds import CrashError, SimulatedWorld, lineage, played

ON_GPUS = Rung(name="big", task="SyntheticRecall", seeds=2, deadline="1h", resources={"nvidia.com/gpu": 4})


def driven(world: SimulatedWorld) -> SimulatedWorld:
    """The world once its search has come to rest."""
    asyncio.run(world.drive())
    return world


def restarted(world: SimulatedWorld) -> None:
    """Drive a world through crashes: each time it dies, what ran is lost and the same search goes on."""
    while True:
        try:
            asyncio.run(world.drive())
        except CrashError:
            world.crash_after = None
            world.forget_processes()
        else:
            return


def test_a_serial_search_measures_every_candidate_and_ends() -> None:
    world = driven(SimulatedWorld(a_search(candidates=8)))
    check_ended(world)
    assert world.search.status.reason == Reason.BUDGET_EXHAUSTED
    assert world.search.status.counts.proposed == 8
    assert world.search.status.counts.baselines == 2


def test_a_parallel_search_keeps_every_slot_of_its_lanes() -> None:
    world = driven(SimulatedWorld(a_search(candidates=30, parallelism=4)))
    check_ended(world)
    assert world.search.status.counts.proposed == 30


def test_equal_observations_give_equal_plans() -> None:
    world = SimulatedWorld(a_search(candidates=6))
    for _ in range(40):
        seen = asyncio.run(world.observe("s"))
        assert reconcile(seen, world.now) == reconcile(seen, world.now)
        plan = asyncio.run(turn(world, "s", world.now))
        if plan.idle:
            world.next_end()


def test_a_turn_on_an_unchanged_observation_plans_nothing() -> None:
    world = driven(SimulatedWorld(a_search(candidates=5)))
    writes = world.writes
    for later in (1.0, 3600.0, 10**7):
        plan = asyncio.run(turn(world, "s", world.now + later))
        assert plan.idle
    assert world.writes == writes


@pytest.mark.parametrize("traits", [Traits(), Traits(keeps_time=True, keeps_all=False)])
def test_a_crash_after_any_effect_changes_nothing_in_the_lineage(traits: Traits) -> None:
    search = a_search(candidates=4, ladder=(GATES, RECALL))
    expected = lineage(driven(SimulatedWorld(search)))
    effects = 0
    while True:
        world = SimulatedWorld(search, crash_after=effects, traits=traits)
        restarted(world)
        check_ended(world)
        assert lineage(world) == expected, f"crash after effect {effects}"
        if world.crash_after is not None:
            break
        effects += 1
    assert effects > 70


REPAIRABLE = sorted(lifecycle.BROKEN)
ENDS = [None, None, None, *REPAIRABLE, Reason.CAUSALITY_VIOLATION, Reason.LOST, Reason.DATASET_INVALID]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=st.integers(0, 10**6),
    parallelism=st.integers(1, 5),
    candidates=st.integers(1, 12),
    gpu_hours=st.one_of(st.none(), st.integers(0, 300)),
    crashes=st.lists(st.integers(0, 60), max_size=4),
    traits=st.sampled_from([Traits(), Traits(keeps_time=True, keeps_all=False)]),
)
def test_any_order_of_results_failures_repeats_and_lost_effects_keeps_the_invariants(
    faults: int, parallelism: int, candidates: int, gpu_hours: int | None, crashes: list[int], traits: Traits
) -> None:
    def faulty(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.candidate == "s-0000":
            return results
        reason = chance.draw(ENDS, None, f"{faults}/{order.name}")
        if order.kind != "train" and reason is not None:
            reason = Reason.AGENT_FAILED if chance.uniform(f"{faults}/{order.name}/agent") < 0.3 else None
        cost = Cost(seconds=min(3000, order.seconds))
        return tuple(r.model_copy(update={"reason": reason, "cost": cost}) for r in results)

    def lasts(order: Order) -> float:
        return 1 + 100 * chance.uniform(f"{faults}/{order.name}/lasts")

    hours = None if gpu_hours is None else decimal(gpu_hours)
    search = a_search(
        candidates=candidates,
        parallelism=parallelism,
        ladder=(GATES, ON_GPUS) if faults % 2 else (GATES, RECALL, ON_GPUS),
        budget=Budget(candidates=candidates, gpu_hours=hours),
        selection=Selection(pool=2, parents=2),
        retention=Retention(keep_best=2, keep_finished=3),
    )
    world = SimulatedWorld(search, play=faulty, lasts=lasts, traits=traits)
    for crash in crashes:
        world.crash_after = crash
        try:
            asyncio.run(world.drive())
        except CrashError:
            world.forget_processes()
        check_always(world)
    world.crash_after = None
    asyncio.run(world.drive())
    check_always(world)
    if hours is None:
        check_ended(world)
    plan = asyncio.run(turn(world, "s", world.now))
    assert plan.idle


def test_a_user_s_candidate_joins_after_the_baselines() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    world.create("mine", CandidateSpec(search_name="s", origin="User", idea="Use two decays.", seed=1))
    driven(world)
    check_ended(world)
    mine = world.candidates["mine"].status
    assert (mine.ordinal, mine.phase) == (2, "Complete")


def test_a_candidate_whose_parent_is_not_earlier_is_refused() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    world.create("a", CandidateSpec(search_name="s", origin="User", idea="x", parents=("b",)))
    world.create("b", CandidateSpec(search_name="s", origin="User", idea="y", parents=("a",)))
    driven(world)
    check_ended(world)
    assert world.candidates["a"].status.reason == Reason.INVALID_PARENT
    assert world.candidates["b"].status.phase == "Complete"


def test_a_name_that_a_user_took_is_not_taken_again() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    world.create("s-0003", CandidateSpec(search_name="s", origin="User", idea="mine"))
    driven(world)
    check_ended(world)
    assert "s-0003x" in world.candidates


def test_a_suspended_search_starts_nothing() -> None:
    world = driven(SimulatedWorld(a_search(candidates=3, suspend=True)))
    assert world.ran == []
    assert world.search.status.phase == "Suspended"


def test_a_failed_yardstick_ends_the_search_at_once() -> None:
    def broken(order: Order) -> tuple[Result, ...]:
        return tuple(
            r.model_copy(update={"reason": Reason.DIVERGED, "message": "boom"}) for r in played(order)
        )

    world = driven(SimulatedWorld(a_search(candidates=3), play=broken))
    assert (world.search.status.phase, world.search.status.reason) == ("Failed", Reason.BASELINE_FAILED)
    assert "s-0000" in world.search.status.message
    assert len(world.ran) == 1


def test_a_spent_gpu_budget_stops_before_it_is_overshot_and_a_raise_goes_on() -> None:
    def dear(order: Order) -> tuple[Result, ...]:
        return tuple(r.model_copy(update={"cost": Cost(seconds=3500)}) for r in played(order))

    search = a_search(candidates=4, ladder=(GATES, ON_GPUS), budget=Budget(candidates=4, gpu_hours="20"))
    world = driven(SimulatedWorld(search, play=dear))
    check_always(world)
    assert world.search.status.reason == Reason.BUDGET_EXHAUSTED
    assert "spec.budget.gpuHours" in world.search.status.message
    raised = world.search.spec.model_copy(update={"budget": Budget(candidates=4, gpu_hours="2000")})
    world.search = world.search.model_copy(update={"spec": raised})
    driven(world)
    check_ended(world)
    assert world.search.status.counts.proposed == 4


def test_a_lost_order_is_charged_for_all_its_seeds_since_it_was_named() -> None:
    def lost_once(order: Order) -> tuple[Result, ...]:
        if order.candidate != "s-0001" or order.rung != ON_GPUS or order.attempt > 1:
            return played(order)
        return (Result(order=order.name, attempt=1, reason=Reason.LOST, message="node gone"),)

    def lasts(order: Order) -> float:
        return 5000.0 if order.rung == ON_GPUS else 1.0

    world = driven(
        SimulatedWorld(a_search(candidates=1, ladder=(GATES, ON_GPUS)), play=lost_once, lasts=lasts)
    )
    check_ended(world)
    cost = world.candidates["s-0001"].status.cost
    assert cost.gpu_seconds == pytest.approx(4 * (5000 + 2 * 7))


def test_a_target_ends_the_search_early() -> None:
    world = driven(SimulatedWorld(a_search(candidates=40, stop=Stop(target_fitness="0.6"))))
    check_ended(world)
    assert world.search.status.reason == Reason.TARGET_REACHED
    assert world.search.status.counts.proposed < 40


def test_patience_ends_the_search_early() -> None:
    world = driven(SimulatedWorld(a_search(candidates=60, stop=Stop(patience=5))))
    check_ended(world)
    assert world.search.status.reason == Reason.PATIENCE_EXHAUSTED


def test_a_search_whose_time_is_over_starts_nothing_more_and_loses_nothing() -> None:
    world = driven(SimulatedWorld(a_search(candidates=500, budget=Budget(candidates=500, wall_clock="10m"))))
    check_always(world)
    assert world.search.status.reason == Reason.BUDGET_EXHAUSTED
    assert world.search.status.counts.proposed < 500
    assert world.now < T0 + 700


def test_an_order_that_outlives_its_deadline_is_stopped() -> None:
    world = SimulatedWorld(a_search(candidates=1))
    while not world.stopped:
        plan = asyncio.run(turn(world, "s", world.now))
        if plan.idle:
            assert plan.wake_after is not None
            world.now += plan.wake_after
    assert world.stopped == ["s-0000-train-gates-a1"]


def test_an_order_named_but_never_started_by_its_deadline_is_tried_again() -> None:
    world = SimulatedWorld(a_search(candidates=1))
    while not any(c.status.order for c in world.candidates.values()):
        plan = reconcile(asyncio.run(world.observe("s")), world.now)
        asyncio.run(world.commit(plan.statuses))
        if not any(c.status.order for c in world.candidates.values()):
            asyncio.run(world.carry_out(plan.actions))
    world.now += 10**5
    driven(world)
    check_ended(world)
    assert ("s-0000-train-gates-a2", 2) in world.ran


def test_a_step_that_is_lost_again_and_again_is_given_up() -> None:
    def always_lost(order: Order) -> tuple[Result, ...]:
        if order.candidate != "s-0001":
            return played(order)
        return (Result(order=order.name, attempt=order.attempt, reason=Reason.LOST, message="node gone"),)

    world = driven(SimulatedWorld(a_search(candidates=1), play=always_lost))
    check_ended(world)
    assert world.candidates["s-0001"].status.reason == Reason.INFRASTRUCTURE_FAILED
    assert sum(1 for order, _ in world.ran if order.startswith("s-0001")) == lifecycle.MAX_LOST


def test_a_duplicate_never_reaches_training() -> None:
    def one_file(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.kind != "build":
            return results
        writing = results[0].writing
        assert writing is not None
        return (results[0].model_copy(update={"writing": writing.model_copy(update={"text": "the same"})}),)

    world = driven(SimulatedWorld(a_search(candidates=3), play=one_file))
    check_ended(world)
    rejected = [c for c in world.candidates.values() if c.status.reason == Reason.DUPLICATE]
    assert len(rejected) == 2
    trained = {order.rpartition("-train")[0] for order, _ in world.ran if "-train-" in order}
    assert not trained & {c.name for c in rejected}
    assert all(c.status.resamples == 3 for c in rejected)


def test_a_metric_that_gives_no_fitness_rejects_the_candidate() -> None:
    def without_loss(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.candidate != "s-0001" or results[0].measurement is None:
            return results
        return tuple(
            r.model_copy(update={"measurement": r.measurement.model_copy(update={"loss": None})})
            for r in results
            if r.measurement is not None
        )

    search = a_search(candidates=1, fitness=Fitness(policy="AsiArch"))
    world = driven(SimulatedWorld(search, play=without_loss))
    check_ended(world)
    assert world.candidates["s-0001"].status.reason == Reason.IMPLAUSIBLE_METRIC


def test_an_agent_that_ends_early_fails_its_candidate_with_what_it_said() -> None:
    def late(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.kind != "propose":
            return results
        return (results[0].model_copy(update={"reason": Reason.DEADLINE_EXCEEDED, "message": "Too slow."}),)

    world = driven(SimulatedWorld(a_search(candidates=1), play=late))
    check_ended(world)
    failed = world.candidates["s-0002"].status
    assert (failed.phase, failed.reason, failed.message) == (
        "Failed",
        Reason.AGENT_FAILED,
        "DeadlineExceeded: Too slow.",
    )


def test_an_analysis_without_a_claim_teaches_no_lesson() -> None:
    def brief(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.kind != "analyze":
            return results
        return (results[0].model_copy(update={"finding": Finding(analysis="No parent.")}),)

    world = driven(SimulatedWorld(a_search(candidates=1), play=brief))
    status = world.candidates["s-0002"].status
    assert (status.phase, status.analysis, status.lesson) == ("Complete", "No parent.", None)


def test_a_failed_analysis_leaves_the_candidate_measured() -> None:
    def mute(order: Order) -> tuple[Result, ...]:
        results = played(order)
        return results if order.kind != "analyze" else (results[0].model_copy(update={"finding": None}),)

    world = driven(SimulatedWorld(a_search(candidates=1), play=mute))
    status = world.candidates["s-0002"].status
    assert status.phase == "Complete"
    assert status.fitness is not None
    assert status.analysis.startswith("Not explained")


def test_a_finished_file_of_a_user_is_measured_and_never_repaired() -> None:
    def broken(order: Order) -> tuple[Result, ...]:
        results = played(order)
        if order.candidate != "mine":
            return results
        return tuple(r.model_copy(update={"reason": Reason.CODE_ERROR, "message": "line 3"}) for r in results)

    world = SimulatedWorld(a_search(candidates=1), play=broken)
    source = FileSource(file="mine.py")
    world.create("mine", CandidateSpec(search_name="s", origin="User", source=source))
    driven(world)
    check_ended(world)
    assert world.candidates["mine"].status.reason == Reason.CODE_ERROR
    assert not any("mine-repair" in order for order, _ in world.ran)


def test_a_candidate_whose_file_is_not_stored_yet_waits() -> None:
    world = SimulatedWorld(a_search(candidates=1))
    world.create("mine", CandidateSpec(search_name="s", origin="User", source=FileSource(file="mine.py")))
    world.sources.clear()
    driven(world)
    assert world.candidates["mine"].status.phase == "Pending"


def test_a_candidate_that_waits_for_its_file_keeps_no_other_waiting() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    world.create("mine", CandidateSpec(search_name="s", origin="User", source=FileSource(file="mine.py")))
    world.sources.clear()
    driven(world)
    assert [c.status.phase for c in world.candidates.values() if c.spec.origin == "Proposed"] == [
        "Complete"
    ] * 2


def test_nothing_starts_after_the_deadline_of_the_search() -> None:
    stop = Stop(deadline=timestamp(T0 + 100))
    world = driven(SimulatedWorld(a_search(candidates=500, stop=stop)))
    assert world.search.status.reason == Reason.BUDGET_EXHAUSTED
    assert world.now < T0 + 200
