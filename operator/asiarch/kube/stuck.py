"""Pods that wait for what they may never get, a place or an image: how long we wait, and what we say meanwhile."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from asiarch.api.base import Instant
from asiarch.api.reason import Reason
from asiarch.core.observation import Trouble
from asiarch.kube import states
from asiarch.kube.client import Object
from asiarch.kube.deployment import START_SECONDS
from asiarch.kube.overlay import QUEUE

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
_HELD_SECONDS = 600.0
"""A Job that its queue holds back for so long is worth telling of; that of a busy cluster takes its time."""
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
    """What keeps an order that is under way from running.

    `patience` multiplies every time that a pod may wait.
    """
    found = [stuck.scaled(patience) for stuck in _hindrances(job, pods)]
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


def _hindrances(job: Object, pods: Sequence[Object]) -> Iterator[_Stuck]:
    """Everything that a Job waits for: its queue, its pods, or what they wait for."""
    if job.get("spec", {}).get("suspend"):
        yield _held(job)
    elif pods:
        yield from (stuck for pod in pods for stuck in _stuck(pod))
    elif not states.has_ended(job):
        yield from _podless(job)


def _held(job: Object) -> _Stuck:
    """A queue holds it back, for as long as it takes: nobody gives it up, since no time counts against it."""
    metadata = job["metadata"]
    suspended = states.condition(job, "Suspended", "True") or {}
    since = suspended.get("lastTransitionTime") or metadata.get("creationTimestamp")
    queue = metadata.get("labels", {}).get(QUEUE)
    holder = f"its queue {queue}" if queue else "somebody's admission (of Kueue, say)"
    message = (
        f"Job {metadata['name']} is suspended by {holder} since {since}. Look at what kubectl describe says of the "
        "queue and the Job's workload; it starts by itself once it is admitted."
    )
    reason = Reason.UNSCHEDULABLE
    return _Stuck(reason, message, states.moment(since) or 0.0, float("inf"), reason, _HELD_SECONDS)


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
    shown, step = Reason.UNSCHEDULABLE, "Make room, or ask for less"
    if "persistentvolumeclaim" in said.lower():
        shown = Reason.DATASET_INVALID
        step = "Create the claim that the rung's dataset names, or have it bound"
    message = f"Pod {pod['metadata']['name']} finds no place: {said} {step}; it starts by itself then."
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
        reason = Reason.INFRASTRUCTURE_FAILED
        step = (
            f"It needs its image{_volumes(pod)}; `kubectl describe pod {pod['metadata']['name']}` says which."
        )
        yield _Stuck(reason, f"{place} {step}", since, float("inf"), reason, START_SECONDS)


def _volumes(pod: Object) -> str:
    """What else of the namespace a pod needs: its kubelet tells only by an event which of them isn't there."""
    volumes = pod.get("spec", {}).get("volumes", ())
    maps = [f", ConfigMap {one['configMap']['name']}" for one in volumes if "configMap" in one]
    claims = [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one]
    return "".join([*maps, *(f", claim {name}" for name in claims)])


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
