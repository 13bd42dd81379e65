"""A full list brings whole what isn't known yet, and of all the rest no more than its metadata."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from asiarch.api.names import MANAGED_BY, PART, SEARCH
from asiarch.kube.client import CONFIG_MAPS, JOBS, Kind, Object, Page
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import Part
from tests.kube.memory import Memory
from tests.kube.orders import DEPLOYMENT
from tests.kube.test_reach import a_metrics

LABELS = {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: "s"}


class Counting(Memory):
    """Remembers of each page that was asked for whether it was whole, and how many objects it had."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, int]] = []

    async def pages(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        knows: Callable[[Object], bool] | None = None,
    ) -> AsyncIterator[Page]:
        assert labels
        async for page in super().pages(kind, namespace, "", knows):
            self.seen.append((page.whole, len(page.items)))
            yield page

    def asked(self) -> list[tuple[bool, int]]:
        """What was asked for since the last call."""
        seen, self.seen = self.seen, []
        return seen


def a_cluster(api: Counting) -> Cluster:
    return Cluster(cast("Any", api), DEPLOYMENT, None, lambda: 0.0, a_metrics())


async def a_job(api: Memory, name: str) -> Object:
    return await api.create(JOBS, "team", {"metadata": {"name": name, "labels": LABELS}, "spec": {}})


def test_what_is_known_is_listed_by_its_metadata_alone() -> None:
    async def scenario() -> None:
        api = Counting()
        cluster = a_cluster(api)
        first, second = await a_job(api, "a"), await a_job(api, "b")
        await cluster.list(JOBS)
        assert api.asked() == [(True, 2)]
        assert await cluster.list(JOBS) == {None: set()}
        assert api.asked() == [(False, 2)]

        # A watch missed that one changed, one went and one came.
        change = {"spec": {"suspend": True}}
        await api.patch(JOBS, "team", "a", change)
        await api.delete(JOBS, "team", "b", second["metadata"]["uid"])
        await a_job(api, "c")
        assert await cluster.list(JOBS) == {None: {("team", "s")}}
        assert api.asked() == [(False, 2), (True, 2)]
        held = cluster.stores.jobs.get("team", "a")
        assert held is not None
        assert held.uid == first["metadata"]["uid"]
        assert held.value["spec"] == change["spec"]
        assert cluster.stores.jobs.get("team", "b") is None
        assert cluster.stores.jobs.get("team", "c") is not None

    asyncio.run(scenario())


def test_results_are_never_listed_whole() -> None:
    async def scenario() -> None:
        api = Counting()
        cluster = a_cluster(api)
        metadata = {
            "name": "r",
            "labels": {**LABELS, PART: "result"},
            "ownerReferences": [{"uid": "uid-c", "controller": True}],
        }
        await api.create(CONFIG_MAPS, "team", {"metadata": metadata, "data": {"result.json": "{}"}})
        assert await cluster.list(CONFIG_MAPS) == {None: {("team", "s")}}
        assert api.asked() == [(False, 1)]
        held = cluster.stores.results.get("team", "r")
        assert held is not None
        assert held.value == Part("result", "uid-c")

    asyncio.run(scenario())


def test_a_list_that_nobody_waits_for_leaves_time_between_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def scenario() -> None:
        api = Counting()
        cluster = a_cluster(api)
        await a_job(api, "a")
        await cluster.list(JOBS, 0.25)
        assert slept == []
        await a_job(api, "b")
        await cluster.list(JOBS, 0.25)
        assert api.asked() == [(True, 1), (False, 2), (True, 2)]
        assert slept == [0.25]

    monkeypatch.setattr("asiarch.kube.cluster.asyncio.sleep", sleep)
    asyncio.run(scenario())
