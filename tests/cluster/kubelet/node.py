"""The kubelet's node: its object, and the heartbeat that keeps it alive."""

import asyncio
import contextlib
from datetime import UTC, datetime

from tests.cluster.kubelet.api import STRATEGIC, Api, Object, RefusedError
from tests.cluster.kubelet.status import timestamp

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_HEARTBEAT_SECONDS = 3.0
_LEASE_SECONDS = 15
_VERSION = "v1.36.3"
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


async def register(api: Api, name: str, resources: dict[str, str]) -> None:
    """Make the node, or take over the one that a former kubelet of this name left."""
    made = _node(name, resources)
    with contextlib.suppress(RefusedError):
        await api.call("POST", "/api/v1/nodes", made)
    await _say_ready(api, name, made)
    with contextlib.suppress(RefusedError):
        await api.call("POST", _LEASES, {"metadata": {"name": name}, "spec": _lease(name)})


async def heartbeat(api: Api, name: str, resources: dict[str, str]) -> None:
    """Renew the node's lease for ever; when it was renewed too late, as after an outage, say that the node is ready."""
    while True:
        # The lease goes with its node, and comes back with the next registration.
        with contextlib.suppress(RefusedError):
            await api.call("PATCH", f"{_LEASES}/{name}", {"spec": _lease(name)}, STRATEGIC)
            if not _is_ready(await api.call("GET", f"/api/v1/nodes/{name}")):
                await _say_ready(api, name, _node(name, resources))
        await asyncio.sleep(_HEARTBEAT_SECONDS)


async def _say_ready(api: Api, name: str, node: Object) -> None:
    await api.call("PATCH", f"/api/v1/nodes/{name}/status", {"status": node["status"]}, STRATEGIC)


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _lease(name: str) -> Object:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": moment}


def _node(name: str, resources: dict[str, str]) -> Object:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                *(_condition(kind, "False", f"KubeletHasNo{kind}") for kind in _PRESSURES),
                _condition("Ready", "True", "KubeletReady"),
            ],
            "nodeInfo": {
                "kubeletVersion": _VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "containerRuntimeVersion": "playing://1",
                "osImage": "playing",
                "kernelVersion": "",
                "machineID": name,
                "systemUUID": name,
                "bootID": name,
            },
        },
    }


def _condition(kind: str, status: str, reason: str) -> Object:
    moment = timestamp()
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "said by the playing kubelet",
        "lastHeartbeatTime": moment,
        "lastTransitionTime": moment,
    }
