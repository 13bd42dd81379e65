"""F15: whatever becomes of a pod, one attempt is counted, the reason is exact, and the search completes.

All searches run side by side, each with one fault; every test looks at its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import RECALL, a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import candidate, events_about, settled, shared_rig

IMPATIENT = ("--patience", "0.05")
SPEC: dict[str, Any] = {
    "agents": {"deadline": "8s"},
    "evaluation": {"ladder": [{**RECALL, "deadline": "8s"}]},
}


@dataclass(frozen=True)
class Case:
    """What befalls the first proposal's order of a kind, and what is to come of it."""

    fault: Fault
    reason: str
    leads_to: str
    """The order that follows, without the candidate's name; or the terminal phase."""


CASES = {
    "evict": Case(Fault("evict", kind="train"), "Evicted", "train-recall-a2"),
    "preempt": Case(Fault("preempt", kind="train"), "Preempted", "train-recall-a2"),
    "nodelost": Case(Fault("nodelost", kind="train"), "NodeLost", "train-recall-a2"),
    "imagepull": Case(Fault("imagepull", kind="train"), "ImagePullFailed", "train-recall-a2"),
    "pending": Case(Fault("pending-forever", kind="train"), "ImagePullFailed", "train-recall-a2"),
    "referee-oom": Case(
        Fault("oom", kind="train", container="referee"), "InfrastructureFailed", "train-recall-a2"
    ),
    "referee-crash": Case(Fault("crash", kind="train"), "InfrastructureFailed", "train-recall-a2"),
    "player-oom": Case(Fault("oom", kind="train"), "OutOfMemory", "repair-a1"),
    "player-crash": Case(Fault("crash", kind="train", container="player"), "NoResult", "repair-a1"),
    "no-result": Case(Fault("exit0-without-result", kind="train"), "NoResult", "repair-a1"),
    "silence": Case(Fault("silence", kind="train"), "DeadlineExceeded", "repair-a1"),
    "agent-evict": Case(Fault("evict", kind="build"), "Evicted", "build-a2"),
    "agent-nodelost": Case(Fault("nodelost", kind="propose"), "NodeLost", "propose-a2"),
    "agent-oom": Case(Fault("oom", kind="build"), "InfrastructureFailed", "build-a2"),
    "agent-crash": Case(Fault("crash", kind="propose"), "InfrastructureFailed", "propose-a2"),
    "agent-no-result": Case(Fault("exit0-without-result", kind="build"), "AgentFailed", "Failed"),
    "agent-silence": Case(Fault("silence", kind="build"), "AgentFailed", "Failed"),
}
AGAIN = {name: case for name, case in CASES.items() if case.leads_to.endswith("-a2")}
REPAIRED = {name: case for name, case in CASES.items() if case.leads_to == "repair-a1"}
FAILED = {name: case for name, case in CASES.items() if case.leads_to == "Failed"}


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Every search with its fault, all of them over."""
    with shared_rig(plane, tmp_path_factory.mktemp("pods"), IMPATIENT) as made:
        faults = {name: case.fault for name, case in CASES.items()} | {"twice": Fault("double-report")}
        made.kubelet.fault(*(replace(f, order=f"{name}-0001-*", times=1) for name, f in faults.items()))
        made.apply(*(a_short_search(name, **SPEC) for name in faults))
        for name in faults:
            settled(made, name)
        yield made


def seen(cast: Rig, search: str) -> list[dict[str, object]]:
    """Every status that the first proposal ever had."""
    rows = cast.evidence(search).of_kind("Candidate")
    mine = (row["object"] for row in rows if row["object"]["metadata"]["name"] == f"{search}-0001")
    return [one["status"] for one in mine if "status" in one]


def warnings(cast: Rig, search: str) -> dict[str, Any]:
    """What was warned of about the first proposal; events come a moment after what they tell of."""
    events = events_about(cast, f"{search}-0001")
    return {why: one for why, one in events.items() if one["type"] == "Warning"}


@pytest.mark.parametrize("name", [*CASES, "twice"])
def test_F15_no_pod_fault_breaks_an_invariant(cast: Rig, name: str) -> None:
    assert checker.check_all(cast.evidence(name), cast.users) == []


@pytest.mark.parametrize("name", CASES)
def test_F15_the_order_ran_once_and_then_what_the_rule_says(cast: Rig, name: str) -> None:
    started = [e.order for e in cast.kubelet.entries() if e.event == "started" and e.search == name]
    kind = CASES[name].fault.kind
    step = f"{name}-0001-{kind}{'-recall' if kind == 'train' else ''}"
    assert started.count(f"{step}-a1") == (0 if name in ("imagepull", "pending") else 1)
    follower = f"{name}-0001-{CASES[name].leads_to}"
    assert started.count(follower) == (0 if name in FAILED else 1)


@pytest.mark.parametrize("name", AGAIN)
def test_F15_a_machines_failure_is_told_and_never_the_candidates(cast: Rig, name: str) -> None:
    lost = [one for one in seen(cast, name) if one.get("lost")]
    assert {one["lost"] for one in lost} == {1}
    cast.plane.wait_for(lambda: warnings(cast, name) != {}, "a warning", 20)
    told = warnings(cast, name)
    assert list(told) == [AGAIN[name].reason], told
    assert f"-{AGAIN[name].leads_to[:-1]}1 was lost: " in told[AGAIN[name].reason]["note"]
    status = candidate(cast, f"{name}-0001")["status"]
    assert (status["phase"], status.get("reason"), status.get("repairs")) == ("Complete", None, None)


@pytest.mark.parametrize("name", REPAIRED)
def test_F15_what_the_code_did_goes_to_the_engineer(cast: Rig, name: str) -> None:
    broken = [one for one in seen(cast, name) if one["phase"] == "Repairing"]
    assert {one.get("reason") for one in broken} == {REPAIRED[name].reason}
    status = candidate(cast, f"{name}-0001")["status"]
    assert (status["phase"], status["repairs"], status.get("lost")) == ("Complete", 1, None)


@pytest.mark.parametrize("name", FAILED)
def test_F15_an_agent_that_brings_nothing_fails_its_candidate_alone(cast: Rig, name: str) -> None:
    status = candidate(cast, f"{name}-0001")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", FAILED[name].reason)
    assert status["message"]
    assert cast.search(name)["status"]["counts"] == {
        "baselines": 1,
        "proposed": 1,
        "complete": 1,
        "failed": 1,
    }


def test_F15_a_result_that_is_brought_twice_is_taken_once(cast: Rig) -> None:
    charged = [e.order for e in cast.kubelet.entries() if e.event == "charged" and e.search == "twice"]
    assert charged
    assert len(charged) == len(set(charged))
    assert candidate(cast, "twice-0001")["status"]["phase"] == "Complete"


def test_F15_waiting_costs_nothing(cast: Rig) -> None:
    assert candidate(cast, "imagepull-0001")["status"]["cost"] == {"seconds": 7.0}
