"""Kills the operator under test, exactly then."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.faults.journal import Journal
from tests.cluster.faults.settings import Crash, Moment

_GRACE = 0.005
"""Seconds between a reply's last byte and the kill, so that the client has read it."""


class Executioner:
    """Sends SIGKILL around the writes that the document names, and lets nothing through while it does."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._at: set[tuple[int, Moment]] = set()
        self.pid: int | None = None
        self._free = asyncio.Event()
        self._free.set()

    def plan(self, crashes: Iterable[Crash]) -> None:
        """Replace the crash points."""
        self._at = {(crash.write, crash.moment) for crash in crashes}

    async def passage(self) -> bool:
        """Wait while somebody is being killed; true when it was so, and the call is a dead client's."""
        if self._free.is_set():
            return False
        await self._free.wait()
        return True

    def due(self, k: int, moment: Moment) -> bool:
        """Whether the operator dies here; if so, every later call is held from this instant on."""
        if (k, moment) not in self._at or self.pid is None:
            return False
        self._free.clear()
        return True

    async def kill(self, k: int, moment: Moment) -> None:
        """Kill and wait until the process is dead; `due` has said yes."""
        pid = self.pid
        try:
            self._at.discard((k, moment))
            if moment == "replied":
                await asyncio.sleep(_GRACE)
            if pid is not None:
                self._journal.kill(pid, k, moment)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await asyncio.to_thread(_wait_for_death, pid)
        finally:
            self.pid = None
            self._free.set()


def _wait_for_death(pid: int) -> None:
    while not _dead(pid):
        time.sleep(0.001)


def _dead(pid: int) -> bool:
    """Whether a process is gone or waits to be buried by its parent."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return line.rsplit(")", 1)[1].split()[0] in "ZX"
