"""The world of a cluster: objects in the API server, Jobs for the orders; one search's view of it.

What it holds in memory is a view of what stands in the API server, or what this process itself did; nothing is lost
with it. A status that was planned from an older object than the newest is refused by its resource version.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from asiarch.api.base import Instant
from asiarch.api.candidate import Candidate, CandidateSpec, CandidateStatus
from asiarch.api.names import MANAGED_BY, SEARCH, candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost, SearchStatus
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
from asiarch.core.observation import Observation, Record, Traits, Trouble
from asiarch.kube import overlay
from asiarch.kube.archive import Archive
from asiarch.kube.client import CANDIDATES, SEARCHES, ApiError, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import Candidates, KeptCandidate, Leaving, Unreadable, status_of
from asiarch.kube.orders import Orders
from asiarch.kube.sources import Sources
from asiarch.kube.store import Held, SearchKey

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
        self._orders = Orders(cluster, key)
        self._sources = Sources(cluster.api)
        self._archive = Archive(cluster.api, cluster.stores.results, key)
        self._seen: Observation | None = None
        self._now: Instant = 0.0
        self.wrote = 0
        """Writes of the present turn that the API server took."""

    @property
    def wake_after(self) -> float | None:
        """Seconds until time alone changes what was observed last, beside what the plan says."""
        times = [self._orders.wake_after] if self._orders.wake_after is not None else []
        if self._seen is not None and self._seen.troubles:
            times.append(RETRY_TROUBLE)
        return min(times, default=None)

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
        found = self._search(search)
        held = dict(self._cluster.stores.candidates.of(self._key))
        troubles = list(_troubles_of(found, self._cluster.deployment.runtime_class))
        mine = await self._mine(found, held, troubles)
        candidates = Candidates(mine)
        records = await self._records(found, mine)
        live = [candidates[name] for name, one in mine.items() if _is_live(one)]
        children = await self._orders.children(found, live, self._now)
        for name, child in list(children.items()):
            writing = child.results[0].writing if child.results else None
            if writing is not None:
                code = await self._sources.keep(found, writing.text)
                children[name] = type(child)(child.order, child.results, code)
        pending = [c for c in live if c.status.phase == "Pending"]
        sources, missing = await self._sources.of(found, pending)
        troubles += [*missing, *self._orders.troubles]
        traits = Traits(keeps_time=True, keeps_all=False)
        self._seen = Observation(found, candidates, records, children, sources, traits, tuple(troubles))
        return self._seen

    async def commit(self, statuses: Sequence[Write]) -> None:
        """Write statuses in their order, each fenced; raises ApiError 409 when one was overtaken."""
        for write in statuses:
            match write:
                case SearchWrite(search, status):
                    await self._write_search(search, status)
                case CandidateWrite(candidate, status):
                    await self._write_candidate(candidate, status)
                case _:
                    assert_never(write)

    async def carry_out(self, actions: Sequence[Action]) -> None:
        """Create candidates, start and stop orders, archive; what was done already is success. Then tidy up."""
        seen = self.seen
        for action in actions:
            match action:
                case CreateCandidate(name, spec):
                    await self._create(name, spec, seen.search)
                case StartOrder(order):
                    await self._orders.start(order, self._fresh(seen))
                case StopOrder(name, reason):
                    await self._orders.stop(name, reason)
                case ArchiveCandidates(names):
                    await self._remove(names, seen)
                case _:
                    assert_never(action)
            self.wrote += 1
        held = self._cluster.stores.candidates.of(self._key)
        orders = ((name, one.value.model.status.order) for name, one in held.items() if _is_live(one))
        await self._orders.sweep({name: ref.name for name, ref in orders if ref is not None})

    def _fresh(self, seen: Observation) -> Observation:
        """The observation with what this turn has written since."""
        held = self._cluster.stores.candidates.of(self._key)
        return Observation(seen.search, Candidates(held), seen.records, seen.children)

    def _search(self, name: str) -> ArchitectureSearch:
        held = self._cluster.stores.searches.get(self._namespace, name)
        if held is None or isinstance(held.value, Leaving):
            raise GoneError(name)
        if isinstance(held.value, Unreadable):
            raise held.value
        return held.value

    async def _mine(
        self, search: ArchitectureSearch, held: Mapping[str, Held[KeptCandidate]], troubles: list[Trouble]
    ) -> dict[str, Held[KeptCandidate]]:
        """The candidates that are this search's; a user's are made so, strangers are left alone and spoken of."""
        mine = {}
        for name, one in held.items():
            if one.value.unreadable:
                troubles.append(_unreadable(name, one.value.unreadable))
            elif one.value.controller == search.metadata.uid:
                mine[name] = one
            elif (
                not one.value.controller
                and one.value.record is not None
                and one.value.record.origin == "User"
            ):
                adopted = await self._adopt(search, name, one)
                if adopted is not None:
                    mine[name] = adopted
            else:
                troubles.append(_stranger(name, search))
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
                "ownerReferences": [_owner(search)],
            }
        }
        self._cluster.stores.candidates.apply(
            await self._cluster.api.patch(CANDIDATES, self._namespace, name, patch)
        )
        return self._cluster.stores.candidates.get(self._namespace, name)

    async def _records(
        self, search: ArchitectureSearch, mine: Mapping[str, Held[KeptCandidate]]
    ) -> dict[str, Record]:
        """Records of all candidates that ever were; one that somebody deleted is written into the archive first."""
        present = {n: one.value.record for n, one in mine.items() if one.value.record is not None}
        records = {**await self._archive.records(), **present}
        lost = _lost(search, records)
        if lost:
            await self._archive.add(search, lost)
            records |= {r.name: r for r in lost}
        return records

    async def _write_search(self, search: ArchitectureSearch, status: SearchStatus) -> None:
        metadata = search.metadata
        body = _body(metadata.name, metadata.uid, metadata.resource_version, status_of(status))
        api, store = self._cluster.api, self._cluster.stores.searches
        store.apply(await api.replace_status(SEARCHES, self._namespace, search.name, body))
        self.wrote += 1

    async def _write_candidate(self, candidate: Candidate, status: CandidateStatus) -> None:
        metadata = candidate.metadata
        body = _body(metadata.name, metadata.uid, metadata.resource_version, status_of(status))
        api, store = self._cluster.api, self._cluster.stores.candidates
        with self._orders.naming(candidate, status):
            store.apply(await api.replace_status(CANDIDATES, self._namespace, candidate.name, body))
        self.wrote += 1

    async def _create(self, name: str, spec: CandidateSpec, search: ArchitectureSearch) -> None:
        """Create a candidate; one that is there already is success if it is ours."""
        body = {
            "metadata": {"name": name, "labels": _labels(search), "ownerReferences": [_owner(search)]},
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        try:
            created: Object | None = await self._cluster.api.create(CANDIDATES, self._namespace, body)
        except ApiError as error:
            if error.status != 409:
                raise
            created = await self._cluster.api.get(CANDIDATES, self._namespace, name)
        if created is not None:
            self._cluster.stores.candidates.apply(created)

    async def _remove(self, names: Sequence[str], seen: Observation) -> None:
        """Archive candidates, then delete their objects."""
        await self._archive.add(seen.search, [seen.records[name] for name in names])
        store = self._cluster.stores.candidates
        for name in names:
            held = store.get(self._namespace, name)
            if held is not None:
                await self._cluster.api.delete(CANDIDATES, self._namespace, name, held.uid)
                store.forget(self._namespace, name, held.uid)


def _body(name: str, uid: str, version: str, status: Object) -> Object:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": version}, "status": status}


def _labels(search: ArchitectureSearch) -> dict[str, str]:
    return {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: search.name}


def _owner(search: ArchitectureSearch) -> Object:
    return {
        "apiVersion": search.api_version,
        "kind": search.kind,
        "name": search.name,
        "uid": search.metadata.uid,
        "controller": True,
    }


def _is_live(held: Held[KeptCandidate]) -> bool:
    return held.value.record is not None and not held.value.record.terminal


def _lost(search: ArchitectureSearch, records: Mapping[str, Record]) -> list[Record]:
    """Records for ordinals that were given and that nobody has: their objects were deleted by somebody else.

    What the search had spent on them is booked on the first, so that no budget is won back by deleting.
    """
    taken = {r.ordinal for r in records.values()}
    gaps = [ordinal for ordinal in range(max(taken, default=-1) + 1) if ordinal not in taken]
    if not gaps:
        return []
    spent, known = search.status.cost, [r.cost for r in records.values()]
    rest = Cost(
        seconds=max(0.0, spent.seconds - sum(c.seconds for c in known)),
        gpu_seconds=max(0.0, spent.gpu_seconds - sum(c.gpu_seconds for c in known)),
        tokens=max(0, spent.tokens - sum(c.tokens for c in known)),
        usd=max(0.0, spent.usd - sum(c.usd for c in known)),
    )
    return [
        Record(
            name=candidate_name(search.name, ordinal),
            ordinal=ordinal,
            origin="Proposed",
            phase="Failed",
            reason=Reason.DELETED,
            cost=rest if ordinal == gaps[0] else Cost(),
        )
        for ordinal in gaps
    ]


def _troubles_of(search: ArchitectureSearch, runtime: str | None) -> tuple[Trouble, ...]:
    """What of a search a cluster can't do, by field; `runtime` is the class that training pods must have."""
    templates = (
        ("spec.evaluation.podTemplate", search.spec.evaluation.pod_template, runtime),
        ("spec.agents.podTemplate", search.spec.agents.pod_template, None),
    )
    return tuple(
        Trouble(Reason.CONFIG_INVALID, f"{path}.{refusal}"[:1024], fatal=True)
        for path, template, required in templates
        if template is not None
        for refusal in overlay.refusals(template, required)
    )


def _unreadable(name: str, fault: str) -> Trouble:
    message = (
        f"Candidate {name} can't be read ({fault}); it is left alone. Delete it, or run its writer's version."
    )
    return Trouble(Reason.CONFIG_INVALID, message[:1024], fatal=False)


def _stranger(name: str, search: ArchitectureSearch) -> Trouble:
    message = (
        f"Candidate {name} names this search and was not created by it; only origin User may join. It is not run and "
        f"not charged. Delete it, or create it with origin User and without owners."
    )
    taken = name in {candidate_name(search.name, ordinal) for ordinal in range(len(search.spec.baselines))}
    return Trouble(Reason.NAME_CONFLICT if taken else Reason.ORPHAN, message, fatal=taken)
