"""F12, F14, controls: what people change while a search runs takes effect at once, or is refused by name."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.checks.evidence import Object
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import RECALL, a_search, a_short_search
from tests.cluster.plane import ApiError, ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import (
    candidate,
    candidates_of,
    condition,
    delete,
    edit,
    events_about,
    settled,
    shared_rig,
    until,
)

PROMPT = 5.0
"""Seconds in which an edit takes effect."""


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here, with accelerators on its machine."""
    resources = {"nvidia.com/gpu": 8}
    with shared_rig(plane, tmp_path_factory.mktemp("edits"), resources=resources) as made:
        yield made


def sound(cast: Rig, name: str) -> None:
    """The search has come to its end, and nothing was broken on the way."""
    settled(cast, name)
    assert checker.check_all(cast.evidence(name), cast.users) == []


def annotate(cast: Rig, name: str, key: str, value: str | None, plural: str = "candidates") -> None:
    """Say something by an annotation, or take it back."""
    edit(cast, name, {"metadata": {"annotations": {f"asiarch.dev/{key}": value}}}, plural)


def begun(cast: Rig, order: str, seconds: float = 60.0) -> None:
    """Wait until an order runs."""
    cast.plane.wait_for(lambda: order in started(cast), f"{order} to run", seconds)


def started(cast: Rig, prefix: str = "") -> list[str]:
    """Orders that ever ran."""
    return [e.order for e in cast.kubelet.entries() if e.event == "started" and e.order.startswith(prefix)]


def test_F12_a_raised_budget_goes_on_in_the_same_search(cast: Rig) -> None:
    cast.kubelet.fault()
    cast.apply(a_short_search("more", candidates=1))
    sound(cast, "more")
    finished = condition(cast.search("more"), "Complete")
    assert (finished["status"], finished["reason"]) == ("True", "BudgetExhausted")
    assert finished["message"] == "1 of 1 candidates started. Raise spec.budget.candidates to go on."
    edit(cast, "more", {"spec": {"budget": {"candidates": 3}}})
    until(cast, "more", lambda s: s["status"]["phase"] == "Running", "to run on", PROMPT)
    sound(cast, "more")
    assert cast.search("more")["status"]["counts"] == {"baselines": 1, "proposed": 3, "complete": 4}


def test_F12_a_budget_cut_below_what_has_begun_finishes_that_and_starts_no_more(cast: Rig) -> None:
    cast.kubelet.fault(Fault("slow", order="less-0001-build-a1", seconds=2))
    cast.apply(a_short_search("less", candidates=5))
    begun(cast, "less-0001-build-a1")
    edit(cast, "less", {"spec": {"budget": {"candidates": 1}}})
    sound(cast, "less")
    assert len(candidates_of(cast, "less")) == 2


def test_E17_money_that_is_short_stops_everything_and_more_resumes_it(cast: Rig) -> None:
    rung = {**RECALL, "resources": {"nvidia.com/gpu": 1}, "deadline": "60s"}
    spec: Any = {"evaluation": {"ladder": [rung]}}
    search = a_short_search("poor", candidates=2, **spec)
    search["spec"]["budget"]["gpuHours"] = "0.02"
    cast.apply(search)
    found = until(cast, "poor", lambda s: s.get("status", {}).get("phase") == "Complete", "to end")
    said = condition(found, "BudgetAvailable")
    assert (said["status"], said["reason"]) == ("False", "BudgetExhausted")
    assert "of 0.02 gpuHours" in said["message"]
    assert said["message"].endswith("Raise spec.budget.gpuHours to continue; nothing is lost.")
    assert condition(found, "Ready")["status"] == "False"
    before = len(started(cast, "poor"))
    edit(cast, "poor", {"spec": {"budget": {"gpuHours": "1"}}})
    cast.plane.wait_for(lambda: len(started(cast, "poor")) > before, "the next order", PROMPT)
    sound(cast, "poor")
    assert condition(cast.search("poor"), "Ready")["status"] == "True"


def test_F12_parallelism_down_and_up_again(cast: Rig) -> None:
    cast.kubelet.fault(Fault("slow", order="wide-*", seconds=0.7))
    spec: Any = {"agents": {"parallelism": 8}}
    cast.apply(a_short_search("wide", candidates=24, **spec))
    cast.plane.wait_for(lambda: side_by_side(cast, "wide") >= 4, "many at once", 60)
    edit(cast, "wide", {"spec": {"agents": {"parallelism": 1}}})
    cast.plane.wait_for(lambda: side_by_side(cast, "wide") <= 2, "one agent at a time", PROMPT)
    until_moment = time.time() + 3
    while time.time() < until_moment:
        assert side_by_side(cast, "wide") <= 2
    edit(cast, "wide", {"spec": {"agents": {"parallelism": 8}}})
    cast.plane.wait_for(lambda: side_by_side(cast, "wide") >= 4, "many at once again", PROMPT)
    delete(cast, "wide")


def side_by_side(cast: Rig, name: str) -> int:
    """How many of a search's orders run at this moment."""
    mine = [e for e in cast.kubelet.entries() if e.search == name]
    ended = {e.pod for e in mine if e.event == "ended"}
    return len({e.pod for e in mine if e.event == "started"} - ended)


def test_F12_suspend_lets_what_runs_end_and_resume_goes_on(cast: Rig) -> None:
    cast.kubelet.fault(Fault("slow", order="rest-0001-build-a1", seconds=1.5))
    cast.apply(a_short_search("rest"))
    begun(cast, "rest-0001-build-a1")
    edit(cast, "rest", {"spec": {"suspend": True}})
    found = until(cast, "rest", lambda s: s["status"]["phase"] == "Suspended", "to rest", PROMPT)
    said = condition(found, "Suspended")
    assert (said["status"], said["message"]) == (
        "True",
        "Set spec.suspend to false to go on; nothing is lost.",
    )
    cast.plane.wait_for(
        lambda: candidate(cast, "rest-0001")["status"]["phase"] == "Evaluating", "the end", 30
    )
    time.sleep(1)
    assert started(cast, "rest-0001-train") == []
    edit(cast, "rest", {"spec": {"suspend": False}})
    begun(cast, "rest-0001-train-recall-a1", PROMPT)
    sound(cast, "rest")
    assert condition(cast.search("rest"), "Suspended")["status"] == "False"


def test_F12_cancel_stops_what_runs_and_tries_it_anew(cast: Rig) -> None:
    cast.kubelet.fault(Fault("silence", order="stop-0001-build-a1"))
    cast.apply(a_short_search("stop", stopPolicy="Cancel"))
    begun(cast, "stop-0001-build-a1")
    edit(cast, "stop", {"spec": {"suspend": True}})
    cast.plane.wait_for(lambda: side_by_side(cast, "stop") == 0, "the engineer to be stopped", PROMPT)
    until(cast, "stop", lambda s: s["status"]["phase"] == "Suspended", "to rest", PROMPT)
    cast.plane.wait_for(lambda: "Cancelled" in events_about(cast, "stop-0001"), "an event", 10)
    assert events_about(cast, "stop-0001")["Cancelled"]["type"] == "Normal"
    edit(cast, "stop", {"spec": {"suspend": False}})
    begun(cast, "stop-0001-build-a2", PROMPT)
    sound(cast, "stop")


def test_pause_holds_one_candidate_and_lets_it_go(cast: Rig) -> None:
    cast.kubelet.fault(Fault("slow", order="hold-0001-propose-a1", seconds=1.5))
    cast.apply(a_short_search("hold"))
    begun(cast, "hold-0001-propose-a1")
    annotate(cast, "hold-0001", "pause", "I want to look")
    cast.plane.wait_for(
        lambda: candidate(cast, "hold-0001")["status"].get("reason") == "Paused", "Paused", 30
    )
    assert "asiarch.dev/pause" in candidate(cast, "hold-0001")["status"]["message"]
    annotate(cast, "hold-0001", "pause", None)
    sound(cast, "hold")
    assert "reason" not in candidate(cast, "hold-0001")["status"]


def test_pause_holds_a_whole_search(cast: Rig) -> None:
    cast.kubelet.fault()
    search = a_short_search("still")
    search["metadata"]["annotations"] = {"asiarch.dev/pause": "true"}
    cast.apply(search)
    until(cast, "still", lambda s: s.get("status", {}).get("reason") == "Paused", "Paused")
    assert started(cast, "still") == []
    annotate(cast, "still", "pause", None, "architecturesearches")
    sound(cast, "still")


def test_a_rung_that_wants_approval_waits_for_it(cast: Rig) -> None:
    ladder = [RECALL, {**RECALL, "name": "dear", "approval": True}]
    spec: Any = {"evaluation": {"ladder": ladder}}
    cast.apply(a_short_search("dear", **spec))
    cast.plane.wait_for(lambda: waits_for_approval(cast, "dear-0001"), "AwaitingApproval", 60)
    said = candidate(cast, "dear-0001")["status"]["message"]
    assert said == "Rung dear wants a person's approval. Annotate dear-0001 with asiarch.dev/approve=dear."
    assert started(cast, "dear-0001-train-dear") == []
    annotate(cast, "dear-0001", "approve", "dear")
    sound(cast, "dear")
    assert [r["name"] for r in candidate(cast, "dear-0001")["status"]["rungs"]] == ["recall", "dear"]


def waits_for_approval(cast: Rig, name: str) -> bool:
    """Whether a candidate is there and waits for a person."""
    found = [c for c in cast.candidates() if c["metadata"]["name"] == name]
    return bool(found) and found[0].get("status", {}).get("reason") == "AwaitingApproval"


def test_retry_stops_an_attempt_and_makes_another_once(cast: Rig) -> None:
    cast.kubelet.fault(Fault("silence", order="anew-0001-build-a1"))
    cast.apply(a_short_search("anew"))
    begun(cast, "anew-0001-build-a1")
    annotate(cast, "anew-0001", "retry", "1")
    begun(cast, "anew-0001-build-a2", 30)
    sound(cast, "anew")
    assert candidate(cast, "anew-0001")["status"]["retried"] == "1"
    assert started(cast, "anew-0001-build") == ["anew-0001-build-a1", "anew-0001-build-a2"]


def test_a_vetoed_candidate_ends_and_a_finished_one_leads_no_more(cast: Rig) -> None:
    cast.kubelet.fault(Fault("silence", order="veto-0001-build-a1"))
    cast.apply(a_short_search("veto", candidates=2))
    begun(cast, "veto-0001-build-a1")
    annotate(cast, "veto-0001", "veto", "reads the labels")
    sound(cast, "veto")
    status = candidate(cast, "veto-0001")["status"]
    assert (status["phase"], status["reason"]) == ("Rejected", "Vetoed")
    best = cast.search("veto")["status"]["best"]["candidate"]
    annotate(cast, best, "veto", "true")
    until(cast, "veto", lambda s: s["status"]["best"]["candidate"] != best, "another best", PROMPT)


IMMUTABLE: tuple[tuple[Object, str], ...] = (
    ({"seed": 38}, "spec.seed"),
    ({"fitness": {"policy": "AsiArch"}}, "spec.fitness"),
    ({"baselines": [{"name": "delta-net"}]}, "spec.baselines"),
    ({"evaluation": {"parameters": 3}}, "spec.evaluation.parameters"),
    ({"evaluation": {"ladder": [{**RECALL, "steps": 31}]}}, "spec.evaluation.ladder"),
)


@pytest.mark.parametrize(("patch", "field"), IMMUTABLE, ids=[field for _, field in IMMUTABLE])
def test_E16_what_makes_results_comparable_is_refused_by_name(cast: Rig, patch: Object, field: str) -> None:
    search = a_short_search("fixed", suspend=True)
    cast.apply(search)
    with pytest.raises(ApiError) as refused:
        edit(cast, "fixed", {"spec": patch})
    assert refused.value.status == 422
    assert field in str(refused.value)
    assert "wanted no change; start another search for it" in str(refused.value)


def test_E16_a_candidates_spec_is_refused_too(cast: Rig) -> None:
    cast.kubelet.fault()
    cast.apply(a_search("past", candidates=1))
    sound(cast, "past")
    with pytest.raises(ApiError, match="wanted no change; create another candidate for it"):
        edit(cast, "past-0002", {"spec": {"parents": []}}, "candidates")
    with pytest.raises(ApiError, match="wanted no change of a terminal phase"):
        edit(cast, "past-0002", {"status": {"phase": "Evaluating"}}, "candidates", "/status")


def test_no_edit_ever_made_a_traceback(cast: Rig) -> None:
    assert "Traceback" not in cast.operator.log.read_text()
