"""Everything that the worlds of all searches share: the API, the stores, the deployment, and who is told."""

import random
from collections.abc import Callable, Sequence
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
    Unreadable,
    read_job,
    read_pod,
    read_result,
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
    results: Store[Object] = field(default_factory=lambda: Store(CONFIG_MAPS, search_of_label, read_result))
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

    def __post_init__(self) -> None:
        """Ask nothing yet."""
        self.reach = Reach(self.places, SELECTORS)

    @property
    def places(self) -> Sequence[Place]:
        """Where each kind is listed and watched."""
        return self.namespaces or (None,)

    async def list(self, kind: Kind) -> dict[Place, set[SearchKey]]:
        """List one kind anew in every place that grants it; returns by place whose objects changed.

        Raises ApiError for all but a refusal, and BehindError when the server has gone back in time for good.
        """
        lists = {place: await self._asked(kind, place) for place in self.places}
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

    async def _asked(self, kind: Kind, place: Place) -> set[SearchKey] | None:
        """List one kind in one place; none when that was refused."""
        try:
            changed = await self._list(kind, place)
        except ApiError as error:
            if not self.reach.refused(kind, place, error):
                raise
            return None
        self.reach.granted(kind, place)
        return changed

    async def _list(self, kind: Kind, namespace: Place) -> set[SearchKey]:
        store, place = self.stores.of(kind), (kind, namespace)
        newest, version = store.newest, 0
        listed: set[ObjectKey] = set()
        changed: set[SearchKey] = set()
        # Page by page: thousands of objects as JSON, held at once, would be most of our memory.
        async for page in self.api.pages(kind, namespace, SELECTORS[kind]):
            version = int(page.resource_version)
            changed |= store.take(page.items, listed)
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


def spread(seconds: float) -> float:
    """Twenty per cent more or less, so that operators don't list in step."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - it guards nothing
