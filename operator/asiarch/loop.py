"""The loop: observe one search, decide, commit, carry out; what a crash leaves undone the next turn completes."""

from collections.abc import Callable, Sequence
from typing import Protocol

from asiarch.api.base import Instant
from asiarch.core.actions import Action, Plan, Write
from asiarch.core.observation import Observation
from asiarch.core.reconcile import reconcile


class World(Protocol):
    """Where effects happen: the cluster or a directory."""

    async def observe(self, search: str) -> Observation:
        """See one search with all that belongs to it."""

    async def commit(self, statuses: Sequence[Write]) -> None:
        """Write statuses, in their order, each fenced; raises when one was overtaken."""

    async def carry_out(self, actions: Sequence[Action]) -> None:
        """Do what was planned; what was done already is success."""


async def turn(
    world: World, search: str, now: Instant, tell: Callable[[Plan], None] = lambda _: None
) -> Plan:
    """Observe one search, decide, write intents, then act; returns what was planned.

    `tell` is told of the plan once it is written: what is done of it may fail, and then it is planned again.
    """
    plan = reconcile(await world.observe(search), now)
    await world.commit(plan.statuses)
    tell(plan)
    await world.carry_out(plan.actions)
    return plan
