"""A namespace that can't be listed stands still, and no other with it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from asiarch.core.actions import Plan
from asiarch.core.observation import Observation
from asiarch.kube import operate
from asiarch.kube.client import CANDIDATES, PODS, SEARCHES, ApiError, Kind, Object, Page
from asiarch.kube.cluster import SELECTORS, Cluster
from asiarch.kube.kept import Leaving
from asiarch.kube.metrics import Build, Metrics
from asiarch.kube.operate import Operator, Settings
from asiarch.kube.probes import Health
from asiarch.kube.store import SearchKey
from asiarch.kube.worker import Worker
from tests.builders import T0, a_search
from tests.kube.memory import Memory
from tests.kube.orders import DEPLOYMENT
from tests.kube.test_metrics import value

FORBIDDEN = ApiError(403, "Forbidden", 'cannot list resource "pods" in the namespace "b"')
NAMESPACES = ("b", "a")


class Refusing(Memory):
    """An API server that refuses some lists."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: dict[tuple[str, Kind], ApiError] = {}
        self.asked: list[tuple[str, Kind]] = []

    def refuse(self, namespace: str, *kinds: Kind, error: ApiError = FORBIDDEN) -> None:
        """Refuse to list these kinds there; without any, all of them."""
        self.refusals |= {(namespace, kind): error for kind in kinds or SELECTORS}

    async def pages(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        knows: Callable[[Object], bool] | None = None,
    ) -> AsyncIterator[Page]:
        self.asked.append((namespace or "", kind))
        if (namespace or "", kind) in self.refusals:
            raise self.refusals[namespace or "", kind]
        assert labels == SELECTORS[kind]
        found = [one for one in self.of(kind) if namespace in (None, one["metadata"]["namespace"])]
        if knows is not None:
            yield Page([{"metadata": one["metadata"]} for one in found], "1000", whole=False)
        if knows is None or not all(map(knows, found)):
            yield Page(found, "1000")

    def now(self) -> float:
        return T0


class Silent:
    """Hears what turns saw, and counts them."""

    def __init__(self) -> None:
        self.turns: list[SearchKey] = []

    def took_turn(self, key: SearchKey, _seen: Observation, _plan: Plan) -> None:
        self.turns.append(key)

    def gone(self, key: SearchKey, _leaving: Leaving | None) -> None:
        self.turns.append(key)


def a_metrics() -> Metrics:
    return Metrics(Build(version="0.1.0", revision="abc", python="3.11", kopf="1.45.2"))


def a_cluster(api: Refusing, namespaces: tuple[str, ...] | None = NAMESPACES) -> Cluster:
    return Cluster(cast("Any", api), DEPLOYMENT, namespaces, lambda: 0.0, a_metrics())


async def a_search_in(api: Refusing, *namespaces: str) -> list[Object]:
    spec = a_search(candidates=3).spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    body = {"metadata": {"name": "s"}, "spec": spec}
    return [await api.create(SEARCHES, namespace, body) for namespace in namespaces]


async def list_all(cluster: Cluster) -> None:
    for kind in SELECTORS:
        await cluster.list(kind)


@pytest.mark.parametrize("status", [403, 404])
def test_one_that_refuses_keeps_no_other_from_being_listed(status: int) -> None:
    async def scenario() -> None:
        api = Refusing()
        await a_search_in(api, "a", "b")
        api.refuse("b", error=ApiError(status, "Refused", "no"))
        cluster = a_cluster(api)
        assert await cluster.list(SEARCHES) == {"a": {("a", "s")}}
        await list_all(cluster)
        assert [cluster.reach.knows(name) for name in NAMESPACES] == [False, True]
        assert cluster.reach.unreachable == {"b": f"{status} Refused: no"}
        assert cluster.reach.cut_off == ()

    asyncio.run(scenario())


def test_what_passes_by_itself_is_no_refusal() -> None:
    async def scenario() -> None:
        for status in (0, 429, 500, 503):
            api = Refusing()
            api.refuse("b", PODS, error=ApiError(status, "Unavailable", "down"))
            cluster = a_cluster(api)
            with pytest.raises(ApiError, match="down"):
                await cluster.list(PODS)
            assert cluster.reach.unreachable == {}

    asyncio.run(scenario())


def test_a_refusal_is_no_proof_that_objects_are_gone() -> None:
    async def scenario() -> None:
        api = Refusing()
        await a_search_in(api, "a", "b")
        cluster = a_cluster(api)
        await list_all(cluster)
        api.refuse("b")
        api.objects.clear()
        await list_all(cluster)
        held = cluster.stores.searches
        assert [held.get(name, "s") is not None for name in NAMESPACES] == [True, False]

    asyncio.run(scenario())


def test_it_is_warned_of_once_and_its_return_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        api = Refusing()
        api.refuse("b")
        cluster = a_cluster(api)
        for _ in range(3):
            await list_all(cluster)
        api.refusals.clear()
        await cluster.ask_again("b")

    with caplog.at_level(logging.INFO, logger="asiarch.kube.reach"):
        asyncio.run(scenario())
    warned, told = (record.getMessage() for record in caplog.records)
    assert warned.startswith("Namespace b can't be listed: 403 Forbidden: cannot list resource")
    assert "does a RoleBinding in it give this account the chart's Role?" in warned
    assert told == "Namespace b can be listed again, and is served"


def test_it_is_asked_first_for_what_it_refused_and_then_for_all_the_rest() -> None:
    async def scenario() -> None:
        api = Refusing()
        await a_search_in(api, "b")
        api.refuse("b", PODS)
        cluster = a_cluster(api)
        await list_all(cluster)
        api.asked.clear()
        assert await cluster.ask_again("b") == set()
        assert api.asked == [("b", PODS)]
        api.refusals.clear()
        await cluster.ask_again("b")
        assert {kind for _, kind in api.asked} == set(SELECTORS)
        assert cluster.reach.knows("b")

    asyncio.run(scenario())


@pytest.mark.parametrize(("namespaces", "name"), [(NAMESPACES, "b"), (None, "*")])
def test_where_all_refuse_it_is_said_why(namespaces: tuple[str, ...] | None, name: str) -> None:
    async def scenario() -> None:
        api = Refusing()
        for namespace in ("a", "b", ""):
            api.refuse(namespace)
        cluster = a_cluster(api, namespaces)
        await list_all(cluster)
        assert cluster.reach.cut_off[0] == f"namespace {name}: {FORBIDDEN}"
        assert len(cluster.reach.cut_off) == len(namespaces or (None,))

    asyncio.run(scenario())


def test_no_turn_is_taken_on_what_is_half_seen() -> None:
    async def scenario() -> None:
        api, listener = Refusing(), Silent()
        await a_search_in(api, "a", "b")
        api.refuse("b", CANDIDATES)
        cluster = a_cluster(api)
        await list_all(cluster)
        worker = Worker(cluster, a_metrics(), listener, lambda: T0)
        worker.look_at_all()
        await worked(worker)
        assert set(listener.turns) == {("a", "s")}
        assert not [key for key in api.objects if key[:2] == ("candidates", "b")]
        api.refusals.clear()
        await cluster.ask_again("b")
        worker.look_at_all()
        await worked(worker)
        assert ("b", "s") in listener.turns

    asyncio.run(scenario())


def test_a_search_that_is_gone_is_forgotten_wherever_it_was() -> None:
    async def scenario() -> None:
        api, listener = Refusing(), Silent()
        (found,) = await a_search_in(api, "b")
        cluster = a_cluster(api)
        await list_all(cluster)
        api.refuse("b")
        await list_all(cluster)
        worker = Worker(cluster, a_metrics(), listener, lambda: T0)
        worker.ring(SEARCHES, "DELETED", found)
        await worked(worker)
        assert listener.turns == [("b", "s")]

    asyncio.run(scenario())


async def worked(worker: Worker) -> None:
    """Let a worker do what is ready now."""
    work = asyncio.ensure_future(worker.work())
    for _ in range(1000):
        await asyncio.sleep(0)
    work.cancel()


def test_the_operator_begins_with_the_namespaces_that_can_be_listed() -> None:
    async def scenario() -> None:
        api = Refusing()
        api.refuse("b")
        operator, health, metrics = an_operator(api)
        await asyncio.wait_for(operator._list_all(), 1.0)
        assert health.unready(1.0) == ()
        states = [value(metrics, "namespace_unreachable", namespace=name) for name in NAMESPACES]
        assert states == [1, 0]

    asyncio.run(scenario())


def test_the_operator_waits_for_the_first_namespace_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operate, "_RETRY_LIST", 0.001)

    async def scenario() -> None:
        api = Refusing()
        for namespace in NAMESPACES:
            api.refuse(namespace)
        operator, health, _ = an_operator(api)
        beginning = asyncio.ensure_future(operator._list_all())
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(api.asked) > 2 * len(SELECTORS)
        assert not beginning.done()
        assert f"namespace b: {FORBIDDEN}" in health.unready(1.0)
        api.refusals = {key: error for key, error in api.refusals.items() if key[0] == "b"}
        await asyncio.wait_for(beginning, 5.0)
        assert health.unready(1.0) == ()

    asyncio.run(scenario())


def an_operator(api: Refusing) -> tuple[Operator, Health, Metrics]:
    health, metrics = Health((kind.plural for kind in SELECTORS), 360.0, 0.0), a_metrics()
    return Operator(Settings(DEPLOYMENT, NAMESPACES), cast("Any", api), metrics, health), health, metrics
