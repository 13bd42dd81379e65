"""The kubelet itself: watches the pods bound to its node, gives each a life, and ends it when it must."""

import asyncio
from urllib.parse import quote

from tests.cluster.kubelet import node
from tests.cluster.kubelet.acts import act
from tests.cluster.kubelet.api import Object
from tests.cluster.kubelet.life import Life, Stage

_TERMINAL = {"Succeeded", "Failed"}
_LATE = "Pod was active on the node longer than the specified deadline"
_UNKNOWN = "ContainerStatusUnknown"
_CAPACITY = {"cpu": "4096", "memory": "64Ti", "ephemeral-storage": "64Ti", "pods": "5000"}


class Kubelet:
    """Plays one node until it is cancelled."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._lives: dict[str, Life] = {}
        self._confirmed: set[str] = set()
        self._count = 0

    async def run(self) -> None:
        """Register the node and play its pods."""
        name, api = self._stage.settings.node, self._stage.api
        resources = {**_CAPACITY, **dict(self._stage.settings.resources)}
        await node.register(api, name, resources)
        bound = quote(f"spec.nodeName={name}")
        async with asyncio.TaskGroup() as group:
            group.create_task(node.heartbeat(api, name, resources))
            async for event, found in api.watch(f"/api/v1/pods?fieldSelector={bound}"):
                if event == "LISTED":
                    self._relist(found["items"], group)
                else:
                    self._see(event, found, group)

    def _relist(self, pods: list[Object], group: asyncio.TaskGroup) -> None:
        """What is not there any more is gone; what runs without us ran in an earlier life of this kubelet."""
        gone = self._lives.keys() - {pod["metadata"]["uid"] for pod in pods}
        for uid in gone:
            self._lives[uid].stopping.set()
        for pod in pods:
            self._see("ADDED", pod, group)

    def _see(self, event: str, pod: Object, group: asyncio.TaskGroup) -> None:
        """Bring one pod to where it belongs."""
        uid = pod["metadata"]["uid"]
        life = self._lives.get(uid)
        if life is not None and "deletionTimestamp" in pod["metadata"] and not life.lost:
            life.stopping.set()
        if event == "DELETED":
            self._confirmed.discard(uid)
            if life is not None:
                life.stopping.set()
        elif pod["status"].get("phase") in _TERMINAL:
            self._confirm(pod, group)
        elif life is None:
            self._count += 1
            life = self._lives[uid] = Life(self._stage, pod, self._count)
            group.create_task(self._live(life))

    def _confirm(self, pod: Object, group: asyncio.TaskGroup) -> None:
        """Say of a deleted pod which has ended, once, that it may go."""
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"] and uid not in self._confirmed and uid not in self._lives:
            self._confirmed.add(uid)
            group.create_task(Life(self._stage, pod, 0).delete(0))

    async def _live(self, life: Life) -> None:
        """One pod, to its terminal status."""
        try:
            if life.pod["status"].get("phase") == "Running":
                life.end_rest(reason=_UNKNOWN)
                how, said = _UNKNOWN, dict[str, str]()
            else:
                how, said = await self._play(life)
            life.ended(how)
            if not life.lost:
                await life.tell(**said)
                if how == "double-report":
                    # Another second makes it another status.
                    await asyncio.sleep(1.0)
                    await life.tell(**said)
                if life.stopping.is_set():
                    await life.delete(0)
        finally:
            life.sandbox.remove()
            del self._lives[life.pod["metadata"]["uid"]]

    async def _play(self, life: Life) -> tuple[str, dict[str, str]]:
        """Play a pod until it ends, is stopped or is late; how it ended, and what its status says of that."""
        fault = None if life.told is None else self._stage.faults.take(life.told)
        if "deletionTimestamp" in life.pod["metadata"]:
            life.stopping.set()
        playing = asyncio.create_task(act(life, fault))
        stopping = asyncio.create_task(life.stopping.wait())
        limit = life.pod["spec"].get("activeDeadlineSeconds")
        try:
            done, _ = await asyncio.wait(
                {playing, stopping}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (playing, stopping):
                task.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
        if playing in done:
            said = playing.result()
            return fault.fault if fault else "Completed", said
        life.give_up()
        if stopping in done:
            return "Deleted", {"phase": "Failed"}
        return "DeadlineExceeded", {"phase": "Failed", "reason": "DeadlineExceeded", "message": _LATE}
