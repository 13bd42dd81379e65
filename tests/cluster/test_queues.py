"""A queue that holds Jobs back, as Kueue does: it suspends each at its creation, admits it later, and may take it back.

Kueue itself isn't here; an admission policy suspends the Jobs that bear its label, and the tests admit them.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.checks.evidence import Object
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import RECALL, a_short_search
from tests.cluster.plane import ApiError, ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import candidate, edit, events_about, objects, path, settled, shared_rig, until

QUEUE = "kueue.x-k8s.io/queue-name"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICY: Object = {
    "metadata": {"name": "queue"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["batch"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["jobs"],
                }
            ],
            "objectSelector": {"matchLabels": {QUEUE: "slow"}},
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{spec: Object.spec{suspend: true}}"},
            }
        ],
    },
}
HELD = 4.0
"""Seconds for which the queue holds a Job back."""
KINDS = ("train", "propose", "build", "analyze")
AGENTS: Any = {"podTemplate": {"metadata": {"labels": {QUEUE: "slow"}}}}
EVALUATION: Any = {"ladder": [RECALL], "queueName": "slow"}


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here, in a cluster with a queue."""
    with shared_rig(plane, tmp_path_factory.mktemp("queues")) as made:
        policies, bindings = (
            f"{ADMISSION}/mutatingadmissionpolicies",
            f"{ADMISSION}/mutatingadmissionpolicybindings",
        )
        try:
            plane.request("POST", policies, POLICY)
        except ApiError as error:
            if error.status != 404:
                raise
            pytest.skip("this API server has no MutatingAdmissionPolicy, by which the queue holds Jobs back")
        plane.request("POST", bindings, {"metadata": {"name": "queue"}, "spec": {"policyName": "queue"}})
        plane.wait_for(lambda: is_held(made), "the queue to hold Jobs back", 30)
        yield made
        for where in (bindings, policies):
            plane.request("DELETE", f"{where}/queue")


def is_held(cast: Rig) -> bool:
    """Whether a Job of the queue would be suspended."""
    container = {"name": "main", "image": "none"}
    body = {
        "metadata": {"name": "tried", "labels": {QUEUE: "slow"}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    made = cast.plane.request("POST", f"{path(cast, 'jobs')}?dryRun=All", body)
    return bool(made["spec"].get("suspend"))


def held(cast: Rig, search: str) -> list[str]:
    """The Jobs of a search that the queue holds back."""
    jobs = objects(cast, "jobs", f"asiarch.dev/search={search}")
    return [job["metadata"]["name"] for job in jobs if job["spec"].get("suspend")]


def phases(cast: Rig, job: str) -> list[str]:
    """How the pods of a Job stand."""
    return [pod["status"].get("phase") for pod in objects(cast, "pods", f"job-name={job}")]


def admit_all(cast: Rig, search: str) -> bool:
    """Admit what is held back; returns whether the search is complete."""
    for name in held(cast, search):
        edit(cast, name, {"spec": {"suspend": False}}, "jobs")
    return bool(cast.search(search).get("status", {}).get("phase") == "Complete")


def completes(cast: Rig, search: str) -> None:
    """Admit whatever comes until the search is complete; nothing of the books is wrong then."""
    cast.plane.wait_for(lambda: admit_all(cast, search), f"{search} to be Complete", 120)
    settled(cast, search)
    assert checker.check_all(cast.evidence(search), cast.users) == []


def test_a_job_that_is_held_back_starts_when_it_is_admitted_and_no_attempt_is_lost_for_it(cast: Rig) -> None:
    cast.apply(a_short_search("late", agents=AGENTS, evaluation=EVALUATION))
    job = "late-0000-train-recall-a1"
    cast.plane.wait_for(lambda: held(cast, "late") == [job], f"{job} to be held back", 60)
    time.sleep(HELD)
    assert objects(cast, "pods", "asiarch.dev/search=late") == []
    edit(cast, job, {"spec": {"suspend": False}}, "jobs")
    proposal = "late-0001-propose-a1"
    cast.plane.wait_for(lambda: held(cast, "late") == [proposal], f"{proposal} to be held back", 60)
    completes(cast, "late")
    started = [
        entry for entry in cast.kubelet.entries() if entry.search == "late" and entry.event == "started"
    ]
    assert {(entry.attempt, entry.kind) for entry in started} == {(1, kind) for kind in KINDS}


def test_a_job_that_the_queue_takes_back_was_preempted_and_its_step_is_tried_again(cast: Rig) -> None:
    cast.kubelet.fault(Fault("silence", order="back-0000-train-recall-a1"))
    cast.apply(a_short_search("back", evaluation=EVALUATION))
    job = "back-0000-train-recall-a1"
    cast.plane.wait_for(lambda: held(cast, "back") == [job], f"{job} to be held back", 60)
    edit(cast, job, {"spec": {"suspend": False}}, "jobs")
    cast.plane.wait_for(lambda: phases(cast, job) == ["Running"], "its pod to run", 60)
    edit(cast, job, {"spec": {"suspend": True}}, "jobs")
    again = "back-0000-train-recall-a2"
    cast.plane.wait_for(lambda: held(cast, "back") == [again], f"{again} to be held back", 60)
    status = candidate(cast, "back-0000")["status"]
    assert (status["lost"], status["excused"]) == (1, 1)
    assert "Preempted" in events_about(cast, "back-0000")
    completes(cast, "back")


def test_a_search_that_rests_takes_back_what_is_held_at_no_cost(cast: Rig) -> None:
    cast.apply(a_short_search("rest", evaluation=EVALUATION))
    job = "rest-0000-train-recall-a1"
    cast.plane.wait_for(lambda: held(cast, "rest") == [job], f"{job} to be held back", 60)
    edit(cast, "rest", {"spec": {"suspend": True}})
    until(cast, "rest", lambda s: s["status"]["phase"] == "Suspended", "to rest")
    cast.plane.wait_for(lambda: held(cast, "rest") == [], f"{job} to go", 30)
    assert "cost" not in candidate(cast, "rest-0000")["status"]
    edit(cast, "rest", {"spec": {"suspend": False}})
    completes(cast, "rest")
