"""Pods that wait for what they may never get, a place or an image: how long we wait, and what we say meanwhile."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from asiarch.api.base import Instant
from asiarch.api.reason import Reason
from asiarch.core.observation import Trouble
from asiarch.kube import states
from asiarch.kube.client import Object
from asiarch.kube.deployment import START_SECONDS

_HOPELESS = "ErrImageNeverPull"
_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "InvalidImageName",
        "RegistryUnavailable",
        _HOPELESS,
    }
)
_START = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CREATING = frozenset({"ContainerCreating", "PodInitializing"})
_IMAGE_SECONDS, _START_SECONDS = 120.0, 120.0
_PLACE_SECONDS = 600.0
_PODLESS_SECONDS = 30.0
_QUIET_SECONDS = 10.0
"""A pod that finds no place for so long is worth telling of; a busy scheduler takes a moment."""
LAG_SECONDS = 30.0
"""How much later than a Job's end the news of its pods may come."""
_MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an order waits for, if that is trouble; and when time alone changes what there is to say."""

    trouble: Trouble | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Stuck:
    """One thing that a pod waits for."""

    reason: Reason
    message: str
    since: Instant
    patience: float
    shown_as: Reason
    quiet: float = 0.0

    def scaled(self, factor: float) -> "_Stuck":
        """The same, with so many times the patience."""
        return replace(self, patience=self.patience * factor, quiet=self.quiet * factor)


def waiting(job: Object, pods: Sequence[Object], now: Instant, patience: float = 1.0) -> Waiting | None:
    """What keeps an order that is under way from running; nothing for a Job that a queue holds back.

    `patience` multiplies every time that a pod may wait.
    """
    if job.get("spec", {}).get("suspend"):
        return None
    found = [stuck.scaled(patience) for pod in pods for stuck in _stuck(pod)]
    if not pods and not states.has_ended(job):
        found = [stuck.scaled(patience) for stuck in _podless(job)]
    trouble = next(_troubles(found, now), None)
    ahead = [time - now for time in _turning_points(job, pods, found) if now < time < float("inf")]
    if trouble is None and not ahead:
        return None
    return Waiting(trouble, min(ahead, default=_PLACE_SECONDS))


def given_up(pod: Object, now: Instant, patience: float = 1.0) -> tuple[Reason, str] | None:
    """Why a pod has waited long enough; none while there is hope."""
    for stuck in _stuck(pod):
        if now - stuck.since >= stuck.patience * patience:
            return stuck.reason, stuck.message
    return None


def _turning_points(job: Object, pods: Sequence[Object], found: Iterable[_Stuck]) -> Iterator[Instant]:
    """The moments at which there is something else to say, though nothing happens."""
    for stuck in found:
        yield stuck.since + stuck.quiet
        yield stuck.since + stuck.patience
    for pod in pods:
        if (due := states.gone_at(pod)) is not None:
            yield due
    if (ended := states.ended_at(job)) is not None:
        yield ended + LAG_SECONDS


def _troubles(found: Iterable[_Stuck], now: Instant) -> Iterator[Trouble]:
    for stuck in found:
        if now - stuck.since >= stuck.quiet:
            yield Trouble(stuck.shown_as, stuck.message[:_MAX_MESSAGE], fatal=False)


def _stuck(pod: Object) -> Iterator[_Stuck]:
    """Everything that a pod waits for."""
    if states.phase(pod) != "Pending":
        return
    placeless = states.condition(pod, "PodScheduled", "False")
    if placeless is not None and placeless.get("reason") == "Unschedulable":
        yield _no_place(pod, placeless)
    if _is_unseen(pod):
        yield _no_scheduler(pod)
    for container, why in states.waiting(pod):
        yield from _not_started(pod, container, why)


def _no_place(pod: Object, condition: Object) -> _Stuck:
    """No machine for it, in the scheduler's words; a volume that isn't there shows here too."""
    said = str(condition.get("message", ""))
    since = states.moment(condition.get("lastTransitionTime")) or 0.0
    shown = Reason.DATASET_INVALID if "persistentvolumeclaim" in said.lower() else Reason.UNSCHEDULABLE
    place = f"Pod {pod['metadata']['name']} finds no place"
    message = f"{place}: {said} Make room, or ask for less; it starts by itself then."
    return _Stuck(Reason.UNSCHEDULABLE, message, since, _PLACE_SECONDS, shown, _QUIET_SECONDS)


def _is_unseen(pod: Object) -> bool:
    """Whether no scheduler and no kubelet has said a word of a pod."""
    seen = any(states.condition(pod, "PodScheduled", status) for status in ("True", "False", "Unknown"))
    return not (seen or pod.get("spec", {}).get("nodeName") or pod.get("status", {}).get("startTime"))


def _no_scheduler(pod: Object) -> _Stuck:
    """Nobody looks for a place for it: there is no scheduler of the name that it asks for, or it is down."""
    since = states.moment(pod["metadata"].get("creationTimestamp")) or 0.0
    name = pod["metadata"]["name"]
    message = (
        f"Pod {name} finds no place: no scheduler has looked at it. Check that the scheduler which "
        "podTemplate.spec.schedulerName names, or the cluster's own, is there and runs."
    )
    reason = Reason.UNSCHEDULABLE
    return _Stuck(reason, message, since, _PLACE_SECONDS, reason, _QUIET_SECONDS)


def _not_started(pod: Object, container: str, why: Object) -> Iterator[_Stuck]:
    """A container that its kubelet can't start."""
    word, said = str(why.get("reason", "")), str(why.get("message", ""))
    since = states.moment(pod["status"].get("startTime")) or 0.0
    place = f"Container {container} of pod {pod['metadata']['name']} can't start: {word}: {said}"
    if word in _IMAGE:
        patience = 0.0 if word == _HOPELESS else _IMAGE_SECONDS
        message = f"{place} Check the image's name and the pull secret."
        yield _Stuck(Reason.IMAGE_PULL_FAILED, message, since, patience, Reason.IMAGE_PULL_FAILED)
    elif word in _START:
        reason = Reason.INFRASTRUCTURE_FAILED
        shown = Reason.SOURCE_NOT_FOUND if "not found" in said else reason
        yield _Stuck(reason, place, since, _START_SECONDS, shown)
    elif word in _CREATING:
        # A volume that isn't there, or an image that takes its time: the pod's own deadline ends it.
        step = f"`kubectl describe pod {pod['metadata']['name']}` says what it waits for."
        reason = Reason.INFRASTRUCTURE_FAILED
        yield _Stuck(reason, f"{place} {step}", since, float("inf"), reason, START_SECONDS)


def _podless(job: Object) -> Iterator[_Stuck]:
    """A Job whose controller creates no pod: no account, a quota, or a policy; only its events say which."""
    begun = job.get("status", {}).get("startTime") or job["metadata"].get("creationTimestamp")
    since, name = states.moment(begun), job["metadata"]["name"]
    if since is not None:
        space, account = job["metadata"].get("namespace"), _account(job)
        message = (
            f"Job {name} gets no pod. `kubectl -n {space} describe job {name}` says why: the service account "
            f"{account} is missing in {space}, or a quota or a policy of the namespace forbids the pod. The chart "
            "makes the account, and the network policies, in every namespace that its value watch.namespaces names."
        )
        reason = Reason.JOB_REJECTED
        yield _Stuck(reason, message, since, float("inf"), reason, _PODLESS_SECONDS)


def _account(job: Object) -> str:
    """The service account that a Job's pods ask for."""
    spec = job.get("spec", {}).get("template", {}).get("spec", {})
    return str(spec.get("serviceAccountName", "default"))
