"""Few events: only what a status write says anew, and only what somebody should read."""

from typing import Any

import pytest

from asiarch.api.base import timestamp
from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.meta import Condition
from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Best, SearchStatus
from asiarch.core.actions import CandidateWrite, Plan, SearchWrite
from asiarch.core.observation import Child, Observation, Trouble
from asiarch.core.reconcile import reconcile
from asiarch.kube.events import Event, due, note, of_leaving
from asiarch.kube.kept import Leaving, read_search
from tests.builders import T0, a_candidate, a_search, an_observation

STARTED = SearchStatus(started_at=timestamp(T0))


def written(search: ArchitectureSearch, *candidates: Candidate, **status: Any) -> tuple[Event, ...]:
    """The events of a write of a search's status."""
    new = search.status.model_copy(update=status)
    return due(an_observation(search, *candidates), Plan((SearchWrite(search, new),)))


def ended(candidate: Candidate, **status: Any) -> tuple[Event, ...]:
    new = candidate.status.model_copy(update=status)
    return due(an_observation(a_search(), candidate), Plan((CandidateWrite(candidate, new),)))


def a_condition(kind: str, status: Any, reason: str, message: str = "") -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message=message, last_transition_time=timestamp(T0)
    )


def told(events: tuple[Event, ...]) -> list[tuple[str, str, str]]:
    return [(event.subject.name, event.type, event.reason) for event in events]


def test_a_plan_that_writes_nothing_says_nothing() -> None:
    seen = an_observation(a_search(), a_candidate(0))
    trouble = Trouble(Reason.FORBIDDEN, "jobs may not be created", fatal=True)
    troubled = Observation(seen.search, seen.candidates, seen.records, seen.children, troubles=(trouble,))
    assert due(troubled, Plan()) == ()


def test_a_search_that_leaves_tells_whose_finalizers_keep_it() -> None:
    when = {"deletionTimestamp": timestamp(T0), "finalizers": ["foregroundDeletion", "example.com/mine"]}
    leaving = read_search({"metadata": {"name": "s", "namespace": "lab", "uid": "u-1", **when}})
    assert isinstance(leaving, Leaving)
    event = of_leaving(("lab", "s"), leaving)
    assert event is not None
    assert "finalizers example.com/mine, " in event.note
    assert of_leaving(("lab", "s"), Leaving("u-1", ())) is None


def test_the_first_turn_of_a_search_tells_that_it_started() -> None:
    search = a_search(status=SearchStatus())
    seen = an_observation(search)
    assert told(due(seen, reconcile(seen, T0))) == [("s", "Normal", "Started")]


@pytest.mark.parametrize(
    ("phase", "reason", "kind"),
    [
        ("Complete", Reason.TARGET_REACHED, "Normal"),
        ("Suspended", Reason.SUSPENDED, "Normal"),
        ("Failed", Reason.BASELINE_FAILED, "Warning"),
        ("Blocked", Reason.SOURCE_NOT_FOUND, "Warning"),
    ],
)
def test_a_new_phase_is_news(phase: str, reason: Reason, kind: str) -> None:
    events = written(a_search(status=STARTED), phase=phase, reason=reason, message="Why and what next.")
    assert told(events) == [("s", kind, reason.value)]
    assert events[0].note == "Why and what next."


def test_a_condition_that_turned_bad_warns_once() -> None:
    bad = (a_condition("Ready", "False", "SourceNotFound", "ConfigMap papers not found."),)
    search = a_search(status=STARTED)
    assert told(written(search, conditions=bad)) == [("s", "Warning", "SourceNotFound")]
    still = a_search(status=STARTED.model_copy(update={"conditions": bad}))
    assert written(still, conditions=bad, message="More words.") == ()


def test_a_condition_that_is_as_it_should_be_is_no_news() -> None:
    good = (a_condition("Ready", "True", "Running"), a_condition("Failed", "False", "Running"))
    assert written(a_search(status=STARTED), conditions=good) == ()


def test_phase_and_condition_of_one_reason_are_one_event() -> None:
    bad = (a_condition("Failed", "True", "BaselineFailed"),)
    events = written(a_search(status=STARTED), phase="Failed", reason=Reason.BASELINE_FAILED, conditions=bad)
    assert told(events) == [("s", "Warning", "BaselineFailed")]


def test_a_trouble_that_the_status_does_not_speak_of_yet_warns() -> None:
    search = a_search(status=STARTED)
    seen = an_observation(search)
    troubles = (Trouble(Reason.FORBIDDEN, "jobs may not be created", fatal=False),)
    troubled = Observation(search, seen.candidates, seen.records, seen.children, troubles=troubles)
    plan = Plan((SearchWrite(search, search.status.model_copy(update={"message": "…"})),))
    assert told(due(troubled, plan)) == [("s", "Warning", "Forbidden")]


def test_a_new_best_is_told_about_the_candidate() -> None:
    best = Best(candidate="s-0001", rung="recall", fitness="0.7")
    search = a_search(status=STARTED)
    events = written(search, a_candidate(1), best=best)
    assert told(events) == [("s-0001", "Normal", "NewBest")]
    assert events[0].note == "Best of search s so far: fitness 0.7 on rung recall."
    same = a_search(status=STARTED.model_copy(update={"best": best}))
    assert written(same, a_candidate(1), best=best.model_copy(update={"fitness": "0.71"})) == ()
    assert written(search, best=best) == ()


@pytest.mark.parametrize(
    ("origin", "phase", "reason", "kind"),
    [
        ("Proposed", "Failed", Reason.INFRASTRUCTURE_FAILED, "Warning"),
        ("Proposed", "Failed", Reason.REPAIR_EXHAUSTED, "Normal"),
        ("User", "Rejected", Reason.INVALID_PARENT, "Warning"),
        ("Baseline", "Failed", Reason.CODE_ERROR, "Warning"),
    ],
)
def test_an_end_that_somebody_asks_about_is_told(origin: Any, phase: str, reason: Reason, kind: str) -> None:
    candidate = a_candidate(1, origin=origin, phase="Evaluating")
    events = ended(candidate, phase=phase, reason=reason, message="Said in words.")
    assert told(events) == [("s-0001", kind, reason.value)]


def test_daily_bread_is_not_told() -> None:
    candidate = a_candidate(1, phase="Evaluating")
    assert ended(candidate, phase="Rejected", reason=Reason.DUPLICATE) == ()
    assert ended(candidate, phase="Complete") == ()
    assert ended(candidate, phase="Repairing", reason=Reason.CODE_ERROR) == ()
    over = a_candidate(1, phase="Failed", reason=Reason.INFRASTRUCTURE_FAILED)
    assert ended(over, message="Said again.") == ()


@pytest.mark.parametrize(("reason", "kind"), [(Reason.EVICTED, "Warning"), (Reason.CANCELLED, "Normal")])
def test_a_lost_attempt_is_told_with_its_reason(reason: Reason, kind: str) -> None:
    order = OrderRef(name="s-0001-build-a1", kind="build", deadline=timestamp(T0))
    candidate = a_candidate(1, phase="Building", order=order)
    lost = Result(order=order.name, attempt=1, reason=reason, message="The node was low on memory.")
    seen = an_observation(a_search(), candidate, children=[Child(order.name, (lost,))])
    again = candidate.status.model_copy(update={"order": None, "lost": 1})
    (event,) = due(seen, Plan((CandidateWrite(candidate, again),)))
    assert (event.type, event.reason) == (kind, reason.value)
    assert (
        event.note == "Attempt 1 of s-0001-build-a1 was lost: The node was low on memory. It is made again."
    )


def test_a_note_steers_no_terminal() -> None:
    assert note("a\x1b[31mred\x00\r\nline\u202eright\u200bto\u2028left") == "a [31mred line right to left"


def test_a_note_fits_in_bytes() -> None:
    assert note("x" * 1024) == "x" * 1024
    long = note("é" * 1000)
    assert len(long.encode()) <= 1024
    assert long.endswith("é…")


def test_half_a_character_is_no_note() -> None:
    assert note("a\ud800b") == "a b"
