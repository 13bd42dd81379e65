"""What happens in a pod: an instant play, a real one, or a fault."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import NoReturn, TypeVar

from asiarch.api.order import Order
from asiarch.api.reason import Reason
from tests.cluster.kubelet import play
from tests.cluster.kubelet.api import Object
from tests.cluster.kubelet.faults import Fault
from tests.cluster.kubelet.life import Life, Settings
from tests.cluster.kubelet.results import Sender
from tests.cluster.kubelet.sandbox import Launch, UnreadyError
from tests.cluster.kubelet.status import KILLED, Ended, Running, Waiting, disruption

T = TypeVar("T")

_LOOK_AGAIN_SECONDS = 0.3
_NODE_LOST_SECONDS = 1.0
_REFEREE, _PLAYER = "referee", "player"
_STUCK = {
    "imagepull": Waiting("ImagePullBackOff", "Back-off pulling image: ErrImagePull: not found"),
    "pending-forever": Waiting("ContainerCreating"),
}
"""Faults of pods that never start."""
_LOW = "The node was low on resource: memory. Threshold quantity: 200Mi, available: 50Mi."


async def act(life: Life, fault: Fault | None) -> dict[str, str]:
    """Play a pod to its end; what its status says beside its containers' states."""
    what = fault.fault if fault else None
    if what in _STUCK:
        life.set_all(_STUCK[what])
        await life.tell()
        await _for_ever()
    if fault is not None and what not in {"slow", "double-report"}:
        return await _struck(life, fault)
    if _is_instant(life):
        await _instant(life, fault)
    else:
        await _real(life, fault)
    return {}


def _is_instant(life: Life) -> bool:
    settings, order = life.stage.settings, life.order
    if order is None:
        return False
    return (settings.training if order.kind == "train" else settings.agents) != "real"


async def _instant(life: Life, fault: Fault | None) -> None:
    """Let nothing run: the result is computed."""
    order = life.order
    assert order is not None
    sender = None if order.kind == "train" else await _sender(life)
    code = await _code(life) if order.kind == "train" else None
    life.run_all()
    seconds = _lasts(life.stage.settings, order)
    seconds += fault.seconds if fault and fault.fault == "slow" else 0.0
    if seconds:
        await life.tell()
        await asyncio.sleep(seconds)
    if sender is not None:
        await _send(life, sender, twice=fault is not None and fault.fault == "double-report")
        return
    result = play.played(order)[order.index]
    if code != order.code:
        result = play.no_result(
            order, Reason.INVALID_SOURCE, f"The file is {code}, the order's is {order.code}."
        )
    life.charge(play.written(result))
    for name in life.states:
        _end_after(life, name, result.cost.seconds, play.written(result) if name != _PLAYER else "")


def _end_after(life: Life, name: str, seconds: float, message: str = "") -> None:
    """A container ends now and says that it ran for so long."""
    life.end(name, 0, message=message)
    ended = life.states[name]
    assert isinstance(ended, Ended)
    life.states[name] = replace(ended, started=ended.finished - seconds)


def _lasts(settings: Settings, order: Order) -> float:
    """How long an order takes by itself."""
    own = settings.lasts if order.kind == "train" or settings.agents_last is None else settings.agents_last
    return play.lasts(order, own, settings.spread)


async def _code(life: Life) -> str | None:
    """The digest of the file that the pod is given, once it is there."""
    volumes = life.pod["spec"].get("volumes", ())
    wanted = [v["configMap"]["name"] for v in volumes if v["name"] == "code" and "configMap" in v]
    space = life.path.rpartition("/pods/")[0]
    while wanted:
        found = await life.stage.api.find(f"{space}/configmaps/{wanted[0]}")
        if found is not None:
            return sha256(found["data"]["candidate.py"].encode()).hexdigest()
        # A kubelet tells by an event alone which volume isn't there.
        await _wait(life, Waiting("ContainerCreating"))
    return None


async def _sender(life: Life) -> Sender:
    """A way to the gateway with the token that the pod's volume asks for."""
    if life.stage.settings.agents == "direct":
        return Sender(life.stage.api, life.pod, "", "")
    env = await _ready(life, lambda: life.sandbox.environment(life.pod["spec"]["containers"][0]))
    sources = [s for v in life.pod["spec"]["volumes"] for s in v.get("projected", {}).get("sources", ())]
    tokens = [s["serviceAccountToken"] for s in sources if "serviceAccountToken" in s]
    token = await _ready(life, lambda: life.sandbox.token(tokens[0]))
    return Sender(life.stage.api, life.pod, env["ASIARCH_GATEWAY"], token)


async def _send(life: Life, sender: Sender, *, twice: bool) -> None:
    assert life.order is not None
    result = play.played(life.order)[0]
    status = await sender.send(result)
    if status in {200, 201}:
        life.charge(play.written(result))
    wrong = "" if status in {200, 201} else f"the gateway answered {status}"
    if twice and not wrong:
        wrong = await sender.send_again(result)
    for name in life.states:
        life.end(name, os.EX_DATAERR if wrong else 0, message=wrong)


async def _real(life: Life, fault: Fault | None) -> None:
    """Run every container as a child process."""
    launches = await _ready(life, life.sandbox.prepare)
    life.run_all()
    await life.tell()
    if fault and fault.fault == "slow":
        await asyncio.sleep(fault.seconds)
    async with asyncio.TaskGroup() as group:
        for launch in launches:
            group.create_task(_contain(life, launch))


async def _ready(life: Life, make: Callable[[], Awaitable[T]]) -> T:
    """What a pod needs to start, once it can be had."""
    while True:
        try:
            return await make()
        except UnreadyError as unready:
            await _wait(life, unready.waiting)


async def _wait(life: Life, waiting: Waiting) -> None:
    """Say once why a pod does not start, and look again in a moment."""
    if waiting not in life.states.values() or not life.spoke:
        life.set_all(waiting)
        await life.tell()
    await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _contain(life: Life, launch: Launch) -> None:
    """One container, from its process's start to its end."""
    code = await life.stage.children.run(f"{life.number}-{launch.name}", launch)
    life.end(launch.name, code)
    # A referee's result has left the pod now, whatever becomes of its player.
    life.charge(life.sandbox.message(launch.name))
    if any(isinstance(state, Running) for state in life.states.values()):
        await life.tell()


async def _struck(life: Life, fault: Fault) -> dict[str, str]:
    """Let a pod run for a while and then meet its fault."""
    life.run_all()
    await life.tell()
    if fault.fault != "nodelost":
        await asyncio.sleep(fault.seconds)
    match fault.fault:
        case "crash":
            _break(life, fault.container or next(iter(life.states)), 1, "Error")
        case "oom":
            _break(life, fault.container or [*life.states][-1], KILLED, "OOMKilled")
        case "exit0-without-result":
            life.end_rest(code=0)
        case "evict":
            life.end_rest()
            await life.patch(disruption(life.pod, "TerminationByKubelet", _LOW))
            return {"phase": "Failed", "reason": "Evicted", "message": _LOW}
        case "preempt":
            said = "default-scheduler: preempting to accommodate a higher priority pod"
            await life.patch(disruption(life.pod, "PreemptionByScheduler", said))
            await life.delete()
            await _for_ever()
        case "nodelost":
            await _lose_node(life, fault.seconds or _NODE_LOST_SECONDS)
        case _:
            await _for_ever()
    return {}


def _break(life: Life, name: str, code: int, reason: str) -> None:
    """One container ends badly; a referee that lost its player says so and ends well."""
    life.end(name, code, reason)
    for other in life.states:
        if other == _REFEREE and name == _PLAYER and life.order is not None:
            lost = play.no_result(life.order, Reason.NO_RESULT, "The player ended during a training step.")
            life.charge(play.written(lost))
            life.end(other, 0, message=play.written(lost))
        elif other != name:
            life.end(other, 1 if other == _PLAYER else 0)


async def _lose_node(life: Life, seconds: float) -> None:
    """What becomes of a pod whose node is lost: deleted by the node's taint, and never confirmed by its kubelet."""
    life.lost = True
    said = "Taint manager: deleting due to NoExecute taint"
    await life.patch(disruption(life.pod, "DeletionByTaintManager", said))
    await life.delete()
    await asyncio.sleep(seconds)
    lost: Object = disruption(life.pod, "DeletionByPodGC", "PodGC: node no longer exists")
    lost["status"]["phase"] = "Failed"
    await life.patch(lost)
    await life.delete(0)


async def _for_ever() -> NoReturn:
    """Wait to be stopped."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError
