"""How orders are started: named in a candidate's status, told to an agent, made a Job; and what the API server refused.

An order is started once for each attempt, whatever crashes: this process starts only what it named itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from asiarch.api.candidate import Candidate, CandidateStatus, OrderRef
from asiarch.api.names import context_name, object_name
from asiarch.api.order import Order
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core.actions import Action, StartOrder
from asiarch.core.context import context
from asiarch.core.observation import Observation, Trouble
from asiarch.kube import manifests, refusals
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, ApiError, Object
from asiarch.kube.cluster import Cluster
from asiarch.kube.kept import controller
from asiarch.kube.refusals import Refusal

GRACE = 5.0
"""Seconds that an order's Job may take to show up, when another process named the order."""
_PATIENCE = 2
"""So many failures in a row of one order's creation, each of which ends its turn, are worth telling of."""


@dataclass
class Starts:
    """The orders of one search that this process named and started; nothing else needs to know."""

    cluster: Cluster
    namespace: str
    named: dict[str, tuple[str, OrderRef]] = field(default_factory=dict)
    """Orders that this process named, by the name: in whose status, and how; kept while that candidate is at work."""
    asked: dict[str, float] = field(default_factory=dict)
    """When each order's Job was first asked for, as long as no answer came."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """What the API server refused, and when it is asked for again."""
    _named_at: dict[str, float] = field(default_factory=dict)
    """When this process began to name each order."""
    _failed: dict[str, tuple[int, str]] = field(default_factory=dict)
    """How often in a row the creation of an order's objects ended a turn, and the last words about it."""
    _unasked: dict[bool, ApiError] = field(default_factory=dict)
    """That whoever has to admit Jobs, of training or not, didn't answer in this turn: once is enough."""

    def begin(self, named: Mapping[str, object], at_work: set[str]) -> None:
        """Begin a turn in which these orders are named and these candidates are at work; forget all others."""
        self._unasked = {}
        self.named = {order: one for order, one in self.named.items() if one[0] in at_work}
        memories: tuple[dict[str, Any], ...] = (self.asked, self.refused, self._named_at, self._failed)
        for memory in memories:
            for name in memory.keys() - named.keys():
                del memory[name]

    @property
    def troubles(self) -> list[Trouble]:
        """What keeps orders from starting."""
        failing = (
            Trouble(
                Reason.INFRASTRUCTURE_FAILED,
                f"Order {name} can't start: {said} It is tried again.",
                fatal=False,
            )
            for name, (times, said) in self._failed.items()
            if times >= _PATIENCE
        )
        return [*(refusal.trouble for refusal in self.refused.values()), *failing]

    def willing_first(self, actions: Sequence[Action]) -> list[Action]:
        """The same actions, those orders last whose creation ended a turn: they keep none waiting."""
        return sorted(actions, key=lambda one: isinstance(one, StartOrder) and one.order.name in self._failed)

    @contextmanager
    def naming(self, candidate: Candidate, status: CandidateStatus) -> Iterator[None]:
        """Around the write that may name an order: it is ours to start, unless the API server refused the write.

        An answer that got lost may have been a yes; then the order is found in the status, and is ours all the same.
        """
        after = status.order
        if after is None or candidate.status.order == after:
            yield
            return
        earlier = self.named.get(after.name)
        self.named[after.name] = (candidate.name, after)
        self._named_at.setdefault(after.name, self.cluster.clock())
        try:
            yield
        except ApiError as error:
            if 400 <= error.status < 500 and earlier is not None:
                # What overtook us may be our own earlier write.
                self.named[after.name] = earlier
            elif 400 <= error.status < 500:
                self.named.pop(after.name)
            raise

    async def start(self, order: Order, seen: Observation) -> str | None:
        """Create an order's Job, an agent's context first; returns the Job's uid, if it is there and ours.

        A refusal is remembered, and asked again later.
        """
        before, candidate = self.refused.get(order.name), seen.candidates.get(order.candidate)
        if candidate is None or (before is not None and before.again > self.cluster.clock()):
            return None
        if (unasked := self._unasked.get(order.kind == "train")) is not None:
            self._refuse(order, unasked, before)
            return None
        try:
            if order.kind != "train":
                await self._tell(order, candidate, seen)
            created = await self._create(order, candidate, seen.search)
        except ApiError as error:
            self._refuse(order, error, before)
            return None
        self.refused.pop(order.name, None)
        self._failed.pop(order.name, None)
        if order.kind != "train" and order.attempt > 1:
            # It costs a little room if it stays.
            with suppress(ApiError):
                await self._forget(order, candidate)
        ours = created is not None and controller(created) == candidate.metadata.uid
        return created["metadata"]["uid"] if created is not None and ours else None

    def _refuse(self, order: Order, error: ApiError, before: Refusal | None) -> None:
        """Remember a refusal; raises what is none."""
        reason = refusals.reason_of(error)
        if reason is None:
            times, _ = self._failed.get(order.name, (0, ""))
            self._failed[order.name] = times + 1, refusals.said(error)
            raise error
        if reason == Reason.QUOTA_EXCEEDED:
            self.cluster.watcher.quota_denied(self.namespace)
        refused = self.refused[order.name] = Refusal.of(
            f"Order {order.name} can't start", reason, error, before
        )
        refused.again = self.cluster.clock() + refused.wait

    async def _tell(self, order: Order, candidate: Candidate, seen: Observation) -> None:
        """Write down what an agent may look at, with files by digest; that it is there already is success."""
        told = context(order, seen, "sha256:{}".format)
        text = told.model_dump_json(by_alias=True, exclude_defaults=True)
        body = manifests.context_map(order, candidate, text)
        try:
            await self.cluster.api.create(CONFIG_MAPS, self.namespace, body)
        except ApiError as error:
            if error.status != 409:
                raise
            found = await self.cluster.api.get(CONFIG_MAPS, self.namespace, body["metadata"]["name"])
            if found is None:
                raise
            if controller(found) != candidate.metadata.uid:
                # A predecessor's goes with it; then ours can be made.
                message = f"ConfigMap {found['metadata']['name']} is there and belongs to something else. Delete it."
                raise ApiError(400, "NameConflict", message) from error

    async def _forget(self, order: Order, candidate: Candidate) -> None:
        """Delete what the attempt before was told: of attempts that wait for the cluster there is no end."""
        step = order.name.removesuffix(f"-a{order.attempt}")
        name = context_name(f"{step}-a{order.attempt - 1}")
        found = await self.cluster.api.get(CONFIG_MAPS, self.namespace, name)
        if found is not None and controller(found) == candidate.metadata.uid:
            await self.cluster.api.delete(CONFIG_MAPS, self.namespace, name, found["metadata"]["uid"])

    async def _create(self, order: Order, candidate: Candidate, search: ArchitectureSearch) -> Object | None:
        body = manifests.job(order, candidate, search, self.cluster.deployment)
        if not await self._is_still_named(order, candidate):
            return None
        self.asked.setdefault(order.name, self.cluster.clock())
        try:
            created = await self.cluster.api.create(JOBS, self.namespace, body)
        except ApiError as error:
            if error.status != 409:
                if 400 <= error.status < 500 or refusals.reason_of(error) is not None:
                    self.asked.pop(order.name, None)
                if refusals.is_unasked(error):
                    self._unasked[order.kind == "train"] = error
                raise
            found = await self.cluster.api.get(JOBS, self.namespace, object_name(order.name))
            if found is None:
                raise
            created = found
        self.cluster.stores.jobs.apply(created)
        return created

    async def _is_still_named(self, order: Order, candidate: Candidate) -> bool:
        """Whether an order may be started: who was held up since it was named looks whether others have gone on.

        Once their grace is over they count an order lost that isn't started.
        """
        await self.cluster.api.calm()
        if self.cluster.clock() - self._named_at.get(order.name, float("-inf")) < GRACE / 2:
            return True
        found = await self.cluster.api.get(CANDIDATES, self.namespace, order.candidate)
        if found is None or found["metadata"]["uid"] != candidate.metadata.uid:
            return False
        self.cluster.stores.candidates.apply(found)
        return bool(found.get("status", {}).get("order", {}).get("name") == order.name)
