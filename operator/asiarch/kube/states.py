"""Jobs and pods as their controllers and kubelets describe them: plain questions, answered from the object alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from asiarch.api.base import Instant, instant
from asiarch.api.names import PART
from asiarch.kube.client import Object

_INDEX = "batch.kubernetes.io/job-completion-index"
_OVERDUE_SECONDS = 60.0


def is_training(job: Object) -> bool:
    """Whether a Job, or one of its pods, measures; else an agent works in it."""
    return bool(job["metadata"].get("labels", {}).get(PART) == "training")


def has_ended(job: Object) -> bool:
    """Whether a Job has ended, all its pods included; `FailureTarget` and `SuccessCriteriaMet` come earlier."""
    return ending(job) is not None


def ending(job: Object) -> Object | None:
    """The condition by which a Job has ended."""
    return condition(job, "Complete") or condition(job, "Failed")


def ended_at(job: Object) -> Instant | None:
    """When a Job ended."""
    return moment((ending(job) or {}).get("lastTransitionTime"))


def made(job: Object) -> int:
    """How many pods a Job's controller has made so far, by its own count; of those that it let go at most too many."""
    status = job.get("status", {})
    counted = sum(int(status.get(name) or 0) for name in ("active", "failed", "succeeded", "terminating"))
    return counted + sum(len(uids or ()) for uids in (status.get("uncountedTerminatedPods") or {}).values())


def condition(found: Object, kind: str, status: str = "True") -> Object | None:
    """The condition of this type, if it stands so."""
    for one in found.get("status", {}).get("conditions") or ():
        if one.get("type") == kind and one.get("status") == status:
            return dict(one)
    return None


def index(pod: Object) -> int:
    """Which seed a pod of an indexed Job measures; 0 for any other pod."""
    said = {**(pod["metadata"].get("labels") or {}), **(pod["metadata"].get("annotations") or {})}
    return whole(said.get(_INDEX)) or 0


def is_over(pod: Object, now: Instant | None = None) -> bool:
    """Whether nothing runs in a pod any more, as far as anybody can tell.

    One that should have gone a minute before `now` is on a machine that doesn't answer.
    """
    return phase(pod) in {"Succeeded", "Failed", "Unknown"} or (now is not None and is_overdue(pod, now))


def is_overdue(pod: Object, now: Instant) -> bool:
    """Whether a deleted pod should have gone a minute ago."""
    due = gone_at(pod)
    return due is not None and now > due


def gone_at(pod: Object) -> Instant | None:
    """When a deleted pod has to be gone, unless its machine doesn't answer."""
    deleted = moment(pod["metadata"].get("deletionTimestamp"))
    return None if deleted is None else deleted + _OVERDUE_SECONDS


def phase(pod: Object) -> str:
    """Where the pod as a whole stands."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def state(pod: Object, container: str, kind: str) -> Object | None:
    """How a container is waiting, running or terminated, if it is."""
    for one in pod.get("status", {}).get("containerStatuses") or ():
        if one.get("name") == container:
            found: Object | None = one.get("state", {}).get(kind)
            return found
    return None


def waiting(pod: Object) -> Iterable[tuple[str, Object]]:
    """The containers that wait, and why."""
    for one in pod.get("status", {}).get("containerStatuses") or ():
        why = one.get("state", {}).get("waiting")
        if why is not None:
            yield str(one.get("name")), why


def limit(pod: Object, container: str, resource: str) -> str:
    """A container's limit of a resource, as it was admitted."""
    for one in pod.get("spec", {}).get("containers", ()):
        if one["name"] == container:
            return str(one.get("resources", {}).get("limits", {}).get(resource, "none"))
    return "none"


def ended(pod: Object, container: str) -> Instant | None:
    """When a container ended, by its kubelet's clock."""
    return moment((state(pod, container, "terminated") or {}).get("finishedAt"))


def seconds_used(pod: Object, container: str, until: Instant | None = None) -> float:
    """How long a container ran, by its kubelet's clock, or its pod where its kubelet gave no times; at most `until`."""
    status, over = pod.get("status", {}), state(pod, container, "terminated") or {}
    running = state(pod, container, "running") or {}
    begun = moment(over.get("startedAt") or running.get("startedAt") or status.get("startTime"))
    stopped = ended(pod, container) or until or _last_news(pod)
    return 0.0 if begun is None or stopped is None else max(0.0, stopped - begun)


def never_started(pod: Object) -> bool:
    """Whether its kubelet says that none of a pod's containers has run: no image yet, or a volume that isn't there.

    Of one that it gave up before its start it says that it has terminated, and no time at which it began.
    """
    found = [one.get("state", {}) for one in pod.get("status", {}).get("containerStatuses") or ()]
    ran = (s.get("running") or (s.get("terminated") or {}).get("startedAt") for s in found)
    return bool(found) and not any(ran)


def whole(text: Any) -> int | None:
    """A whole number that somebody wrote into an annotation; none where something else stands."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() else None


def moment(text: Any) -> Instant | None:
    """A moment that Kubernetes wrote; none where it wrote none."""
    return instant(text) if isinstance(text, str) and text else None


def isolation(pod: Object, container: str) -> tuple[str, ...]:
    """What a container was given to hold it, as admitted; the laptop's words for the same facts."""
    spec = pod.get("spec", {})
    own: Mapping[str, Any] = next((c for c in spec.get("containers", ()) if c["name"] == container), {})
    guards = {**spec.get("securityContext", {}), **own.get("securityContext", {})}
    dropped = guards.get("capabilities", {})
    facts = {
        "unprivileged-user": guards.get("runAsNonRoot") is True,
        "read-only-root": guards.get("readOnlyRootFilesystem") is True,
        "no-capabilities": dropped.get("drop") == ["ALL"] and not dropped.get("add"),
        "no-new-privileges": guards.get("allowPrivilegeEscalation") is False,
        "seccomp": guards.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
        "no-token": spec.get("automountServiceAccountToken") is False,
        "memory-limit": "memory" in own.get("resources", {}).get("limits", {}),
    }
    shared = any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"))
    whole = ["pod=restricted"] if all(facts.values()) and not shared else []
    return (
        f"runtime={spec.get('runtimeClassName', 'default')}"[:64],
        *whole,
        *(w for w in facts if facts[w]),
    )


def _last_news(pod: Object) -> Instant | None:
    """When a pod's conditions last changed."""
    times = (moment(one.get("lastTransitionTime")) for one in pod.get("status", {}).get("conditions") or ())
    return max((time for time in times if time is not None), default=None)
