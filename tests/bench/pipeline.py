"""How well the laptop's loop keeps slots busy, and what it costs: 2 s proposals, 1 s evaluations, 8 slots.

Run: python -m tests.bench.pipeline [candidates]
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from asiarch.api.meta import Metadata
from asiarch.api.search import Agents, ArchitectureSearch, Baseline, Budget, Evaluation, Rung, SearchSpec
from asiarch.core.observation import Observation
from asiarch.local.run import run
from asiarch.local.runner import Modules
from asiarch.local.store import Store
from tests.bench.figures import publish

SLOTS = 8
HERE = Path(__file__).parents[2]
TRIVIAL = Modules(agent="tests.bench.trivial", referee="tests.bench.trivial", player=None, path=(HERE,))


class Watch:
    """Notes when each candidate finished."""

    def __init__(self) -> None:
        """Nothing has finished yet."""
        self.finished: list[float] = []

    def show(self, seen: Observation, now: float) -> None:
        """Count what is complete."""
        complete = seen.search.status.counts.complete
        self.finished += [now] * (complete - len(self.finished))


def the_search(candidates: int) -> ArchitectureSearch:
    """One rung, no gates: the shape of the peers' benchmark."""
    return ArchitectureSearch(
        metadata=Metadata(name="pipeline"),
        spec=SearchSpec(
            goal="Measure the loop.",
            baselines=(Baseline(name="no-mixing"),),
            agents=Agents(parallelism=32),
            evaluation=Evaluation(parallelism=SLOTS, ladder=(Rung(name="only", task="SyntheticRecall"),)),
            budget=Budget(candidates=candidates),
        ),
    )


def busy_share(directory: Path, begin: float, end: float) -> float:
    """Share of the slots' time between two moments in which an evaluation ran: one second each, to its result."""
    total = 0.0
    for result in directory.glob("orders/*-train-*/result-0.json"):
        finished = result.stat().st_mtime
        total += max(0.0, min(end, finished) - max(begin, finished - 1.0))
    return total / (SLOTS * (end - begin))


def measure(candidates: int) -> dict[str, float]:
    """Run the search and read the figures off the clock, the processes and the files."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch) / "pipeline")
        store.open()
        store.write_search(the_search(candidates))
        watch = Watch()
        begun, used = time.time(), time.process_time()
        asyncio.run(run(store, TRIVIAL, watch, time.time))
        cpu, wall = time.process_time() - used, time.time() - begun
        middle = (begun + 0.1 * wall, begun + 0.9 * wall)
        done = watch.finished
        count = len(done) // 10
        return {
            "candidates": candidates,
            "wall": wall,
            "busy": busy_share(store.directory, *middle),
            "cpu": cpu / candidates,
            "slowdown": (done[-1] - done[-1 - count]) / (done[2 * count] - done[count]),
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def main() -> None:
    """Measure and publish."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    candidates = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    found = measure(candidates)
    print(json.dumps(found))
    rows = [
        ("figure", "measured", "goal"),
        ("candidates", f"{candidates}", ""),
        ("wall time", f"{found['wall']:.1f} s", ""),
        ("evaluation slots busy, middle 80 %", f"{found['busy']:.1%}", "≥ 95 %"),
        ("controller CPU per candidate, without its children", f"{found['cpu'] * 1000:.1f} ms", "≤ 30 ms"),
        ("seconds per candidate, last tenth ÷ second tenth", f"{found['slowdown']:.2f}", "≤ 1.2"),
        ("peak RSS of the controller", f"{found['rss']:.0f} MiB", "≤ 200 MiB"),
    ]
    publish("pipeline", "The laptop's loop: 2 s proposals, 1 s evaluations, 8 slots", rows)


if __name__ == "__main__":
    main()
