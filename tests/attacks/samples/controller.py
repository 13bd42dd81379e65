"""A controller to kill: it launches the jobs that its arguments name, prints its warm process's pid, and waits."""

import asyncio
import sys
from pathlib import Path

from asiarch.local.jobs import Jail
from asiarch.local.nursery import Job, Nursery

JAILS: tuple[Jail, ...] = ("trusted", "hostile")


async def main(place: Path) -> None:
    async with Nursery((), lambda _: None, path=(Path(__file__).parent,)) as nursery:
        for jail in JAILS:
            beats = place / jail
            beats.mkdir()
            beats.chmod(0o777)
            env = {"DEED": "leave_an_orphan_and_stay", "TARGET": str(beats / "heartbeat")}
            job = Job(
                key=jail, module="deeds", env=env, cwd=place, log=place / f"{jail}.log", jail=jail,
                seconds=60, memory=2**28, processes=24, write=(beats,),
            )  # fmt: skip
            await nursery.launch(job)
        print(nursery.pid, flush=True)
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
