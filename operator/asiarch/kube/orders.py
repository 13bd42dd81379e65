"""What became of one search's orders: Jobs, pods and results, read by level; and how an order is started and stopped.

An order is started once for each attempt, whatever crashes: this process starts only what it named itself. One that an
earlier process named, and of which no Job is found, may have run and been deleted; so that attempt counts as lost.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asiarch.api.base import Instant
from asiarch.api.candidate import Candidate, CandidateStatus, OrderRef
from asiarch.api.names import ORDER, POD_UID, object_name, result_name
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core import controls, lifecycle
from asiarch.core.context import context
from asiarch.core.observation import Child, Observation, Trouble
from asiarch.kube import manifests, outcome, refusals, spans, states
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, PODS, ApiError, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import controller
from asiarch.kube.refusals import Refusal
from asiarch.kube.settled import Settled, delete_job
from asiarch.kube.store import Held, SearchKey
from asiarch.kube.together import together

GRACE = 5.0
"""Seconds that an order's Job may take to show up, when another process named the order."""
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
    named: dict[str, tuple[str, OrderRef]] = field(default_factory=dict)
    """Orders that this process named, by the name: in whose status, and how; kept while that candidate is at work."""
    wake_after: float | None = None
    """Seconds until time alone changes what was seen last."""
    troubles: list[Trouble] = field(default_factory=list)
    _seen: dict[str, str] = field(default_factory=dict)
    """The uid of each order's Job that this process saw."""
    _missing: dict[str, float] = field(default_factory=dict)
    _named_at: dict[str, float] = field(default_factory=dict)
    """When this process began to name each order."""
    _asked: dict[str, float] = field(default_factory=dict)
    """When each order's Job was first asked for, as long as no answer came."""
    _stopped: dict[str, Stop] = field(default_factory=dict)
    _over: dict[str, Child] = field(default_factory=dict)
    """Orders that have ended and are still named."""
    _refused: dict[str, Refusal] = field(default_factory=dict)
    _now: Instant = 0.0
    _pods: dict[str, list[Object]] = field(default_factory=dict)
    """The pods of each Job, by its uid, as the present turn sees them."""

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
        self.troubles += [refusal.trouble for refusal in self._refused.values()]
        return {name: child for name, child in found.items() if child is not None}

    @contextmanager
    def naming(self, candidate: Candidate, status: CandidateStatus) -> Iterator[None]:
        """Around the write that may name an order: it is ours to start, unless the API server refused the write.

        An answer that got lost may have been a yes; then the order is found in the status, and is ours all the same.
        """
        before, after = candidate.status.order, status.order
        fresh = before != after
        if after is not None and fresh:
            self.named[after.name] = (candidate.name, after)
            self._named_at[after.name] = self.cluster.clock()
        try:
            yield
        except ApiError as error:
            if after is not None and fresh and 400 <= error.status < 500:
                self.named.pop(after.name, None)
            raise

    async def start(self, order: Order, seen: Observation) -> None:
        """Create an order's Job, an agent's context first; a refusal is remembered, and asked again later."""
        refusal = self._refused.get(order.name)
        if refusal is not None and refusal.again > self.cluster.clock():
            self._wake(refusal.again - self.cluster.clock())
            return
        candidate = seen.candidates[order.candidate]
        try:
            if order.kind != "train":
                await self._tell(order, candidate, seen)
            await self._create(order, candidate, seen.search)
        except ApiError as error:
            reason = refusals.reason_of(error)
            if reason is None:
                raise
            if reason == Reason.QUOTA_EXCEEDED:
                self.cluster.watcher.quota_denied(self.key[0])
            refused = self._refused[order.name] = Refusal.of(order, reason, error, refusal)
            refused.again = self.cluster.clock() + refused.wait
            self._wake(refused.wait)
        else:
            self._refused.pop(order.name, None)

    async def stop(self, name: str, reason: Reason) -> None:
        """Delete an order's Job; it is reported ended once none of its pods runs any more, at the cost of what ran."""
        held = self._job(name) or await self._found(name)
        if held is not None:
            await self._take_back(held, name, reason, "Stopped.")
        elif name not in self._stopped:
            ran = 0.0 if name in self.named and name not in self._asked else None
            self._stopped[name] = Stop(reason, "Stopped.", ran)

    async def sweep(self, waiting: Mapping[str, str], *, ended: bool) -> None:
        """Delete Jobs whose order is no longer waited for; at once if the search has ended, or a quota may be full."""
        settled = Settled(self.cluster, self.key, self._pods_of)
        due = await settled.sweep(waiting, self._now, at_once=ended or bool(self._refused))
        if due is not None:
            self._wake(due)

    def _forget_all_but(self, named: Mapping[str, object], live: Sequence[Candidate]) -> None:
        at_work = {candidate.name for candidate in live}
        self.named = {order: one for order, one in self.named.items() if one[0] in at_work}
        memories: tuple[dict[str, Any], ...] = (
            self._seen, self._missing, self._named_at, self._asked, self._stopped, self._over, self._refused
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
        if ref.name in self._stopped:
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
            self._wake(0.0)
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
        return Child(ref.name)

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
        clock = self.cluster.clock()
        refusal = self._refused.get(ref.name)
        if refusal is not None and refusal.again > clock:
            self._wake(refusal.again - clock)
            return Child(ref.name, refusal=refusal.trouble)
        if candidate.status.reason in controls.REFUSALS:
            # An earlier process was refused it: it is as good as new.
            self.named[ref.name] = (candidate.name, ref)
        asked = self._asked.get(ref.name)
        if self.named.get(ref.name) != (candidate.name, ref) or (
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
        await delete_job(self.cluster, self.key[0], held)

    async def _vanished(self, candidate: Candidate, ref: OrderRef, uid: str, now: Instant) -> Child:
        """A Job that was there is gone; it is over when the API server knows no pod of it that still runs."""
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
        """The pods of a Job by its uid, those that are gone included."""
        return [*self._pods.get(job, ()), *self.cluster.stores.departed.of(job)]

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

    async def _tell(self, order: Order, candidate: Candidate, seen: Observation) -> None:
        """Write down what an agent may look at, with files by digest; that it is there already is success."""
        told = context(order, seen, "sha256:{}".format)
        text = told.model_dump_json(by_alias=True, exclude_defaults=True)
        body = manifests.context_map(order, candidate, text)
        try:
            await self.cluster.api.create(CONFIG_MAPS, self.key[0], body)
        except ApiError as error:
            if error.status != 409:
                raise
            found = await self.cluster.api.get(CONFIG_MAPS, self.key[0], body["metadata"]["name"])
            if found is None or controller(found) != candidate.metadata.uid:
                # A predecessor's goes with it; then ours can be made.
                raise

    async def _create(self, order: Order, candidate: Candidate, search: ArchitectureSearch) -> None:
        body = manifests.job(order, candidate, search, self.cluster.deployment)
        if not await self._is_still_named(order):
            return
        self._asked.setdefault(order.name, self.cluster.clock())
        try:
            created = await self.cluster.api.create(JOBS, self.key[0], body)
        except ApiError as error:
            if error.status != 409:
                if 400 <= error.status < 500 or refusals.reason_of(error) is not None:
                    self._asked.pop(order.name, None)
                raise
            found = await self.cluster.api.get(JOBS, self.key[0], object_name(order.name))
            if found is None:
                raise
            created = found
        self.cluster.stores.jobs.apply(created)
        if controller(created) == candidate.metadata.uid:
            self._seen[order.name] = created["metadata"]["uid"]

    async def _is_still_named(self, order: Order) -> bool:
        """Whether an order may be started: who was held up since it was named looks whether others have gone on.

        Once their grace is over they count an order lost that isn't started.
        """
        await self.cluster.api.calm()
        if self.cluster.clock() - self._named_at.get(order.name, float("-inf")) < GRACE / 2:
            return True
        found = await self.cluster.api.get(CANDIDATES, self.key[0], order.candidate)
        if found is not None:
            self.cluster.stores.candidates.apply(found)
        return found is not None and found.get("status", {}).get("order", {}).get("name") == order.name


def _may_still_run(results: Sequence[Result], pods: Sequence[Object]) -> bool:
    """Whether an attempt is given up while one of its pods still waits to start."""
    lost = any(result.reason in lifecycle.LOST for result in results)
    return lost and any(states.phase(pod) == "Pending" for pod in pods)


def _lost(ref: OrderRef, reason: Reason, message: str) -> Result:
    return Result(order=ref.name, attempt=ref.attempt, reason=reason, message=message)
