"""Measures a candidate again, with the same seeds and the same file, and compares number by number."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asiarch.api.base import timestamp
from asiarch.api.candidate import Candidate, OrderRef, RungResult
from asiarch.core.candidate import combine
from asiarch.core.observation import Observation
from asiarch.core.orders import order_of
from asiarch.local.runner import Modules, Runner
from asiarch.local.store import Store


@dataclass(frozen=True, slots=True)
class Line:
    """One number of one rung, then and now."""

    rung: str
    what: str
    then: str
    now: str

    @property
    def equal(self) -> bool:
        """Whether the two are the same to the last digit."""
        return self.then == self.now

    def __str__(self) -> str:
        """One line for a terminal."""
        mark = "=" if self.equal else "≠"
        return f"{self.rung:12} {self.what:24} {self.then:>14} {mark} {self.now}"


async def repeat(store: Store, seen: Observation, name: str, modules: Modules) -> list[Line]:
    """Measure every rung that a candidate was measured on again; the search's own files are not touched."""
    candidate = seen.candidates[name]
    if candidate.status.code is None:
        return []
    runner = Runner(modules, store.directory / name)
    await runner.start()
    lines: list[Line] = []
    try:
        for place, before in enumerate(candidate.status.rungs):
            again = await _measure(store, seen, _standing_on(candidate, place), runner)
            lines += _compare(before, again)
    finally:
        await runner.close()
    return lines


def _standing_on(candidate: Candidate, rung: int) -> Candidate:
    status = candidate.status.model_copy(update={"rung": rung})
    return candidate.model_copy(update={"status": status})


async def _measure(store: Store, seen: Observation, candidate: Candidate, runner: Runner) -> RungResult | str:
    """Measure one rung; the reason in words when it failed."""
    rung = seen.search.spec.evaluation.ladder[candidate.status.rung]
    ref = OrderRef(
        name=f"{candidate.name}-rerun-{rung.name}", kind="train", rung=rung.name, deadline=timestamp(0)
    )
    order = order_of(candidate, ref, seen.search)
    code = store.code_path(order.code or "")
    results = []
    with tempfile.TemporaryDirectory(prefix="asiarch-rerun-") as scratch:
        for index in range(rung.seeds):
            result = await runner.train(order.model_copy(update={"index": index}), code, Path(scratch))
            if result.reason is not None:
                return f"{result.reason}: {result.message}"
            results.append(result)
    return combine(rung.name, results)


def _compare(before: RungResult, again: RungResult | str) -> Iterator[Line]:
    if isinstance(again, str):
        yield Line(before.name, "outcome", "measured", again)
        return
    if before.score is not None:
        yield Line(before.name, "score", before.score, again.score or "none")
        yield Line(before.name, "loss", before.loss or "none", again.loss or "none")
    yield Line(before.name, "parameters", str(before.parameters), str(again.parameters))
    for metric in sorted(before.metrics):
        if "seconds" not in metric:
            yield Line(before.name, metric, before.metrics[metric], again.metrics.get(metric, "none"))
