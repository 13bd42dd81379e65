"""Real play: a container is a child process.

Agents are forked from a warm process of the kubelet's own, for they must reach the gateway. Referee and player run as
on a laptop, in the jails of `asiarch.local.nursery`. Every other command is simply started.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from asiarch.local.nursery import Exit, Job, Nursery
from tests.cluster.kubelet.sandbox import Launch
from tests.cluster.kubelet.status import KILLED

AGENT, REFEREE, PLAYER = "asiarch.agents.run", "asiarch_trainer.referee", "asiarch_trainer.player"
_MEMORY = 4 << 30
_PROCESSES = 256
_SECONDS = 86_400.0
"""The nursery's own limit; the pod's deadline comes first."""
_PATIENCE_SECONDS = 5.0
_IN_EVERY_IMAGE = ("PATH", "LANG")


class Children:
    """Everything that runs for the pods."""

    def __init__(self, *, training: bool) -> None:
        """With `training` the trainer's warm processes are started at once."""
        self._training = training
        self._agents = _Warm()
        self._nurseries = {
            REFEREE: Nursery((REFEREE,), self._ended),
            PLAYER: Nursery((PLAYER,), self._ended),
        }
        self._exits: dict[str, asyncio.Future[int]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._agents.close)
        for nursery in self._nurseries.values():
            self._stack.push_async_callback(nursery.close)
            if self._training:
                await nursery.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self, key: str, launch: Launch) -> int:
        """Run a container to its end; the exit code. Cancelled, it kills it first."""
        module = _module(launch.command)
        if module == AGENT:
            return await self._agents.run(key, module, launch)
        if module in self._nurseries:
            return await self._jailed(key, module, launch)
        return await _started(launch)

    async def _jailed(self, key: str, module: str, launch: Launch) -> int:
        nursery = self._nurseries[module]
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._exits[key] = ended
        try:
            await nursery.launch(_job(key, module, launch))
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            await nursery.stop(key)
            await asyncio.wait({ended}, timeout=_PATIENCE_SECONDS)
            raise
        finally:
            del self._exits[key]

    def _ended(self, ended: Exit) -> None:
        future = self._exits.get(ended.key)
        if future is not None and not future.done():
            future.set_result(ended.code if ended.code is not None else 128 + (ended.signal or 0))


class _Warm:
    """The kubelet's end of `tests.cluster.kubelet.warm`, which is started when it is first needed."""

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._exits: dict[str, asyncio.Future[int]] = {}
        self._pids: dict[str, int] = {}

    async def run(self, key: str, module: str, launch: Launch) -> int:
        process = await self._started()
        assert process.stdin is not None
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._exits[key] = ended
        request = {"key": key, "module": module, "env": _environment(launch)}
        request |= {"cwd": str(launch.cwd), "log": str(launch.log)}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            if key in self._pids and not ended.done():
                os.kill(self._pids[key], signal.SIGKILL)
                await asyncio.wait({ended}, timeout=_PATIENCE_SECONDS)
            raise
        finally:
            del self._exits[key]
            self._pids.pop(key, None)

    async def close(self) -> None:
        if self._process is not None and self._process.stdin is not None and self._reading is not None:
            self._process.stdin.close()
            await self._reading
            await self._process.wait()

    async def _started(self) -> Process:
        async with self._starting:
            if self._process is None:
                command = [sys.executable, "-m", "tests.cluster.kubelet.warm"]
                self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
                self._reading = asyncio.create_task(self._follow(self._process))
            return self._process

    async def _follow(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            event = json.loads(line)
            key = event["key"]
            if "pid" in event:
                if key in self._exits:
                    self._pids[key] = event["pid"]
                else:
                    os.kill(event["pid"], signal.SIGKILL)
            elif key in self._exits and not self._exits[key].done():
                self._exits[key].set_result(event["code"])
        for left in self._exits.values():
            if not left.done():
                left.set_result(KILLED)


def _module(command: tuple[str, ...]) -> str:
    """The module that a command runs: `python -m MODULE`."""
    words = [*command, "", ""]
    python, flag, module = words[:3]
    return module if Path(python).name.startswith("python") and flag == "-m" else ""


def _job(key: str, module: str, launch: Launch) -> Job:
    hostile = module == PLAYER
    return Job(
        key=key,
        module=module,
        env=_environment(launch),
        cwd=Path("/") if hostile else launch.cwd,
        log=launch.log,
        jail="hostile" if hostile else "trusted",
        seconds=_SECONDS,
        memory=_MEMORY,
        processes=_PROCESSES,
        read=launch.read,
        write=launch.write,
    )


async def _started(launch: Launch) -> int:
    program, *words = launch.command
    if program in {"python", "python3"}:
        program = sys.executable
    if shutil.which(program) is None:
        # As a container's runtime answers; such pods are others', which nobody plays.
        return 127
    with launch.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            program, *words, cwd=launch.cwd, env=_environment(launch), stdout=log, stderr=log
        )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return 128 - code if code < 0 else code


def _environment(launch: Launch) -> dict[str, str]:
    """A container's environment on top of what every image has."""
    return {**{name: os.environ[name] for name in _IN_EVERY_IMAGE if name in os.environ}, **launch.env}
