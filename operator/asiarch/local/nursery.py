"""Runs child processes for the controller: it keeps one warm process and asks it, without ever blocking.

A job's end is delivered once, through `on_exit`, whatever happens: if the warm process dies, every job has ended by
SIGKILL, for none outlives it, and the next launch starts another. Trusted and hostile jobs need a nursery each: a
job's memory begins as a copy of its warm process's, which has seen every job's environment.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asiarch.local.jobs import Exit, Job, line, parse_exit, start_line

__all__ = ["Exit", "Job", "Nursery", "NurseryError"]

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": os.defpath,
}
"""All that a warm process has, and so all that a job can find in its memory: nothing of the user's environment."""
_CLOSE_SECONDS = 10.0
_LAST_WORDS_BYTES = 4096
_LINE_BYTES = 2**16


class NurseryError(RuntimeError):
    """The warm process could not be started, or would not start a job."""


class Nursery:
    """One warm process and the jobs that were forked from it."""

    def __init__(
        self, preload: tuple[str, ...], on_exit: Callable[[Exit], None], *, path: tuple[Path, ...] = ()
    ) -> None:
        self._command = _command(preload, path)
        self._on_exit = on_exit
        self._one_at_a_time = asyncio.Lock()
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._starting: dict[str, asyncio.Future[None]] = {}
        self._jobs: dict[str, tuple[str, ...]] = {}

    @property
    def pid(self) -> int | None:
        """The warm process, if there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the warm process; it becomes ready by itself, and `launch` waits for that."""
        async with self._one_at_a_time:
            if self._reading and not self._reading.done():
                return
            self._ready = asyncio.get_running_loop().create_future()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_ENVIRONMENT, start_new_session=True,
                limit=_LINE_BYTES,
            )  # fmt: skip
            self._reading = asyncio.create_task(self._follow(self._process, self._ready))

    async def launch(self, job: Job) -> None:
        """Start a job; returns when it is in its jail. Its end is delivered to `on_exit`."""
        if job.key in self._jobs:
            message = f"job {job.key} is running already"
            raise ValueError(message)
        started = asyncio.get_running_loop().create_future()
        self._jobs[job.key] = ()
        self._starting[job.key] = started
        try:
            await self.start()
            await asyncio.shield(self._must_be_ready())
            await self._send(start_line(job))
            await started
        except NurseryError:
            self._jobs.pop(job.key, None)
            raise
        finally:
            self._starting.pop(job.key, None)

    async def stop(self, key: str) -> None:
        """Kill a job and all it started; its end is delivered as any other."""
        if key in self._jobs and self.pid:
            await self._send(line({"request": "stop", "key": key}))

    async def close(self) -> None:
        """Kill every job, wait for their ends, and end the warm process."""
        if not self._process or not self._reading:
            return
        if self._process.stdin:
            self._process.stdin.close()
        if self._ready and not self._ready.done() and self.pid:
            self._process.kill()
        try:
            await asyncio.wait_for(asyncio.shield(self._reading), _CLOSE_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._reading

    def _must_be_ready(self) -> asyncio.Future[None]:
        if self._ready is None:
            message = "the warm process was never started"
            raise NurseryError(message)
        return self._ready

    async def _send(self, request: bytes) -> None:
        if not self._process or not self._process.stdin:
            return
        self._process.stdin.write(request)
        try:
            await self._process.stdin.drain()
        except ConnectionError:
            return

    async def _follow(self, process: Process, ready: asyncio.Future[None]) -> None:
        """Read events until the warm process has gone, then settle what it left."""
        if not process.stdout or not process.stderr:
            return
        words = asyncio.create_task(_last_words(process.stderr))
        while each := await process.stdout.readline():
            self._heed(json.loads(each), ready)
        await process.wait()
        said = await words
        reason = f"the warm process has ended ({process.returncode}); its last words: {said or 'none'}"
        _fail(ready, reason)
        self._bury(reason)

    def _heed(self, event: Mapping[str, Any], ready: asyncio.Future[None]) -> None:
        match event["event"]:
            case "ready":
                ready.set_result(None)
            case "broken":
                _fail(ready, event["message"])
            case "started":
                self._jobs[event["key"]] = tuple(event["isolation"])
                self._succeed(event["key"])
            case "refused":
                _fail(self._starting[event["key"]], event["message"])
            case "ended":
                self._succeed(event["key"])
                self._jobs.pop(event["key"], None)
                self._on_exit(parse_exit(event))

    def _succeed(self, key: str) -> None:
        started = self._starting.get(key)
        if started and not started.done():
            started.set_result(None)

    def _bury(self, reason: str) -> None:
        """Deliver the ends of the jobs that died with the warm process; fail those that had not begun."""
        jobs, self._jobs = self._jobs, {}
        for key, isolation in jobs.items():
            if key in self._starting:
                _fail(self._starting[key], reason)
            else:
                self._on_exit(Exit(key, None, signal.SIGKILL, timed_out=False, isolation=isolation))


def _command(preload: tuple[str, ...], path: tuple[Path, ...]) -> list[str]:
    return [
        sys.executable, "-I", "-m", "asiarch.local.warm", "--preload", *preload, "--path", *map(str, path)
    ]  # fmt: skip


def _fail(future: asyncio.Future[None], reason: str) -> None:
    if not future.done():
        future.set_exception(NurseryError(reason))
        future.exception()


async def _last_words(stream: asyncio.StreamReader) -> str:
    kept = b""
    while chunk := await stream.read(_LINE_BYTES):
        kept = (kept + chunk)[-_LAST_WORDS_BYTES:]
    return kept.decode(errors="replace").strip()
