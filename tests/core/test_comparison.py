"""Who is better, by how much, and how sure that is."""

from collections.abc import Sequence

import pytest

from asiarch.api.base import decimal
from asiarch.api.candidate import Candidate, Origin
from asiarch.core.comparison import compare
from tests.builders import a_candidate, a_result, a_search, an_observation

NOISE = (0.02, -0.01, -0.02, 0.01, 0.0, 0.005)


def measured(
    ordinal: int,
    scores: Sequence[float],
    origin: Origin = "Proposed",
    *,
    wobble: float = 0.0,
    seeds: Sequence[float] = (),
    parents: Sequence[str] = (),
) -> Candidate:
    """A candidate scored on recall, and on bytes if there is a second score; `seeds` are offsets of the last score."""
    rungs = [a_result("gates", None)]
    for rung, score in zip(("recall", "bytes"), scores, strict=False):
        parts = tuple(decimal(score + n + wobble * (-1) ** i) for i, n in enumerate(NOISE))
        repeated = tuple(decimal(score + s) for s in (seeds if score == scores[-1] else ()))
        rungs.append(a_result(rung, score, groups=parts, seeds=repeated))
    return a_candidate(
        ordinal, origin=origin, rungs=tuple(rungs), fitness=decimal(scores[-1]), parents=parents
    )


def judged(*candidates: Candidate) -> str:
    observed = an_observation(a_search(), *candidates)
    return compare(observed).verdict(observed).outcome


def test_an_empty_search_has_no_verdict() -> None:
    assert judged() == "Unmeasured"


def test_a_search_without_a_measured_baseline_has_no_verdict() -> None:
    observed = an_observation(a_search(), measured(1, [0.7]))
    found = compare(observed).verdict(observed)
    assert (found.outcome, found.best, found.difference) == ("Unmeasured", "s-0001", None)


def test_a_gain_beyond_the_noise_of_seeds_and_data_is_real() -> None:
    assert (
        judged(
            measured(0, [0.6], "Baseline", seeds=(-0.001, 0.001)), measured(1, [0.8], seeds=(-0.001, 0.001))
        )
        == "Ahead"
    )


def test_a_gain_on_one_seed_is_called_that() -> None:
    assert judged(measured(0, [0.6], "Baseline"), measured(1, [0.8])) == "AheadOnOneSeed"


def test_a_gain_smaller_than_the_seeds_noise_is_noise() -> None:
    noisy = (-0.1, 0.1)
    assert (
        judged(measured(0, [0.70], "Baseline", seeds=noisy), measured(1, [0.71], seeds=noisy))
        == "WithinNoise"
    )


def test_a_gain_smaller_than_the_datas_noise_is_noise() -> None:
    assert judged(measured(0, [0.70], "Baseline"), measured(1, [0.71], wobble=0.1)) == "WithinNoise"


def test_a_loss_is_a_loss() -> None:
    assert judged(measured(0, [0.8], "Baseline"), measured(1, [0.6])) == "Behind"


def test_a_bare_number_tells_nothing_of_noise() -> None:
    bare = (a_candidate(0, origin="Baseline", scores={"recall": 0.6}), a_candidate(1, scores={"recall": 0.8}))
    assert judged(*bare) == "Unsure"


def test_the_verdict_allows_for_the_choice_among_proposals() -> None:
    baseline, best = measured(0, [0.6], "Baseline"), measured(1, [0.7], wobble=0.03)
    others = [measured(i, [0.61], wobble=0.03) for i in range(2, 20)]
    alone, among = (
        an_observation(a_search(), baseline, best),
        an_observation(a_search(), baseline, best, *others),
    )
    first, second = compare(alone).verdict(alone), compare(among).verdict(among)
    assert (first.compared, second.compared) == (1, 19)
    assert first.difference is not None
    assert second.difference is not None
    assert (second.difference.half or 0) > (first.difference.half or 0)


def test_a_difference_is_taken_on_the_deepest_rung_that_both_reached() -> None:
    ours, theirs = measured(1, [0.7, 0.66]), measured(0, [0.75], "Baseline")
    found = compare(an_observation(a_search(), ours, theirs)).difference(ours, theirs)
    assert found is not None
    assert found.rung == "recall"
    assert found.value == pytest.approx(-0.05)


def test_candidates_without_a_common_rung_have_no_difference() -> None:
    ours, theirs = measured(1, [0.7]), a_candidate(0, scores={"gates": None})
    assert compare(an_observation(a_search(), ours, theirs)).difference(ours, theirs) is None


def test_each_rung_has_its_own_best_baseline() -> None:
    first, second = measured(0, [0.8, 0.6], "Baseline"), measured(1, [0.7, 0.65], "Baseline")
    found = compare(an_observation(a_search(), first, second)).baselines
    assert {rung: c.name for rung, c in found.items()} == {"recall": "s-0000", "bytes": "s-0001"}


def test_the_best_baseline_is_not_compared_with_itself() -> None:
    baseline = measured(0, [0.8], "Baseline")
    assert compare(an_observation(a_search(), baseline)).to_baseline(baseline) is None


def test_a_candidate_beyond_the_baselines_is_compared_on_their_rung() -> None:
    ours = measured(1, [0.8, 0.66])
    found = compare(an_observation(a_search(), ours, measured(0, [0.7], "Baseline"))).to_baseline(ours)
    assert found is not None
    assert found.rung == "recall"


def test_seeds_widen_the_interval_of_a_score() -> None:
    calm, shaky = measured(1, [0.7], seeds=(0.0, 0.0)), measured(1, [0.7], seeds=(-0.05, 0.05))
    halves = [
        compare(an_observation(a_search(), c)).score(c.status.rungs[-1]).half or 0 for c in (calm, shaky)
    ]
    assert halves[1] > halves[0] > 0


def test_a_gate_has_no_score_to_compare() -> None:
    baseline = a_candidate(0, origin="Baseline", scores={"gates": None})
    assert not compare(an_observation(a_search(), baseline)).baselines
