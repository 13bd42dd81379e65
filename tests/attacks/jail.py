"""Runs one deed in a nursery, as root, as an ordinary user, or where the kernel grants no namespaces."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from asiarch.local.nursery import Exit, Job, Nursery

SAMPLES = Path(__file__).parent / "samples"
KERNELS = Path(__file__).parents[2] / "kernels"
MEBIBYTE = 2**20
CALLERS = ("root", "ordinary", "refused") if os.getuid() == 0 else ("self",)
"""Who starts the nursery. `refused` is an ordinary user to whom the kernel grants no namespaces."""


@dataclass(frozen=True)
class Ended:
    """How a deed ended, and what it printed."""

    exit: Exit
    log: str


@contextmanager
def a_place() -> Iterator[Path]:
    """A directory that every user may reach, as pytest's own are not."""
    place = Path(tempfile.mkdtemp(prefix="asiarch-jail-"))
    place.chmod(0o777)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def a_job(place: Path, deed: str, target: str = "", **changes: object) -> Job:
    job = Job(
        key=deed,
        module="deeds",
        env={"DEED": deed, "TARGET": target},
        cwd=place,
        log=place / f"{deed}.log",
        jail="hostile",
        seconds=20,
        memory=256 * MEBIBYTE,
        processes=24,
    )
    return replace(job, **changes)  # type: ignore[arg-type]


class Ends:
    """The exits that a nursery delivered."""

    def __init__(self) -> None:
        self.exits: list[Exit] = []
        self._delivered = asyncio.Event()

    def add(self, ended: Exit) -> None:
        self.exits.append(ended)
        self._delivered.set()

    async def until(self, count: int, seconds: float = 60) -> list[Exit]:
        """The exits, once there are `count`."""
        async with asyncio.timeout(seconds):
            while len(self.exits) < count:
                self._delivered.clear()
                await self._delivered.wait()
        return self.exits


def a_nursery(caller: str, ends: Ends, preload: tuple[str, ...] = ()) -> Nursery:
    nursery = Nursery(preload, ends.add, path=(SAMPLES, KERNELS))
    prefix = {"ordinary": [], "refused": ["--refuse"]}.get(caller)
    if prefix is not None:
        nursery._command = [sys.executable, "-I", str(SAMPLES / "ordinary.py"), *prefix, *nursery._command]
    return nursery


def jailed(caller: str, *jobs: Job, preload: tuple[str, ...] = ()) -> list[Ended]:
    """Run jobs at the same time; how each ended, in their order."""
    return asyncio.run(_run(caller, jobs, preload))


def unjailed(place: Path, deed: str, target: str = "", **env: str) -> int:
    """Run a deed as a plain process; its exit code."""
    command = [sys.executable, "-I", str(SAMPLES / "deeds.py")]
    env |= {"DEED": deed, "TARGET": target}
    return subprocess.run(
        command, env=env, cwd=place, check=False, capture_output=True, timeout=60
    ).returncode


def first_beat(path: Path, within: float = 10.0) -> None:
    """Wait until somebody has written to `path`."""
    last = time.monotonic() + within
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < last, f"nobody wrote to {path}"
        time.sleep(0.01)


def still_grows(path: Path, within: float = 3.0) -> bool:
    """Whether somebody goes on writing to `path`; who is being killed has a moment to die."""
    last = time.monotonic() + within
    while time.monotonic() < last:
        size = path.stat().st_size
        time.sleep(0.3)
        if path.stat().st_size == size:
            return False
    return True


async def _run(caller: str, jobs: tuple[Job, ...], preload: tuple[str, ...]) -> list[Ended]:
    ends = Ends()
    async with a_nursery(caller, ends, preload) as nursery:
        await asyncio.gather(*(nursery.launch(job) for job in jobs))
        exits = {each.key: each for each in await ends.until(len(jobs))}
    return [Ended(exits[job.key], job.log.read_text(errors="replace")) for job in jobs]
