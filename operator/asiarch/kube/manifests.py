"""The objects that an order and a candidate's file become: pure functions, pinned by golden files in tests/kube.

One order is one Job that Kubernetes never repeats: attempts are ours to count. The pod's deadline is shorter than the
Job's, for when a Job's own deadline is over, its pods are deleted with what they had to say.
"""

from collections.abc import Mapping

from asiarch.api.candidate import Candidate
from asiarch.api.names import CANDIDATE_UID, JOB, ORDER, Part, code_name, context_name, object_name
from asiarch.api.order import Order
from asiarch.api.search import ArchitectureSearch
from asiarch.kube import overlay, pods
from asiarch.kube.client import Object
from asiarch.kube.deployment import Deployment
from asiarch.kube.quoting import labels

PENDING_ALLOWANCE = 3600
"""Seconds that a Job may wait for a place before Kubernetes ends it, unless somebody has more patience."""
LIMIT = "asiarch.dev/seconds"
"""Annotation: how long each of the order's pods may take."""

KEPT_AGENT, _KEPT_TRAINING = 180, 3600
"""Seconds that a Job stays after its end, should nobody delete it: a training Job's pods hold what they measured."""


def job(order: Order, candidate: Candidate, search: ArchitectureSearch, deployment: Deployment) -> Object:
    """The Job of an order; raises ValueError for a training order without a rung or a file."""
    return (
        _training(order, candidate, search, deployment)
        if order.kind == "train"
        else _agent(order, candidate, search, deployment)
    )


def context_map(order: Order, candidate: Candidate, context_json: str) -> Object:
    """The ConfigMap with what an agent's order is told."""
    metadata = _metadata(order, candidate, "context", context_name(order.name))
    return _config_map(metadata, {"context.json": context_json})


def code_map(search: ArchitectureSearch, digest: str, text: str) -> Object:
    """The ConfigMap with a candidate's file."""
    metadata = {
        "name": code_name(search.name, digest),
        "namespace": search.metadata.namespace,
        "labels": labels("code", search.name),
        "ownerReferences": [owner_of(search)],
    }
    return _config_map(metadata, {"candidate.py": text})


def _agent(order: Order, candidate: Candidate, search: ArchitectureSearch, deployment: Deployment) -> Object:
    metadata = _metadata(order, candidate, "agent", object_name(order.name))
    pod = pods.agent(order, search.spec.agents, deployment)
    template = _template(metadata, pod, search.spec.agents.pod_template, None)
    return _job(metadata, template, {"ttlSecondsAfterFinished": KEPT_AGENT}, deployment.patience)


def _training(
    order: Order, candidate: Candidate, search: ArchitectureSearch, deployment: Deployment
) -> Object:
    if order.rung is None or order.code is None:
        raise ValueError(f"Order {order.name} names no rung or no file.")
    evaluation, seeds = search.spec.evaluation, order.rung.seeds
    metadata = _metadata(order, candidate, "training", object_name(order.name))
    pod = pods.training(order, order.rung, deployment)
    template = _template(metadata, pod, evaluation.pod_template, deployment.runtime_class)
    metadata["labels"] |= {JOB: metadata["name"], CANDIDATE_UID: candidate.metadata.uid}
    shape: Object = {"ttlSecondsAfterFinished": _KEPT_TRAINING}
    if seeds > 1:
        shape |= {"completionMode": "Indexed", "completions": seeds, "parallelism": seeds}
    if evaluation.queue_name is not None:
        metadata["labels"] |= {overlay.QUEUE: evaluation.queue_name}
    return _job(metadata, template, shape, deployment.patience)


def _template(
    metadata: Object, pod: Object, laid_over: Mapping[str, object] | None, runtime: str | None
) -> Object:
    """A pod template with the labels of its Job, and what the user lays over it."""
    own = {"labels": dict(metadata["labels"]), "annotations": dict(metadata["annotations"])}
    template = {"metadata": own, "spec": pod}
    return template if laid_over is None else overlay.applied(template, laid_over, runtime)


def _job(metadata: Object, template: Object, shape: Object, patience: float) -> Object:
    """A Job that runs each of its pods once; Kueue reads what concerns it from the Job itself."""
    for field in ("labels", "annotations"):
        said = template["metadata"][field].items()
        metadata[field] |= {key: value for key, value in said if key.startswith(overlay.KUEUE)}
    pending = round(PENDING_ALLOWANCE * max(1.0, patience))
    spec = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": template["spec"]["activeDeadlineSeconds"] + pending,
        **shape,
        "template": template,
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _config_map(metadata: Object, data: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "immutable": True,
        "data": dict(data),
    }


def _metadata(order: Order, candidate: Candidate, part: Part, name: str) -> Object:
    """Whose an order's object is, and how it is found."""
    return {
        "name": name,
        "namespace": candidate.metadata.namespace,
        "labels": labels(part, order.search, candidate.name),
        "annotations": {ORDER: order.name, LIMIT: str(order.seconds)},
        "ownerReferences": [owner_of(candidate)],
    }


def owner_of(owner: ArchitectureSearch | Candidate) -> Object:
    """The reference by which an object belongs to another, and goes with it."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }
