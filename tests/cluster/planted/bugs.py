"""The bugs, each a small change to the operator's classes in its own process, in the order of the invariants they break.

A bug is what somebody could really write: a precondition left out, a step too early, an event not listened to.
"""

import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from asiarch.api.base import timestamp
from asiarch.core import candidate as candidates
from asiarch.core import conditions
from asiarch.core import orders as core_orders
from asiarch.core.actions import SearchWrite
from asiarch.kube import client, orders, worker
from asiarch.kube.archive import Archive
from asiarch.kube.client import CONFIG_MAPS, Kind, Object
from asiarch.kube.limits import Limits
from asiarch.kube.operate import Operator
from asiarch.kube.orders import Orders
from asiarch.kube.store import Store
from asiarch.kube.world import KubeWorld

SECRETS = Kind("", "v1", "secrets", "Secret")


def forgets_the_archive() -> None:
    """Finished candidates are deleted without a record."""

    async def add(*_: Any) -> None:
        return

    Archive.add = add  # type: ignore[method-assign]


def random_names() -> None:
    """A Job is created under another name each time."""

    def job(*given: Any) -> Object:
        body = made(*given)
        body["metadata"]["name"] += f"-{secrets.token_hex(3)}"
        return body

    made = orders.manifests.job
    orders.manifests.job = job  # type: ignore[attr-defined]


def reuses_the_attempt() -> None:
    """An order that was lost is tried again under the same number."""

    def order(search: Any, candidate: Any, *given: Any) -> Any:
        status = candidate.status.model_copy(update={"lost": 0})
        return named(search, candidate.model_copy(update={"status": status}), *given)

    named = core_orders._next_order
    core_orders._next_order = order


def starts_what_others_named() -> None:
    """A named order without a Job is started, whoever named it and whatever became of its Job."""

    async def without_job(self: Orders, *_: Any) -> None:
        return None

    Orders._without_job = without_job  # type: ignore[method-assign, assignment]


def charges_after_the_call() -> None:
    """The reservation is written after the status that names the order."""

    async def commit(self: KubeWorld, statuses: Sequence[Any]) -> None:
        await before(self, sorted(statuses, key=lambda write: isinstance(write, SearchWrite)))

    before = KubeWorld.commit
    KubeWorld.commit = commit  # type: ignore[method-assign]


def starts_before_it_is_written() -> None:
    """The Job comes first, the status that names it afterwards."""

    async def turn(seen: KubeWorld, search: str, now: float) -> Any:
        plan = reconcile(await seen.observe(search), now)
        await seen.carry_out(plan.actions)
        await seen.commit(plan.statuses)
        return plan

    from asiarch.core.reconcile import reconcile  # noqa: PLC0415 - as the loop does

    worker.turn = turn  # type: ignore[attr-defined]


def counts_twice() -> None:
    """What an order cost is booked twice."""

    def booked(candidate: Any, results: Any, around: Any) -> Any:
        once = count(candidate, results, around)
        return once.model_copy(update={"cost": once.cost + once.cost})

    count = candidates._booked
    candidates._booked = booked


def takes_anybodys_result() -> None:
    """A result is taken whichever pod brought it."""

    async def get(self: client.Api, kind: Kind, namespace: str | None, name: str) -> Object | None:
        found = await read(self, kind, namespace, name)
        if found is not None and kind is CONFIG_MAPS and name.endswith("-result"):
            found["metadata"]["annotations"][orders.POD_UID] = ANYBODY
        return found

    def pods(self: Orders, job: str) -> list[Object]:
        return [*theirs(self, job), {"metadata": {"uid": ANYBODY}, "spec": {}, "status": {}}]

    read, theirs = client.Api.get, Orders._pods
    client.Api.get = get  # type: ignore[method-assign]
    Orders._pods = pods  # type: ignore[method-assign]


ANYBODY = "anybody"


def no_fence() -> None:
    """Statuses are written over whatever stands there: the version is read just before."""

    async def replace_status(self: client.Api, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        newest = await self.get(kind, namespace, name)
        if newest is not None:
            body["metadata"]["resourceVersion"] = newest["metadata"]["resourceVersion"]
        return await before(self, kind, namespace, name, body)

    before = client.Api.replace_status
    client.Api.replace_status = replace_status  # type: ignore[method-assign]


def moves_transition_times() -> None:
    """Conditions say when they were written, not when they flipped."""

    def derived(states: Any, old: Any, generation: int, now: float) -> Any:
        moved = {"last_transition_time": timestamp(now)}
        return tuple(c.model_copy(update=moved) for c in before(states, old, generation, now))

    before = conditions._conditions
    conditions._conditions = derived


def hears_edges_only() -> None:
    """What is there already when the operator starts is no event, and so is not looked at."""

    async def list_all(*_: Any) -> None:
        return

    def ring(self: Operator, kind: Kind, event: str | None, found: Object) -> None:
        if event is not None:
            heard(self, kind, event, found)

    heard = Operator._ring
    Operator._list_all = list_all  # type: ignore[method-assign]
    Operator._ring = ring  # type: ignore[method-assign]


def ignores_deletions() -> None:
    """What was deleted stays in the store."""

    def remove(*_: Any) -> None:
        return None

    Store.remove = remove  # type: ignore[method-assign]


def adopts_strangers() -> None:
    """A Job under the name of ours is taken for ours."""

    def controller(found: Object) -> Any:
        return _ANY if found.get("kind") == "Job" or "suspend" in found.get("spec", {}) else told(found)

    told = orders.controller
    orders.controller = controller  # type: ignore[attr-defined]


class _Any(str):
    """Equal to every owner."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


_ANY = _Any()


def writes_every_turn() -> None:
    """A search's status says how often it was looked at."""

    async def turn(seen: KubeWorld, search: str, now: float) -> Any:
        plan = await before(seen, search, now)
        found = seen._search(search)
        status = found.status.model_copy(update={"message": f"Turn {next(turns)}."})
        await seen.commit((SearchWrite(found, status),))
        return plan

    before, turns = worker.turn, itertools.count()  # type: ignore[attr-defined]
    worker.turn = turn  # type: ignore[attr-defined]


def deletes_by_name() -> None:
    """A deletion names no uid."""

    async def call(self: client.Api, method: str, *given: Any, **named: Any) -> Object:
        if method == "DELETE":
            named["body"].pop("preconditions")
        return await before(self, method, *given, **named)

    before = client.Api._call
    client.Api._call = call  # type: ignore[method-assign]


def reads_secrets() -> None:
    """It looks into secrets as it starts, which no role grants."""

    async def list_all(self: Operator) -> None:
        await before(self)
        for namespace in self._cluster.namespaces or (None,):
            try:
                async for _ in self._api.pages(SECRETS, namespace):
                    pass
            except client.ApiError:
                continue

    before = Operator._list_all
    Operator._list_all = list_all  # type: ignore[method-assign]


def does_not_wait() -> None:
    """Retry-After is not heard."""

    def be_quiet(*_: Any) -> None:
        return

    Limits.be_quiet = be_quiet  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        forgets_the_archive,
        random_names,
        reuses_the_attempt,
        starts_what_others_named,
        charges_after_the_call,
        starts_before_it_is_written,
        counts_twice,
        takes_anybodys_result,
        no_fence,
        moves_transition_times,
        hears_edges_only,
        ignores_deletions,
        adopts_strangers,
        writes_every_turn,
        deletes_by_name,
        reads_secrets,
        does_not_wait,
    )
}
