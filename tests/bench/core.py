"""What a decision costs, and how idle it leaves simulated GPUs.

Run: python -m tests.bench.core
"""

import asyncio
import time
from itertools import pairwise
from statistics import median

from asiarch.api.base import instant
from asiarch.api.search import Agents, Budget, Evaluation, Promotion, Rung
from asiarch.core import chance
from asiarch.core.observation import Observation, observe
from asiarch.core.reconcile import reconcile
from asiarch.loop import turn
from tests.bench.figures import publish
from tests.builders import T0, a_candidate, a_lesson, a_search
from tests.worlds import SimulatedWorld

LADDER = (
    Rung(name="gates", task="Gates", deadline="1m"),
    Rung(
        name="recall",
        task="SyntheticRecall",
        deadline="1h",
        promote=Promotion(top=0.3),
        resources={"nvidia.com/gpu": 1},
    ),
    Rung(name="deep", task="SyntheticRecall", deadline="24h", resources={"nvidia.com/gpu": 1}),
)
HOUR = 3600.0


def finished(count: int) -> Observation:
    """A search with so many finished candidates and one lane free, so that a turn also chooses parents."""
    search = a_search(candidates=10 * count, parallelism=8, ladder=LADDER)
    candidates = [a_candidate(0, origin="Baseline"), a_candidate(1, origin="Baseline")]
    for ordinal in range(2, count):
        score = chance.uniform(f"bench/{ordinal}")
        parent = f"s-{chance.integer(f'bench/{ordinal}/parent') % ordinal:04d}"
        measured = {"gates": None, "recall": score, **({"deep": score} if score > 0.7 else {})}
        candidates.append(
            a_candidate(ordinal, parents=(parent,), scores=measured, lesson=a_lesson(), uses=(parent,))
        )
    return observe(search, {c.name: c for c in candidates}, {})


def turn_cost(count: int) -> float:
    """Median milliseconds of one turn of a search with so many candidates."""
    seen = finished(count)
    times = []
    for _ in range(15):
        fresh = Observation(seen.search, seen.candidates, seen.records, seen.children)
        begun = time.perf_counter()
        plan = reconcile(fresh, T0 + 10**6)
        times.append(time.perf_counter() - begun)
        assert plan.actions
    return 1000 * median(times)


class Meter(SimulatedWorld):
    """Counts, over pretended time, the training orders that run."""

    levels: list[tuple[float, int]]

    def note(self) -> None:
        """Write down how many training orders run now."""
        running = sum(
            1 for name, child in self.children.items() if child.results is None and "-train-" in name
        )
        self.levels.append((self.now, running))


def lasts(order: object) -> float:
    """Agents take about a minute; rungs 10 s, 20 min and 4 h; in whole 5 s, so that ends coincide as events do."""
    known = {"gates": 10.0, "recall": HOUR / 3, "deep": 4 * HOUR}
    rung = getattr(order, "rung", None)
    base = 60.0 if rung is None else known[rung.name]
    return 5.0 * max(1, round(base * (0.5 + chance.uniform(f"lasts/{getattr(order, 'name', '')}")) / 5))


async def simulate(world: Meter) -> tuple[int, float]:
    """Drive a search to its end; returns its turns and their CPU seconds."""
    turns, used = 0, 0.0
    while True:
        begun = time.process_time()
        plan = await turn(world, world.search.name, world.now)
        used += time.process_time() - begun
        turns += 1
        if plan.idle:
            world.note()
            if not world.next_end():
                return turns, used


def idle_share(levels: list[tuple[float, int]], slots: int, until: float) -> float:
    """Share of slot time that stood idle from the first moment all were busy until the last candidate was created."""
    full = next(moment for moment, running in levels if running == slots)
    print(f"{slots} slots full at {full - T0:.0f} s, last candidate created at {until - T0:.0f} s")
    idle = total = 0.0
    for (begin, running), (end, _) in pairwise(levels):
        span = max(0.0, min(end, until) - max(begin, full))
        idle += span * (slots - running)
        total += span * slots
    return idle / total


def whole_search(candidates: int, slots: int) -> tuple[str, ...]:
    """Simulate a whole search; one row of the table."""
    search = a_search(
        candidates=candidates,
        ladder=LADDER,
        agents=Agents(parallelism=slots // 4),
        evaluation=Evaluation(parallelism=slots, ladder=LADDER),
        budget=Budget(candidates=candidates),
    )
    world = Meter(search, lasts=lasts)
    world.levels = []
    turns, used = asyncio.run(simulate(world))
    last_created = max(instant(c.status.started_at or "") for c in world.candidates.values())
    idle = idle_share(world.levels, slots, last_created)
    return (str(candidates), str(slots), str(turns), f"{1000 * used / turns:.2f} ms", f"{idle:.2%}")


def main() -> None:
    """Measure and publish."""
    costs = [("finished candidates", "one turn, median", "per 1,000 candidates")]
    for count in (100, 1000, 5000, 10000):
        cost = turn_cost(count)
        costs.append((f"{count:,}", f"{cost:.2f} ms", f"{1000 * cost / count:.2f} ms"))
    publish("core-turn", "One turn of a search, by its size (goal: 5,000 candidates in 50 ms)", costs)
    head = ("candidates", "parallelism", "turns", "CPU per turn", "simulated slots idle, steady state")
    rows = [head, whole_search(100, 50), whole_search(1773, 1000)]
    publish("core-search", "A whole simulated search (goal: at most 1 % idle)", rows)


if __name__ == "__main__":
    main()
