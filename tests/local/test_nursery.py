"""A nursery starts jobs at once, delivers each end once, and leaves nothing behind, whoever dies."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asiarch.local import descent
from asiarch.local.nursery import Exit, NurseryError
from tests.attacks.jail import (
    CALLERS,
    MEBIBYTE,
    SAMPLES,
    Ends,
    a_job,
    a_nursery,
    a_place,
    first_beat,
    jailed,
    still_grows,
)

JAILS = ("trusted", "hostile")


@pytest.fixture
def place() -> Iterator[Path]:
    with a_place() as directory:
        yield directory


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=JAILS)
def jail(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def beats_in(place: Path) -> Path:
    """A file in a directory that every jail may write to."""
    beats = place / "beats"
    beats.mkdir()
    beats.chmod(0o777)
    return beats / "heartbeat"


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie, which nobody may have come to bury yet."""
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and bool(command.read_bytes())


def test_a_job_s_exit_code_and_output_are_kept(place: Path, jail: str) -> None:
    [ended] = jailed("self", a_job(place, "show_surroundings", jail=jail))
    assert (ended.exit.code, ended.exit.signal, ended.exit.timed_out) == (0, None, False)
    assert "'DEED': 'show_surroundings'" in ended.log


def test_an_error_is_an_exit_code_and_a_traceback_in_the_log(place: Path, jail: str) -> None:
    [ended] = jailed("self", a_job(place, "raise_error", jail=jail))
    assert ended.exit.code == 1
    assert "KeyError: 'no such thing'" in ended.log


def test_an_abort_is_a_signal(place: Path, jail: str) -> None:
    [ended] = jailed("self", a_job(place, "abort", jail=jail))
    assert ended.exit.code is None
    assert ended.exit.signal in {signal.SIGABRT, signal.SIGSEGV}


def test_a_trusted_job_works_in_its_own_directory(place: Path) -> None:
    [ended] = jailed("self", a_job(place, "show_surroundings", jail="trusted"))
    assert str(place) in ended.log


def test_a_timeout_kills_the_whole_tree(place: Path, caller: str, jail: str) -> None:
    heartbeat = beats_in(place)
    job = a_job(
        place, "leave_an_orphan_and_stay", str(heartbeat), jail=jail, seconds=0.6, write=(heartbeat.parent,)
    )
    [ended] = jailed(caller, job)
    assert (ended.exit.signal, ended.exit.timed_out) == (signal.SIGKILL, True)
    assert heartbeat.stat().st_size > 0
    assert not still_grows(heartbeat)


def test_a_job_that_ends_takes_its_orphans_with_it(place: Path, caller: str, jail: str) -> None:
    heartbeat = beats_in(place)
    job = a_job(place, "leave_an_orphan", str(heartbeat), jail=jail, write=(heartbeat.parent,))
    [ended] = jailed(caller, job)
    assert (ended.exit.code, ended.exit.timed_out) == (0, False)
    assert heartbeat.stat().st_size > 0
    assert not still_grows(heartbeat)


def test_a_busy_loop_ends_at_its_deadline(place: Path) -> None:
    begun = time.monotonic()
    [ended] = jailed("self", a_job(place, "loop_for_ever", seconds=0.5))
    assert (ended.exit.signal, ended.exit.timed_out) == (signal.SIGKILL, True)
    assert time.monotonic() - begun < 5


def test_fifty_megabytes_of_output_neither_block_nor_fill_the_disk(place: Path) -> None:
    [ended] = jailed("self", a_job(place, "shout", str(50 * MEBIBYTE)))
    assert ended.exit.code == 0
    assert len(ended.log) <= MEBIBYTE
    assert ended.log.endswith("a log has at most 1 MiB\n")


def test_a_stopped_job_ends_without_having_timed_out(place: Path, jail: str) -> None:
    async def scene() -> Exit:
        ends = Ends()
        async with a_nursery("self", ends) as nursery:
            await nursery.launch(a_job(place, "sleep", "60", jail=jail))
            await nursery.stop("sleep")
            return (await ends.until(1))[0]

    ended = asyncio.run(scene())
    assert (ended.code, ended.signal, ended.timed_out) == (None, signal.SIGKILL, False)


def test_twenty_jobs_at_once_end_once_each(place: Path) -> None:
    jobs = [
        a_job(place, "sleep", "0.1", key=f"job-{number}", log=place / f"{number}.log") for number in range(20)
    ]
    ended = jailed("self", *jobs)
    assert [each.exit.code for each in ended] == [0] * 20
    assert len({each.exit.key for each in ended}) == 20


def test_a_job_whose_log_can_not_be_written_is_refused(place: Path) -> None:
    async def scene() -> None:
        async with a_nursery("self", Ends()) as nursery:
            await nursery.launch(a_job(place, "sleep", "1", log=place / "no-such" / "log"))

    with pytest.raises(NurseryError, match=r"job sleep can't start: .*no-such"):
        asyncio.run(scene())


def test_a_module_that_can_not_be_preloaded_is_named(place: Path) -> None:
    async def scene() -> None:
        async with a_nursery("self", Ends(), preload=("no_such_module",)) as nursery:
            await nursery.launch(a_job(place, "sleep", "1"))

    with pytest.raises(NurseryError, match="module no_such_module can't be imported"):
        asyncio.run(scene())


def test_a_module_that_starts_threads_is_refused(place: Path) -> None:
    async def scene() -> None:
        async with a_nursery("self", Ends(), preload=("threaded",)) as nursery:
            await nursery.launch(a_job(place, "sleep", "1"))

    with pytest.raises(NurseryError, match="2 threads after importing"):
        asyncio.run(scene())


def test_close_kills_what_still_runs_and_delivers_its_end(place: Path) -> None:
    async def scene() -> list[Exit]:
        ends = Ends()
        async with a_nursery("self", ends) as nursery:
            await nursery.launch(a_job(place, "sleep", "60"))
        return ends.exits

    [ended] = asyncio.run(scene())
    assert (ended.signal, ended.timed_out) == (signal.SIGKILL, False)


def test_the_death_of_the_warm_process_ends_its_jobs_and_the_next_launch_starts_another(
    place: Path, caller: str, jail: str
) -> None:
    heartbeat = beats_in(place)

    async def scene() -> list[Exit]:
        ends = Ends()
        async with a_nursery(caller, ends) as nursery:
            write = (heartbeat.parent,)
            await nursery.launch(
                a_job(place, "leave_an_orphan_and_stay", str(heartbeat), jail=jail, write=write)
            )
            await asyncio.to_thread(first_beat, heartbeat)
            first = nursery.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await ends.until(1)
            await nursery.launch(a_job(place, "sleep", "0", jail=jail))
            assert nursery.pid != first
            return await ends.until(2)

    died, lived = asyncio.run(scene())
    assert (died.signal, died.timed_out) == (signal.SIGKILL, False)
    assert lived.code == 0
    assert not still_grows(heartbeat)


def test_the_death_of_the_controller_ends_everything(place: Path) -> None:
    command = [sys.executable, str(SAMPLES / "controller.py"), str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout is not None
        warm = int(controller.stdout.readline())
        for jail in JAILS:
            first_beat(place / jail / "heartbeat")
        controller.kill()
    assert not any(still_grows(place / jail / "heartbeat") for jail in JAILS)
    assert not is_alive(warm)


def test_nothing_is_left_below_the_warm_process_between_jobs(place: Path) -> None:
    async def scene() -> list[int]:
        ends = Ends()
        async with a_nursery("self", ends) as nursery:
            await nursery.launch(a_job(place, "sleep", "0"))
            await ends.until(1)
            assert nursery.pid is not None
            return list(descent.descendants(nursery.pid))

    assert asyncio.run(scene()) == []


def test_a_job_costs_milliseconds_and_the_controller_hardly_anything(place: Path) -> None:
    async def scene() -> tuple[float, float]:
        ends = Ends()
        async with a_nursery("self", ends) as nursery:
            await nursery.launch(a_job(place, "sleep", "0", jail="trusted"))
            await ends.until(1)
            begun, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
            for number in range(20):
                await nursery.launch(a_job(place, "sleep", "0", jail="trusted", key=f"job-{number}"))
                await ends.until(number + 2)
            spent = resource.getrusage(resource.RUSAGE_SELF)
            cpu = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
            return (time.monotonic() - begun) / 20, cpu / 20

    wall, cpu = asyncio.run(scene())
    assert wall < 0.2
    assert cpu < 0.01
