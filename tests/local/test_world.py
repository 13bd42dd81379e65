"""The world of a laptop, told to stop an order that ends well before it can be stopped."""

import asyncio
from pathlib import Path

from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.core.actions import StopOrder
from asiarch.local.runner import Modules, Runner
from asiarch.local.store import Store
from asiarch.local.world import LocalWorld
from asiarch.loop import turn
from tests.builders import T0, a_search
from tests.worlds import played


class LateRunner(Runner):
    """Does every order in no time, but only once it is told to stop."""

    def __init__(self, owner: Path) -> None:
        super().__init__(Modules(player=None), owner)
        self._told = asyncio.Event()

    async def train(self, order: Order, code: Path, place: Path) -> Result:
        del code, place
        await self._told.wait()
        return played(order)[0]

    async def stop(self, order: Order) -> None:
        del order
        self._told.set()


def test_a_result_that_came_before_the_stop_is_kept(tmp_path: Path) -> None:
    async def ended() -> tuple[Result, ...] | None:
        store, search = Store(tmp_path), a_search()
        store.open()
        store.write_search(search)
        world = LocalWorld(store, LateRunner(tmp_path))
        while not (await world.observe(search.name)).children:
            await turn(world, search.name, T0)
        name = next(iter((await world.observe(search.name)).children))
        await asyncio.sleep(0)
        await world.carry_out([StopOrder(name, Reason.DEADLINE_EXCEEDED)])
        await world.wait(5.0)
        child = (await world.observe(search.name)).children[name]
        await world.close()
        store.close()
        return child.results

    results = asyncio.run(ended())
    assert results
    assert results[0].reason is None
