"""Builders of pods that run a few lines of Python under pod security *restricted*, and what became of them."""

import itertools
from textwrap import dedent
from typing import Any

from tests.cluster.node.building import SANDBOX
from tests.cluster.node.node import Node
from tests.cluster.plane import ControlPlane

Object = dict[str, Any]

_ENDED = {"Succeeded", "Failed"}
_COUNT = itertools.count(1)


def a_container(name: str, script: str, uid: int = 65532, **further: Any) -> Object:
    """A container that runs a script; its mounts are the volumes that `further` names."""
    return {
        "name": name,
        "image": SANDBOX.name,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", dedent(script)],
        "securityContext": {
            "runAsUser": uid,
            "runAsGroup": uid,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **further,
    }


def a_pod(name: str, *containers: Object, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A pod that runs once, without a token."""
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": list(containers),
            **spec,
        },
    }


def start(plane: ControlPlane, namespace: str, pod: Object) -> str:
    """Create a pod; its path."""
    plane.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    return f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"


def ended(plane: ControlPlane, node: Node, path: str, seconds: float = 60) -> Object:
    """Wait for a pod's success and return it; the error holds what its containers said."""
    plane.wait_for(lambda: plane.get(path)["status"].get("phase") in _ENDED, f"the end of {path}", seconds)
    pod: Object = plane.get(path)
    said = node.log(pod["metadata"]["namespace"], pod["metadata"]["name"])
    assert pod["status"]["phase"] == "Succeeded", f"{path}: {pod['status']}\n{said}"
    return pod


def address(plane: ControlPlane, path: str) -> str:
    """Wait until a pod runs; its address."""
    plane.wait_for(lambda: plane.get(path)["status"].get("phase") == "Running", f"{path} to run")
    return str(plane.get(path)["status"]["podIP"])


def message(pod: Object, container: str) -> str:
    """What a container left as its termination message."""
    states = {c["name"]: c["state"]["terminated"] for c in pod["status"]["containerStatuses"]}
    return str(states[container].get("message", ""))


def reached(
    plane: ControlPlane, node: Node, namespace: str, labels: dict[str, str], doors: dict[str, str]
) -> set[str]:
    """Which of these doors, addresses with ports, a pod with these labels can open within three seconds."""
    knocks = a_container(
        "knocks",
        f"""
        import concurrent.futures, socket, time

        def opens(door):
            host, port = door.split(":")
            try:
                socket.create_connection((host, int(port)), 3).close()
            except OSError:
                return False
            return True

        doors = {doors!r}
        time.sleep(1)
        with concurrent.futures.ThreadPoolExecutor() as hands:
            opened = [name for name, open_ in zip(doors, hands.map(opens, doors.values())) if open_]
        open("/dev/termination-log", "w").write(" ".join(opened))
        """,
    )
    path = start(plane, namespace, a_pod(f"knocks-{next(_COUNT)}", knocks, labels=labels))
    return set(message(ended(plane, node, path), "knocks").split())
