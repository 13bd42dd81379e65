"""An event loop whose time passes only when everybody sleeps, so that hours of waiting are tested in milliseconds."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class PatientLoop(asyncio.SelectorEventLoop):
    """Jumps to the next appointment whenever nothing is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in made-up time."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(work)
