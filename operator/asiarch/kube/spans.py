"""How long an order's processes ran and waited, as its Job and its pods tell."""

from collections.abc import Sequence

from asiarch.api.base import Instant
from asiarch.api.order import Result
from asiarch.kube import states
from asiarch.kube.client import Object
from asiarch.kube.manifests import LIMIT
from asiarch.kube.pods import AGENT, REFEREE


def ran(job: Object, pods: Sequence[Object], now: Instant) -> float:
    """Seconds that an order's pods have run until now, each at most as long as it may; waiting is not running."""
    container = REFEREE if states.is_training(job) else AGENT
    said = states.whole((job["metadata"].get("annotations") or {}).get(LIMIT))
    limit = float("inf") if said is None else float(said)
    begun = [
        p for p in pods if states.state(p, container, "running") or states.state(p, container, "terminated")
    ]
    return sum(min(limit, states.seconds_used(pod, container, now)) for pod in begun)


def charged(results: Sequence[Result], indices: int, pods: Sequence[Object]) -> float | None:
    """Seconds that ended pods are known to have run; none where an index has no pod that could tell."""
    told = {states.index(pod) for pod in pods}
    known = told.issuperset(range(indices))
    return sum(result.cost.seconds for result in results) if known else None


def queued(job: Object, pods: Sequence[Object]) -> float | None:
    """Seconds from an order's Job to its last pod that was let run; none where no pod was."""
    created = states.moment(job["metadata"].get("creationTimestamp"))
    started = [states.moment(pod["status"].get("startTime")) for pod in pods]
    last = max((moment for moment in started if moment is not None), default=None)
    return None if created is None or last is None else max(0.0, last - created)
