"""Runs one order as child processes: an agent alone, or a referee with its player."""

import asyncio
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from asiarch.api.order import Order, Result, wrong_reason
from asiarch.api.reason import Reason
from asiarch.api.search import Cost
from asiarch.local.nursery import Exit, Job, Nursery
from asiarch.local.store import write_whole

MEMORY = 2 * 1024**3
"""Bytes that a process may take beyond what its warm parent holds."""
PROCESSES = 64
GRACE = 5.0
"""Seconds beyond an order's own limit before its processes are killed: the referee ends itself first."""


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules that do orders; a benchmark plays them by trivial ones."""

    agent: str = "asiarch.agents.run"
    referee: str = "asiarch_trainer.referee"
    player: str | None = "asiarch_trainer.player"
    path: tuple[Path, ...] = ()
    """Folders beside the installation in which the modules are looked for."""


class Runner:
    """Starts orders' processes in warm parents, waits for them and reads what they left."""

    def __init__(self, modules: Modules, owner: Path) -> None:
        """Choose who does orders; nothing starts before `start`. One runner at a time serves the directory `owner`."""
        self._modules = modules
        self._exits: dict[str, asyncio.Future[Exit]] = {}
        trusted = tuple(dict.fromkeys((modules.agent, modules.referee)))
        self._trusted = Nursery(trusted, self._ended, path=modules.path)
        self._hostile = Nursery((modules.player,), self._ended, path=modules.path) if modules.player else None
        self._sockets = _scratch(owner)

    async def start(self) -> None:
        """Begin to warm up; an order started meanwhile waits for its parent."""
        await self._trusted.start()
        if self._hostile is not None:
            await self._hostile.start()

    async def close(self) -> None:
        """Kill what still runs."""
        await self._trusted.close()
        if self._hostile is not None:
            await self._hostile.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    async def agent(self, order: Order, place: Path) -> Result:
        """Do an agent's order in `place`, where its context stands."""
        env = {"ASIARCH_ORDER": order.model_dump_json(by_alias=True, exclude_defaults=True)}
        env |= {"ASIARCH_CONTEXT": str(place / "context.json"), "ASIARCH_RESULT": str(place / "result.json")}
        job = self._job(order, order.name, self._modules.agent, env, place)
        ended = await self._run(self._trusted, job)
        return _result(order, read_agents_result(place / "result.json"), ended, 0.0)

    async def train(self, order: Order, code: Path, place: Path) -> Result:
        """Measure the file `code`: the referee decides, and the player goes when the referee has gone."""
        result = place / f"result-{order.index}.json"
        sockets = Path(tempfile.mkdtemp(dir=self._sockets))
        key = f"{order.name}-{order.index}"
        env = {
            "ASIARCH_ORDER": order.model_dump_json(by_alias=True, exclude_defaults=True),
            "ASIARCH_CODE": str(code),
            "ASIARCH_SOCKET": str(sockets / "wire"),
        }
        # The jail's user must reach the socket; nobody else can list the directory above it.
        sockets.chmod(0o755)
        referee = self._job(
            order, f"{key}-referee", self._modules.referee, {**env, "ASIARCH_RESULT": str(result)}, place
        )
        begun = time.monotonic()
        player: asyncio.Task[Exit] | None = None
        try:
            if self._hostile is not None and self._modules.player is not None:
                job = _player(self._job(order, f"{key}-player", self._modules.player, env, place), sockets)
                player = asyncio.create_task(self._run(self._hostile, job))
            ended = await self._run(self._trusted, referee)
            isolation = await self._dismiss(player, f"{key}-player")
        finally:
            shutil.rmtree(sockets, ignore_errors=True)
        measured = _result(order, read_result(result), ended, time.monotonic() - begun)
        measured = measured.model_copy(update={"isolation": isolation})
        # What the referee wrote doesn't know how the player was held; whoever recovers the result shall.
        write_whole(result, measured.model_dump_json(by_alias=True, exclude_defaults=True))
        return measured

    async def stop(self, order: Order) -> None:
        """Kill an order's processes."""
        for index in range(order.rung.seeds if order.rung else 1):
            for key in (order.name, f"{order.name}-{index}-referee"):
                if key in self._exits:
                    await self._trusted.stop(key)

    async def _dismiss(self, player: asyncio.Task[Exit] | None, key: str) -> tuple[str, ...]:
        """End a player whose referee has ended; returns the isolation that it had."""
        if player is None or self._hostile is None:
            return ()
        if not player.done():
            await self._hostile.stop(key)
        return (await player).isolation

    async def _run(self, nursery: Nursery, job: Job) -> Exit:
        ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._exits[job.key] = ended
        try:
            await nursery.launch(job)
            return await ended
        finally:
            del self._exits[job.key]

    def _ended(self, ended: Exit) -> None:
        future = self._exits.get(ended.key)
        if future is not None and not future.done():
            future.set_result(ended)

    def _job(self, order: Order, key: str, module: str, env: dict[str, str], place: Path) -> Job:
        return Job(
            key=key,
            module=module,
            env=env,
            cwd=place,
            log=place / f"{module.rpartition('.')[2]}-{order.index}.log",
            jail="trusted",
            seconds=order.seconds + GRACE,
            memory=MEMORY,
            processes=PROCESSES,
        )


def _scratch(owner: Path) -> Path:
    """A short path for sockets, whose names may have 108 bytes; what a killed runner left there is swept away."""
    name = sha256(str(owner).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"asiarch-{os.geteuid()}-{name}"
    path.mkdir(mode=0o711, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        path = Path(tempfile.mkdtemp(prefix="asiarch-"))
    path.chmod(0o711)
    for left in path.iterdir():
        shutil.rmtree(left, ignore_errors=True)
    return path


def _player(job: Job, sockets: Path) -> Job:
    """The same job in the jail for machine-written code, which sees its file and the socket only."""
    code = Path(job.env["ASIARCH_CODE"])
    return replace(
        job, jail="hostile", seconds=job.seconds + GRACE, cwd=Path("/"), read=(code,), write=(sockets,)
    )


def _result(order: Order, read: Result | None, ended: Exit, used: float) -> Result:
    """The result that a process of ours left; its exit says why there is none."""
    blank = Result(
        order=order.name, attempt=order.attempt, index=order.index, cost=Cost(seconds=round(used, 3))
    )
    if ended.timed_out:
        message = f"Ran longer than {order.seconds} s and was killed with all its processes."
        return blank.model_copy(update={"reason": Reason.DEADLINE_EXCEEDED, "message": message})
    if read is not None and (read.order, read.attempt, read.index) == (
        order.name,
        order.attempt,
        order.index,
    ):
        return read
    message = f"Ended with code {ended.code}, signal {ended.signal}, without a valid result; see its log."
    reason = Reason.NO_RESULT if ended.code == os.EX_OK else Reason.INFRASTRUCTURE_FAILED
    return blank.model_copy(update={"reason": reason, "message": message})


def read_result(path: Path) -> Result | None:
    """Read a result file; none when it is missing or not a result."""
    try:
        return Result.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def read_agents_result(path: Path) -> Result | None:
    """Read an agent's result file; a reason that isn't the agent's to give is a failure of the agent."""
    read = read_result(path)
    wrong = None if read is None else wrong_reason(read)
    if read is None or wrong is None:
        return read
    return read.model_copy(update={"reason": Reason.AGENT_FAILED, "message": wrong})
