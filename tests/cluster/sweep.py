"""F1, the crash sweep: kill -9 before, within and after every single API write of a search, each restarted and checked.

Run: python -m tests.cluster.sweep [--every N] [--workers W] [--failures FOLDER] [--write] | [--replay FILE]
A point that breaks an invariant is saved as a file, by which `--replay` runs it again.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, get_args

from tests.bench.figures import publish
from tests.cluster import checker
from tests.cluster.checker import Reference
from tests.cluster.faults.client import FaultProxy
from tests.cluster.faults.settings import Crash, Faults, Moment
from tests.cluster.manifests import GATES, SEEDED, a_search
from tests.cluster.plane import ControlPlane
from tests.cluster.stage import Scene, Stage, stage

SEARCH = a_search(
    "s",
    agents={"parallelism": 1},
    evaluation={"parallelism": 1, "ladder": [GATES, SEEDED]},
    budget={"candidates": 4, "gpuHours": "0.06"},
)
"""Two baselines and four proposals, one order at a time: six candidates. The budget has room for one training order."""
MOMENTS: tuple[Moment, ...] = get_args(Moment)
_TRIES = 3
"""A run may write an event less than another; then the last points are tried again."""


@dataclass(frozen=True)
class Point:
    """Where the operator dies: around one write, counted from 1."""

    write: int
    moment: Moment
    search: dict[str, Any]
    planted: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a point."""

    point: Point
    broken: tuple[str, ...]
    landed: bool
    """Whether the operator was killed there."""
    writes: int = 0
    resumed: float = 0.0
    """Seconds from the kill to the next write."""
    seconds: float = 0.0


def reference(on: Stage, search: dict[str, Any]) -> tuple[Reference, int]:
    """Run the search without faults; its lineage and counts, and its number of writes."""
    with on.scene() as scene:
        _play(scene, search)
        evidence = scene.evidence(search["metadata"]["name"])
        broken = checker.check_all(evidence, scene.users)
        if broken:
            raise AssertionError(f"The run without faults breaks invariants already: {broken}")
        return checker.reference_of(evidence, scene.users), scene.proxy.state()["writes"]


def points(writes: int, every: int = 1, planted: str = "") -> list[Point]:
    """Every n-th of all points."""
    found = [Point(k, moment, SEARCH, planted) for k in range(1, writes + 1) for moment in MOMENTS]
    return found[::every]


def run(on: Stage, point: Point, proxy: FaultProxy, wanted: Reference) -> Outcome:
    """Kill there, restart, let the search complete, and check everything; again if the kill didn't land."""
    found = _once(on, point, proxy, wanted)
    for _ in range(_TRIES - 1):
        if found.landed or found.broken:
            break
        found = _once(on, point, proxy, wanted)
    return found


def sweep(
    on: Stage, wanted: Sequence[Point], against: Reference, workers: int, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run many points, so many side by side."""
    with ThreadPoolExecutor(workers) as pool:
        left: SimpleQueue[Point | None] = SimpleQueue()
        for point in (*wanted, *[None] * workers):
            left.put(point)
        lanes = [pool.submit(_lane, on, n, left, against, tell) for n in range(workers)]
        return [outcome for lane in lanes for outcome in lane.result()]


def _lane(
    on: Stage,
    number: int,
    left: "SimpleQueue[Point | None]",
    against: Reference,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """One point after the other, behind one proxy."""
    done = []
    with on.proxy(on.folder / f"lane-{number}") as proxy:
        while (point := left.get()) is not None:
            outcome = run(on, point, proxy, against)
            tell(outcome)
            done.append(outcome)
    return done


def _once(on: Stage, point: Point, proxy: FaultProxy, wanted: Reference) -> Outcome:
    begun, moment = time.monotonic(), time.time()
    with on.scene(proxy=proxy, planted=point.planted) as scene:
        proxy.restart()
        proxy.faults(Faults(crashes=(Crash(write=point.write, moment=point.moment),)))
        try:
            _play(scene, point.search)
            broken = scene.verdict(point.search["metadata"]["name"], wanted, lost=1)
        except (TimeoutError, AssertionError) as stuck:
            broken = [f"I6 {stuck}"]
        state = proxy.state()
        if scene.operator.starts > 1 + len(state["kills"]):
            broken.append(f"The operator ended by itself. {scene.operator.last_words()}")
    kills = [row["moment"] for row in proxy.rows("kill") if row["moment"] >= moment]
    after = [row["moment"] for row in proxy.rows("write") if kills and row["moment"] > kills[0] + 0.01]
    resumed = min(after, default=0.0) - kills[0] if after else 0.0
    seconds = time.monotonic() - begun
    return Outcome(point, tuple(broken), bool(kills), state["writes"], resumed, seconds)


def _play(scene: Scene, search: dict[str, Any]) -> None:
    """From the search's creation until nothing is written any more."""
    scene.post(search)
    scene.start_operator()
    scene.await_phase(search["metadata"]["name"])
    scene.await_cleared()
    scene.await_quiet()


def save(outcome: Outcome, folder: Path) -> Path:
    """Write down a point that failed, so that it can be run again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"point-{outcome.point.write:03d}-{outcome.point.moment}.json"
    path.write_text(json.dumps({**asdict(outcome.point), "broken": outcome.broken}, indent=1) + "\n")
    return path


def load(path: Path) -> Point:
    """Read a saved point."""
    told = json.loads(path.read_text())
    told.pop("broken")
    return Point(**told)


def table(outcomes: Sequence[Outcome], writes: int, seconds: float) -> list[tuple[str, ...]]:
    """The figures of a sweep."""
    landed = [outcome for outcome in outcomes if outcome.landed]
    resumed = sorted(outcome.resumed for outcome in landed)
    failed = [outcome for outcome in outcomes if outcome.broken]
    return [
        ("figure", "measured", "goal"),
        ("API writes of the undisturbed search", str(writes), ""),
        ("points: moments around each write", str(len(outcomes)), "≥ 240"),
        ("kills that landed", str(len(landed)), "all"),
        ("points that broke an invariant", str(len(failed)), "0"),
        ("from kill to the next write, median", f"{statistics.median(resumed):.1f} s", ""),
        ("from kill to the next write, longest", f"{resumed[-1]:.1f} s", "≤ 10 s"),
        ("most writes of a run with a kill", str(max(o.writes for o in outcomes)), ""),
        ("the whole sweep", f"{seconds / 60:.0f} min", ""),
    ]


def main(words: Iterable[str]) -> int:
    """Sweep, or run one saved point again; the exit code says whether all invariants held."""
    parser = argparse.ArgumentParser(prog="tests.cluster.sweep", description="The crash sweep.")
    parser.add_argument("--every", type=int, default=1, help="take every n-th point only")
    parser.add_argument("--workers", type=int, default=4, help="points side by side")
    parser.add_argument("--failures", type=Path, default=Path("runs/sweep"), help="where failing points go")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/sweep.md")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a saved point again")
    options = parser.parse_args(list(words))
    with ControlPlane() as plane, tempfile.TemporaryDirectory() as folder:
        plane.install()
        with stage(plane, Path(folder)) as on:
            return _replay(on, options.replay) if options.replay else _sweep(on, options)


def _replay(on: Stage, path: Path) -> int:
    point = load(path)
    wanted, _ = reference(on, point.search)
    with on.proxy(on.folder / "lane") as proxy:
        outcome = run(on, point, proxy, wanted)
    print(f"{point.moment} write {point.write}: {'; '.join(outcome.broken) or 'all invariants hold'}")
    return 1 if outcome.broken else 0


def _sweep(on: Stage, options: argparse.Namespace) -> int:
    wanted, writes = reference(on, SEARCH)
    chosen = points(writes, options.every)
    print(f"{writes} writes, {len(chosen)} points", flush=True)

    def tell(outcome: Outcome) -> None:
        where = f"{outcome.point.moment} write {outcome.point.write}"
        print(f"{where}: {outcome.seconds:.1f} s, {'BROKEN' if outcome.broken else 'ok'}", flush=True)
        if outcome.broken:
            print(f"{save(outcome, options.failures)}\n" + "\n".join(outcome.broken), flush=True)

    begun = time.monotonic()
    outcomes = sweep(on, chosen, wanted, options.workers, tell)
    found = table(outcomes, writes, time.monotonic() - begun)
    if options.write:
        publish("sweep", "kill -9 around every API write of a search with six candidates", found)
    else:
        print("\n".join(": ".join(row[:2]) for row in found[1:]))
    return 1 if any(outcome.broken or not outcome.landed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
