"""The pod security standard *restricted*, as far as a pod template can break it; each fault names its field."""

from collections.abc import Iterator
from typing import Any

_HOST = ("hostNetwork", "hostPID", "hostIPC")
_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def faults(pod: dict[str, Any]) -> list[str]:
    """What a pod's spec has against *restricted* and against our own rule of a root that can't be written."""
    whole = [f"{field} is set" for field in _HOST if pod.get(field)]
    volumes = [
        f"volume {volume['name']} is a {kind}"
        for volume in pod.get("volumes", [])
        for kind in volume.keys() - {"name"} - _VOLUMES
    ]
    found = [*pod.get("initContainers", []), *pod["containers"]]
    return whole + volumes + [fault for container in found for fault in _of(container, pod)]


def _of(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**pod.get("securityContext", {}), **own}
    wanted = {
        "runAsNonRoot": both.get("runAsNonRoot") is True,
        "runAsUser": both.get("runAsUser") != 0,
        "seccompProfile": both.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "privileged": not own.get("privileged"),
        "capabilities.drop": own.get("capabilities", {}).get("drop") == ["ALL"],
        "capabilities.add": not set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"},
        "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
    }
    yield from (f"{container['name']}: {field}" for field, holds in wanted.items() if not holds)
