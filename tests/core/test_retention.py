"""What stays of finished candidates, and that a search goes on as well with the records of those that went."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from asiarch.api.base import timestamp
from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.search import Cost, Retention, Selection
from asiarch.core import report, retention
from asiarch.core.comparison import compare
from asiarch.core.context import context
from asiarch.core.observation import Observation, Traits
from asiarch.core.orders import order_of
from asiarch.core.reconcile import reconcile
from asiarch.loop import turn
from tests.builders import T0, a_candidate, a_search, an_observation
from tests.invariants import check_ended
from tests.worlds import SimulatedWorld

KEEPS_FEW = Traits(keeps_time=True, keeps_all=False)
FEW = Retention(keep_best=2, keep_finished=5)
SMALL = Selection(pool=2, parents=2)


def seen(
    candidates: Sequence[Candidate], retention: Retention = FEW, traits: Traits = KEEPS_FEW
) -> Observation:
    """An observation of a search that keeps few."""
    search = a_search(retention=retention, selection=SMALL)
    return replace(an_observation(search, *candidates), traits=traits)


def finished(count: int) -> list[Candidate]:
    """A baseline and so many proposals, of which the later ones are worse."""
    baseline = a_candidate(0, origin="Baseline", scores={"gates": None, "recall": 0.1})
    return [
        baseline,
        *(a_candidate(n, scores={"gates": None, "recall": 0.9 - n / 100}) for n in range(1, count)),
    ]


def test_nobody_goes_while_there_are_few() -> None:
    assert retention.removable(seen(finished(5)), T0) == ()


def test_the_oldest_go_first_and_the_best_and_the_baselines_stay() -> None:
    assert retention.removable(seen(finished(8)), T0) == ("s-0003", "s-0004", "s-0005")


def test_those_that_live_ones_build_on_stay() -> None:
    live = a_candidate(9, phase="Proposing", parents=("s-0004",), references=("s-0005",))
    parent = a_candidate(4, parents=("s-0003", "s-0099"), scores={"gates": None, "recall": 0.5})
    others = [c for c in finished(8) if c.name != "s-0004"]
    assert retention.removable(seen([*others, parent, live]), T0) == ("s-0006", "s-0007")


def test_what_is_pinned_stays() -> None:
    candidates = finished(8)
    metadata = candidates[3].metadata.model_copy(update={"annotations": {"asiarch.dev/pin": "true"}})
    candidates[3] = candidates[3].model_copy(update={"metadata": metadata})
    assert retention.removable(seen(candidates), T0) == ("s-0004", "s-0005", "s-0006")


def test_what_is_older_than_its_time_to_live_goes() -> None:
    kept = Retention(keep_best=1, keep_finished=100, ttl="60s")
    found = seen(finished(6), kept)
    assert retention.removable(found, T0 + 60 + 45) == ("s-0003",)
    assert retention.due(found, T0 + 60 + 44) == ()
    late = retention.wakes_at(found, T0 + 60 + 44)
    assert late == T0 + 39 + 66
    assert retention.due(found, late) == ("s-0003",)
    assert retention.wakes_at(found, T0 + 10**6) is None


def test_a_search_that_keeps_all_archives_nothing() -> None:
    found = seen(finished(30), FEW.model_copy(update={"ttl": "60s"}), Traits())
    assert retention.due(found, T0 + 10**6) == ()
    assert retention.resting(found, T0) == frozenset()
    assert retention.wakes_at(found, T0) is None


def test_archiving_waits_until_it_is_worth_a_write() -> None:
    kept = Retention(keep_best=1, keep_finished=30)
    assert retention.due(seen(finished(32), kept), T0) == ()
    assert len(retention.due(seen(finished(33), kept), T0)) == 3


def test_a_search_with_few_objects_ends_like_any_other() -> None:
    search = a_search(candidates=40, retention=FEW, selection=SMALL)
    world = SimulatedWorld(search, traits=KEEPS_FEW)
    asyncio.run(world.drive())
    check_ended(world)
    assert world.search.status.counts.proposed == 40
    assert len(world.archive) > 20
    assert len(world.candidates) <= 10
    assert len(world.records) == 42
    assert sorted(r.ordinal for r in world.records.values()) == list(range(42))
    best = world.search.status.best
    assert best is not None
    assert best.candidate in world.candidates
    assert asyncio.run(turn(world, "s", world.now)).idle


def test_an_archived_candidate_breeds_no_more() -> None:
    world = SimulatedWorld(a_search(candidates=30, retention=FEW, selection=SMALL), traits=KEEPS_FEW)
    while True:
        plan = asyncio.run(turn(world, "s", world.now))
        for candidate in world.candidates.values():
            if candidate.status.phase == "Proposing":
                assert not world.archive.keys() & {*candidate.spec.parents, *candidate.spec.references}
        if plan.idle and not world.next_end():
            break
    assert world.archive


def test_the_clock_wakes_a_search_whose_candidates_grow_old() -> None:
    kept = Retention(keep_best=1, keep_finished=100, ttl="1h")
    world = SimulatedWorld(a_search(candidates=6, retention=kept, selection=SMALL), traits=KEEPS_FEW)
    asyncio.run(world.drive())
    while (plan := reconcile(asyncio.run(world.observe("s")), world.now)).wake_after is not None:
        world.now += plan.wake_after
        asyncio.run(world.drive())
    proposals = [c for c in world.candidates.values() if c.spec.origin == "Proposed"]
    assert len(proposals) <= 2
    assert len(world.archive) >= 4


def without(found: Observation, *names: str) -> Observation:
    """The same observation once these candidates were archived."""
    return replace(found, candidates={n: c for n, c in found.candidates.items() if n not in names})


def test_an_analyst_is_told_of_the_siblings_that_are_there() -> None:
    me = a_candidate(9, phase="Analyzing", parents=("s-0001",))
    siblings = [a_candidate(n, parents=("s-0001",)) for n in (2, 3, 4)]
    found = without(an_observation(a_search(), a_candidate(1), *siblings, me), "s-0001", "s-0002")
    ref = OrderRef(name="s-0009-analyze-a1", kind="analyze", deadline=timestamp(T0))
    order = order_of(me, ref, found.search)
    assert context(order, found, str).siblings == ()
    found = without(an_observation(a_search(), a_candidate(1), *siblings, me), "s-0002")
    assert [e.candidate for e in context(order, found, str).siblings] == ["s-0003", "s-0004"]


def test_a_report_knows_of_archived_candidates_what_their_records_say() -> None:
    failed = a_candidate(8, phase="Failed", scores={}, message="boom")
    whole = an_observation(a_search(), *finished(8), failed)
    found = without(whole, "s-0002", "s-0008")
    assert [row.rank for row in report.leaderboard(found)] == [1, 3, 4, 5, 6, 7, 8]
    assert report.progress(found) == report.progress(whole)
    assert report.agreements(found) == report.agreements(whole)
    assert report.failures(found)[0].message == ""
    assert report.failures(whole)[0].message == "boom"
    assert compare(found).verdict(found).compared == compare(whole).verdict(whole).compared


def test_a_report_gives_the_cost_of_archived_candidates_a_row_of_its_own() -> None:
    dear = a_candidate(8, cost=Cost(seconds=70))
    whole = an_observation(a_search(), *finished(8), dear)
    parts = {row.part: row.cost.seconds for row in report.costs(without(whole, "s-0008"))}
    assert parts["archived candidates"] == 70
    assert "archived candidates" not in {row.part for row in report.costs(whole)}


def test_without_any_proposal_that_is_there_nothing_is_judged() -> None:
    whole = an_observation(a_search(), *finished(3))
    found = without(whole, "s-0001", "s-0002")
    assert compare(found).verdict(found).outcome == "Unmeasured"


def test_a_yardstick_that_somebody_deleted_ends_the_search() -> None:
    found = without(an_observation(a_search(), *finished(3)), "s-0000")
    gone = replace(found.records["s-0000"], phase="Failed", fitness=None, origin="Proposed")
    plan = reconcile(replace(found, records={**found.records, "s-0000": gone}), T0)
    (write,) = plan.statuses
    assert write.status.phase == "Failed"
