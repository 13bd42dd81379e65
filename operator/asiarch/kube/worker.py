"""Takes turns: what the doorbell rang for is observed, decided and done, one search at a time each."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from asiarch.api.base import Instant
from asiarch.api.names import CANDIDATE, ORDER
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core.actions import Plan
from asiarch.core.observation import Observation
from asiarch.core.search import is_answered
from asiarch.kube.client import JOBS, PODS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import Leaving, Unreadable
from asiarch.kube.metrics import Metrics, Outcome
from asiarch.kube.news import is_news
from asiarch.kube.queue import WorkQueue
from asiarch.kube.store import Held, SearchKey
from asiarch.kube.world import GoneError, KubeWorld
from asiarch.loop import turn

_log = logging.getLogger(__name__)

SETTLE = 0.1
"""Seconds after a turn that did something until the next look, whether or not anything rings."""
_SEARCHES = "search"


class Listener(Protocol):
    """Who is told what turns saw and planned."""

    def took_turn(self, key: SearchKey, seen: Observation, plan: Plan) -> None:
        """Take note of a turn whose plan is written, whatever becomes of its actions."""

    def gone(self, key: SearchKey, leaving: Leaving | None) -> None:
        """Take note that a search is no more, or only waits for somebody else to let it go."""


class Worker:
    """The worlds of all searches, and the queue of those that something happened to."""

    def __init__(
        self, cluster: Cluster, metrics: Metrics, listener: Listener, wall: Callable[[], Instant]
    ) -> None:
        """`wall` tells the time of day, in seconds since 1970."""
        self.queue: WorkQueue[SearchKey] = WorkQueue(cluster.clock)
        self._cluster = cluster
        self._metrics = metrics
        self._listener = listener
        self._wall = wall
        self._worlds: dict[SearchKey, KubeWorld] = {}
        metrics.watch_queue(_SEARCHES, self.queue)

    def ring(self, kind: Kind, event: str | None, found: Object) -> None:
        """Take an event into the store; what is news has its search looked at."""
        store, metadata = self._cluster.stores.of(kind), found["metadata"]
        place = metadata["namespace"], metadata["name"]
        before = store.get(*place)
        key = store.remove(found) if event == "DELETED" else store.apply(found)
        if event == "DELETED" and kind == PODS:
            self._cluster.stores.departed.keep(found)
        if key is None:
            return
        if kind not in (JOBS, PODS) or self._matters(kind, found, before, store.get(*place)):
            self.queue.add(key, new=kind == SEARCHES and self._is_unanswered(key))

    def _is_unanswered(self, key: SearchKey) -> bool:
        """Whether nobody has said a word yet of a search."""
        held = self._cluster.stores.searches.get(*key)
        found = None if held is None else held.value
        return isinstance(found, ArchitectureSearch) and not is_answered(found)

    def _matters(
        self, kind: Kind, found: Object, before: Held[Object] | None, after: Held[Object] | None
    ) -> bool:
        """Whether a turn could see or do something else now that a Job or a pod has changed."""
        metadata = found["metadata"]
        name = metadata.get("labels", {}).get(CANDIDATE, "")
        candidate = self._cluster.stores.candidates.get(metadata["namespace"], name)
        order = (metadata.get("annotations") or {}).get(ORDER)
        waited_for = candidate is None or candidate.value.order == order
        values = (None if one is None else one.value for one in (before, after))
        return is_news(kind, *values, waited_for=waited_for)

    def look_at_all(self) -> None:
        """Look at every search, and at what belongs to one that isn't there."""
        stores = self._cluster.stores
        known = set(stores.searches.searches())
        for key in known | set(stores.candidates.searches()):
            self.queue.add(key)
        for store in (stores.candidates, stores.jobs, stores.results):
            lost = sum(len(store.of(key)) for key in store.searches() if key not in known)
            self._metrics.orphans(store.kind.plural, lost)

    async def work(self) -> None:
        """Take turns for ever; many of these run side by side, never two on one search."""
        while True:
            key, waited = await self.queue.get()
            self._metrics.waited(_SEARCHES, waited)
            try:
                result = await self._turn(key)
            finally:
                seconds = self.queue.done(key)
            self._metrics.worked(_SEARCHES, seconds)
            self._metrics.reconciled(_SEARCHES, result, seconds)

    async def _turn(self, key: SearchKey) -> Outcome:
        if not self._may_look(key):
            return "requeue"
        world = self._worlds.setdefault(key, KubeWorld(self._cluster, key))
        world.begin(self._wall())
        try:
            plan = await turn(
                world, key[1], self._wall(), lambda plan: self._listener.took_turn(key, world.seen, plan)
            )
        except GoneError:
            self._forget(key)
            return "success"
        except Unreadable as error:
            self._metrics.invalid(Reason.CONFIG_INVALID)
            wait = self.queue.retry(key, progressed=False)
            _log.warning("ArchitectureSearch %s/%s can't be read: %s; again in %.1f s", *key, error, wait)
            return "error"
        except ApiError as error:
            # No answer, or an error of the server's own: once it is back, nothing rings for what didn't change.
            outage = error.status == 0 or error.status >= 500
            wait = self.queue.retry(key, progressed=world.wrote > 0, outage=outage)
            _log.warning("Turn of %s/%s: %s; again in %.1f s", *key, error, wait)
            return "error"
        # One search that we can't handle must not keep the others from theirs; it is counted, and alerts tell of it.
        except Exception:  # noqa: BLE001 - logged with its traceback
            wait = self.queue.retry(key, progressed=False)
            _log.exception("Turn of %s/%s failed by an error of ours; again in %.1f s", *key, wait)
            return "error"
        self.queue.succeed(key)
        return self._appoint(key, plan, world)

    def _may_look(self, key: SearchKey) -> bool:
        """Whether all of a search can be seen: of one half unseen, the rest would be taken for lost.

        Once its namespace can be listed, every search is looked at. One that is gone needs nothing seen.
        """
        return self._cluster.reach.knows(key[0]) or self._cluster.stores.searches.get(*key) is None

    def _appoint(self, key: SearchKey, plan: Plan, world: KubeWorld) -> Outcome:
        """Look again when time alone changes something, and soon after something was done."""
        wishes = [plan.wake_after, world.wake_after, SETTLE if world.wrote else None]
        times = [seconds for seconds in wishes if seconds is not None]
        if not times:
            return "success"
        self.queue.add_after(key, min(times))
        return "requeue_after"

    def _forget(self, key: SearchKey) -> None:
        self._worlds.pop(key, None)
        self.queue.forget(key)
        held = self._cluster.stores.searches.get(*key)
        self._listener.gone(key, held.value if held is not None and isinstance(held.value, Leaving) else None)


async def heartbeat(beat: Callable[[float], None], every: float) -> None:
    """Say for ever that the event loop turns, and by how many seconds it was late."""
    clock = asyncio.get_running_loop().time
    late = 0.0
    while True:
        beat(late)
        due = clock() + every
        await asyncio.sleep(every)
        late = max(0.0, clock() - due)
