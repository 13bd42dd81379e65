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


RESYNC = 2.0
"""Seconds after which a turn is taken even if nothing happened."""
TICK = 0.25
"""Seconds between two looks of a view while nothing happens."""


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
    runner = Runner(modules, store.directory)
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
    while True:
        now = clock()
        plan = await turn(world, name, now)
        seen = await world.observe(name)
        view.show(seen, now)
        if plan.idle and seen.search.status.phase != "Running":
            return seen.search
        if seen.search.status.phase == "Running" or plan.actions:
            await _watch(world, view, clock, interrupted, plan.wake_after)
        if interrupted.is_set():
            return seen.search


async def _watch(
    world: LocalWorld, view: View, clock: Clock, interrupted: asyncio.Event, seconds: float | None
) -> None:
    """Wait until something happens or so many seconds have passed, showing meanwhile how time goes by.

    Now and then a turn is taken without any event: should one be missed, it costs seconds and nothing else.
    """
    end = clock() + (RESYNC if seconds is None else min(seconds, RESYNC))
    while not interrupted.is_set() and clock() < end:
        if await world.wait(TICK):
            return
        seen = await world.observe(world.name)
        view.show(seen, clock())
