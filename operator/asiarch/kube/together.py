"""Several calls to the API server at a time, for those that don't hang on each other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar

from asiarch.kube.client import ApiError

T = TypeVar("T")

AT_ONCE = 8
"""Calls of one turn that are under way at a time."""


async def in_order(
    items: Iterable[T], do: Callable[[T], Awaitable[object]], is_free: Callable[[T], bool]
) -> None:
    """Do something with each item, one after the other; free ones that stand side by side go together."""
    for free, batch in groupby(items, is_free):
        works = [partial(do, item) for item in batch]
        for each in [works] if free else [[work] for work in works]:
            await together(each)


async def together(works: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Do all works, begun in their order; after a refusal none is begun any more, and at the end it is raised.

    What is under way is brought to its end: whoever drops a call never learns what came of it.
    """
    waiting, refusals = iter(works), list[ApiError]()

    async def run() -> None:
        for work in waiting:
            try:
                await work()
            except ApiError as error:
                refusals.append(error)
            if refusals:
                return

    if len(works) < 2:
        await run()
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(works))):
                group.create_task(run())
    if refusals:
        raise refusals[0]
