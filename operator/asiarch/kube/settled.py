"""Deletes the Jobs of orders that nobody waits for any more, many at a time where nothing runs in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from asiarch.api.base import Instant
from asiarch.api.names import CANDIDATE_UID, JOB, ORDER, result_name
from asiarch.kube import states
from asiarch.kube.client import CANDIDATES, JOBS, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import controller
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
    key: SearchKey
    pods_of: Callable[[str], Sequence[Object]]
    """The pods of a Job by its uid."""

    async def sweep(self, waiting: Mapping[str, str], now: Instant, *, at_once: bool) -> float | None:
        """Delete Jobs whose order is not waited for; returns the seconds after which more are due.

        `waiting` names the order of each candidate that has one. A player that won't leave costs nothing: its Job is
        deleted now. Training that is over costs nothing any more, and waits for company unless `at_once`. An agent's
        Job that has ended, or brought its result, is left to its own time to live.
        """
        left, over = [], []
        for held in self.cluster.stores.jobs.of(self.key).values():
            candidate = _candidate_of(held.value)
            if not candidate or waiting.get(candidate) == _order_of(held.value):
                continue
            if self._is_over(held):
                over.append(held)
            elif not self._is_agents_own(held.value):
                left.append(partial(self._delete, held))
        await together(left)
        return await self._clear(over, now, at_once=at_once)

    async def _clear(self, over: Sequence[Held[Object]], now: Instant, *, at_once: bool) -> float | None:
        ages = {held.uid: now - (self._ended_at(held) or now) for held in over}
        oldest_first = sorted(over, key=lambda held: -ages[held.uid])
        if over and (at_once or len(over) >= MANY or ages[oldest_first[0].uid] >= KEPT):
            chosen, oldest_first = oldest_first[:MANY], oldest_first[MANY:]
            await self._delete_all(await self._settled(chosen))
        return max(1.0, KEPT - ages[oldest_first[0].uid]) if oldest_first else None

    async def _settled(self, chosen: Sequence[Held[Object]]) -> list[Held[Object]]:
        """Those whose candidates really don't wait for them."""
        found = []

        async def look(held: Held[Object]) -> None:
            if not await self._is_waited_for(held):
                found.append(held)

        await together([partial(look, held) for held in chosen])
        return found

    async def _delete(self, held: Held[Object]) -> None:
        """Delete one Job, after a look whether its candidate really doesn't wait for it."""
        if not await self._is_waited_for(held):
            await delete_job(self.cluster, self.key[0], held)

    async def _delete_all(self, settled: Sequence[Held[Object]]) -> None:
        """Delete Jobs with one call: by their names, and by the uids of those whose they are.

        An order's Job is never made twice, so that name and owner are as exact as the Job's own uid.
        """
        if not settled:
            return
        names = sorted(str(held.value["metadata"]["name"]) for held in settled)
        owners = sorted({controller(held.value) for held in settled})
        chosen = f"{JOB} in ({','.join(names)}),{CANDIDATE_UID} in ({','.join(owners)})"
        await self.cluster.api.delete_all(JOBS, self.key[0], chosen)
        for held in settled:
            self.cluster.stores.jobs.forget(self.key[0], held.value["metadata"]["name"], held.uid)

    async def _is_waited_for(self, held: Held[Object]) -> bool:
        """Whether a Job's candidate, as the API server has it, waits for its order."""
        found = await self.cluster.api.get(CANDIDATES, self.key[0], _candidate_of(held.value))
        order = None if found is None else found.get("status", {}).get("order")
        return order is not None and order.get("name") == _order_of(held.value)

    def _is_over(self, held: Held[Object]) -> bool:
        """Whether training has ended in a Job that can be deleted with others; one without our labels is an old one.

        A Job that is merely suspended, or lacks a pod, would go on.
        """
        job, pods = held.value, self.pods_of(held.uid)
        if (
            not states.is_training(job)
            or not {JOB, CANDIDATE_UID} <= job["metadata"].get("labels", {}).keys()
        ):
            return False
        whole = not job["spec"].get("suspend") and len(pods) >= (job["spec"].get("completions") or 1)
        return states.has_ended(job) or (whole and all(states.phase(p) in _ENDS for p in pods))

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


async def delete_job(cluster: Cluster, namespace: str, held: Held[Object]) -> None:
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
