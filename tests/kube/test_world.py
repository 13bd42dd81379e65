"""One search's world on an API server in memory: what else may stand there, and what may have happened unseen."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from asiarch.api.names import code_name
from asiarch.api.reason import Reason
from asiarch.core.actions import Plan
from asiarch.kube.client import CANDIDATES, JOBS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.cluster import SELECTORS, Cluster
from asiarch.kube.orders import GRACE, UNSURE
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
    """An API server, one process's view of it, and a clock that only tests move."""

    memory: Memory = field(default_factory=Memory)
    clock: float = 1000.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin as a new process does: with nothing but what the API server holds."""
        self.cluster = Cluster(cast("Any", self.memory), DEPLOYMENT, None, lambda: self.clock, Deaf())
        self.world = KubeWorld(self.cluster, (NAMESPACE, "s"))

    async def apply(self) -> Object:
        """Create the search, as a user does."""
        spec = a_search(candidates=3).spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        return await self.memory.create(SEARCHES, NAMESPACE, {"metadata": {"name": "s"}, "spec": spec})

    async def turn(self) -> Plan:
        """Hear of everything, then take one turn."""
        revisions = [int(o["metadata"]["resourceVersion"]) for o in self.memory.objects.values()]
        for kind in SELECTORS:
            found = copy.deepcopy(list(self.memory.of(kind)))
            self.cluster.stores.of(kind).replace(found, max(revisions, default=0))
        self.world.begin(T0)
        return await turn(self.world, "s", T0)

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
    asyncio.run(scenario(Scene()))


def test_a_foreign_candidate_under_a_name_that_is_needed_blocks_the_search_and_is_spoken_of() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        spec = {"searchName": "other", "origin": "User", "seed": 1, "idea": "x"}
        await scene.memory.create(CANDIDATES, NAMESPACE, {"metadata": {"name": FIRST}, "spec": spec})
        await scene.turns(5)
        assert scene.troubles == [(Reason.NAME_CONFLICT, True)]
        assert scene.asked("create", FIRST) == 2  # once by its owner, once by us
        del scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]
        await scene.turns(3)
        assert scene.troubles == []
        assert (CANDIDATES.plural, NAMESPACE, FIRST) in scene.memory.objects

    played(scenario)


def test_a_candidate_that_cant_be_read_blocks_the_search_and_loses_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(3)
        before = scene.memory.objects[CANDIDATES.plural, NAMESPACE, "s-0001"]
        newer = copy.deepcopy(before)
        newer["status"]["phase"] = "FromTheFuture"
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, "s-0001", newer)
        await scene.turns(3)
        assert scene.troubles == [(Reason.CONFIG_INVALID, True)]
        assert scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]["status"]["phase"] == "Blocked"
        assert len(list(scene.memory.of(CANDIDATES))) == len(a_search().spec.baselines)

    played(scenario)


def test_of_a_predecessor_with_the_same_name_nothing_is_remembered() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        scene.memory.objects.clear()
        await scene.apply()
        await scene.turns(4)
        (order,) = scene.jobs()
        code = scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]["status"]["code"]["digest"]
        assert order.startswith(FIRST)
        assert ("configmaps", NAMESPACE, code_name("s", code)) in scene.memory.objects

    played(scenario)


def test_a_predecessors_file_is_waited_out_and_not_taken_for_ours() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        left = {key: value for key, value in scene.memory.objects.items() if key[0] == "configmaps"}
        scene.memory.objects.clear()
        scene.memory.objects |= left
        scene.restart()
        await scene.apply()
        await scene.turn()
        with pytest.raises(ApiError, match="isn't of this search"):
            await scene.turns(2)
        for key in left:
            del scene.memory.objects[key]
        await scene.turns(4)
        assert len(scene.jobs()) == 1

    played(scenario)


def test_a_job_that_may_have_come_and_gone_while_we_were_cut_off_is_not_started_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()

        def cut_off(verb: str, kind: Kind, _name: str) -> None:
            if (verb, kind) == ("create", JOBS):
                raise ApiError(0, "Unreachable", "reset")

        scene.memory.before = cut_off
        with pytest.raises(ApiError):
            await scene.turns(5)
        scene.memory.before = lambda *_: None
        scene.clock += UNSURE + 1
        await scene.turn()
        scene.clock += GRACE + 1
        await scene.turns(2)
        assert scene.jobs() == [f"{FIRST}-train-gates-a2"]

    played(scenario)


def test_a_job_whose_answer_got_lost_a_moment_ago_is_asked_for_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()

        def cut_off(verb: str, kind: Kind, _name: str) -> None:
            if (verb, kind) == ("create", JOBS):
                raise ApiError(0, "Unreachable", "reset")

        scene.memory.before = cut_off
        with pytest.raises(ApiError):
            await scene.turns(5)
        scene.memory.before = lambda *_: None
        await scene.turn()
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]

    played(scenario)


def test_an_order_that_an_earlier_process_named_counts_as_lost_when_its_job_is_nowhere() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        (job,) = scene.jobs()
        del scene.memory.objects[JOBS.plural, NAMESPACE, job]
        scene.restart()
        await scene.turn()
        assert scene.jobs() == []
        scene.clock += GRACE + 1
        await scene.turns(2)
        assert scene.jobs() == [f"{FIRST}-train-gates-a2"]

    played(scenario)


def test_who_was_overtaken_looks_at_once() -> None:
    async def scenario(scene: Scene) -> None:
        found = await scene.apply()
        await scene.turns(4)
        key = (CANDIDATES.plural, NAMESPACE, FIRST)
        held = scene.cluster.stores.candidates.get(NAMESPACE, FIRST)
        assert held is not None
        other = copy.deepcopy(scene.memory.objects[key])
        other["status"]["message"] = "Somebody else wrote this."
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, FIRST, other)
        candidate = held.value.model
        with pytest.raises(ApiError, match="409"):
            await scene.world._write_candidate(candidate, candidate.status)
        fresh = scene.cluster.stores.candidates.get(NAMESPACE, FIRST)
        assert fresh is not None
        assert fresh.value.model.status.message == "Somebody else wrote this."
        assert found["metadata"]["uid"]

    played(scenario)
