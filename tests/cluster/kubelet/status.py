"""Pod statuses as a kubelet writes them; pure functions of what happened to the containers."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.cluster.kubelet.api import Object

MAX_MESSAGE_BYTES = 4096
KILLED = 137
"""128 + SIGKILL."""


@dataclass(frozen=True)
class Waiting:
    """A container that has not started."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """A container that runs since then."""

    started: float


@dataclass(frozen=True)
class Ended:
    """A container that has ended; `message` is what it left in its termination log. One that never ran has no times."""

    code: int
    started: float
    finished: float
    reason: str = ""
    message: str = ""


State = Waiting | Running | Ended


def timestamp(moment: float | None = None) -> str:
    """A moment, now unless told, as the API writes it: whole seconds."""
    found = datetime.fromtimestamp(time.time() if moment is None else moment, UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(pod: Object, began: float, states: Mapping[str, State], **override: str) -> Object:
    """The patch of a pod's status; `override` replaces its phase, reason or message."""
    phase = override.pop("phase", None) or _phase(states.values())
    containers = [_container(spec, states[spec["name"]]) for spec in pod["spec"]["containers"]]
    return {
        "metadata": {"uid": pod["metadata"]["uid"]},
        "status": {
            "phase": phase,
            "startTime": pod.get("status", {}).get("startTime") or timestamp(began),
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "containerStatuses": containers,
            "conditions": _conditions(phase, states.values()),
            **override,
        },
    }


def disruption(pod: Object, reason: str, message: str) -> Object:
    """The patch by which whoever takes a pod away says why."""
    return {
        "metadata": {"uid": pod["metadata"]["uid"]},
        "status": {"conditions": [disrupted(reason, message)]},
    }


def disrupted(reason: str, message: str) -> Object:
    """The condition that a pod is taken away for reasons that are not its own."""
    return {**_condition("DisruptionTarget", "True", reason), "message": message}


def _phase(states: Iterable[State]) -> str:
    known = tuple(states)
    if all(isinstance(state, Ended) for state in known):
        return "Failed" if any(isinstance(state, Ended) and state.code for state in known) else "Succeeded"
    return "Pending" if any(isinstance(state, Waiting) for state in known) else "Running"


def _container(spec: Object, state: State) -> Object:
    name = spec["name"]
    status: Object = {"name": name, "image": spec["image"], "imageID": "", "restartCount": 0, "lastState": {}}
    match state:
        case Waiting(reason, message):
            waiting = {"reason": reason, **({"message": message} if message else {})}
            return {**status, "ready": False, "started": False, "state": {"waiting": waiting}}
        case Running(started):
            return {
                **status,
                "ready": True,
                "started": True,
                "containerID": f"playing://{name}",
                "state": {"running": {"startedAt": timestamp(started)}},
            }
        case Ended(code, started, finished, reason, message):
            said = {
                "exitCode": code,
                "reason": reason or ("Error" if code else "Completed"),
                **({"startedAt": timestamp(started), "finishedAt": timestamp(finished)} if started else {}),
                "containerID": f"playing://{name}",
                **({"message": last_bytes(message)} if message else {}),
            }
            return {
                **status,
                "ready": False,
                "started": False,
                "containerID": f"playing://{name}",
                "state": {"terminated": said},
            }


def last_bytes(message: str) -> str:
    """What of a termination message is kept: its end."""
    return message.encode()[-MAX_MESSAGE_BYTES:].decode(errors="replace")


def _conditions(phase: str, states: Iterable[State]) -> list[Object]:
    begun = not any(isinstance(state, Waiting) for state in states)
    ready = "True" if phase == "Running" else "False"
    why = {"Succeeded": "PodCompleted", "Failed": "PodFailed", "Pending": "ContainersNotReady"}.get(phase, "")
    return [
        _condition("PodReadyToStartContainers", "True" if phase == "Running" else "False", ""),
        _condition("Initialized", "True", "PodCompleted" if phase == "Succeeded" else ""),
        _condition("Ready", ready if begun else "False", why),
        _condition("ContainersReady", ready if begun else "False", why),
    ]


def _condition(kind: str, status: str, reason: str) -> Object:
    said = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": timestamp()}
    return {**said, **({"reason": reason} if reason else {})}
