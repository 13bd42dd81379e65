"""The last words of pods that are gone: a pod may say what befell it, and go, between two turns.

Best effort, and nothing needs it: an operator that wasn't there to hear them takes the attempt for lost.
"""

from collections import OrderedDict
from collections.abc import Mapping

from asiarch.api.names import MANAGED_BY
from asiarch.kube.client import Object
from asiarch.kube.kept import controller, read_pod

_MOST_JOBS = 1000
_OVER = frozenset({"Succeeded", "Failed"})


class Departed:
    """Pods as they were seen last, by the uid of the Job that they belonged to, and by their own."""

    def __init__(self) -> None:
        """Know of none."""
        self._jobs: OrderedDict[str, dict[str, Object]] = OrderedDict()

    def keep(self, found: Object) -> None:
        """Remember a pod that was deleted, once; one that only lost our labels is still there."""
        metadata, status = found["metadata"], found.get("status", {})
        ours = (metadata.get("labels") or {}).get(MANAGED_BY[0]) == MANAGED_BY[1]
        ended = status.get("phase") in _OVER
        if not ours or not (ended or metadata.get("deletionTimestamp")):
            return
        pod = read_pod(found)
        if not ended:
            pod["status"] = {**pod["status"], "phase": "Failed"}
        self._jobs.setdefault(controller(found), {})[metadata["uid"]] = pod
        while len(self._jobs) > _MOST_JOBS:
            self._jobs.popitem(last=False)

    def of(self, job: str) -> Mapping[str, Object]:
        """The pods of a Job that are gone, by uid."""
        return self._jobs.get(job, {})
