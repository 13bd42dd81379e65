"""Everything that the worlds of all searches share: the API, the stores, the deployment, and who is told."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from asiarch.api.names import CANDIDATE, MANAGED_BY, PART
from asiarch.api.search import ArchitectureSearch
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, PODS, SEARCHES, Api, ApiError, Kind, Object
from asiarch.kube.departed import Departed
from asiarch.kube.deployment import Deployment
from asiarch.kube.kept import (
    KeptCandidate,
    Leaving,
    Part,
    Unreadable,
    read_job,
    read_part,
    read_pod,
    read_search,
    search_itself,
    search_of_candidate,
    search_of_label,
)
from asiarch.kube.reach import Place, Reach
from asiarch.kube.store import ObjectKey, SearchKey, Store

OURS = "=".join(MANAGED_BY)
SELECTORS = {
    SEARCHES: "",
    CANDIDATES: "",
    JOBS: OURS,
    PODS: f"{OURS},{CANDIDATE}",
    CONFIG_MAPS: f"{OURS},{PART} in (archive,result)",
}
"""Which objects of each kind are ours to watch."""

BY_METADATA = frozenset({CONFIG_MAPS})
"""Kinds of whose objects the store keeps what their metadata tells."""


class Watcher(Protocol):
    """Who counts what worlds meet."""

    def quota_denied(self, namespace: str) -> None:
        """Count an order that a quota kept from starting."""

    def result_rejected(self, reason: str) -> None:
        """Count a result that was not taken."""

    def queued(self, seconds: float) -> None:
        """Take note of how long an order waited for its pod to start."""


class BehindError(Exception):
    """List after list is older than what was seen before: the store can't be trusted any more."""


@dataclass
class Stores:
    """What is known of each kind."""

    searches: Store[ArchitectureSearch | Leaving | Unreadable] = field(
        default_factory=lambda: Store(SEARCHES, search_itself, read_search)
    )
    candidates: Store[KeptCandidate] = field(
        default_factory=lambda: Store(CANDIDATES, search_of_candidate, KeptCandidate)
    )
    jobs: Store[Object] = field(default_factory=lambda: Store(JOBS, search_of_label, read_job))
    pods: Store[Object] = field(default_factory=lambda: Store(PODS, search_of_label, read_pod))
    results: Store[Part] = field(default_factory=lambda: Store(CONFIG_MAPS, search_of_label, read_part))
    departed: Departed = field(default_factory=Departed)

    def of(self, kind: Kind) -> Store[Any]:
        """The store of a kind."""
        stores: dict[Kind, Store[Any]] = {
            SEARCHES: self.searches,
            CANDIDATES: self.candidates,
            JOBS: self.jobs,
            PODS: self.pods,
            CONFIG_MAPS: self.results,
        }
        return stores[kind]


@dataclass
class Cluster:
    """One operator's view of the namespaces that it serves; None serves all of them."""

    api: Api
    deployment: Deployment
    namespaces: tuple[str, ...] | None
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    watcher: Watcher
    stores: Stores = field(default_factory=Stores)
    behind: dict[tuple[Kind, Place], int] = field(default_factory=dict)
    reach: Reach = field(init=False)
    aside: set[asyncio.Task[None]] = field(default_factory=set)
    """Work that goes on beside the turns."""

    def __post_init__(self) -> None:
        """Ask nothing yet."""
        self.reach = Reach(self.places, SELECTORS)

    def beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have work done beside the turns; whoever asked for it looks later what came of it."""
        task = asyncio.create_task(work)
        self.aside.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self.aside.discard(task)
        if not task.cancelled():
            # Looked at here, too, lest Python complain of what nobody waits for once its search is gone.
            task.exception()

    @property
    def places(self) -> Sequence[Place]:
        """Where each kind is listed and watched."""
        return self.namespaces or (None,)

    async def list(self, kind: Kind, pause: float = 0.0) -> dict[Place, set[SearchKey]]:
        """List one kind anew in every place that grants it; returns by place whose objects changed.

        Between two pages `pause` seconds are left to others: a page costs the API server as much as many a write.
        Raises ApiError for all but a refusal, and BehindError when the server has gone back in time for good.
        """
        lists = {place: await self._asked(kind, place, pause) for place in self.places}
        return {place: changed for place, changed in lists.items() if changed is not None}

    async def ask_again(self, place: Place) -> set[SearchKey]:
        """List a place that refused: first what it refused, and as long as it grants that, all the rest.

        Returns whose objects changed; raises what `list` does.
        """
        changed: set[SearchKey] = set()
        for kind in sorted(SELECTORS, key=lambda kind: not self.reach.is_refused(kind, place)):
            found = await self._asked(kind, place)
            if found is None:
                break
            changed |= found
        return changed

    async def _asked(self, kind: Kind, place: Place, pause: float = 0.0) -> set[SearchKey] | None:
        """List one kind in one place; none when that was refused."""
        try:
            changed = await self._list(kind, place, pause)
        except ApiError as error:
            if not self.reach.refused(kind, place, error):
                raise
            return None
        self.reach.granted(kind, place)
        return changed

    async def _list(self, kind: Kind, namespace: Place, pause: float) -> set[SearchKey]:
        store, place = self.stores.of(kind), (kind, namespace)
        newest, version = store.newest, 0
        listed: set[ObjectKey] = set()
        changed: set[SearchKey] = set()
        # Page by page: thousands of objects as JSON, held at once, would be most of our memory. And what is known isn't
        # read whole again: while it is, every turn waits.
        knows = _knows_all if kind in BY_METADATA else store.knows if len(store) else None
        async for page in self.api.pages(kind, namespace, SELECTORS[kind], knows):
            if listed:
                await asyncio.sleep(pause)
            version = int(page.resource_version)
            changed |= store.take(page.items, listed, whole=page.whole or kind in BY_METADATA)
        if version < newest:
            # A server that lags is asked again; one that was restored from a backup never catches up.
            self.behind[place] = self.behind.get(place, 0) + 1
            if self.behind[place] > _PATIENCE:
                message = f"{kind.plural}: {_PATIENCE} lists in a row were older than what was seen before."
                raise BehindError(message)
            return changed
        self.behind.pop(place, None)
        return changed | store.end(listed, version, namespace)


_PATIENCE = 3


def _knows_all(_: Object) -> bool:
    """Nothing needs to be read whole."""
    return True


def spread(seconds: float) -> float:
    """Twenty per cent more or less, so that operators don't list in step."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - it guards nothing
