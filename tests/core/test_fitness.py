"""Fitness: the published numbers, and no fitness where a metric can't be trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asiarch.api.base import decimal
from asiarch.api.candidate import RungResult
from asiarch.core.fitness import CEILINGS, FITNESS
from asiarch.core.fitness.asi_arch import term

ASI_ARCH, NORMALISED = FITNESS["AsiArch"], FITNESS["Normalised"]
GATES = RungResult(name="gates")
NUMBERS = st.floats(-9, 9).map(decimal)


def a_result(
    rung: str = "bytes", score: str | None = "0.4", loss: str | None = "4.575", **metrics: str
) -> RungResult:
    """What a rung measured, unchecked, so that it may hold what the API would refuse."""
    return RungResult.model_construct(name=rung, score=score, loss=loss, metrics=metrics)


YARDSTICK = (GATES, a_result("recall", benchmark="0.5"), a_result(benchmark="0.224"))


def test_both_policies_of_the_api_are_in_the_tables() -> None:
    assert set(FITNESS) == set(CEILINGS) == {"Normalised", "AsiArch"}


@pytest.mark.parametrize(("loss", "expected"), [(4.40, 0.908), (4.35, 0.950), (4.20, 0.993), (4.575, 0.5)])
def test_the_loss_term_gives_the_published_numbers(loss: float, expected: float) -> None:
    assert term(4.575 - loss, 4.575) == pytest.approx(expected, abs=5e-4)
    assert ASI_ARCH((GATES, a_result(loss=decimal(loss))), YARDSTICK) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("benchmark", "expected"), [(0.230, 0.833), (0.234, 0.936), (0.240, 0.986), (0.224, 0.5)]
)
def test_the_benchmark_term_gives_the_published_numbers(benchmark: float, expected: float) -> None:
    assert term(benchmark - 0.224, 0.224) == pytest.approx(expected, abs=5e-4)
    fitness = ASI_ARCH((GATES, a_result(benchmark=decimal(benchmark))), YARDSTICK)
    assert fitness == pytest.approx(0.5 + expected, abs=5e-4)


def test_the_first_baseline_itself_gets_half_of_every_term() -> None:
    assert ASI_ARCH(YARDSTICK, YARDSTICK) == 1.0


def test_a_gain_counts_in_full_at_a_tenth_and_no_more_beyond() -> None:
    assert term(1.0, 1.0) == term(0.1, 1.0) == pytest.approx(0.9975, abs=5e-5)
    assert term(-1.0, 1.0) == term(-0.1, 1.0) == pytest.approx(0.0025, abs=5e-5)


def test_any_difference_from_a_baseline_of_zero_counts_in_full() -> None:
    assert term(0.001, 0.0) == term(1.0, 1.0)
    assert term(0.0, 0.0) == 0.5
    assert term(-0.001, 0.0) == term(-1.0, 1.0)


def test_only_the_deepest_scoring_rung_counts() -> None:
    rungs = (GATES, a_result("recall", benchmark="0.9"), a_result(loss="4.40", benchmark="0.224"))
    assert ASI_ARCH(rungs, YARDSTICK) == pytest.approx(1.408, abs=5e-4)
    assert ASI_ARCH(rungs[:2], YARDSTICK) == pytest.approx(1.4975, abs=5e-4)


def test_accuracy_stands_in_for_a_benchmark() -> None:
    yardstick = (a_result(accuracy="0.224"),)
    assert ASI_ARCH((a_result(accuracy="0.23"),), yardstick) == pytest.approx(1.333, abs=5e-4)


def test_without_a_benchmark_on_both_sides_the_loss_counts_alone() -> None:
    bare, tested = (a_result(),), (a_result(benchmark="0.3"),)
    assert ASI_ARCH(bare, tested) == ASI_ARCH(tested, bare) == ASI_ARCH(bare, bare) == 0.5


@pytest.mark.parametrize("loss", [None, "nan", "inf", "-inf"])
def test_a_missing_or_infinite_loss_gives_no_fitness(loss: str | None) -> None:
    assert ASI_ARCH((a_result(loss=loss),), YARDSTICK) is None
    assert ASI_ARCH(YARDSTICK, (a_result(loss=loss),)) is None


@pytest.mark.parametrize("benchmark", ["nan", "inf"])
def test_a_benchmark_that_is_no_number_gives_no_fitness(benchmark: str) -> None:
    assert ASI_ARCH((a_result(benchmark=benchmark),), YARDSTICK) is None
    assert ASI_ARCH(YARDSTICK, (a_result(benchmark=benchmark),)) is None


def test_without_a_score_or_a_yardstick_there_is_no_fitness() -> None:
    assert ASI_ARCH((GATES,), YARDSTICK) is None
    assert ASI_ARCH(YARDSTICK, (GATES,)) is None
    assert ASI_ARCH((), ()) is None


@given(NUMBERS, NUMBERS, st.floats(0, 9).map(decimal), st.floats(0, 1).map(decimal))
def test_asi_archs_fitness_stays_below_its_ceiling(
    loss: str, benchmark: str, base: str, base_benchmark: str
) -> None:
    yardstick = (a_result(loss=base, benchmark=base_benchmark),)
    fitness = ASI_ARCH((a_result(loss=loss, benchmark=benchmark),), yardstick)
    assert fitness is not None
    assert 0 < fitness < CEILINGS["AsiArch"]


@given(st.floats(0, 9), st.floats(0, 9))
def test_a_lower_loss_is_never_worth_less(a: float, b: float) -> None:
    low, high = (ASI_ARCH((a_result(loss=str(loss)),), YARDSTICK) for loss in (min(a, b), max(a, b)))
    assert low is not None
    assert high is not None
    assert low >= high


def test_normalised_is_the_score_of_the_deepest_scoring_rung() -> None:
    assert NORMALISED((GATES, a_result("recall", "0.9"), a_result("bytes", "0.25")), ()) == 0.25
    assert NORMALISED((a_result("recall", "-0.1"), RungResult(name="audit")), ()) == -0.1


def test_normalised_gives_no_fitness_without_a_finite_score() -> None:
    assert NORMALISED((), ()) is None
    assert NORMALISED((GATES,), ()) is None
    assert NORMALISED((a_result("recall", "nan"),), ()) is None
