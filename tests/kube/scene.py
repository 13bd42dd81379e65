"""One search on an API server in memory, as one process sees it, with a clock that only tests move."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from asiarch.api.reason import Reason
from asiarch.core.actions import Plan
from asiarch.kube.client import JOBS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.cluster import SELECTORS, Cluster
from asiarch.kube.world import KubeWorld
from asiarch.loop import turn
from tests.builders import T0, a_search
from tests.kube.memory import Memory
from tests.kube.orders import DEPLOYMENT

NAMESPACE = "team"
FIRST = "s-0000"


class Deaf:
    """Counts nothing."""

    def quota_denied(self, namespace: str) -> None:
        """Count nothing."""

    def result_rejected(self, reason: str) -> None:
        """Count nothing."""

    def queued(self, seconds: float) -> None:
        """Count nothing."""


@dataclass
class Scene:
    """An API server, one process's view of it, and a monotonic clock and a time of day that only tests move."""

    memory: Memory = field(default_factory=Memory)
    clock: float = 1000.0
    now: float = T0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin as a new process does: with nothing but what the API server holds."""
        self.cluster = Cluster(cast("Any", self.memory), DEPLOYMENT, None, lambda: self.clock, Deaf())
        self.world = KubeWorld(self.cluster, (NAMESPACE, "s"))

    async def apply(self, **fields: Any) -> Object:
        """Create the search, as a user does; `fields` are those of `a_search`."""
        spec = a_search(**{"candidates": 3, **fields}).spec.model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        return await self.memory.create(SEARCHES, NAMESPACE, {"metadata": {"name": "s"}, "spec": spec})

    def hear(self) -> None:
        """Hear of everything."""
        revisions = [int(o["metadata"]["resourceVersion"]) for o in self.memory.objects.values()]
        for kind in SELECTORS:
            found = copy.deepcopy(list(self.memory.of(kind)))
            self.cluster.stores.of(kind).replace(found, max(revisions, default=0))

    async def turn(self) -> Plan:
        """Hear of everything, then take one turn."""
        self.hear()
        self.world.begin(self.now)
        plan = await turn(self.world, "s", self.now)
        await asyncio.gather(*self.cluster.aside, return_exceptions=True)
        return plan

    def fail(self, kind: Kind, error: ApiError) -> None:
        """Answer whoever creates an object of this kind like this, until all is well again."""

        def refuse(verb: str, asked: Kind, _name: str) -> None:
            if (verb, asked) == ("create", kind):
                raise error

        self.memory.before = refuse

    def heal(self) -> None:
        """Answer as an API server does."""
        self.memory.before = lambda *_: None

    async def turns(self, count: int) -> None:
        """Take so many turns."""
        for _ in range(count):
            await self.turn()

    @property
    def troubles(self) -> list[tuple[Reason, bool]]:
        """What the last turn saw amiss, and whether that keeps the search from everything."""
        return [(trouble.reason, trouble.fatal) for trouble in self.world.seen.troubles]

    def asked(self, verb: str, name: str) -> int:
        """How often something was asked of the API server."""
        return sum(1 for call in self.memory.calls if call[0] == verb and call[2] == name)

    def jobs(self) -> list[str]:
        """The names of all Jobs that are there."""
        return [job["metadata"]["name"] for job in self.memory.of(JOBS)]


def played(scenario: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    """Play what a test tells."""
    asyncio.run(scenario(Scene()))


def degraded(scene: Scene) -> Object:
    """What a user reads first when something is amiss."""
    conditions = scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]["status"]["conditions"]
    (found,) = (one for one in conditions if one["type"] == "Degraded" and one["status"] == "True")
    return dict(found)
