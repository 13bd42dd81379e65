"""The world of a laptop: an order that ends well before it can be stopped, and one that ended before a restart."""

import asyncio
from pathlib import Path

from asiarch.api.base import timestamp
from asiarch.api.candidate import OrderRef
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.core.actions import StopOrder
from asiarch.local.runner import Modules, Runner
from asiarch.local.store import Store
from asiarch.local.world import LocalWorld
from asiarch.loop import turn
from tests.builders import T0, a_candidate, a_search
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


def test_what_an_agent_left_before_a_restart_is_read_with_the_same_care(tmp_path: Path) -> None:
    store, search = Store(tmp_path), a_search()
    store.open()
    store.write_search(search)
    ref = OrderRef(name="s-0000-propose-a1", kind="propose", deadline=timestamp(T0 + 60))
    waiting = a_candidate(0, phase="Proposing", code=None, order=ref)
    store.write_candidate(waiting, waiting.status)
    order = Order(name=ref.name, kind="propose", search="s", candidate=waiting.name, seconds=20)
    said = Result(order=order.name, attempt=1, reason=Reason.PREEMPTED, message="Once more.")
    (store.begin_order(order, None) / "result.json").write_text(said.model_dump_json(by_alias=True))
    world = LocalWorld(store, LateRunner(tmp_path))
    (found,) = asyncio.run(world.observe(search.name)).children[order.name].results or ()
    store.close()
    assert found.reason == Reason.AGENT_FAILED
