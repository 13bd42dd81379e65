"""Which events of Jobs and pods are worth a look: those after which a turn could see, or do, something else.

An order makes a dozen events, of which its end is the one that matters. What is passed over here is still in the
stores, so that any later turn sees it; and the resync looks at everything now and then.
"""

from asiarch.kube import states
from asiarch.kube.client import JOBS, PODS, Kind, Object

_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


def is_news(kind: Kind, before: Object | None, after: Object | None, *, waited_for: bool) -> bool:
    """Whether to look at the search of an object that changed; none is one that isn't there.

    `waited_for` says whether a candidate waits for its order: of one that doesn't, only what turns up and may run
    matters.
    """
    if not waited_for:
        return before is None and (kind == JOBS or (after is not None and _goes_well(after)))
    if kind == PODS:
        return after is None or not (_goes_well(after) and (before is None or _goes_well(before)))
    return before is None or after is None or not (_is_open(after) and _is_open(before, after))


def _goes_well(pod: Object) -> bool:
    """Whether a pod is starting or running, and nothing keeps it from that."""
    status = pod.get("status", {})
    trouble = (
        pod["metadata"].get("deletionTimestamp")
        or status.get("reason")
        or states.condition(pod, "DisruptionTarget")
        or states.condition(pod, "PodScheduled", "False")
    )
    return not trouble and states.phase(pod) in {"Pending", "Running"} and all(map(_is_well, _states(pod)))


def _states(pod: Object) -> list[Object]:
    return [one.get("state", {}) for one in pod.get("status", {}).get("containerStatuses") or ()]


def _is_well(state: Object) -> bool:
    waiting = state.get("waiting")
    return "terminated" not in state and (waiting is None or waiting.get("reason") in _STARTING)


def _is_open(job: Object, later: Object | None = None) -> bool:
    """Whether a Job has neither ended nor is being deleted, and, if a later one is given, is as suspended as that."""
    same = later is None or job["spec"].get("suspend") == later["spec"].get("suspend")
    return same and not states.has_ended(job) and not job["metadata"].get("deletionTimestamp")
