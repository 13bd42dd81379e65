"""Jobs for tests of the playing kubelet alone, which must not depend on how the operator makes them."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asiarch.api.order import Order
from tests.cluster.kubelet.api import Object
from tests.cluster.plane import ControlPlane

SAFE = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_ENDS = {"Complete", "Failed"}
TOKEN = {"audience": "asiarch-gateway", "expirationSeconds": 600, "path": "token"}


def a_container(name: str, command: Sequence[str] = (), **env: str) -> Object:
    """One container under pod security *restricted*."""
    return {
        "name": name,
        "image": "played",
        "command": list(command),
        "env": [{"name": key, "value": value.replace("$", "$$")} for key, value in env.items()],
        "securityContext": SAFE,
    }


def a_pod(*containers: Object, **spec: Any) -> Object:
    """A pod's specification."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "containers": list(containers),
        **spec,
    }


def a_job(name: str, pod: Object, **spec: Any) -> Object:
    """A Job that is never repeated."""
    told = {"backoffLimit": 0, "podReplacementPolicy": "Failed", **spec}
    return {"metadata": {"name": name}, "spec": {**told, "template": {"spec": pod}}}


def an_order(name: str = "s-0001-train-recall-a1", **fields: Any) -> Order:
    """A training order of one rung, unless told otherwise."""
    rung = {"name": "recall", "task": "SyntheticRecall"}
    known = {"name": name, "kind": "train", "search": "s", "candidate": "s-0001", "seconds": 60, "rung": rung}
    return Order.model_validate({**known, **fields})


def training(order: Order, **spec: Any) -> Object:
    """Referee and player of an order, without their file."""
    told = {"ASIARCH_ORDER": order.model_dump_json(by_alias=True, exclude_defaults=True)}
    referee = a_container("referee", ["python", "-m", "asiarch_trainer.referee"], **told)
    player = a_container("player", ["python", "-m", "asiarch_trainer.player"], **told)
    return a_pod(referee, player, **spec)


def agent(order: Order, gateway: str, **spec: Any) -> Object:
    """An agent with the gateway's token."""
    told = {
        "ASIARCH_ORDER": order.model_dump_json(by_alias=True, exclude_defaults=True),
        "ASIARCH_GATEWAY": gateway,
        "ASIARCH_TOKEN": "/var/run/asiarch/token",
    }
    container = a_container("agent", ["python", "-m", "asiarch.agents.run"], **told)
    container["volumeMounts"] = [{"name": "token", "mountPath": "/var/run/asiarch", "readOnly": True}]
    volume = {"name": "token", "projected": {"sources": [{"serviceAccountToken": TOKEN}]}}
    return a_pod(container, serviceAccountName="asiarch-agent", volumes=[volume], **spec)


class Bench:
    """Creates Jobs in one namespace and looks at what became of them."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def create(self, job: Object) -> str:
        """Create a Job; its name."""
        self.plane.request("POST", self._jobs, job)
        return str(job["metadata"]["name"])

    def delete(self, name: str) -> None:
        """Delete a Job and its pods."""
        self.plane.request("DELETE", f"{self._jobs}/{name}", {"propagationPolicy": "Background"})

    def until(self, name: str, condition: str, seconds: float = 30.0) -> Object:
        """Wait until a Job has a condition; the Job's one pod, as it is then.

        Fails at once when the Job has ended otherwise, and when it takes too long; both tell of its pods.
        """
        until = time.monotonic() + seconds
        while condition not in (found := self._conditions(name)):
            if _ENDS & found.keys() or time.monotonic() > until:
                pods = json.dumps([pod["status"] for pod in self.pods(name)])
                pytest.fail(
                    f"Job {name} is {found} after at most {seconds:.0f} s, not {condition}; its pods: {pods}"
                )
            time.sleep(0.05)
        return self.pod(name)

    def _conditions(self, name: str) -> dict[str, Object]:
        """A Job's conditions that hold, by type."""
        found = self.plane.get(f"{self._jobs}/{name}")["status"].get("conditions", ())
        return {c["type"]: c for c in found if c["status"] == "True"}

    def pods(self, name: str) -> list[Object]:
        """A Job's pods."""
        selector = f"?labelSelector=batch.kubernetes.io/job-name={name}"
        found: list[Object] = self.plane.get(f"/api/v1/namespaces/{self.namespace}/pods{selector}")["items"]
        return found

    def pod(self, name: str) -> Object:
        """A Job's one pod."""
        (found,) = self.pods(name)
        return found

    def pod_until(self, name: str, condition: Mapping[str, Any], seconds: float = 30.0) -> Object:
        """Wait until the status of a Job's one pod contains these fields."""

        def has() -> bool:
            pods = self.pods(name)
            return bool(pods) and condition.items() <= pods[0]["status"].items()

        self.plane.wait_for(has, f"the pod of {name} to be {json.dumps(condition)}", seconds)
        return self.pod(name)


def terminated(pod: Object) -> dict[str, Object]:
    """How each container ended."""
    return {c["name"]: c["state"]["terminated"] for c in pod["status"]["containerStatuses"]}


def conditions(pod: Object) -> dict[str, Object]:
    """A pod's conditions by type."""
    return {c["type"]: c for c in pod["status"]["conditions"]}
