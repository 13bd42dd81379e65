"""Orders, and the Jobs that they become, with good defaults."""

from typing import Any

from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.names import order_name
from asiarch.api.order import Order, OrderKind
from asiarch.api.search import ArchitectureSearch, Evaluation, Rung
from asiarch.kube import manifests
from asiarch.kube.client import Object
from asiarch.kube.deployment import Deployment, Images
from tests.builders import GATES, a_candidate, a_digest, a_search

DEPLOYMENT = Deployment(
    Images("registry/agent@sha256:1", "registry/trainer@sha256:2"), "http://gateway.asiarch.svc:8081"
)
CODE = a_digest("a file")


def an_order(kind: OrderKind = "train", rung: Rung | None = GATES, **fields: Any) -> Order:
    """An order of candidate s-0001."""
    train = kind == "train"
    known = {
        "name": order_name("s-0001", kind, 1, rung.name if rung and train else None),
        "kind": kind,
        "search": "s",
        "candidate": "s-0001",
        "seed": 4711,
        "seconds": 600 if train else 120,
        "rung": rung if train else None,
        "code": CODE if train else None,
    }
    return Order(**{**known, **fields})


def a_ref(order: Order) -> OrderRef:
    """The order as its candidate's status names it."""
    return OrderRef(name=order.name, kind=order.kind, attempt=order.attempt, deadline="2026-01-01T00:20:00Z")


def the_candidate() -> Candidate:
    """Whose order it is."""
    return a_candidate(1, phase="Evaluating")


def searching(**evaluation: Any) -> ArchitectureSearch:
    """A search whose evaluation says this."""
    return a_search(evaluation=Evaluation(**{"ladder": (GATES,), **evaluation}))


def a_job(
    order: Order, search: ArchitectureSearch | None = None, deployment: Deployment = DEPLOYMENT
) -> Object:
    """The Job of an order."""
    return manifests.job(order, the_candidate(), search or searching(), deployment)


def pod_of(job: Object) -> Object:
    """The spec of a Job's pods."""
    spec: Object = job["spec"]["template"]["spec"]
    return spec


def container(job: Object, name: str) -> Object:
    """One container of a Job's pods."""
    return next(one for one in pod_of(job)["containers"] if one["name"] == name)


def environment(job: Object, name: str) -> dict[str, str]:
    """A container's environment as its manifest spells it."""
    return {one["name"]: one["value"] for one in container(job, name)["env"]}
