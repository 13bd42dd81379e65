"""The bugs, each a small change to the operator's classes in its own process, in the order of what they break.

A bug is what somebody could really write: a precondition left out, a step too early, an event not listened to.
"""

import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from asiarch.api.base import timestamp
from asiarch.api.names import PART, POD_UID, result_name
from asiarch.core import candidate as candidates
from asiarch.core import conditions, reconcile
from asiarch.core import orders as core_orders
from asiarch.core.actions import SearchWrite
from asiarch.kube import client, manifests, orders, spans, starts, worker
from asiarch.kube.archive import Archive
from asiarch.kube.client import CONFIG_MAPS, Kind, Object
from asiarch.kube.limits import Limits
from asiarch.kube.operate import Operator
from asiarch.kube.orders import Orders
from asiarch.kube.starts import Starts
from asiarch.kube.store import Store
from asiarch.kube.world import KubeWorld

SECRETS = Kind("", "v1", "secrets", "Secret")


def _replace(owner: Any, name: str, made: Any) -> Any:
    """Put a bug in the place of something that must be there; returns what was."""
    before = getattr(owner, name)
    setattr(owner, name, made)
    return before


def forgets_the_archive() -> None:
    """Finished candidates are deleted without a record."""

    async def add(*_: Any) -> None:
        return

    _replace(Archive, "add", add)


def random_names() -> None:
    """A Job is created under another name each time."""

    def job(*given: Any) -> Any:
        body = before(*given)
        body["metadata"]["name"] += f"-{secrets.token_hex(3)}"
        return body

    before = _replace(manifests, "job", job)


def reuses_the_attempt() -> None:
    """An order that was lost is tried again under the same number."""

    def first(candidate: Any) -> Any:
        return candidate.model_copy(update={"status": candidate.status.model_copy(update={"lost": 0})})

    def order(search: Any, candidate: Any, *given: Any) -> Any:
        return before(search, first(candidate), *given)

    def name(search: Any, candidate: Any) -> Any:
        return named(search, first(candidate))

    before = _replace(core_orders, "_next_order", order)
    named = _replace(core_orders, "next_name", name)


def starts_what_others_named() -> None:
    """A named order without a Job is started, whoever named it and whatever became of its Job."""

    async def without_job(*_: Any) -> None:
        return

    _replace(Orders, "_without_job", without_job)


def charges_after_the_call() -> None:
    """The reservation is written after the status that names the order."""

    async def commit(self: KubeWorld, statuses: Sequence[Any]) -> None:
        await before(self, sorted(statuses, key=lambda write: isinstance(write, SearchWrite)))

    before = _replace(KubeWorld, "commit", commit)


def starts_before_it_is_written() -> None:
    """The Job comes first, the status that names it afterwards, and nobody looks."""

    async def turn(seen: KubeWorld, search: str, now: float, tell: Callable[[Any], None]) -> Any:
        plan = reconcile.reconcile(await seen.observe(search), now)
        await seen.carry_out(plan.actions)
        await seen.commit(plan.statuses)
        tell(plan)
        return plan

    async def is_still_named(*_: Any) -> bool:
        return True

    _replace(worker, "turn", turn)
    _replace(Starts, "_is_still_named", is_still_named)


def counts_twice() -> None:
    """What an order cost is booked twice."""

    def booked(candidate: Any, results: Any, around: Any) -> Any:
        once = before(candidate, results, around)
        return once.model_copy(update={"cost": once.cost + once.cost})

    before = _replace(candidates, "_booked", booked)


def books_nothing_of_what_it_gives_up() -> None:
    """The pods of an order that is taken back are forgotten."""

    def ran(*_: Any) -> float:
        return 0.0

    _replace(spans, "ran", ran)


def drops_live_reservations() -> None:
    """A search's next write forgets what its candidates' orders may cost."""

    def reservations(*_: Any) -> dict[str, Any]:
        return {}

    _replace(reconcile, "_reservations", reservations)


def takes_anybodys_result() -> None:
    """A result is taken whichever pod brought it."""

    async def taken(self: Orders, ref: Any, held: Any, pods: Sequence[Object]) -> Any:
        found = await self.cluster.api.get(CONFIG_MAPS, self.key[0], result_name(ref.name))
        brought_by = found["metadata"]["annotations"].get(POD_UID) if found is not None else ""
        return await before(self, ref, held, [*pods, {"metadata": {"uid": brought_by}}])

    before = _replace(Orders, "_taken", taken)


def no_fence() -> None:
    """Statuses are written over whatever stands there: the version is read just before."""

    async def replace_status(self: client.Api, kind: Kind, namespace: str, name: str, body: Object) -> Any:
        newest = await self.get(kind, namespace, name)
        if newest is not None:
            body["metadata"]["resourceVersion"] = newest["metadata"]["resourceVersion"]
        return await before(self, kind, namespace, name, body)

    before = _replace(client.Api, "replace_status", replace_status)


def moves_transition_times() -> None:
    """Conditions say when they were written, not when they flipped."""

    def derived(states: Any, old: Any, generation: int, now: float) -> Any:
        moved = {"last_transition_time": timestamp(now)}
        return tuple(c.model_copy(update=moved) for c in before(states, old, generation, now))

    before = _replace(conditions, "_conditions", derived)


def hears_edges_only() -> None:
    """What is there already when the operator starts is no event, and so is not looked at."""

    async def list_all(*_: Any) -> None:
        return

    def ring(self: Operator, kind: Kind, event: str | None, found: Object) -> None:
        if event is not None:
            before(self, kind, event, found)

    _replace(Operator, "_list_all", list_all)
    before = _replace(Operator, "_ring", ring)


def ignores_deletions() -> None:
    """What was deleted stays in the store."""

    def remove(*_: Any) -> None:
        return

    _replace(Store, "remove", remove)


def adopts_strangers() -> None:
    """A Job under the name of ours is taken for ours."""

    def controller(found: Object) -> Any:
        return _Anybody() if "suspend" in found.get("spec", {}) else before(found)

    before = _replace(orders, "controller", controller)
    _replace(starts, "controller", controller)


class _Anybody(str):
    """Equal to every owner."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def writes_every_turn() -> None:
    """A search's status says how often it was looked at."""

    async def turn(seen: KubeWorld, *given: Any) -> Any:
        plan = await before(seen, *given)
        found = seen._search(given[0])
        status = found.status.model_copy(update={"message": f"Turn {next(turns)}."})
        await seen.commit((SearchWrite(found, status),))
        return plan

    turns = itertools.count()
    before = _replace(worker, "turn", turn)


def deletes_whatever_has_ended() -> None:
    """Jobs that are over are deleted with whatever else trains."""

    async def delete_all(self: client.Api, kind: Kind, namespace: str, _: str) -> None:
        await before(self, kind, namespace, f"{PART}=training")

    before = _replace(client.Api, "delete_all", delete_all)


def deletes_by_name() -> None:
    """A deletion names no uid."""

    async def call(self: client.Api, asked: Any) -> Any:
        if asked.method == "DELETE":
            asked.body.pop("preconditions", None)
        return await before(self, asked)

    before = _replace(client.Api, "_call", call)


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

    before = _replace(Operator, "_list_all", list_all)


def does_not_wait() -> None:
    """Retry-After is not heard."""

    def be_quiet(*_: Any) -> None:
        return

    _replace(Limits, "be_quiet", be_quiet)


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
        books_nothing_of_what_it_gives_up,
        drops_live_reservations,
        takes_anybodys_result,
        no_fence,
        moves_transition_times,
        hears_edges_only,
        ignores_deletions,
        adopts_strangers,
        writes_every_turn,
        deletes_by_name,
        deletes_whatever_has_ended,
        reads_secrets,
        does_not_wait,
    )
}
