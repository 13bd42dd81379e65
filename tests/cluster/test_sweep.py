"""F1: a sample of the crash sweep; the whole of it is `make test-sweep`."""

from pathlib import Path

import pytest

from tests.cluster import sweep
from tests.cluster.stage import Stage

EVERY = 40
"""More than 300 points in all, so that each moment and each kind of write is met."""


@pytest.mark.slow
def test_f1_a_kill_around_a_write_breaks_no_invariant(shared_stage: Stage, tmp_path: Path) -> None:
    wanted, writes = sweep.reference(shared_stage, sweep.SEARCH)
    chosen = sweep.points(writes, EVERY)
    outcomes = sweep.sweep(shared_stage, chosen, wanted, 4, lambda _: None)
    failed = [str(sweep.save(outcome, tmp_path)) for outcome in outcomes if outcome.broken]
    assert failed == [], [outcome.broken for outcome in outcomes if outcome.broken]
    assert all(outcome.landed for outcome in outcomes)
    assert len(sweep.points(writes)) >= 240


def test_f1_a_failing_point_is_a_file_that_runs_it_again(tmp_path: Path) -> None:
    point = sweep.Point(7, "committed", sweep.SEARCH)
    saved = sweep.save(sweep.Outcome(point, ("I2 it ran twice",), landed=True), tmp_path)
    assert sweep.load(saved) == point
