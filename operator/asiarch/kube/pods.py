"""The pods in which orders are done: an agent alone, or a referee with its player.

What holds for all of them: Pod Security *restricted*, a root that can't be written, bounded resources, no secret. What
holds for the player: no token, no data, no seed, no writable place that it shares, limits before its code is loaded.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from asiarch.api.names import AUDIENCE, code_name
from asiarch.api.order import Order
from asiarch.api.search import Agents, Dataset, Rung
from asiarch.kube.client import Object
from asiarch.kube.deployment import Deployment
from asiarch.kube.quoting import environment

AGENT, REFEREE, PLAYER = "agent", "referee", "player"
"""Containers, by what they do."""
RESULT = "/dev/termination-log"
"""Where the referee's message is read from; the player's own log lies elsewhere, and nobody reads it."""

_OWN_UID = 65532
_PLAYERS = range(100_000, 1 << 30)
"""Players' users, one for each order: their processes are counted by user over a whole machine."""
_CODE, _WIRE, _DATA, _TMP, _TOKEN = "/code", "/wire", "/data", "/tmp", "/var/run/asiarch"  # noqa: S108 - a pod's own
_TOKEN_SECONDS = 600
_GRACE_SECONDS = 5
_FILE_BYTES = 64 << 20
_PROCESSES = 256
"""Below a kubelet's usual limit for a pod, so that the referee can't be starved."""
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}

_QUIET = {
    "HOME": _TMP,
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
}
_NO_ACCELERATOR = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Some images ask the runtime for every accelerator of the machine; who was given none shall see none."""

_NO_NAMES: Object = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}}
"""No name can be looked up: nobody serves them at this address."""


def agent(order: Order, agents: Agents, deployment: Deployment) -> Object:
    """The pod of an agent's order: it speaks to the gateway, and to nobody else."""
    values = {
        "ASIARCH_ORDER": _written(order),
        "ASIARCH_GATEWAY": deployment.gateway_url,
        "ASIARCH_TOKEN": f"{_TOKEN}/token",
    }
    needs = {"cpu": agents.cpu, "memory": agents.memory}
    container = _container(AGENT, "asiarch.agents.run", deployment.images.agent, needs, values)
    container["volumeMounts"] = [_read("token", _TOKEN), _write(f"{AGENT}-tmp", _TMP)]
    source = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    # Why it left no result stands at the end of its log, whether the agent said so or crashed.
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    token = {"name": "token", "projected": {"sources": [{"serviceAccountToken": source}]}}
    pod = _pod(order, deployment, [container], [token, _scratch(AGENT, "64Mi")])
    return {**pod, **_names(deployment)}


def training(order: Order, rung: Rung, deployment: Deployment) -> Object:
    """The pod of a training order, for one seed of its rung."""
    code = {"name": "code", "configMap": {"name": code_name(order.search, order.code or "")}}
    wire = {"name": "wire", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    data = _data(rung.dataset)
    containers = [_referee(order, rung, deployment), _player(order, rung, deployment)]
    volumes = [code, wire, *data, _scratch(REFEREE, "64Mi"), _scratch(PLAYER, "512Mi")]
    pod = {**_pod(order, deployment, containers, volumes), **_NO_NAMES}
    return pod if deployment.runtime_class is None else {**pod, "runtimeClassName": deployment.runtime_class}


def _referee(order: Order, rung: Rung, deployment: Deployment) -> Object:
    values = {**_shared(order), "ASIARCH_RESULT": RESULT}
    # It holds all logits of the held-out sequences, some of them twice, while it compares them.
    needs = {"cpu": "1", "memory": f"{2 + rung.length // 2048}Gi"}
    container = _container(REFEREE, "asiarch_trainer.referee", deployment.images.trainer, needs, values)
    container["resources"]["requests"] |= {"cpu": "250m", "memory": "512Mi"}
    container["volumeMounts"] = [_read("code", _CODE), _write("wire", _WIRE), _write(f"{REFEREE}-tmp", _TMP)]
    container |= {"terminationMessagePath": RESULT, "terminationMessagePolicy": "File"}
    if _data(rung.dataset):
        # The dataset's path is relative to its volume, so no text of a user's becomes a path of ours.
        container["workingDir"] = _DATA
        container["volumeMounts"].append(_read("data", _DATA))
    return container


def _player(order: Order, rung: Rung, deployment: Deployment) -> Object:
    """The container of code that a machine wrote; its order holds neither the seed nor what will be asked."""
    accelerators = {name: str(count) for name, count in rung.resources.items() if count}
    limits = {"processes": _PROCESSES, "file": _FILE_BYTES}
    if not accelerators:
        # Drivers of accelerators map far more memory than they use, so their players have the container's bound only.
        limits["memory"] = _bytes(rung.memory)
    told = order.model_copy(update={"rung": None, "seed": 0})
    values = {**_shared(told), "ASIARCH_LIMITS": json.dumps(limits, separators=(",", ":"))}
    needs = {**accelerators, "cpu": rung.cpu, "memory": rung.memory}
    container = _container(PLAYER, "asiarch_trainer.player", deployment.images.trainer, needs, values)
    if accelerators:
        container["env"] = [one for one in container["env"] if one["name"] not in _NO_ACCELERATOR]
    container["resources"]["limits"]["ephemeral-storage"] = "1Gi"
    own = _uid(order)
    container["securityContext"] |= {"runAsUser": own, "runAsGroup": own}
    # Whoever may only read a directory can still connect to a socket in it, and can neither fill nor rename it.
    container["volumeMounts"] = [_read("code", _CODE), _read("wire", _WIRE), _write(f"{PLAYER}-tmp", _TMP)]
    return container | {"terminationMessagePath": "/dev/player-log", "terminationMessagePolicy": "File"}


def _uid(order: Order) -> int:
    """The user of an order's players: no other candidate's processes leave them without room for theirs."""
    return _PLAYERS[int.from_bytes(sha256(order.name.encode()).digest()[:8]) % len(_PLAYERS)]


def _shared(order: Order) -> dict[str, str]:
    """What referee and player are both told."""
    return {
        "ASIARCH_ORDER": _written(order),
        "ASIARCH_CODE": f"{_CODE}/candidate.py",
        "ASIARCH_SOCKET": f"{_WIRE}/socket",
    }


def _written(order: Order) -> str:
    return order.model_dump_json(by_alias=True, exclude_defaults=True)


def _pod(order: Order, deployment: Deployment, containers: list[Object], volumes: list[Object]) -> Object:
    """What every pod has in common."""
    return {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": order.seconds + deployment.start_seconds,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "serviceAccountName": deployment.agent_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**one, "imagePullPolicy": deployment.pull_policy} for one in containers],
        "volumes": volumes,
    }


def _container(
    name: str, module: str, image: str, needs: Mapping[str, str], values: Mapping[str, str]
) -> Object:
    bounds = {**needs, "ephemeral-storage": "256Mi"}
    return {
        "name": name,
        "image": image,
        "command": ["python", "-m", module],
        "env": environment({**_QUIET, **_NO_ACCELERATOR, **values}),
        "resources": {"requests": {**bounds, "ephemeral-storage": "64Mi"}, "limits": bounds},
        "securityContext": {
            "runAsUser": _OWN_UID,
            "runAsGroup": _OWN_UID,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _names(deployment: Deployment) -> Object:
    """How an agent finds the gateway; with its address known, no name needs to be looked up."""
    if not deployment.gateway_address:
        return {}
    host = urlsplit(deployment.gateway_url).hostname
    return {**_NO_NAMES, "hostAliases": [{"ip": deployment.gateway_address, "hostnames": [host]}]}


def _data(dataset: Dataset | None) -> list[Object]:
    """The volume of a dataset that lies in the cluster."""
    if dataset is None:
        return []
    if dataset.persistent_volume_claim is not None:
        claim = {"claimName": dataset.persistent_volume_claim, "readOnly": True}
        return [{"name": "data", "persistentVolumeClaim": claim}]
    if dataset.config_map is not None:
        return [{"name": "data", "configMap": {"name": dataset.config_map}}]
    return []


def _scratch(container: str, size: str) -> Object:
    return {"name": f"{container}-tmp", "emptyDir": {"sizeLimit": size}}


def _read(volume: str, path: str) -> Object:
    return {"name": volume, "mountPath": path, "readOnly": True}


def _write(volume: str, path: str) -> Object:
    return {"name": volume, "mountPath": path}


def _bytes(quantity: str) -> int:
    """Bytes of memory in binary units."""
    return int(quantity[:-2]) * _UNITS[quantity[-2:]]
