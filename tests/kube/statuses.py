"""Jobs and pods with statuses as Kubernetes 1.36 writes them; a test names only what is odd about its own."""

from typing import Any

from asiarch.api.base import timestamp
from asiarch.api.order import Measurement, Order, Result
from asiarch.api.search import Cost
from asiarch.kube import outcome
from asiarch.kube.client import Object
from tests.kube.orders import a_job, a_ref

T0 = 1_764_000_000.0
"""When every pod was put on its machine; its containers started two seconds later."""
NOW = T0 + 61
"""When most tests look."""
JOB_UID = "00000000-0000-0000-0002-000000000001"


def at(seconds: float) -> str:
    """A moment after T0, to the second, as Kubernetes writes it."""
    return timestamp(T0 + seconds)[:19] + "Z"


def a_condition(kind: str, reason: str, status: str = "True", since: float = 0, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": None,
        "lastTransitionTime": at(since),
    }


def the_job(order: Order, *conditions: Object, suspend: bool | None = None) -> Object:
    """The order's Job as the API server shows it."""
    job = a_job(order)
    job["metadata"] |= {"uid": JOB_UID, "creationTimestamp": at(-1)}
    if suspend is not None:
        job["spec"]["suspend"] = suspend
    return {**job, "status": {"startTime": at(-1), "conditions": list(conditions)}}


def failed(reason: str = "BackoffLimitExceeded", since: float = 60) -> Object:
    words = {
        "BackoffLimitExceeded": "Job has reached the specified backoff limit",
        "DeadlineExceeded": "Job was active longer than specified deadline",
    }
    return a_condition("Failed", reason, since=since, message=words[reason])


COMPLETE = a_condition(
    "Complete", "CompletionsReached", since=60, message="Reached expected number of succeeded pods"
)
FAILING = a_condition("FailureTarget", "BackoffLimitExceeded", since=60)


def a_pod(order: Order, *containers: Object, index: int | None = None, **status: Any) -> Object:
    """A pod of the order's Job; running with all its containers unless told otherwise."""
    template = a_job(order)["spec"]["template"]
    name = "x7k2p" if index is None else f"{index}-x7k2p"
    metadata = {
        **template["metadata"],
        "name": f"{order.name}-{name}",
        "uid": f"00000000-0000-0000-0003-{index or 0:012d}",
        "creationTimestamp": at(0),
        "ownerReferences": [{"kind": "Job", "name": order.name, "uid": JOB_UID, "controller": True}],
    }
    if index is not None:
        completion = {"batch.kubernetes.io/job-completion-index": str(index)}
        metadata |= {
            "labels": {**metadata["labels"], **completion},
            "annotations": {**metadata["annotations"], **completion},
        }
    ours = containers or tuple(running(one["name"]) for one in template["spec"]["containers"])
    known = {
        "phase": "Running",
        "startTime": at(0),
        "conditions": [a_condition("PodScheduled", "", since=0), a_condition("Ready", "", since=2)],
        "containerStatuses": list(ours),
    }
    return {"metadata": metadata, "spec": template["spec"], "status": {**known, **status}}


def deleted(pod: Object, since: float) -> Object:
    """A pod that somebody deleted; its time to go is five seconds later."""
    return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": at(since + 5)}}


def disrupted(pod: Object, reason: str, message: str, since: float = 50) -> Object:
    """A pod that is taken away from outside."""
    told = a_condition("DisruptionTarget", reason, since=since, message=message)
    conditions = [*pod["status"]["conditions"], told]
    return {**pod, "status": {**pod["status"], "phase": "Failed", "conditions": conditions}}


def running(name: str) -> Object:
    return {"name": name, "ready": True, "started": True, "state": {"running": {"startedAt": at(2)}}}


def waiting(name: str, reason: str, message: str = "") -> Object:
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason, "message": message}}}


def ended(
    name: str, code: int = 0, reason: str | None = None, message: str = "", after: float = 52
) -> Object:
    """A container that ended fifty seconds after its start."""
    why = reason or ("Error" if code else "Completed")
    told = {
        "exitCode": code,
        "reason": why,
        "startedAt": at(2),
        "finishedAt": at(after),
        "containerID": "containerd://1",
    }
    return {
        "name": name,
        "ready": False,
        "state": {"terminated": told | ({"message": message} if message else {})},
    }


def measured(order: Order, index: int = 0, **fields: Any) -> Result:
    """What a referee writes when all went well."""
    known: dict[str, Any] = {
        "order": order.name,
        "attempt": order.attempt,
        "index": index,
        "measurement": Measurement(score="0.7"),
        "cost": Cost(seconds=48.5),
    }
    return Result(**{**known, **fields})


def message(result: Result) -> str:
    """A result as a referee writes it."""
    return result.model_dump_json(by_alias=True, exclude_defaults=True)


def results(order: Order, job: Object, *pods: Object, now: float = NOW) -> tuple[Result, ...] | None:
    indices = order.rung.seeds if order.rung else 1
    return outcome.results(outcome.Case(a_ref(order), job, now), indices, pods)


def only(order: Order, *pods: Object, job: Object | None = None, now: float = NOW) -> Result:
    found = results(order, job or the_job(order, failed()), *pods, now=now)
    assert found is not None
    (one,) = found
    return one
