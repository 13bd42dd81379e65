"""What became of one search's orders: Jobs, pods and results, read by level; and how an order is stopped.

One that an earlier process named, and of which no Job is found, may have run and been deleted; so that attempt counts
as lost.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asiarch.api.base import Instant
from asiarch.api.candidate import Candidate, OrderRef
from asiarch.api.names import ORDER, POD_UID, object_name, result_name
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core import controls, lifecycle
from asiarch.core.observation import ENDED, Child, Observation, Trouble
from asiarch.kube import manifests, outcome, refusals, spans, states
from asiarch.kube.client import CONFIG_MAPS, JOBS, PODS, ApiError, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import controller
from asiarch.kube.refusals import Door, Refusal
from asiarch.kube.settled import Settled, waits_for
from asiarch.kube.starts import GRACE, Starts
from asiarch.kube.store import Held, SearchKey
from asiarch.kube.together import together

UNSURE = manifests.KEPT_AGENT / 2
"""Seconds after which a Job that we asked for without an answer, and that isn't there, may have come and gone."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an order was stopped by us, and for how long its processes had run."""

    reason: Reason
    message: str
    ran: float | None
    """Seconds; none where nobody can say."""


@dataclass
class Orders:
    """The orders of one search; what it remembers of them is this process's own doing, and nothing else needs it."""

    cluster: Cluster
    key: SearchKey
    wake_after: float | None = None
    """Seconds until time alone changes what was seen last."""
    troubles: list[Trouble] = field(default_factory=list)
    _seen: dict[str, str] = field(default_factory=dict)
    """The uid of each order's Job that this process saw."""
    _missing: dict[str, float] = field(default_factory=dict)
    _stopped: dict[str, Stop] = field(default_factory=dict)
    _over: dict[str, Child] = field(default_factory=dict)
    """Orders that have ended and are still named."""
    _kept: dict[str, Refusal] = field(default_factory=dict)
    """Jobs that the API server refused to delete."""
    _now: Instant = 0.0
    _pods: dict[str, list[Object]] = field(default_factory=dict)
    """The pods of each Job, by its uid, as the present turn sees them."""

    def __post_init__(self) -> None:
        self.starts = Starts(self.cluster, self.key[0])
        self._left_over, self._cleared = Door(self.cluster.clock), Door(self.cluster.clock)
        self._clearing: asyncio.Task[None] | None = None

    async def children(
        self, search: ArchitectureSearch, live: Sequence[Candidate], now: Instant
    ) -> dict[str, Child]:
        """What became of each order that a live candidate names; one without a process is left out."""
        self.troubles, self.wake_after, self._now = [], None, now
        named = {c.status.order.name: (c, c.status.order) for c in live if c.status.order is not None}
        self._forget_all_but(named, live)
        self._pods = defaultdict(list)
        for held in self.cluster.stores.pods.of(self.key).values():
            self._pods[controller(held.value)].append(held.value)
        found: dict[str, Child | None] = dict.fromkeys(named)

        async def look(candidate: Candidate, ref: OrderRef) -> None:
            rung = search.spec.evaluation.ladder[candidate.status.rung]
            seeds = rung.seeds if ref.kind == "train" else 1
            found[ref.name] = await self._child(candidate, ref, seeds, now)

        await together([partial(look, candidate, ref) for candidate, ref in named.values()])
        self.troubles += [*self.starts.troubles, *(refusal.trouble for refusal in self._kept.values())]
        self.troubles += (*self._left_over.troubles, *self._cleared.troubles)
        return {name: child for name, child in found.items() if child is not None}

    async def start(self, order: Order, seen: Observation) -> None:
        """Create an order's Job; a refusal is remembered, and asked again later."""
        uid = await self.starts.start(order, seen)
        if uid is not None:
            self._seen[order.name] = uid
        if (refusal := self.starts.refused.get(order.name)) is not None:
            self._wake(max(0.0, refusal.again - self.cluster.clock()))

    async def stop(self, name: str, reason: Reason) -> None:
        """Delete an order's Job; it is reported ended once none of its pods runs any more, at the cost of what ran."""
        held = self._job(name) or await self._found(name)
        if held is not None:
            await self._take_back(held, name, reason, "Stopped.")
        elif name not in self._stopped:
            ran = 0.0 if name in self.starts.named and name not in self.starts.asked else None
            self._stopped[name] = Stop(reason, "Stopped.", ran)

    async def sweep(self, search: ArchitectureSearch) -> None:
        """Delete Jobs whose order is no longer waited for; at once if the search has ended, or a quota may be full.

        None while a candidate can't be read: nobody knows what it waits for.
        """
        settled = Settled(self.cluster, search, self.key, self._pods_of)
        held = self.cluster.stores.candidates.of(self.key).items()
        if any(one.value.unreadable for _, one in held):
            return
        waiting = {name: order for name, one in held if (order := waits_for(search, one.value))}
        if self._left_over.wait is None:
            with self._left_over.passing("Jobs that nobody waits for", "can't be deleted"):
                await settled.leave(waiting)
        at_once = search.status.phase in ENDED or bool(self.starts.refused)
        for wait in (await self._clear(settled, waiting, at_once=at_once), self._left_over.wait):
            if wait is not None:
                self._wake(wait)

    async def _clear(self, settled: Settled, waiting: Mapping[str, str], *, at_once: bool) -> float | None:
        """Delete many Jobs that are over beside the turns, which would wait for it; raises what befell the last ones.

        Returns the seconds after which there is more to do.
        """
        if self._clearing is not None:
            if not self._clearing.done():
                return 1.0
            before, self._clearing = self._clearing, None
            with self._cleared.passing("Jobs that are over", "can't be deleted"):
                await before
        if self._cleared.wait is not None:
            return self._cleared.wait
        chosen, due = settled.due(waiting, self._now, at_once=at_once)
        if chosen:
            self._clearing = self.cluster.beside(settled.clear(chosen))
        elif due is None:
            self._cleared.begin()
        return due

    def _forget_all_but(self, named: Mapping[str, object], live: Sequence[Candidate]) -> None:
        self.starts.begin(named, {candidate.name for candidate in live})
        memories: tuple[dict[str, Any], ...] = (
            self._seen, self._missing, self._stopped, self._over, self._kept
        )  # fmt: skip
        for memory in memories:
            for name in memory.keys() - named.keys():
                del memory[name]

    async def _child(self, candidate: Candidate, ref: OrderRef, indices: int, now: Instant) -> Child | None:
        if ref.name in self._over:
            return self._over[ref.name]
        held = self._job(ref.name)
        if held is None:
            return await self._without_job(candidate, ref, now)
        if controller(held.value) != candidate.metadata.uid:
            return self._lost(ref, f"Job {object_name(ref.name)} is there and belongs to something else.")
        self._seen[ref.name] = held.uid
        self._missing.pop(ref.name, None)
        if (stop := self._stopped.get(ref.name)) is not None:
            # Its deletion was refused, or its answer got lost.
            await self._take_back(held, ref.name, stop.reason, stop.message)
            return Child(ref.name)
        return await self._with_job(ref, indices, held, now)

    async def _with_job(self, ref: OrderRef, indices: int, held: Held[Object], now: Instant) -> Child:
        """What its Job and its pods tell of an order."""
        pods = self._pods_of(held.uid)
        taken = await self._taken(ref, held, pods)
        patience = self.cluster.deployment.patience
        results = taken or outcome.results(outcome.Case(ref, held.value, now, patience), indices, pods)
        if results is not None and _may_still_run(results, pods):
            # Its pod could start any moment: that goes first.
            lost = next(result for result in results if result.reason in lifecycle.LOST)
            await self._take_back(held, ref.name, lost.reason or Reason.LOST, lost.message)
            return Child(ref.name)
        if results is not None:
            if (queued := spans.queued(held.value, pods)) is not None:
                self.cluster.watcher.queued(queued)
            return self._ended(ref, results, spans.charged(results, indices, pods))
        waiting = outcome.waiting(held.value, pods, now, patience)
        if waiting is not None:
            self._wake(waiting.seconds)
            if waiting.trouble is not None:
                self.troubles.append(waiting.trouble)
        held_back = bool(held.value["spec"].get("suspend")) and all(outcome.is_over(pod, now) for pod in pods)
        return Child(ref.name, held=held_back)

    async def _taken(
        self, ref: OrderRef, held: Held[Object], pods: Sequence[Object]
    ) -> tuple[Result, ...] | None:
        """An agent's result, once the gateway has it from a pod of this Job; looked for live when the Job has ended."""
        if ref.kind == "train":
            return None
        name, ended = result_name(ref.name), outcome.has_ended(held.value)
        if self.cluster.stores.results.get(self.key[0], name) is None and not ended:
            return None
        found = await self.cluster.api.get(CONFIG_MAPS, self.key[0], name)
        if found is None:
            return None
        brought_by = (found["metadata"].get("annotations") or {}).get(POD_UID)
        if brought_by in {pod["metadata"]["uid"] for pod in pods}:
            return (self._read(ref, found),)
        if ended and controller(found) == controller(held.value):
            # Its pod has gone since, with a node that was scaled away, say.
            return (self._read(ref, found),)
        # The pod's own news may come a moment later; a stranger's result is never taken.
        self._wake(1.0)
        return None

    async def _left(self, candidate: Candidate, ref: OrderRef) -> tuple[Result, ...] | None:
        """What an agent brought before its Job went by its time to live: what was paid for once isn't made again."""
        if ref.kind == "train" or ref.name in self._stopped:
            return None
        found = await self.cluster.api.get(CONFIG_MAPS, self.key[0], result_name(ref.name))
        ours = found is not None and controller(found) == candidate.metadata.uid
        return (self._read(ref, found),) if found is not None and ours else None

    def _read(self, ref: OrderRef, found: Object) -> Result:
        """A result as its agent brought it; one that can't be read is a lost attempt."""
        said = outcome.brought(ref, found)
        if isinstance(said, Result):
            return said
        self.cluster.watcher.result_rejected(Reason.AGENT_FAILED)
        return _lost(ref, Reason.AGENT_FAILED, said)

    async def _without_job(self, candidate: Candidate, ref: OrderRef, now: Instant) -> Child | None:
        """No Job is known: gone, not there yet, or ours to create."""
        seen = self._seen.get(ref.name)
        if seen is not None:
            return await self._vanished(candidate, ref, seen, now)
        if (stop := self._stopped.get(ref.name)) is not None:
            return self._ended(ref, (_lost(ref, stop.reason, stop.message),), stop.ran)
        clock, refusal = self.cluster.clock(), self.starts.refused.get(ref.name)
        if refusal is not None and refusal.again > clock:
            self._wake(refusal.again - clock)
            return Child(ref.name, refusal=refusal.trouble)
        if candidate.status.reason in controls.REFUSALS:
            # An earlier process was refused it: it is as good as new.
            self.starts.named[ref.name] = (candidate.name, ref)
        asked = self.starts.asked.get(ref.name)
        if self.starts.named.get(ref.name) != (candidate.name, ref) or (
            asked is not None and clock - asked >= UNSURE
        ):
            return await self._nowhere(candidate, ref, now)
        left = None if asked is None else await self._left(candidate, ref)
        return None if left is None else self._ended(ref, left)

    async def _nowhere(self, candidate: Candidate, ref: OrderRef, now: Instant) -> Child:
        """Of an order that may have been started no Job is known: wait, look for it live, then count it lost."""
        clock = self.cluster.clock()
        since = self._missing.setdefault(ref.name, clock)
        if clock - since < GRACE:
            self._wake(GRACE - (clock - since))
            return Child(ref.name)
        if await self._look(candidate, ref):
            return Child(ref.name)
        if await self._runs(f"batch.kubernetes.io/job-name={object_name(ref.name)}", now):
            self._wake(1.0)
            return Child(ref.name)
        if (left := await self._left(candidate, ref)) is not None:
            return self._ended(ref, left)
        return self._lost(ref, "The order may have been started before, and its Job is not there.")

    async def _take_back(self, held: Held[Object], name: str, reason: Reason, message: str) -> None:
        """Delete an order's Job, and remember for how long its pods have run by now."""
        ran = spans.ran(held.value, self._pods_of(held.uid), self._now)
        self._stopped[name] = Stop(reason, message, ran)
        await self._delete(name, held.uid)

    async def _delete(self, order: str, uid: str) -> None:
        """Delete an order's Job, and know at once that it is gone; a refusal is told of, and asked again later."""
        clock, before = self.cluster.clock(), self._kept.get(order)
        if before is not None and before.again > clock:
            self._wake(before.again - clock)
            return
        try:
            await self.cluster.api.delete(JOBS, self.key[0], object_name(order), uid)
        except ApiError as error:
            reason = refusals.reason_of(error)
            if reason is None:
                raise
            kept = self._kept[order] = Refusal.of(
                f"The Job of order {order} can't be deleted", reason, error, before
            )
            kept.again = clock + kept.wait
            self._wake(kept.wait)
        else:
            self.cluster.stores.jobs.forget(self.key[0], object_name(order), uid)
            self._kept.pop(order, None)
            self._wake(0.0)

    async def _vanished(self, candidate: Candidate, ref: OrderRef, uid: str, now: Instant) -> Child:
        """A Job that was there is gone; it is over when the API server knows no pod of it that still runs.

        One that only lost our labels would run on unseen: it goes, too.
        """
        found = await self.cluster.api.get(JOBS, self.key[0], object_name(ref.name))
        if (
            found is not None
            and found["metadata"]["uid"] == uid
            and not found["metadata"].get("deletionTimestamp")
        ):
            await self._delete(ref.name, uid)
            return Child(ref.name)
        if await self._runs(f"batch.kubernetes.io/controller-uid={uid}", now):
            self._wake(1.0)
            return Child(ref.name)
        if (left := await self._left(candidate, ref)) is not None:
            return self._ended(ref, left)
        if (stop := self._stopped.get(ref.name)) is not None:
            return self._ended(ref, (_lost(ref, stop.reason, stop.message),), stop.ran)
        return self._lost(ref, "Its Job was deleted while it ran.")

    async def _runs(self, label: str, now: Instant) -> bool:
        """Whether the API server knows a pod with this label that isn't over."""
        async for page in self.cluster.api.pages(PODS, self.key[0], label):
            if any(not outcome.is_over(pod, now) for pod in page.items):
                return True
        return False

    async def _look(self, candidate: Candidate, ref: OrderRef) -> bool:
        """Whether the API server itself knows an order's Job."""
        held = await self._found(ref.name)
        if held is None or controller(held.value) != candidate.metadata.uid:
            return False
        self._wake(0.0)
        return True

    def _ended(self, ref: OrderRef, results: tuple[Result, ...], ran: float | None = None) -> Child:
        ended = self._over[ref.name] = Child(ref.name, results, ran=ran)
        return ended

    def _lost(self, ref: OrderRef, message: str) -> Child:
        return self._ended(ref, (_lost(ref, Reason.LOST, message),))

    def _pods_of(self, job: str) -> list[Object]:
        """The pods of a Job by its uid, those that are gone included: one that went in mid-turn as it was last."""
        seen = {pod["metadata"]["uid"]: pod for pod in self._pods.get(job, ())}
        return list({**seen, **self.cluster.stores.departed.of(job)}.values())

    async def _found(self, order: str) -> Held[Object] | None:
        """An order's Job that we haven't heard of, if the API server has."""
        found = await self.cluster.api.get(JOBS, self.key[0], object_name(order))
        if found is not None and (found["metadata"].get("annotations") or {}).get(ORDER) == order:
            self.cluster.stores.jobs.apply(found)
        return self._job(order)

    def _job(self, order: str) -> Held[Object] | None:
        return self.cluster.stores.jobs.get(self.key[0], object_name(order))

    def _wake(self, seconds: float) -> None:
        self.wake_after = seconds if self.wake_after is None else min(seconds, self.wake_after)


def _may_still_run(results: Sequence[Result], pods: Sequence[Object]) -> bool:
    """Whether an attempt is given up while one of its pods still waits to start."""
    lost = any(result.reason in lifecycle.LOST for result in results)
    return lost and any(states.phase(pod) == "Pending" for pod in pods)


def _lost(ref: OrderRef, reason: Reason, message: str) -> Result:
    return Result(order=ref.name, attempt=ref.attempt, reason=reason, message=message)
