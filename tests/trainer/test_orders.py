"""Whole orders: what is checked before the player may load, what is measured, and what is written last."""

import json
import os
from pathlib import Path

import pytest

from asiarch.api.order import MAX_RESULT_BYTES, Result
from asiarch.api.search import Rung
from asiarch_trainer.referee.record import Record
from asiarch_trainer.referee.result import fit, result, write
from tests.trainer.bout import GATES, RECALL, Ring, a_text_rung, an_order
from tests.trainer.mixers import cheats, honest
from tests.trainer.mixers.cheats import CACHES_PREFIXES, CLOSED_AT_FIRST, LEARNS_LATE, REMEMBERS

GOOD = honest.MASK_BY_PRODUCT


@pytest.fixture(scope="module")
def recalled(ring: Ring) -> Result:
    return ring.hold(GOOD, RECALL)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(" ".join(f"word{i * i % 97} is number {i}" for i in range(20_000)))
    return path


def test_recall_scores_each_task_and_the_mean(recalled: Result) -> None:
    found = recalled.measurement
    assert recalled.reason is None
    assert found is not None
    assert found.score is not None
    assert {
        f"{task}.{kind}" for task in ("recall", "fuzzy", "copy") for kind in ("nll", "accuracy")
    } <= found.metrics.keys()
    assert len(found.groups) == 16
    assert sum(float(g) for g in found.groups) / 16 == pytest.approx(float(found.score), abs=1e-4)


def test_tokens_are_counted_by_the_referee(recalled: Result) -> None:
    assert recalled.measurement is not None
    assert int(recalled.measurement.metrics["tokens"]) == 3 * RECALL.steps * RECALL.batch * RECALL.length


def test_the_training_loss_is_marked_as_a_claim(recalled: Result) -> None:
    found = recalled.measurement
    assert found is not None
    assert {"recall.train", "fuzzy.train", "copy.train"} <= found.claims.keys()
    assert not found.claims.keys() & found.metrics.keys()
    assert found.curve[-1][0] == RECALL.steps


def test_calls_of_building_blocks_are_counted_as_a_claim(ring: Ring, recalled: Result) -> None:
    found = ring.hold(honest.BLOCKS, RECALL).measurement
    assert found is not None
    assert recalled.measurement is not None
    told = {name for name in found.claims if not name.endswith(".train")}
    # Three tasks, ten steps, two layers, two blocks; and what is asked before the first step.
    assert int(found.claims["blocks.reference"]) > 3 * RECALL.steps * 2 * 2
    assert told == {"blocks.reference"}, "without a GPU no kernel is looked for"
    assert not [name for name in recalled.measurement.claims if name.startswith(("blocks", "kernels"))]


def test_the_same_order_gives_the_same_numbers(ring: Ring, recalled: Result) -> None:
    again = ring.hold(GOOD, RECALL)
    assert timeless(again) == timeless(recalled)


def test_another_index_gives_other_numbers(ring: Ring, recalled: Result) -> None:
    assert timeless(ring.hold(GOOD, RECALL, index=1)) != timeless(recalled)


def test_text_is_scored_in_bits_per_byte_with_repeats_apart(ring: Ring, text: Path) -> None:
    found = ring.hold(GOOD, a_text_rung(text))
    assert found.reason is None, found.message
    assert found.measurement is not None
    metrics = {name: float(value) for name, value in found.measurement.metrics.items()}
    share = metrics["repeats"]
    assert metrics["bpb"] == pytest.approx(
        share * metrics["bpb.repeat"] + (1 - share) * metrics["bpb.rest"], abs=1e-3
    )
    assert metrics["bpb.repeat"] < metrics["bpb"] < 8
    assert len(found.measurement.groups) == 16
    assert found.measurement.data is not None


@pytest.mark.parametrize("content", [None, "", "tiny"])
def test_text_that_is_missing_or_too_short_is_named(ring: Ring, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "corpus.txt"
    if content is not None:
        path.write_text(content)
    found = ring.hold(GOOD, a_text_rung(path))
    assert found.reason == "DatasetInvalid"
    assert str(path) in found.message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CLOSED_AT_FIRST, "CausalityViolation"),
        (REMEMBERS, "NotRepeatable"),
        (LEARNS_LATE, "CausalityViolation"),
        (CACHES_PREFIXES, "CausalityViolation"),
    ],
    ids=["closed at first", "remembers", "learns late", "caches prefixes"],
)
def test_what_passes_at_first_is_caught_after_training(ring: Ring, source: str, reason: str) -> None:
    found = ring.hold(source, RECALL.model_copy(update={"steps": 60}))
    assert found.reason == reason, found.message
    assert found.measurement is not None
    assert found.measurement.score is None
    assert found.measurement.curve


def test_who_looks_ahead_only_where_nobody_asked_can_t_know_where_that_is(ring: Ring) -> None:
    source = (Path(__file__).parent / "mixers" / "avoids_secrets.txt").read_text()
    found = ring.hold(source, Rung(name="recall", task="SyntheticRecall"))
    assert found.reason == "CausalityViolation", found.message


def test_divergence_keeps_the_curve_so_far(ring: Ring) -> None:
    rung = RECALL.model_copy(update={"steps": 30})
    found = ring.hold(cheats.EXPLODES, rung)
    assert found.reason == "Diverged"
    assert found.measurement is not None
    assert found.measurement.curve[-1][0] < 30
    assert "step" in found.message


def test_a_file_that_imports_what_it_may_not_is_never_run(ring: Ring, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    source = f'"""A file."""\n\nimport socket\n\nopen({str(canary)!r}, "w")\n' + GOOD.split("\n\n\n", 1)[1]
    found = ring.hold(source)
    assert found.reason == "ImportRefused"
    assert "Line 3" in found.message
    assert not canary.exists()


def test_a_file_other_than_the_orders_is_not_the_candidates_fault(ring: Ring) -> None:
    found = ring.hold(GOOD, code="0" * 64)
    assert found.reason == "InfrastructureFailed"
    assert "digest" in found.message


def test_an_exempt_baseline_may_grow_quadratically(ring: Ring) -> None:
    assert ring.hold(cheats.SQUARE, cost_exempt=True).reason is None


def test_the_largest_result_fits_into_a_termination_message() -> None:
    record = Record(score=-0.123456, loss=9.876543, parameters=10**9, tokens=10**12, data="f" * 64)
    record.metrics = {f"metric-with-a-long-name-{i:015d}": 123456.654321 for i in range(24)}
    record.claims = {f"claim-with-a-long-name-{i:016d}": 123456.654321 for i in range(12)}
    record.groups = [-12.345678] * 48
    record.curves = [[12.3456] * 1000]
    payload = fit(result(an_order(GOOD), record, 12.3, None, "é" * 1024))
    assert len(payload) <= MAX_RESULT_BYTES
    assert json.loads(payload)["measurement"]["score"] == "-0.123456"


def test_a_result_replaces_a_file_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("x" * 10_000)
    found = result(an_order(GOOD), Record(), 1.0, None, "")
    write(path, found)
    assert Result.model_validate_json(path.read_bytes()) == found
    assert list(tmp_path.iterdir()) == [path]


def test_a_result_is_written_into_what_is_no_file_and_leaves_it_what_it_was(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    found = result(an_order(GOOD), Record(), 1.0, None, "")
    write(pipe, found)
    assert Result.model_validate_json(os.read(reader, MAX_RESULT_BYTES)) == found
    os.close(reader)
    assert pipe.is_fifo()


def timeless(found: Result) -> dict[str, object]:
    assert found.measurement is not None
    known = found.measurement.model_dump(by_alias=True)
    known["metrics"] = {name: value for name, value in known["metrics"].items() if "seconds" not in name}
    return known


def test_a_gate_rung_has_no_score(ring: Ring) -> None:
    rung: Rung = GATES
    found = ring.hold(GOOD, rung)
    assert found.measurement is not None
    assert found.measurement.score is None
    assert found.measurement.parameters > int(found.measurement.metrics["mixer.parameters"])
