"""F14: what people delete or change by hand behind our back is made again, or fails with a reason; never silently."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.checks.evidence import Object
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import (
    candidate,
    candidates_of,
    condition,
    create,
    delete,
    edit,
    events_about,
    objects,
    path,
    settled,
    shared_rig,
    until,
)

LABELS = ("app.kubernetes.io/managed-by", "asiarch.dev/search", "asiarch.dev/candidate", "asiarch.dev/part")


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here; nobody waits long."""
    with shared_rig(plane, tmp_path_factory.mktemp("drift"), ("--patience", "0.02")) as made:
        yield made


def at_work(cast: Rig, name: str, kind: str = "build", fault: str = "silence", **rule: Any) -> str:
    """Start a search and wait until its first proposal's order of a kind runs; returns the order's name."""
    order = f"{name}-0001-{kind}{'-recall' if kind == 'train' else ''}-a1"
    cast.kubelet.fault(Fault(fault, order=order, **rule))  # type: ignore[arg-type]
    cast.apply(a_short_search(name))
    cast.plane.wait_for(lambda: runs(cast, order), f"{order} to run", 60)
    return order


def runs(cast: Rig, job: str) -> bool:
    """Whether a Job has a pod that runs."""
    pods = objects(cast, "pods", f"job-name={job}")
    return any(pod.get("status", {}).get("phase") == "Running" for pod in pods)


def sound(cast: Rig, name: str) -> None:
    """The search has come to its end, its proposal was measured, and nothing was broken."""
    settled(cast, name)
    assert candidate(cast, f"{name}-0001")["status"]["phase"] == "Complete"
    assert checker.check_all(cast.evidence(name), cast.users) == []


def lost_once(cast: Rig, name: str) -> None:
    """An attempt was lost and told of, and the next one brought it."""
    cast.plane.wait_for(lambda: "Lost" in events_about(cast, f"{name}-0001"), "an event", 10)
    assert events_about(cast, f"{name}-0001")["Lost"]["type"] == "Warning"


def test_F14_a_job_that_is_deleted_is_an_attempt_lost(cast: Rig) -> None:
    order = at_work(cast, "job")
    delete(cast, order, "jobs", propagationPolicy="Background")
    sound(cast, "job")
    lost_once(cast, "job")


@pytest.mark.parametrize("gone", ["jobs", "pods"])
def test_F14_what_an_agent_brought_counts_though_its_job_or_pod_has_gone(cast: Rig, gone: str) -> None:
    """As after an outage longer than a Job's time to live, or with a node: nobody pays for the same answer twice."""
    order = at_work(cast, gone, fault="slow", seconds=2)
    cast.operator.kill()
    cast.plane.wait_for(lambda: exists(cast, "configmaps", f"{order}-result"), "its result", 30)
    cast.plane.wait_for(lambda: not runs(cast, order), "its end", 30)
    names = (
        [order]
        if gone == "jobs"
        else [p["metadata"]["name"] for p in objects(cast, "pods", f"job-name={order}")]
    )
    for name in names:
        delete(cast, name, gone, propagationPolicy="Background")
    cast.plane.wait_for(lambda: objects(cast, "pods", f"job-name={order}") == [], "its pod to go", 30)
    cast.start_operator()
    sound(cast, gone)
    assert not any(e.order == f"{gone}-0001-build-a2" for e in cast.kubelet.entries())


def test_F14_a_pod_that_is_deleted_is_an_attempt_lost(cast: Rig) -> None:
    order = at_work(cast, "pod", kind="train")
    (pod,) = objects(cast, "pods", f"job-name={order}")
    delete(cast, pod["metadata"]["name"], "pods")
    sound(cast, "pod")
    lost_once(cast, "pod")


def test_F14_a_job_without_its_labels_is_an_attempt_lost_and_never_runs_beside_the_next(cast: Rig) -> None:
    order = at_work(cast, "bare")
    edit(cast, order, {"metadata": {"labels": dict.fromkeys(LABELS)}}, "jobs")
    (pod,) = objects(cast, "pods", f"job-name={order}")
    delete(cast, pod["metadata"]["name"], "pods")
    sound(cast, "bare")


def test_F14_a_candidate_without_its_owner_is_taken_back(cast: Rig) -> None:
    at_work(cast, "owner", fault="slow", seconds=2)
    edit(cast, "owner-0001", {"metadata": {"ownerReferences": None}}, "candidates")
    uid = cast.search("owner")["metadata"]["uid"]
    cast.plane.wait_for(lambda: owners(cast, "owner-0001") == [uid], "its owner", 10)
    sound(cast, "owner")
    assert len(candidates_of(cast, "owner")) == 2


def owners(cast: Rig, name: str) -> list[str]:
    """Who owns a candidate."""
    return [owner["uid"] for owner in candidate(cast, name)["metadata"].get("ownerReferences", ())]


def test_F14_a_candidate_without_its_labels_goes_on(cast: Rig) -> None:
    at_work(cast, "label", fault="slow", seconds=1)
    edit(cast, "label-0001", {"metadata": {"labels": dict.fromkeys(LABELS)}}, "candidates")
    sound(cast, "label")


def test_F14_an_order_that_is_erased_by_hand_does_not_run_twice(cast: Rig) -> None:
    order = at_work(cast, "erase", fault="slow", seconds=2)
    edit(cast, "erase-0001", {"status": {"order": None}}, "candidates", "/status")
    settled(cast, "erase")
    assert [e.order for e in cast.kubelet.entries() if e.event == "started"].count(order) == 1
    assert candidate(cast, "erase-0001")["status"]["phase"] == "Complete"


def test_F14_a_context_that_is_deleted_fails_its_candidate_with_a_reason(cast: Rig) -> None:
    """The agent finds nothing to do and says so; nobody waits for it for ever."""
    order = "context-0001-build-a1"
    cast.kubelet.fault(Fault("evict", order=order))
    cast.apply(a_short_search("context"))
    cast.plane.wait_for(lambda: exists(cast, "configmaps", f"{order}-context"), "the context", 60)
    delete(cast, f"{order}-context", "configmaps")
    settled(cast, "context")
    status = candidate(cast, "context-0001")["status"]
    assert status["phase"] in ("Complete", "Failed")
    assert checker.check_all(cast.evidence("context"), cast.users) == []


def exists(cast: Rig, plural: str, name: str) -> bool:
    """Whether an object is there."""
    return bool(cast.plane.exists(f"{path(cast, plural)}/{name}"))


def test_F14_a_candidates_file_that_is_deleted_is_told_of_and_its_return_heals(cast: Rig) -> None:
    order = at_work(cast, "code", fault="slow", seconds=4)
    edit(cast, "code", {"spec": {"suspend": True}})
    until(cast, "code", lambda s: s["status"]["phase"] == "Suspended", "to rest")
    cast.plane.wait_for(lambda: "code" in candidate(cast, "code-0001")["status"], f"the end of {order}", 30)
    name = f"code-code-{candidate(cast, 'code-0001')['status']['code']['digest'][:12]}"
    kept = cast.plane.get(f"{path(cast, 'configmaps')}/{name}")
    delete(cast, name, "configmaps")
    edit(cast, "code", {"spec": {"suspend": False}})
    found = until(cast, "code", lambda s: condition(s, "Degraded")["status"] == "True", "a word about it")
    said = condition(found, "Degraded")["message"]
    assert f"It needs its image, ConfigMap {name}" in said
    assert "kubectl describe pod code-0001-train-recall-a1" in said
    create(cast, "configmaps", fresh(kept))
    sound(cast, "code")
    assert condition(cast.search("code"), "Degraded")["status"] == "False"


def fresh(found: Object) -> Object:
    """An object as somebody would apply it from a backup."""
    kept = ("name", "labels", "ownerReferences")
    metadata = {key: found["metadata"][key] for key in kept if key in found["metadata"]}
    return {"metadata": metadata, "data": found["data"], "immutable": True}


def test_no_drift_ever_made_a_traceback(cast: Rig) -> None:
    assert "Traceback" not in cast.operator.log.read_text()
    assert "Traceback" not in cast.gateway.log.read_text()
