"""What is kept of candidates that somebody deleted."""

from dataclasses import replace

import pytest

from asiarch.api.candidate import OrderRef, Phase
from asiarch.api.reason import Reason
from asiarch.api.search import Cost, Counts, SearchStatus
from asiarch.core.observation import Record, record
from asiarch.kube.gone import lost
from tests.builders import a_candidate, a_search

SPENT = Cost(seconds=30.0)


def records(*found: Record) -> dict[str, Record]:
    return {r.name: r for r in found}


def a_record(ordinal: int, **fields: object) -> Record:
    made = record(a_candidate(max(ordinal, 0), **fields))  # type: ignore[arg-type]
    return replace(made, ordinal=ordinal)


def counted(baselines: int, proposed: int) -> SearchStatus:
    return SearchStatus(counts=Counts(baselines=baselines, proposed=proposed), cost=SPENT)


def test_nothing_is_lost_while_all_are_there() -> None:
    there = records(a_record(0), a_record(1), a_record(2))
    assert lost(a_search(status=counted(2, 1)), there, there, {}) == []


def test_one_that_was_seen_keeps_its_end_its_file_and_its_parents_but_leads_no_more() -> None:
    gone = a_record(2, parents=("s-0001",), name="mine", origin="User", cost=SPENT)
    there = records(a_record(0), a_record(1))
    (found,) = lost(a_search(status=counted(2, 1)), there, {**there, "mine": gone}, {})
    assert (found.name, found.phase, found.reason) == ("mine", "Complete", Reason.DELETED)
    assert (found.parents, found.digest, found.cost) == (gone.parents, gone.digest, gone.cost)
    assert not found.functional


def test_one_that_was_at_work_has_failed() -> None:
    gone = a_candidate(2, phase="Building")
    there = records(a_record(0), a_record(1), a_record(3))
    (found,) = lost(a_search(), there, {**there, gone.name: record(gone)}, {gone.name: gone})
    assert (found.phase, found.ordinal) == ("Failed", 2)


@pytest.mark.parametrize(
    ("phase", "end", "wanted"),
    [
        ("Analyzing", "complete", "Complete"),
        ("Evaluating", "rejected", "Rejected"),
        (None, "complete", "Complete"),
        (None, "rejected", "Rejected"),
        ("Building", "complete", "Failed"),
        ("Failed", "complete", "Failed"),
    ],
)
def test_one_has_ended_as_its_search_counted_if_it_can_have(
    phase: Phase | None, end: str, wanted: str
) -> None:
    """The search's counts were written, and it was deleted before its own end was."""
    there = records(a_record(0), a_record(1), a_record(3, phase="Rejected"))
    gone = {} if phase is None else records(a_record(2, phase=phase))
    counts = Counts(**{"baselines": 2, "proposed": 2, "complete": 2, "rejected": 1, "failed": 0} | {end: 3})
    (found,) = lost(a_search(status=SearchStatus(counts=counts)), there, {**there, **gone}, {})
    assert (found.ordinal, found.phase, found.reason, found.functional) == (2, wanted, Reason.DELETED, False)


def test_the_yardstick_has_failed_though_it_was_measured() -> None:
    gone = a_record(0, origin="Baseline")
    there = records(a_record(1))
    (found,) = lost(a_search(), there, {**there, gone.name: gone}, {})
    assert found.phase == "Failed"


def test_one_that_nobody_saw_has_what_was_spent_on_it() -> None:
    there = records(a_record(0, cost=Cost(seconds=10.0)), a_record(1, cost=Cost(seconds=5.0)))
    first, second = lost(a_search(status=counted(2, 2)), there, {}, {})
    assert (first.name, first.reason, first.cost) == ("s-0002", Reason.DELETED, Cost(seconds=15.0))
    assert (second.name, second.cost) == ("s-0003", Cost())
    (baseline,) = lost(a_search(), records(a_record(0), a_record(2)), {}, {})
    assert baseline.origin == "Baseline"


def test_what_was_reserved_for_its_orders_is_booked_on_it_and_on_nobody_else() -> None:
    steps = ("train-gates-a1", "train-recall-a1")
    reserved = {f"{n}-{step}": SPENT for n in ("s-0002", "s-0002-b", "s-0001") for step in steps}
    there = records(a_record(0), a_record(1, phase="Evaluating"), a_record(3, name="s-0002-b"))
    search = a_search(status=SearchStatus(reservations=reserved, counts=Counts(baselines=2, proposed=2)))
    (found,) = lost(search, there, {}, {})
    assert found.cost == Cost(seconds=60.0)


@pytest.mark.parametrize(("order", "booked"), [("gates", 30.0), ("recall", 30.0), (None, 0.0)])
def test_of_one_that_was_seen_only_the_order_that_it_named_is_booked(
    order: str | None, booked: float
) -> None:
    reserved = {f"s-0002-train-{name}-a1": SPENT for name in ("gates", "recall")}
    name = f"s-0002-train-{order}-a1"
    ref = OrderRef(name=name, kind="train", attempt=1, deadline="2026-01-01T00:20:00Z") if order else None
    gone = a_candidate(2, phase="Evaluating", order=ref)
    there = records(a_record(0), a_record(1))
    search = a_search(status=SearchStatus(reservations=reserved))
    (found,) = lost(search, there, {**there, gone.name: record(gone)}, {gone.name: gone})
    assert found.cost == Cost(seconds=booked)


def test_what_one_had_cost_stays_though_another_bears_its_name_since() -> None:
    gone = a_record(2, name="mine", origin="User", phase="Analyzing", cost=SPENT)
    there = records(a_record(0), a_record(1), a_record(-1, name="mine", origin="User", phase="Pending"))
    search = a_search(status=SearchStatus(counts=Counts(baselines=2, proposed=2)))
    (found,) = lost(search, there, {**there, gone.name: gone}, {})
    assert (found.name, found.ordinal, found.cost) == ("s-0002", 2, SPENT)


def test_one_that_has_ended_is_booked_nothing_beyond_its_cost() -> None:
    gone = a_record(2, cost=SPENT)
    there = records(a_record(0), a_record(1))
    search = a_search(status=SearchStatus(reservations={"s-0002-analyze-a1": SPENT}))
    (found,) = lost(search, there, {**there, gone.name: gone}, {})
    assert found.cost == SPENT


def test_one_that_is_counted_and_has_no_ordinal_yet_is_not_lost() -> None:
    waiting = a_record(-1, phase="Pending", name="mine", origin="User")
    there = records(a_record(0), a_record(1), waiting)
    assert lost(a_search(status=counted(2, 1)), there, {}, {}) == []


def test_one_that_was_seen_is_missed_though_another_waits_for_its_ordinal() -> None:
    waiting = a_record(-1, phase="Pending", name="s-0003")
    there = records(a_record(0), a_record(1), waiting)
    (found,) = lost(a_search(status=counted(2, 1)), there, {**there, "s-0002": a_record(2)}, {})
    assert (found.name, found.ordinal) == ("s-0002", 2)


def test_a_count_without_end_is_not_believed() -> None:
    there = records(a_record(0), a_record(1))
    assert lost(a_search(candidates=3, status=counted(2, 99_999)), there, {}, {}) == []


def test_one_beyond_the_budget_is_missed_too() -> None:
    """A user's, say; or the budget was cut."""
    there = records(*(a_record(ordinal) for ordinal in range(5)))
    (found,) = lost(a_search(candidates=3, status=counted(2, 4)), there, {}, {})
    assert (found.ordinal, found.cost) == (5, SPENT)


def test_an_ordinal_below_the_baselines_is_no_users() -> None:
    waiting = a_record(-1, phase="Pending", name="mine", origin="User")
    (found,) = lost(a_search(status=counted(2, 0)), records(a_record(1, origin="Baseline"), waiting), {}, {})
    assert (found.name, found.ordinal) == ("s-0000", 0)


@pytest.mark.parametrize("seen", [True, False])
def test_one_whose_name_another_bears_is_kept_under_one_of_its_own_with_what_it_may_cost(
    *, seen: bool
) -> None:
    waiting = a_record(-1, phase="Pending", name="s-0002", origin="User")
    there = records(a_record(0), a_record(1), waiting)
    order = OrderRef(name="s-0002-build-a1", kind="build", attempt=1, deadline="2026-01-01T00:20:00Z")
    gone = a_candidate(2, phase="Building", order=order)
    before = {**there, gone.name: record(gone)} if seen else {}
    status = SearchStatus(counts=Counts(baselines=2, proposed=2), reservations={order.name: SPENT})
    first, *_ = lost(a_search(status=status), there, before, {gone.name: gone} if seen else {})
    assert (first.name, first.ordinal, first.cost) == ("s-0002-gone", 2, SPENT)
