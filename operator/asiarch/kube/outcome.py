"""What came of an order, read from its Job and its pods: the referee's word first, then whose fault it is.

A node's failure is never the candidate's: whatever a referee says of a player that fell silent counts only while
nobody was taking the pod away. `CAUSES` is the table; `asiarch.core.lifecycle` says what each reason leads to.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from asiarch.api.base import Instant
from asiarch.api.candidate import OrderRef
from asiarch.api.order import MAX_RESULT_BYTES, Result, wrong_reason
from asiarch.api.reason import Reason
from asiarch.api.search import Cost
from asiarch.core import lifecycle
from asiarch.kube import states, stuck
from asiarch.kube.client import Object
from asiarch.kube.manifests import LIMIT
from asiarch.kube.pods import AGENT, PLAYER, REFEREE
from asiarch.kube.states import has_ended, is_over, is_training
from asiarch.kube.stuck import LAG_SECONDS, Waiting, waiting

_LATE = "DeadlineExceeded"

CAUSES: Mapping[str, Reason] = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "Preempting": Reason.PREEMPTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "NodeLost": Reason.NODE_LOST,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "Evicted": Reason.EVICTED,
    "NodeShutdown": Reason.EVICTED,
    "Terminated": Reason.EVICTED,
    _LATE: Reason.DEADLINE_EXCEEDED,
}
"""Why a pod was ended from outside, in Kubernetes' words (DisruptionTarget's reason, or the pod's own) and in ours."""

_PLAYER_GONE = frozenset({Reason.NO_RESULT, Reason.CRASHED, Reason.PROTOCOL_ERROR, Reason.DEADLINE_EXCEEDED})
"""What a referee says of a player that fell silent, whoever silenced it."""

_OWN_STORAGE = re.compile(
    r"EmptyDir volume \"(?!referee)|Container (?!referee)\S+ exceeded its local ephemeral|exceeds the total limit"
)
_NO_START = (
    "None of its containers had started: its image was still on the way, or one of its volumes isn't there. What was "
    "pulled so far stays on the machine; the operator's --patience gives pods more time."
)
_NEVER_RAN = frozenset({"ContainerCannotRun", "ContainerStatusUnknown", "StartError"})
_FULL_TIME = 0.9
"""Share of its time that an order must have had before running out of time is its own fault."""
_MAX_MESSAGE = 1024
_MAX_LAST_WORDS = 600

_AGENTS_OWN: Mapping[int, tuple[Reason, str]] = {
    os.EX_OK: (Reason.AGENT_FAILED, "left no valid result"),
    os.EX_DATAERR: (Reason.AGENT_FAILED, "the gateway refused what it brought"),
    os.EX_TEMPFAIL: (Reason.GATEWAY_UNREACHABLE, "the gateway did not serve it"),
}
"""What an agent's exit code says; any other one is a crash, and another attempt may do better."""


@dataclass(frozen=True, slots=True)
class Case:
    """One order as the API server shows it."""

    ref: OrderRef
    job: Object
    now: Instant
    patience: float = 1.0
    """How long its pods may wait for a place or an image, in units of the usual."""

    @property
    def container(self) -> str:
        """The container whose word counts."""
        return REFEREE if self.ref.kind == "train" else AGENT

    @property
    def limit(self) -> float:
        """Seconds that each pod's order may take."""
        said = states.whole((self.job["metadata"].get("annotations") or {}).get(LIMIT))
        return float("inf") if said is None else float(said)

    def result(self, index: int, reason: Reason, message: str, seconds: float = 0.0) -> Result:
        """A result that nobody left; it never costs more than was reserved for it."""
        return Result(
            order=self.ref.name,
            attempt=self.ref.attempt,
            index=index,
            reason=reason,
            message=message[:_MAX_MESSAGE],
            cost=Cost(seconds=round(min(seconds, self.limit), 3)),
        )


def brought(ref: OrderRef, found: Object) -> Result | str:
    """A result as its agent brought it, or what is wrong with it: the gateway has checked, and so do we."""
    try:
        result = Result.model_validate_json((found.get("data") or {}).get("result.json", ""))
    except ValidationError as error:
        return f"The result can't be read: {error.errors()[0]['msg']}"
    if (result.order, result.attempt) != (ref.name, ref.attempt):
        return f"The result is of {result.order}, attempt {result.attempt}."
    return wrong_reason(result) or result


def results(case: Case, indices: int, pods: Sequence[Object]) -> tuple[Result, ...] | None:
    """What came of an order, one result for each index that has one; none while it is under way.

    `pods` are the Job's own. For an agent's order this says only why there is no result: ask it after a look for one.
    """
    found = [_of_index(case, index, pods) for index in range(indices)]
    return _together(case, found, pods)


def _together(case: Case, found: list[Result | None], pods: Sequence[Object]) -> tuple[Result, ...] | None:
    """Put indices together as if they had run one after the other: the first that is unfit decides."""
    for index, one in enumerate(found):
        if one is not None and _decides(one):
            return _decided(case, one, [r for r in found if r is not None], pods)
        if one is None and not _is_missed(case, index, pods):
            return None
    ended = states.ending(case.job) or {}
    words = f"Job {case.job['metadata']['name']} has ended ({ended.get('reason')}: {ended.get('message')})"
    missed = Reason.LOST, f"{words}, and its pod is gone."
    if states.made(case.job) + sum(_pod(index, pods) is None for index in range(len(found))) <= len(found):
        why = "a quota, a policy or a missing account forbids it"
        missed = Reason.JOB_REJECTED, f"{words} and never got a pod: {why}."
    return tuple(one or case.result(i, *missed) for i, one in enumerate(found))


def _decides(result: Result) -> bool:
    return result.reason is not None and result.reason not in lifecycle.LOST


def _decided(case: Case, unfit: Result, found: list[Result], pods: Sequence[Object]) -> tuple[Result, ...]:
    """An unfit index with those that were measured; the time of those that weren't is charged with it."""
    kept = [one for one in found if one.reason not in lifecycle.LOST]
    decider = _pod(unfit.index, pods)
    until = None if decider is None else states.ended(decider, case.container)
    measured = {one.index for one in kept}
    others = [pod for pod in pods if states.index(pod) not in measured]
    extra = sum(min(case.limit, states.seconds_used(pod, case.container, until)) for pod in others)
    cost = unfit.cost.model_copy(update={"seconds": round(unfit.cost.seconds + extra, 3)})
    return tuple(one.model_copy(update={"cost": cost}) if one is unfit else one for one in kept)


def _is_missed(case: Case, index: int, pods: Sequence[Object]) -> bool:
    """Whether an index has no pod, and never will have one."""
    if _pod(index, pods) is not None:
        return False
    ended = states.ended_at(case.job)
    return ended is not None and case.now > ended + LAG_SECONDS


def _of_index(case: Case, index: int, pods: Sequence[Object]) -> Result | None:
    pod = _pod(index, pods)
    if pod is None:
        return None
    if case.ref.kind == "train":
        said = _said(case, index, pod)
        if said is not None:
            return said
    elif not (has_ended(case.job) or states.is_overdue(pod, case.now)):
        return _given_up(case, index, pod)
    ended = states.state(pod, case.container, "terminated")
    if is_over(pod, case.now) or ended is not None:
        result = _failure(case, index, pod)
        # An attempt that will be made again waits for the old pod to be over.
        if is_over(pod, case.now) or _decides(result):
            return result
    return _given_up(case, index, pod)


def _pod(index: int, pods: Sequence[Object]) -> Object | None:
    """The pod of an index; of several, one that has succeeded, else the one that was started last."""

    def rank(pod: Object) -> tuple[bool, str]:
        return states.phase(pod) == "Succeeded", pod["metadata"].get("creationTimestamp", "")

    return max((pod for pod in pods if states.index(pod) == index), key=rank, default=None)


def _said(case: Case, index: int, pod: Object) -> Result | None:
    """What the referee measured, or the player's end as the pod's state explains it; none without a valid message."""
    ended = states.state(pod, REFEREE, "terminated")
    if ended is None or ended.get("reason") == "OOMKilled":
        return None
    result = _read(case.ref, index, str(ended.get("message", "")))
    if result is None:
        return None
    if result.reason in _PLAYER_GONE:
        if _cause(pod) or pod["metadata"].get("deletionTimestamp"):
            return None
        result = _out_of_memory(result, pod)
    elif result.reason == Reason.INFRASTRUCTURE_FAILED:
        result = _never_there(result, pod)
    return result.model_copy(update={"isolation": states.isolation(pod, PLAYER)})


def _read(ref: OrderRef, index: int, message: str) -> Result | None:
    """A referee's message, if it is a result of this very order."""
    if len(message.encode()) > MAX_RESULT_BYTES:
        return None
    try:
        result = Result.model_validate_json(message)
    except ValidationError:
        return None
    return result if (result.order, result.attempt, result.index) == (ref.name, ref.attempt, index) else None


def _out_of_memory(result: Result, pod: Object) -> Result:
    """Say so if the player fell silent because it was killed for its memory; its exit code may be its own."""
    ended = states.state(pod, PLAYER, "terminated") or {}
    if ended.get("reason") != "OOMKilled" or not ended.get("exitCode"):
        return result
    bound = states.limit(pod, PLAYER, "memory")
    message = (
        f"Container {PLAYER} exit {ended['exitCode']}, killed for its memory, limit {bound}. {result.message}"
    )
    return result.model_copy(update={"reason": Reason.OUT_OF_MEMORY, "message": message[:_MAX_MESSAGE]})


def _never_there(result: Result, pod: Object) -> Result:
    """Say how the player ended of which the referee heard nothing: memory too small for torch, a runtime that fails."""
    ended = states.state(pod, PLAYER, "terminated")
    if not ended or not ended.get("exitCode"):
        return result
    words = f"Container {PLAYER} ended with exit code {ended['exitCode']} ({ended.get('reason', '')})"
    if ended.get("reason") == "OOMKilled":
        bound = states.limit(pod, PLAYER, "memory")
        words += f", killed for its memory, limit {bound}: the rung's `memory` is too small"
    elif ended.get("message"):
        words += f": {_plain(str(ended['message']))[-_MAX_LAST_WORDS:]}"
    return result.model_copy(update={"message": f"{result.message} {words}."[:_MAX_MESSAGE]})


def _given_up(case: Case, index: int, pod: Object) -> Result | None:
    """The end of a pod that has waited too long for what it can't have."""
    found = stuck.given_up(pod, case.now, case.patience)
    return None if found is None else case.result(index, *found)


def _failure(case: Case, index: int, pod: Object) -> Result:
    """Why a pod left no result: first who took it away, then how its container ended."""
    used = 0.0 if _never_began(pod) else states.seconds_used(pod, case.container)
    ended = states.state(pod, case.container, "terminated")
    found = _taken_away(case, pod, used)
    if found is None and ended is None:
        name = pod["metadata"]["name"]
        found = Reason.LOST, f"Pod {name} is over, and its containers left no trace."
    return case.result(index, *(found or _exit(case, pod, ended or {})), used)


def _taken_away(case: Case, pod: Object, used: float) -> tuple[Reason, str] | None:
    """Why a pod was ended from outside, if it was."""
    cause, name = _cause(pod), f"Pod {pod['metadata']['name']}"
    if states.is_overdue(pod, case.now) or states.phase(pod) == "Unknown":
        return Reason.NODE_LOST, f"{name}: its machine doesn't answer. {cause}".strip()
    if _never_began(pod):
        return Reason.IMAGE_PULL_FAILED, f"{name}: {cause}: {_told(pod)}. {_NO_START}"
    if cause:
        return _blamed(case, pod, cause, used), f"{name}: {cause}: {_told(pod)}"
    if pod["metadata"].get("deletionTimestamp") and case.job.get("spec", {}).get("suspend"):
        return Reason.PREEMPTED, f"{name} was taken away by its queue."
    if pod["metadata"].get("deletionTimestamp"):
        return Reason.LOST, f"{name} was deleted while it ran."
    return None


def _never_began(pod: Object) -> bool:
    """Whether a pod's kubelet ended it at its deadline, and none of its containers had started by then."""
    return _cause(pod) == _LATE and states.never_started(pod)


def _cause(pod: Object) -> str:
    """Who ended a pod from outside, in Kubernetes' words; empty for nobody."""
    disruption = states.condition(pod, "DisruptionTarget") or {}
    return str(disruption.get("reason") or pod.get("status", {}).get("reason") or "")


def _told(pod: Object) -> str:
    disruption = states.condition(pod, "DisruptionTarget") or {}
    said = dict.fromkeys(
        str(text).strip() for text in (pod["status"].get("message"), disruption.get("message")) if text
    )
    return " ".join(said)


def _blamed(case: Case, pod: Object, cause: str, used: float) -> Reason:
    """Whose fault it is that a pod was ended from outside; what we don't know is never the candidate's."""
    reason = CAUSES.get(cause, Reason.INFRASTRUCTURE_FAILED)
    if reason == Reason.EVICTED and _OWN_STORAGE.search(_told(pod)):
        return Reason.STORAGE_EXCEEDED if case.ref.kind == "train" else Reason.AGENT_FAILED
    if reason == Reason.DEADLINE_EXCEEDED and used < _FULL_TIME * case.limit:
        # Part of its time went by while it waited for its image, or for its machine.
        return Reason.INFRASTRUCTURE_FAILED
    return reason


def _exit(case: Case, pod: Object, ended: Object) -> tuple[Reason, str]:
    """Why a container of ours ended as it did, nobody having stopped it."""
    code, why = ended.get("exitCode"), str(ended.get("reason", ""))
    words = f"Container {case.container} of pod {pod['metadata']['name']} ended with exit code {code} ({why})"
    if why in _NEVER_RAN:
        return Reason.INFRASTRUCTURE_FAILED, f"{words}: {ended.get('message', '')}"
    if why == "OOMKilled":
        bound = states.limit(pod, case.container, "memory")
        return Reason.INFRASTRUCTURE_FAILED, f"{words}, killed for its memory, limit {bound}."
    if case.ref.kind != "train":
        return _agents_exit(words, ended)
    if code == 0:
        return Reason.NO_RESULT, f"{words} and left no valid result."
    return Reason.INFRASTRUCTURE_FAILED, f"{words}; see its log."


def _agents_exit(words: str, ended: Object) -> tuple[Reason, str]:
    """Why an agent left no result, with what it said last."""
    reason, why = _AGENTS_OWN.get(ended.get("exitCode", -1), (Reason.INFRASTRUCTURE_FAILED, "it crashed"))
    said = _plain(str(ended.get("message", "")))[-_MAX_LAST_WORDS:]
    return reason, f"{words}: {why}; {f'it said last: {said}' if said else 'see its log.'}"


def _plain(text: str) -> str:
    """What somebody logged, as one line for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


__all__ = ["CAUSES", "Case", "Waiting", "has_ended", "is_over", "is_training", "results", "waiting"]
