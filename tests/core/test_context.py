"""What agents are told: parent, references, siblings, lessons and failures, picked from everything observed."""

from asiarch.api.context import Context
from asiarch.api.order import Order, OrderKind
from asiarch.api.reason import Reason
from asiarch.core.context import MAX_LESSONS, context, lessons
from asiarch.core.observation import Observation
from tests.builders import a_candidate, a_lesson, a_search, an_observation

GRANDPARENT = a_candidate(0, origin="Baseline", scores={"gates": None, "recall": 0.5})
PARENT = a_candidate(1, parents=["s-0000"], scores={"gates": None, "recall": 0.6}, lesson=a_lesson())
WEAK, STRONG, STRONGEST = (
    a_candidate(i, parents=["s-0001"], scores={"gates": None, "recall": score}, uses=("s-0001",))
    for i, score in ((2, 0.55), (3, 0.7), (4, 0.8))
)


def told(kind: OrderKind, seen: Observation, candidate: str = "s-0005") -> Context:
    """The context of an order of this kind for a candidate."""
    order = Order(name=f"{candidate}-{kind}-a1", kind=kind, search="s", candidate=candidate, seconds=60)
    return context(order, seen, lambda digest: f"file {digest[:4]}")


def seen_with(**status: object) -> Observation:
    """A small population whose youngest candidate is under way."""
    me = a_candidate(5, parents=["s-0001"], phase="Proposing", references=["s-0003", "s-gone"], **status)  # type: ignore[arg-type]
    return an_observation(a_search(), GRANDPARENT, PARENT, WEAK, STRONG, STRONGEST, me)


def test_a_researcher_is_told_of_parent_references_and_lessons() -> None:
    found = told("propose", seen_with())
    assert found.parent is not None
    assert (found.parent.candidate, found.parent.code[:4]) == ("s-0001", "file")
    assert [r.candidate for r in found.references] == ["s-0003"]
    assert found.lessons[0].candidate == "s-0001"


def test_a_lesson_s_record_counts_its_uses_and_the_children_that_beat_their_parent() -> None:
    (found,) = told("propose", seen_with()).lessons
    assert (found.uses, found.wins) == (3, 2)


def test_a_child_without_a_measured_parent_is_no_win() -> None:
    failed = a_candidate(6, parents=["s-0001"], phase="Failed", uses=("s-0001",))
    orphan = a_candidate(7, uses=("s-0001",))
    (found,) = lessons(an_observation(a_search(), GRANDPARENT, PARENT, failed, orphan))
    assert (found.uses, found.wins) == (2, 0)


def test_lessons_whose_interval_excludes_zero_come_first_then_the_newest() -> None:
    unsure = a_candidate(8, lesson=a_lesson(delta=0.01, half=0.5))
    against = a_candidate(9, lesson=a_lesson(delta=-0.3, half=0.1))
    found = lessons(an_observation(a_search(), PARENT, unsure, against))
    assert [r.candidate for r in found] == ["s-0009", "s-0001", "s-0008"]


def test_no_more_lessons_are_told_than_a_context_holds() -> None:
    taught = [a_candidate(i, lesson=a_lesson()) for i in range(MAX_LESSONS + 5)]
    assert len(lessons(an_observation(a_search(), *taught))) == MAX_LESSONS


def test_an_engineer_is_told_what_to_write() -> None:
    found = told("build", seen_with(recipe="rule=delta", motivation="It may help."))
    assert found.proposal is not None
    assert found.proposal.recipe == "rule=delta"
    assert found.lessons == ()


def test_a_repairing_engineer_is_told_what_went_wrong_and_where() -> None:
    found = told(
        "repair", seen_with(reason=Reason.DIVERGED, message="It went to infinity.", rung=1, repairs=2)
    )
    assert found.failure is not None
    assert (found.failure.reason, found.failure.rung, found.revision) == (Reason.DIVERGED, "recall", 2)
    assert found.me is not None


def test_nothing_went_wrong_where_no_reason_is_given() -> None:
    assert told("repair", seen_with()).failure is None


def test_an_analyst_is_told_of_the_grandparent_and_the_two_strongest_siblings() -> None:
    found = told("analyze", seen_with())
    assert found.grandparent is not None
    assert found.grandparent.candidate == "s-0000"
    assert [s.candidate for s in found.siblings] == ["s-0004", "s-0003"]


def test_a_candidate_without_a_parent_has_no_siblings_and_maybe_no_file() -> None:
    alone = a_candidate(5, phase="Proposing", code=None)
    found = told("analyze", an_observation(a_search(), GRANDPARENT, alone))
    assert (found.parent, found.grandparent, found.siblings) == (None, None, ())
    assert found.me is not None
    assert found.me.code == ""
