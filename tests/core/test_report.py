"""What a search has found, as data."""

import pytest

from asiarch.api.candidate import Candidate
from asiarch.api.reason import Reason
from asiarch.api.search import Cost, Rung
from asiarch.core.observation import Observation
from asiarch.core.report import (
    agreements,
    costs,
    failures,
    leaderboard,
    lessons,
    progress,
    reproduction,
    summarise,
)
from tests.builders import a_candidate, a_digest, a_lesson, a_result, a_search, an_observation


def seen(*candidates: Candidate) -> Observation:
    return an_observation(a_search(), *candidates)


def test_who_came_deeper_stands_above_who_scored_higher_below() -> None:
    deep = a_candidate(1, scores={"recall": 0.7, "bytes": 0.6})
    shallow = a_candidate(2, scores={"recall": 0.9})
    assert [row.candidate for row in leaderboard(seen(shallow, deep))] == ["s-0001", "s-0002"]


def test_a_row_holds_the_score_of_each_rung() -> None:
    (row,) = leaderboard(seen(a_candidate(1, scores={"gates": None, "recall": 0.7, "bytes": 0.6})))
    assert [(s.rung, s.value) for s in row.scores] == [("recall", 0.7), ("bytes", 0.6)]
    assert row.deepest is row.scores[-1]


def test_only_the_first_rows_are_made_when_only_they_are_shown() -> None:
    many = [a_candidate(i, scores={"recall": 0.01 * i}) for i in range(1, 9)]
    assert [row.rank for row in leaderboard(seen(*many), top=3)] == [1, 2, 3]


def test_what_has_no_score_has_no_deepest_one() -> None:
    (row,) = leaderboard(seen(a_candidate(1, scores={"gates": None}, fitness="1")))
    assert row.deepest is None


def test_a_child_is_compared_with_its_parent() -> None:
    parent, child = (
        a_candidate(1, scores={"recall": 0.7}),
        a_candidate(2, scores={"recall": 0.8}, parents=["s-0001"]),
    )
    first = leaderboard(seen(parent, child))[0]
    assert first.parent == "s-0001"
    assert first.to_parent is not None
    assert first.to_parent.value == pytest.approx(0.1)


def test_a_parent_that_is_gone_is_named_but_not_compared_with() -> None:
    (row,) = leaderboard(seen(a_candidate(2, parents=["s-0001"])))
    assert (row.parent, row.to_parent) == ("s-0001", None)


def test_failures_are_counted_by_reason_with_the_first_message() -> None:
    lost = [
        a_candidate(i, phase="Rejected", reason=Reason.DIVERGED, message=f"message {i}") for i in (3, 1, 2)
    ]
    other = a_candidate(4, phase="Failed", reason=Reason.AGENT_FAILED)
    first, second = failures(seen(*lost, other, a_candidate(5)))
    assert (first.reason, first.phase, first.message) == ("Diverged", "Rejected", "message 1")
    assert first.candidates == ("s-0001", "s-0002", "s-0003")
    assert second.examples == ("s-0004",)


def test_a_failure_without_a_reason_is_still_counted() -> None:
    (row,) = failures(seen(a_candidate(1, phase="Failed", reason=None)))
    assert row.reason == "Unknown"


def test_cost_tells_what_each_rung_took_and_what_brought_nothing() -> None:
    ladder = (Rung(name="recall", task="SyntheticRecall", resources={"nvidia.com/gpu": 2}),)
    spent = Cost(seconds=15, gpu_seconds=30, tokens=7, usd=0.5)
    candidate = a_candidate(1, rungs=(a_result("recall", 0.7, seconds=10.0),), cost=spent)
    rows = {row.part: row.cost for row in costs(an_observation(a_search(ladder=ladder), candidate))}
    assert rows == {
        "recall": Cost(seconds=10, gpu_seconds=20),
        "without a score": Cost(seconds=5, gpu_seconds=10),
        "agents": Cost(tokens=7, usd=0.5),
        "sum": spent,
    }


def test_a_lesson_that_won_stands_first() -> None:
    teacher, idle = a_candidate(1, lesson=a_lesson()), a_candidate(2, lesson=a_lesson(delta=0.9))
    better = a_candidate(3, scores={"recall": 0.9}, parents=["s-0001"], uses=["s-0001"])
    worse = a_candidate(4, scores={"recall": 0.1}, parents=["s-0001"], uses=["s-0001"])
    rows = lessons(seen(teacher, idle, better, worse))
    assert [(row.candidate, row.uses, row.wins) for row in rows] == [("s-0001", 2, 1), ("s-0002", 0, 0)]


def test_rungs_agree_when_they_rank_alike() -> None:
    rising = [a_candidate(i, scores={"recall": 0.1 * i, "bytes": 0.5 + 0.01 * i}) for i in range(1, 5)]
    (found,) = agreements(seen(*rising))
    assert (found.cheap, found.dear, found.candidates) == ("recall", "bytes", 4)
    assert found.tau == pytest.approx(1)


def test_two_candidates_are_too_few_to_speak_of_agreement() -> None:
    assert not agreements(seen(*[a_candidate(i, scores={"recall": 0.1 * i, "bytes": 0.2}) for i in (1, 2)]))


def test_the_best_so_far_never_falls_and_leaves_baselines_out() -> None:
    baseline = a_candidate(0, origin="Baseline", scores={"recall": 0.9})
    ours = [a_candidate(i, scores={"recall": s}) for i, s in ((1, 0.5), (2, 0.4), (3, 0.6))]
    (found,) = progress(seen(baseline, *ours))
    assert (found.values, found.best) == ((0.5, 0.4, 0.6), (0.5, 0.5, 0.6))
    assert found.baselines == {"s-0000": 0.9}


def test_the_best_proposal_can_be_run_again() -> None:
    observed = seen(a_candidate(0, origin="Baseline"), a_candidate(1))
    found = reproduction(observed, leaderboard(observed))
    assert found.commands == ("asiarch run s.yaml", "asiarch rerun s-0001")
    assert found.files[1] == ("s-0001", a_digest("s-0001"))


def test_without_a_proposal_only_the_search_can_be_run_again() -> None:
    observed = seen(a_candidate(0, origin="Baseline", code=None))
    found = reproduction(observed, leaderboard(observed))
    assert (found.commands, found.files) == (("asiarch run s.yaml",), ())


def test_isolation_is_counted_as_it_really_was() -> None:
    both = a_candidate(1, isolation=("memory limit", "no network"))
    one = a_candidate(2, isolation=("memory limit",))
    none = a_candidate(3)
    never_ran = a_candidate(4, phase="Proposing")
    summary = summarise(seen(both, one, none, never_ran))
    assert (summary.isolation, summary.ran) == ((("memory limit", 2), ("no network", 1)), 3)


def test_an_empty_search_has_an_empty_summary() -> None:
    summary = summarise(seen())
    assert (summary.rows, summary.failures, summary.lessons, summary.progress) == ((), (), (), ())
