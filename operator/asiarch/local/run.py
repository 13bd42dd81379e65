"""Runs one search in a directory to its end, turn by turn."""

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

from asiarch.api.base import Instant
from asiarch.api.search import ArchitectureSearch
from asiarch.core.observation import Observation
from asiarch.local.runner import Modules, Runner
from asiarch.local.store import Store
from asiarch.local.world import LocalWorld
from asiarch.loop import turn

Clock = Callable[[], Instant]


class View(Protocol):
    """Who watches a search."""

    def show(self, seen: Observation, now: Instant) -> None:
        """Show what has become of the search."""


async def run(store: Store, modules: Modules, view: View, clock: Clock) -> ArchitectureSearch:
    """Run the search that the directory holds until it ends, is suspended, or is interrupted.

    Returns the search as it then stands. An interrupt stops the orders under way; the next run tries them again.
    """
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    runner = Runner(modules)
    await runner.start()
    world = LocalWorld(store, runner)
    try:
        return await _turns(world, store, view, clock, interrupted)
    finally:
        await world.close()


async def _turns(
    world: LocalWorld, store: Store, view: View, clock: Clock, interrupted: asyncio.Event
) -> ArchitectureSearch:
    name = store.directory.name
    stop = asyncio.create_task(interrupted.wait())
    while True:
        now = clock()
        plan = await turn(world, name, now)
        seen = await world.observe(name)
        view.show(seen, now)
        if interrupted.is_set() or (plan.idle and seen.search.status.phase != "Running"):
            stop.cancel()
            return seen.search
        if plan.idle:
            waiting = asyncio.create_task(world.wait(plan.wake_after))
            await asyncio.wait({waiting, stop}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
