"""Deletes the Jobs of orders that nobody waits for any more, many at a time where nothing runs in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from asiarch.api.base import Instant
from asiarch.api.names import CANDIDATE_UID, JOB, ORDER, result_name
from asiarch.api.search import ArchitectureSearch
from asiarch.core import lifecycle, orders
from asiarch.kube import states
from asiarch.kube.client import CANDIDATES, JOBS, ApiError, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import KeptCandidate, controller
from asiarch.kube.pods import REFEREE
from asiarch.kube.store import Held, SearchKey
from asiarch.kube.together import together

KEPT = 120.0
"""Seconds that training which is over may stay, so that several are deleted with one call."""
MANY = 50
"""Training Jobs that are over and don't wait for company: what one call deletes."""
_ENDS = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Settled:
    """The Jobs of one search, as a turn finds them at its end."""

    cluster: Cluster
    search: ArchitectureSearch
    key: SearchKey
    pods_of: Callable[[str], Sequence[Object]]
    """The pods of a Job by its uid."""

    async def leave(self, waiting: Mapping[str, str]) -> None:
        """Delete Jobs of training whose player won't leave, or that nobody waits for any more; now, since they run.

        `waiting` tells for each candidate what `waits_for` says of it. An agent's Job that has ended, or brought its
        result, is left to its own time to live.
        """
        mine = [one for one in self._unwanted(waiting) if not self._is_over(one)]
        await together([partial(self._delete, one) for one in mine if not self._is_agents_own(one.value)])

    def due(
        self, waiting: Mapping[str, str], now: Instant, *, at_once: bool
    ) -> tuple[Sequence[Held[Object]], float | None]:
        """Training that is over and is to go now, and the seconds after which more is; none when nothing is left.

        It costs nothing any more, and waits for company unless `at_once`.
        """
        over = [held for held in self._unwanted(waiting) if self._is_over(held)]
        ages = {held.uid: now - (self._ended_at(held) or now) for held in over}
        oldest_first = sorted(over, key=lambda held: -ages[held.uid])
        if over and (at_once or len(over) >= MANY or ages[oldest_first[0].uid] >= KEPT):
            return oldest_first[:MANY], 1.0
        return (), max(1.0, KEPT - ages[oldest_first[0].uid]) if over else None

    async def clear(self, chosen: Sequence[Held[Object]]) -> None:
        """Delete training that is over, but for what its candidate waits for after all, or the API server didn't say.

        Raises ApiError when it said nothing of any: of many calls one may fail, each time another one.
        """
        found, refusals = [], list[ApiError]()

        async def look(held: Held[Object]) -> None:
            try:
                if not await self._is_waited_for(held):
                    found.append(held)
            except ApiError as error:
                refusals.append(error)

        await together([partial(look, held) for held in chosen])
        if refusals and len(refusals) == len(chosen):
            raise refusals[0]
        await self._delete_all(found)

    def _unwanted(self, waiting: Mapping[str, str]) -> list[Held[Object]]:
        """Jobs whose order its candidate doesn't wait for."""
        held = self.cluster.stores.jobs.of(self.key).values()
        owned = ((one, _candidate_of(one.value)) for one in held)
        return [one for one, name in owned if name and waiting.get(name) != _order_of(one.value)]

    async def _delete(self, held: Held[Object]) -> None:
        """Delete one Job, after a look whether its candidate really doesn't wait for it."""
        if not await self._is_waited_for(held):
            await _delete_job(self.cluster, self.key[0], held)

    async def _delete_all(self, settled: Sequence[Held[Object]]) -> None:
        """Delete Jobs with one call: by their orders, and by the uids of those whose they are.

        Both are labels, which somebody may have copied: while one does, each is deleted by its own uid.
        """
        if not settled:
            return
        names = sorted(str(held.value["metadata"]["name"]) for held in settled)
        owners = sorted({controller(held.value) for held in settled})
        chosen = f"{JOB} in ({','.join(names)}),{CANDIDATE_UID} in ({','.join(owners)})"
        uids = {held.uid for held in settled}
        listed = self.cluster.api.pages(JOBS, self.key[0], chosen, lambda _: True)
        if not uids.issuperset([one["metadata"]["uid"] async for page in listed for one in page.items]):
            await together([partial(_delete_job, self.cluster, self.key[0], held) for held in settled])
            return
        await self.cluster.api.delete_all(JOBS, self.key[0], chosen)
        for held in settled:
            self.cluster.stores.jobs.forget(self.key[0], held.value["metadata"]["name"], held.uid)

    async def _is_waited_for(self, held: Held[Object]) -> bool:
        """Whether a Job's candidate, as the API server has it, waits for its order."""
        found = await self.cluster.api.get(CANDIDATES, self.key[0], _candidate_of(held.value))
        if found is None:
            return False
        status = found.get("status", {})
        if status.get("order") is None and status.get("phase") in lifecycle.WORK:
            kept = KeptCandidate(found)
            return waits_for(self.search, kept) == _order_of(held.value) or bool(kept.unreadable)
        return (status.get("order") or {}).get("name") == _order_of(held.value)

    def _is_over(self, held: Held[Object]) -> bool:
        """Whether training has ended in a Job that can be deleted with others; one without our labels is an old one.

        A Job that is merely suspended, or lacks a pod, would go on; and one that has ended may have a pod that runs:
        its controller can start another when it sees the past (Kubernetes 1.32, after a restart of the API server).
        """
        job, pods = held.value, self.pods_of(held.uid)
        if (
            not states.is_training(job)
            or not {JOB, CANDIDATE_UID} <= job["metadata"].get("labels", {}).keys()
        ):
            return False
        whole = not job["spec"].get("suspend") and len(pods) >= (job["spec"].get("completions") or 1)
        return all(states.phase(p) in _ENDS for p in pods) and (states.has_ended(job) or whole)

    def _ended_at(self, held: Held[Object]) -> Instant | None:
        """When training ended: by its Job, or by its pods while its Job doesn't say so yet."""
        ends = (states.ended(pod, REFEREE) for pod in self.pods_of(held.uid))
        return states.ended_at(held.value) or max((end for end in ends if end is not None), default=None)

    def _is_agents_own(self, job: Object) -> bool:
        """Whether an agent's Job has nothing left to do but to end."""
        if states.is_training(job):
            return False
        result = self.cluster.stores.results.get(self.key[0], result_name(_order_of(job)))
        return result is not None or states.has_ended(job)


def waits_for(search: ArchitectureSearch, kept: KeptCandidate) -> str:
    """The order that a candidate waits for; where none is named, the next one: somebody may have erased its name."""
    if kept.order or kept.record is None or kept.record.phase not in lifecycle.WORK:
        return kept.order
    kept.doubt(len(search.spec.evaluation.ladder))
    return "" if kept.unreadable else orders.next_name(search, kept.model)


async def _delete_job(cluster: Cluster, namespace: str, held: Held[Object]) -> None:
    """Delete exactly this Job, and know at once that it is gone."""
    name = held.value["metadata"]["name"]
    await cluster.api.delete(JOBS, namespace, name, held.uid)
    cluster.stores.jobs.forget(namespace, name, held.uid)


def _candidate_of(job: Object) -> str:
    """The candidate whose Job it is; empty for a Job that only bears our labels, as somebody's copy does."""
    owners = job["metadata"].get("ownerReferences", ())
    ours = (owner for owner in owners if owner.get("controller") and owner.get("kind") == CANDIDATES.kind)
    return next((str(owner["name"]) for owner in ours), "")


def _order_of(job: Object) -> str:
    return str(job["metadata"]["annotations"].get(ORDER, ""))
