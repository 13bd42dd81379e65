"""Compiles every pinned configuration before any pod starts, without a GPU, and checks that nothing is left to compile.

    python -m asiarch_kernels.aot --out FOLDER --architectures sm_80,sm_90 [--jobs 2] [--kernels scan]
    python -m asiarch_kernels.aot --out FOLDER --architectures sm_80,sm_90 --verify

Each block's own host launchers run with pretend tensors under a pretend driver, so Triton's keys are those of real
launches. The folder is the read-only tier of `cache`; what it holds already is not compiled again. A configuration may
fail on sm_100 alone, whose compiler gives up on some. The report says so, and the row is to go from the table, so that
launches there fall back.
"""

import argparse
import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import cast

from triton._C.libtriton import get_cache_invalidating_env_vars

from asiarch_kernels import cache, pinned
from asiarch_kernels.compiles import Loaded, listening
from asiarch_kernels.launching import Launch, Size
from asiarch_kernels.pinned import ARCHITECTURES, Architecture, Pinned, Row
from asiarch_kernels.pretend import pretending
from asiarch_kernels.report import Failure, Report, written

MAY_FAIL: frozenset[Architecture] = frozenset({"sm_100"})
REPORT = "report.json"
BUILT = (Size(),)
CHECKED = (
    Size(),
    Size(batch=32, tokens=2048, heads=8),
    Size(batch=8, tokens=2048, heads=8),
    Size(batch=8, tokens=2047, heads=8, skew=1),
    Size(batch=1, tokens=1, heads=1),
    Size(batch=3, tokens=65, heads=5, skew=3),
)
"""The first size is what was built; then the models of 20M and 340M, and lengths and addresses that are odd."""


class AotError(RuntimeError):
    """The build or the check can't be done as asked."""


@dataclass(frozen=True, slots=True)
class Task:
    """Rows whose launches one process goes through; they share launchers, so apart they'd compile the same twice."""

    package: str
    rows: tuple[Row, ...]
    sizes: tuple[Size, ...]

    @property
    def architecture(self) -> Architecture:
        """Of all its rows."""
        return self.rows[0].architecture


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compiled: rows, whose block folders lie in a package, for a read-only tier."""

    tier: Path
    rows: tuple[Row, ...]
    package: str = __package__
    jobs: int = 1


def build(scope: Scope) -> Report:
    """Compile what the tier lacks of these rows, and the shim; the report tells of all that the tier has for them."""
    _refuse_strange_keys()
    scope.tier.mkdir(parents=True, exist_ok=True)
    scope.tier.chmod(0o755)
    with (
        tempfile.TemporaryDirectory(prefix="asiarch-aot-") as scratch,
        _environment(scope.tier, Path(scratch)),
    ):
        try:
            report = _run(scope, BUILT)
            report = replace(report, shim_compiled=_shim(scope.tier, Path(scratch)))
        finally:
            # A build that is cut short isn't begun anew by the next one.
            cache.bake(Path(scratch), scope.tier)
    report = replace(report, tier_bytes=_size(scope.tier))
    (scope.tier / REPORT).write_text(report.to_json())
    return report


def verify(scope: Scope) -> Report:
    """Launch these rows at every size that is checked, from the tier alone; what is compiled is in the report."""
    _refuse_strange_keys()
    with (
        tempfile.TemporaryDirectory(prefix="asiarch-aot-") as scratch,
        _environment(scope.tier, Path(scratch)),
    ):
        report = _run(scope, CHECKED)
        return replace(report, shim_compiled=_shim(scope.tier, Path(scratch)), tier_bytes=_size(scope.tier))


def _run(scope: Scope, sizes: tuple[Size, ...]) -> Report:
    """Go through all launches, in one process or in several."""
    began, used = time.monotonic(), _processor_seconds()
    told = tuple(_done(scope.jobs, tuple(_tasks(scope, sizes))))
    loaded = tuple(one for its_loaded, _ in told for one in its_loaded)
    failures = tuple(one for _, its_failures in told for one in its_failures)
    seconds, processor_seconds = time.monotonic() - began, _processor_seconds() - used
    return Report(scope.rows, loaded, failures, seconds, processor_seconds)


def _processor_seconds() -> float:
    """Used so far by this process and by those that it started and that have ended, ptxas among them."""
    return sum(os.times()[:4])


def _done(jobs: int, tasks: tuple[Task, ...]) -> Iterator[tuple[list[Loaded], list[Failure]]]:
    if jobs == 1:
        yield from map(_launch_all, tasks)
        return
    # Spawned, since torch and LLVM have threads by now, which a fork would leave behind in the middle of something.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from (
            done.result() for done in as_completed([pool.submit(_launch_all, task) for task in tasks])
        )


def _tasks(scope: Scope, sizes: tuple[Size, ...]) -> Iterator[Task]:
    def together(row: Row) -> tuple[str, str, str, int]:
        return row.block, row.architecture, row.precision, row.width

    for _, rows in groupby(sorted(scope.rows, key=together), key=together):
        yield Task(scope.package, tuple(rows), sizes)


def _launch_all(task: Task) -> tuple[list[Loaded], list[Failure]]:
    """What Triton loaded for a task, and which rows it couldn't compile or nobody launches."""
    launches = _launches(task)
    failures = []
    with pretending(task.architecture) as driver, listening() as compiles:
        for row, size in ((row, size) for row in task.rows for size in task.sizes):
            before = driver.launches
            failures += [Failure(row, fault) for launch in launches(row, size) if (fault := _fault(launch))]
            if driver.launches == before and not any(failure.row == row for failure in failures):
                failures.append(
                    Failure(row, "no launch: launches() of its block launches no kernel for this row")
                )
    return compiles.loaded, list(dict.fromkeys(failures))


def _launches(task: Task) -> Callable[[Row, Size], Iterable[Launch]]:
    """The launches that the rows' block lists."""
    module = importlib.import_module(f"{task.package}.{task.rows[0].block}.kernel")
    return cast("Callable[[Row, Size], Iterable[Launch]]", module.launches)


def _fault(launch: Launch) -> str:
    """Why a launch failed; empty where it didn't. What a kernel or its compiler may raise has no common class."""
    try:
        launch()
    except Exception as fault:  # noqa: BLE001
        return f"{type(fault).__name__}: {str(fault).strip()[:2_000]}"
    return ""


def _shim(tier: Path, scratch: Path) -> bool:
    """Have the shim loaded or built, in a process that ends with it; whether it was built."""
    folder = tier / "libcuda"
    before = sorted(scratch.rglob("cuda_utils*"))
    subprocess.run([sys.executable, "-m", "asiarch_kernels.shim", str(folder)], check=True)
    return sorted(scratch.rglob("cuda_utils*")) != before


def _refuse_strange_keys() -> None:
    """Refuse to build under variables that are part of Triton's keys: a pod that lacks them would find nothing."""
    if strange := sorted(get_cache_invalidating_env_vars()):
        raise AotError(
            f"the environment sets {', '.join(strange)}, which changes what Triton compiles; unset it"
        )


@contextmanager
def _environment(tier: Path, scratch: Path) -> Iterator[None]:
    """What a pod's environment says, for the processes started meanwhile; a build writes to a folder of its own."""
    ours = {
        cache.VARIABLE: str(tier),
        "TRITON_CACHE_DIR": str(scratch),
        "TRITON_CACHE_MANAGER": "asiarch_kernels.cache:TwoTierCache",
        "TRITON_STORE_BINARY_ONLY": "1",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        _put_back(before)


def _put_back(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _size(folder: Path) -> int:
    """Bytes of all files in a tier, but for the report."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != REPORT)


def chosen(
    table: Mapping[Row, Pinned], architectures: Collection[Architecture], blocks: Collection[str] = ()
) -> tuple[Row, ...]:
    """The rows of a table for these architectures, and of these blocks where any are named."""
    known = {row.architecture for row in table} | {row.block for row in table}
    if strange := [name for name in (*architectures, *blocks) if name not in known]:
        raise AotError(f"nothing is known of {', '.join(strange)}; wanted any of {', '.join(sorted(known))}")
    rows = tuple(
        row for row in table if row.architecture in architectures and (not blocks or row.block in blocks)
    )
    if not rows:
        raise AotError(f"no row of the table is for {', '.join(architectures)} {' '.join(blocks)}".rstrip())
    return rows


def judge(report: Report, *, verified: bool) -> list[str]:
    """What is wrong, as sentences: failures where none are allowed, and a check that had to compile."""
    wrong = [
        f"{failure.row}: {failure.why}"
        for failure in report.failures
        if failure.row.architecture not in MAY_FAIL
    ]
    if verified:
        wrong += [
            f"{one.kernel} for {one.architecture} was compiled, not found: {one.special}"
            for one in report.compiled
        ]
        wrong += ["the shim of the driver was compiled, not found"] if report.shim_compiled else []
    return wrong


def main(arguments: list[str]) -> int:
    """The command line; 1 where something is wrong."""
    asked = _parser().parse_args(arguments)
    blocks = [name for name in asked.kernels.split(",") if name]
    try:
        scope = Scope(
            asked.out.resolve(), chosen(pinned.TABLE, asked.architectures.split(","), blocks), jobs=asked.jobs
        )
        report = verify(scope) if asked.verify else build(scope)
    except AotError as error:
        sys.stderr.write(f"aot: {error}\n")
        return 1
    wrong = judge(report, verified=asked.verify)
    sys.stdout.write(written(report))
    sys.stderr.writelines(f"aot: {sentence}\n" for sentence in wrong)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asiarch_kernels.aot", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="the read-only tier to fill, or to check")
    parser.add_argument("--architectures", default=",".join(ARCHITECTURES), help="separated by commas")
    parser.add_argument("--kernels", default="", help="blocks, separated by commas; all without it")
    parser.add_argument("--jobs", type=int, default=1, help="processes that compile at once")
    parser.add_argument(
        "--verify", action="store_true", help="compile nothing: check that nothing is left to compile"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
