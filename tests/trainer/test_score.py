"""Scores agree with other people's arithmetic."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.special import log_softmax as reference_log_softmax

from asiarch_trainer.referee.record import MAX_POINTS, Record, thinned
from asiarch_trainer.referee.score import group_scores, log_softmax, normalised, repeated, scored

RNG = np.random.default_rng(0)


def test_log_softmax_agrees_with_scipy_also_at_extremes() -> None:
    logits = np.array([[1e30, 0.0, -1e30], [5.0, 5.0, 5.0], [-1e4, 1e4, 0.0]], np.float32)
    np.testing.assert_allclose(log_softmax(logits), reference_log_softmax(logits.astype(np.float64), axis=-1))


def test_loss_agrees_with_torch_on_what_counts() -> None:
    logits_NTV = RNG.standard_normal((5, 7, 11)).astype(np.float32) * 4
    targets_NT = RNG.integers(-1, 11, (5, 7)).astype(np.int32)
    wanted = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits_NTV).double().flatten(0, 1),
        torch.from_numpy(targets_NT).long().flatten(),
        ignore_index=-1,
    )
    assert scored(logits_NTV, targets_NT).nll == pytest.approx(float(wanted), rel=1e-12)


def test_scoring_takes_little_memory_beside_the_logits() -> None:
    logits_NTV, targets_NT = np.zeros((64, 128, 64), np.float32), np.zeros((64, 128), np.int32)
    tracemalloc.start()
    scored(logits_NTV, targets_NT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < logits_NTV.nbytes / 2


def test_accuracy_counts_only_what_counts() -> None:
    logits_NTV = np.eye(4, dtype=np.float32)[None]
    assert scored(logits_NTV, np.array([[0, 1, 3, -1]], np.int32)).accuracy == pytest.approx(2 / 3)


def test_even_guessing_scores_0_and_certainty_1() -> None:
    assert normalised(float(np.log(14)), 14) == pytest.approx(0.0)
    assert normalised(0.0, 14) == 1.0


def test_the_groups_are_16_parts_whose_mean_is_the_score_when_all_have_as_many_answers() -> None:
    nll_NT = RNG.random((64, 5))
    groups = group_scores(nll_NT, 8)
    assert len(groups) == 16
    assert np.mean(groups) == pytest.approx(normalised(float(nll_NT.mean()), 8))


def test_a_repeat_is_an_n_gram_that_stood_earlier_in_the_same_sequence() -> None:
    text = np.frombuffer(b"abcdXabcdYabc", np.uint8).astype(np.int32)[None]
    marks = repeated(text[:, :-1], text[:, 1:], 4)[0]
    assert [chr(text[0, i + 1]) for i in np.flatnonzero(marks)] == ["d"]
    assert np.flatnonzero(marks).tolist() == [7]


def test_repeats_agree_with_a_plain_count() -> None:
    text = RNG.integers(0, 3, (4, 60)).astype(np.int32)
    marks = repeated(text[:, :-1], text[:, 1:], 4)
    for row, sequence in enumerate(text.tolist()):
        seen: set[tuple[int, ...]] = set()
        for position in range(59):
            gram = tuple(sequence[position - 2 : position + 2]) if position >= 2 else ()
            assert marks[row, position] == (gram in seen)
            if gram:
                seen.add(gram)


@pytest.mark.parametrize("steps", [0, 1, MAX_POINTS - 1, MAX_POINTS, MAX_POINTS + 1, 150, 10_000])
def test_a_curve_is_thinned_to_a_few_points_and_keeps_its_end(steps: int) -> None:
    points = thinned([[float(i) for i in range(steps)]])
    assert len(points) == min(MAX_POINTS, steps)
    assert not steps or points[-1][0] == steps


def test_curves_of_several_tasks_are_averaged_step_by_step() -> None:
    assert thinned([[1.0, 2.0], [3.0]]) == ((1, "2"), (2, "2"))


def test_a_record_leaves_out_what_is_no_number() -> None:
    measured = Record(metrics={"a": float("nan"), "b": 1.5, "c": float("inf"), "d": 1e300}).measurement()
    assert measured.metrics == {"b": "1.5"}
