"""How sure a mean is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from asiarch.core.interval import Noise, coverage, half_width, paired, pool, quantile, together

values = st.lists(st.floats(-1, 1), min_size=2, max_size=12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 10, 23, 47])
@pytest.mark.parametrize("within", [0.5, 0.95, 0.999])
def test_the_quantile_is_students(freedom: int, within: float) -> None:
    assert quantile(within, freedom) == pytest.approx(student.ppf(0.5 + within / 2, freedom), rel=1e-7)


@given(st.floats(0, 50), st.integers(1, 60))
def test_the_coverage_is_students(t: float, freedom: int) -> None:
    assert coverage(t, freedom) == pytest.approx(2 * student.cdf(t, freedom) - 1, abs=1e-9)


def test_an_interval_is_what_a_textbook_says() -> None:
    assert half_width([1.0, 2.0, 3.0, 4.0]) == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-6)


@pytest.mark.parametrize("few", [[], [0.5]])
def test_one_value_has_no_interval(few: list[float]) -> None:
    assert half_width(few) is None


@given(values)
def test_more_comparisons_never_narrow_an_interval(sample: list[float]) -> None:
    alone, among = half_width(sample), half_width(sample, comparisons=20)
    assert alone is not None
    assert among is not None
    assert among >= alone


def test_what_two_candidates_share_does_not_widen_their_difference() -> None:
    shared = [0.1, 0.9, 0.4, 0.7]
    assert paired([s + 0.01 for s in shared], shared) == pytest.approx(0, abs=1e-12)


def test_values_that_do_not_belong_together_are_not_paired() -> None:
    assert paired([0.1, 0.2], [0.1, 0.2, 0.3]) is None


def test_noise_is_pooled_over_all_that_were_repeated() -> None:
    noise = pool([[0.0, 2.0], [5.0, 7.0], [3.0]])
    assert noise is not None
    assert noise.deviation == pytest.approx(2**0.5)
    assert noise.freedom == 2


def test_without_repetitions_no_noise_is_known() -> None:
    assert pool([[0.3], []]) is None


def test_a_mean_of_four_is_half_as_noisy_as_one_value() -> None:
    noise = Noise(0.01, 10)
    assert noise.half_width(4) == pytest.approx(noise.half_width(1) / 2)


def test_independent_noise_adds_up_in_squares() -> None:
    assert together(0.3, None, 0.4) == pytest.approx(0.5)


def test_no_known_noise_makes_no_interval() -> None:
    assert together(None, None) is None
