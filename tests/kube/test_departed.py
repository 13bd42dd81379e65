"""What is remembered of pods that are gone."""

from asiarch.api.names import MANAGED_BY
from asiarch.kube.client import Object
from asiarch.kube.departed import Departed
from tests.kube.orders import an_order
from tests.kube.statuses import a_pod, deleted, running

ORDER = an_order()
JOB = "job-uid"


def owned(pod: Object) -> Object:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": JOB, "controller": True}
    labels = {**pod["metadata"].get("labels", {}), MANAGED_BY[0]: MANAGED_BY[1]}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels, "ownerReferences": [owner]}}


def phases(*pods: Object) -> list[str]:
    departed = Departed()
    for pod in pods:
        departed.keep(pod)
    return [pod["status"]["phase"] for pod in departed.of(JOB).values()]


def test_a_pod_that_had_ended_is_kept_as_it_was() -> None:
    assert phases(owned(a_pod(ORDER, phase="Succeeded"))) == ["Succeeded"]


def test_a_pod_that_was_deleted_while_it_ran_is_over() -> None:
    assert phases(owned(deleted(a_pod(ORDER, running("referee")), 50))) == ["Failed"]


def test_a_pod_whose_end_is_told_twice_is_kept_once() -> None:
    pod = owned(a_pod(ORDER, phase="Failed"))
    assert phases(pod, pod) == ["Failed"]


def test_a_pod_that_only_lost_sight_is_not_gone() -> None:
    assert phases(owned(a_pod(ORDER, running("referee")))) == []
    bare = owned(a_pod(ORDER, phase="Failed"))
    assert phases({**bare, "metadata": {**bare["metadata"], "labels": {}}}) == []


def test_only_the_most_recent_jobs_are_remembered() -> None:
    departed = Departed()
    departed.keep(owned(a_pod(ORDER, phase="Failed")))
    for number in range(1000):
        pod = owned(a_pod(ORDER, phase="Failed"))
        pod["metadata"]["ownerReferences"][0]["uid"] = f"job-{number}"
        departed.keep(pod)
    assert departed.of(JOB) == {}
    assert len(departed.of("job-999")) == 1
