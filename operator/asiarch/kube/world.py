"""The world of a cluster: objects in the API server, Jobs for the orders; one search's view of it.

What it holds in memory is a view of what stands in the API server, or what this process itself did; nothing is lost
with it. A status that was planned from an older object than the newest is refused by its resource version.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import assert_never

from asiarch.api.base import Instant
from asiarch.api.candidate import Candidate, CandidateSpec, CandidateStatus
from asiarch.api.names import MANAGED_BY, SEARCH
from asiarch.api.order import Writing
from asiarch.api.search import ArchitectureSearch, SearchStatus
from asiarch.core.actions import (
    Action,
    ArchiveCandidates,
    CandidateWrite,
    CreateCandidate,
    SearchWrite,
    StartOrder,
    StopOrder,
    Write,
)
from asiarch.core.observation import Child, Observation, Record, Traits, Trouble, record
from asiarch.kube import gone
from asiarch.kube import troubles as told
from asiarch.kube.archive import Archive
from asiarch.kube.client import CANDIDATES, SEARCHES, ApiError, Kind, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.doubts import Passed, contradicts
from asiarch.kube.kept import Candidates, KeptCandidate, Leaving, Unreadable, controller, doubt, status_of
from asiarch.kube.manifests import owner_of
from asiarch.kube.orders import Orders
from asiarch.kube.refusals import Denied, Door
from asiarch.kube.sources import Sources
from asiarch.kube.store import Held, SearchKey
from asiarch.kube.together import in_order, together

RETRY_TROUBLE = 10.0
"""Seconds until what is missing is looked for again: nobody rings when it appears."""


class GoneError(Exception):
    """The search isn't there any more."""


class KubeWorld:
    """One search in its namespace."""

    def __init__(self, cluster: Cluster, key: SearchKey) -> None:
        """See nothing yet."""
        self._cluster = cluster
        self._key = key
        self._namespace = key[0]
        self._uid = ""
        self._begin_anew("")
        self._now: Instant = 0.0
        self.wrote = 0
        """Writes of the present turn that the API server took."""

    def _begin_anew(self, uid: str) -> None:
        """Know nothing: of a predecessor that bore the same name, everything remembered is wrong."""
        self._uid = uid
        self._orders = Orders(self._cluster, self._key)
        self._sources = Sources(self._cluster.api)
        self._archive = Archive(self._cluster.api, self._cluster.stores.results, self._key)
        self._archive.owner = uid
        self._seen: Observation | None = None
        self._written: dict[str, Candidate] = {}
        self._taken: set[str] = set()
        self._denied = Denied()
        self._door = Door(self._cluster.clock)
        self._passed = Passed()

    @property
    def wake_after(self) -> float | None:
        """Seconds until time alone changes what was observed last, beside what the plan says."""
        times = [self._orders.wake_after, self._door.wait]
        if self._denied.troubles or (self._seen is not None and self._seen.troubles):
            times.append(RETRY_TROUBLE)
        return min((seconds for seconds in times if seconds is not None), default=None)

    @property
    def seen(self) -> Observation:
        """What was observed last."""
        assert self._seen is not None, "a turn observes first"
        return self._seen

    def begin(self, now: Instant) -> None:
        """Begin a turn at this moment."""
        self._now, self.wrote = now, 0

    async def observe(self, search: str) -> Observation:
        """See the search; files of candidates that haven't begun are stored on the way. Raises GoneError."""
        if (uid := self._search(search).metadata.uid) != self._uid:
            self._begin_anew(uid)
        doubt(self._cluster.stores.candidates.of(self._key), self._search(search))
        await self._make_sure(search)
        doubt(self._cluster.stores.candidates.of(self._key), self._search(search))
        found = self._search(search)
        held = dict(self._cluster.stores.candidates.of(self._key))
        troubles = [*told.of_spec(found, self._cluster.deployment.runtime_class), *self._foreign(found)]
        mine = await self._mine(found, held, troubles)
        candidates = Candidates(mine)
        records = await self._records(found, mine)
        if self._archive.fault is not None:
            troubles.append(told.of_archive(self._archive.fault))
        live = [candidates[name] for name, one in mine.items() if _is_live(one)]
        children = await self._orders.children(found, live, self._now)
        files = Denied()
        await self._keep_files(found, children, files)
        pending = [c for c in live if c.status.phase == "Pending"]
        sources, missing = await self._sources.of(found, pending, files)
        troubles += [*missing, *self._orders.troubles, *files.troubles]
        troubles += [*self._denied.troubles, *self._door.troubles]
        traits = Traits(keeps_time=True, keeps_all=False, creates=self._door.wait is None)
        self._seen = Observation(found, candidates, records, children, sources, traits, tuple(troubles))
        self._written = {}
        return self._seen

    async def _keep_files(
        self, search: ArchitectureSearch, children: dict[str, Child], denied: Denied
    ) -> None:
        """Store what engineers wrote, and name the files in their orders' children; without its file none has ended."""

        async def keep(name: str, writing: Writing) -> None:
            ended, children[name] = children[name], Child(name)
            with denied.noting(f"The file that order {name} brought", goes_on=True):
                children[name] = replace(ended, code=await self._sources.keep(search, writing.text))

        first = {name: child.results[0] for name, child in children.items() if child.results}
        await together([partial(keep, n, r.writing) for n, r in first.items() if r.writing is not None])

    async def commit(self, statuses: Sequence[Write]) -> None:
        """Write statuses in their order, each fenced; raises ApiError 409 when one was overtaken.

        The search's comes first, and ordinals are given in their order; of candidates that have theirs, several are
        written at a time.
        """
        await in_order(statuses, self._write, _is_free)

    async def _write(self, write: Write) -> None:
        match write:
            case SearchWrite(search, status):
                await self._write_search(search, status)
            case CandidateWrite(candidate, status):
                await self._write_candidate(candidate, status)
            case _:
                assert_never(write)

    async def carry_out(self, actions: Sequence[Action]) -> None:
        """Create candidates, start and stop orders, archive; what was done already is success. Then tidy up."""
        self._denied = Denied()
        self._door.begin()
        do, planned = partial(self._do, self._fresh(self.seen)), self._orders.starts.willing_first(actions)
        try:
            await in_order(planned, do, lambda action: isinstance(action, StartOrder | StopOrder))
        except ApiError:
            await self._orders.sweep(self.seen.search)
            raise
        await self._orders.sweep(self.seen.search)

    async def _do(self, seen: Observation, action: Action) -> None:
        match action:
            case CreateCandidate(name, spec):
                if self._door.wait is not None or not await self._create(name, spec, seen.search):
                    return
            case StartOrder(order):
                await self._orders.start(order, seen)
            case StopOrder(name, reason):
                await self._orders.stop(name, reason)
            case ArchiveCandidates(names):
                if not await self._remove(names, seen):
                    return
            case _:
                assert_never(action)
        self.wrote += 1

    def _fresh(self, seen: Observation) -> Observation:
        """The observation with what this turn has written since."""
        now = Candidates(self._cluster.stores.candidates.of(self._key))
        return Observation(seen.search, now, seen.records, seen.children)

    async def _make_sure(self, search: str) -> None:
        """Ask the API server itself when the search and its candidates, as they are held, contradict each other."""
        held = self._cluster.stores.candidates.of(self._key)
        records = {n: one.value.record for n, one in held.items() if one.value.record is not None}
        live = [one.value.model for one in held.values() if _is_live(one)]
        named = {c.status.order.name for c in live if c.status.order is not None}
        known = gone.united(search, await self._archive.legible(), records)
        if self._archive.fault is not None or self._unreadable():
            return
        if contradicts(self._search(search), known, named):
            found = await self._cluster.api.get(SEARCHES, self._namespace, search)
            if found is not None:
                self._cluster.stores.searches.apply(found)
            async for page in self._cluster.api.pages(CANDIDATES, self._namespace, f"{SEARCH}={search}"):
                for one in page.items:
                    self._cluster.stores.candidates.apply(one)
        newest = self._search(search)
        for name in self._passed.unsure(newest, live):
            found = await self._cluster.api.get(CANDIDATES, self._namespace, name)
            if found is not None:
                self._cluster.stores.candidates.apply(found)
        self._passed.looked(newest)

    def _search(self, name: str) -> ArchitectureSearch:
        held = self._cluster.stores.searches.get(self._namespace, name)
        if held is None or isinstance(held.value, Leaving):
            raise GoneError(name)
        if isinstance(held.value, Unreadable):
            raise Unreadable(*held.value.args)
        return held.value

    async def _mine(
        self, search: ArchitectureSearch, held: Mapping[str, Held[KeptCandidate]], troubles: list[Trouble]
    ) -> dict[str, Held[KeptCandidate]]:
        """The candidates that are this search's; a user's are made so, strangers are left alone and spoken of."""
        mine, denied = {}, Denied()
        for name, one in held.items():
            if one.value.unreadable:
                troubles.append(told.unreadable(name, one.value.unreadable))
            elif one.value.controller == search.metadata.uid:
                mine[name] = one
            elif not one.value.controller and _may_join(one.value, search):
                with denied.noting(f"Candidate {name}", goes_on=True):
                    adopted = await self._adopt(search, name, one)
                    mine |= {} if adopted is None else {name: adopted}
            else:
                troubles.append(told.stranger(name, search))
        troubles += denied.troubles
        return mine

    async def _adopt(
        self, search: ArchitectureSearch, name: str, held: Held[KeptCandidate]
    ) -> Held[KeptCandidate] | None:
        """Make a user's candidate the search's own, so that it goes with it."""
        patch = {
            "metadata": {
                "uid": held.uid,
                "resourceVersion": str(held.version),
                "labels": _labels(search),
                "ownerReferences": [owner_of(search)],
            }
        }
        adopted = await self._cluster.api.patch(CANDIDATES, self._namespace, name, patch)
        self._cluster.stores.candidates.apply(adopted)
        return self._cluster.stores.candidates.get(self._namespace, name)

    async def _records(
        self, search: ArchitectureSearch, mine: Mapping[str, Held[KeptCandidate]]
    ) -> dict[str, Record]:
        """Records of all candidates that ever were; one that somebody deleted is written into the archive first."""
        present = {n: one.value.record for n, one in mine.items() if one.value.record is not None}
        records = gone.united(search.name, await self._archive.legible(), present)
        if self._unreadable():
            # What can't be read has an ordinal all the same; the search stands still until it can.
            return records
        before = {} if self._seen is None else self._seen.records
        at_work = {} if self._seen is None else {c.name: c for c in self._seen.live}
        written = {name: record(candidate) for name, candidate in self._written.items()}
        lost = gone.lost(search, records, {**before, **written}, {**at_work, **self._written})
        if lost and self._archive.fault is None:
            await self._look_for(search, {r.ordinal for r in lost})
            with self._denied.noting("The archive", goes_on=True):
                await self._archive.add(search, lost)
        # What an archive that can't be read holds has ordinals and cost all the same.
        return records | {r.name: r for r in lost}

    async def _look_for(self, search: ArchitectureSearch, ordinals: AbstractSet[int]) -> None:
        """Make sure that nobody has these ordinals; raises ApiError when our view was merely old."""
        async for page in self._cluster.api.pages(CANDIDATES, self._namespace, f"{SEARCH}={search.name}"):
            for found in page.items:
                ours = controller(found) == search.metadata.uid
                if ours and found.get("status", {}).get("ordinal") in ordinals:
                    self._cluster.stores.candidates.apply(found)
                    message = f"{found['metadata']['name']} is there, and was not seen yet"
                    raise ApiError(409, "Behind", message)

    async def _write_search(self, search: ArchitectureSearch, status: SearchStatus) -> None:
        metadata = search.metadata
        body = _body(metadata.name, metadata.uid, metadata.resource_version, status_of(status))
        api, store = self._cluster.api, self._cluster.stores.searches
        async with self._overtaken(SEARCHES, search.name):
            store.apply(await api.replace_status(SEARCHES, self._namespace, search.name, body))
        self.wrote += 1

    async def _write_candidate(self, candidate: Candidate, status: CandidateStatus) -> None:
        metadata = candidate.metadata
        body = _body(metadata.name, metadata.uid, metadata.resource_version, status_of(status))
        api, store = self._cluster.api, self._cluster.stores.candidates
        async with self._overtaken(CANDIDATES, candidate.name):
            with self._orders.starts.naming(candidate, status):
                store.apply(await api.replace_status(CANDIDATES, self._namespace, candidate.name, body))
        self._written[candidate.name] = candidate.model_copy(update={"status": status})
        self.wrote += 1

    @asynccontextmanager
    async def _overtaken(self, kind: Kind, name: str) -> AsyncIterator[None]:
        """Around a fenced write: whoever was overtaken looks at once at what overtook it, and the error goes on."""
        try:
            yield
        except ApiError as error:
            if error.status == 409:
                found = await self._cluster.api.get(kind, self._namespace, name)
                if found is not None:
                    self._cluster.stores.of(kind).apply(found)
            raise

    async def _create(self, name: str, spec: CandidateSpec, search: ArchitectureSearch) -> bool:
        """Create a candidate; one that is there already is success if it is ours. Returns whether it was taken."""
        body = {
            "metadata": {"name": name, "labels": _labels(search), "ownerReferences": [owner_of(search)]},
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        created: Object | None = None
        try:
            with self._door.passing("The next candidate"):
                created = await self._cluster.api.create(CANDIDATES, self._namespace, body)
        except ApiError as error:
            if error.status != 409:
                raise
            created = await self._cluster.api.get(CANDIDATES, self._namespace, name)
        if created is not None:
            self._cluster.stores.candidates.apply(created)
            if controller(created) != search.metadata.uid:
                self._taken.add(name)
        return created is not None

    def _foreign(self, search: ArchitectureSearch) -> Iterator[Trouble]:
        """Names that we need and that something else bears, as long as it does."""
        for name in sorted(self._taken):
            held = self._cluster.stores.candidates.get(self._namespace, name)
            if held is None or held.value.controller == search.metadata.uid:
                self._taken.discard(name)
            else:
                yield told.taken(name, search)

    def _unreadable(self) -> bool:
        """Whether one of the search's candidates can't be read."""
        return any(one.value.unreadable for one in self._cluster.stores.candidates.of(self._key).values())

    async def _remove(self, names: Sequence[str], seen: Observation) -> bool:
        """Archive candidates, then delete their objects; returns whether it could: the archive is read and written."""
        if self._archive.fault is not None:
            return False
        with self._denied.noting("The archive", goes_on=True):
            await self._archive.add(seen.search, [seen.records[name] for name in names])
        if self._denied.troubles:
            return False
        store = self._cluster.stores.candidates
        for name in names:
            held = store.get(self._namespace, name)
            if held is not None and _ordinal(held) == seen.records[name].ordinal:
                await self._cluster.api.delete(CANDIDATES, self._namespace, name, held.uid)
                store.forget(self._namespace, name, held.uid)
        return True


def _body(name: str, uid: str, version: str, status: Object) -> Object:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": version}, "status": status}


def _labels(search: ArchitectureSearch) -> dict[str, str]:
    return {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: search.name}


def _may_join(kept: KeptCandidate, search: ArchitectureSearch) -> bool:
    """Whether a candidate without an owner is a user's new one, or one of ours whose owner somebody took away.

    What a search of the same name has left behind was measured by other rules.
    """
    if kept.record is None or kept.record.ordinal < 0:
        return kept.record is not None and kept.record.origin == "User"
    return kept.model.metadata.creation_timestamp >= search.metadata.creation_timestamp


def _is_free(write: Write) -> bool:
    """Whether a write hangs on none before it: a candidate's that has its number already."""
    return isinstance(write, CandidateWrite) and write.candidate.status.ordinal is not None


def _ordinal(held: Held[KeptCandidate]) -> int | None:
    return None if held.value.record is None else held.value.record.ordinal


def _is_live(held: Held[KeptCandidate]) -> bool:
    return held.value.record is not None and not held.value.record.terminal
