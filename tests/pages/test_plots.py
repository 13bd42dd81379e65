"""The plots: drawn for what there is, and readable."""

from itertools import pairwise

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asiarch.api.candidate import Candidate
from asiarch.core.observation import Observation
from asiarch.core.report import summarise
from asiarch.pages.plots import INK, apart, plots
from tests.builders import a_candidate, a_result, a_search, an_observation
from tests.pages.demonstration import demonstration


def drawn(observed: Observation) -> dict[str, str]:
    return {plot.name: plot.svg for plot in plots(observed, summarise(observed))}


def of(*candidates: Candidate) -> dict[str, str]:
    return drawn(an_observation(a_search(), *candidates))


def test_a_full_search_has_every_plot() -> None:
    pictures = drawn(demonstration()[0])
    assert set(pictures) == {"scores", "curves", "progress", "rungs"}


def test_a_plot_takes_its_ink_from_the_page() -> None:
    for svg in drawn(demonstration()[0]).values():
        assert INK not in svg
        assert "currentColor" in svg
        assert "font-family: 'DejaVu" not in svg


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    drawn(demonstration()[0])
    assert dict(mpl.rcParams) == before


def test_nothing_measured_means_nothing_drawn() -> None:
    assert of() == {}
    assert of(a_candidate(1, phase="Proposing")) == {}


def test_baselines_alone_have_no_progress_and_nothing_to_be_compared_with() -> None:
    assert set(of(a_candidate(0, origin="Baseline"))) == set()


def test_one_baseline_and_one_proposal_are_enough_for_scores() -> None:
    pictures = of(a_candidate(0, origin="Baseline"), a_candidate(1, scores={"recall": 0.8}))
    assert set(pictures) == {"scores", "progress"}


def test_a_proposal_without_a_baseline_still_shows_progress() -> None:
    assert set(of(a_candidate(1))) == {"progress"}


@pytest.mark.parametrize("curve", [((0, "2.5"), (10, "2.5")), ((0, "2.5"), (10, "0.1"), (20, "0"))])
def test_a_flat_curve_and_a_loss_of_zero_can_be_drawn(curve: tuple[tuple[int, str], ...]) -> None:
    assert "curves" in of(a_candidate(1, rungs=(a_result("recall", 0.7, curve=curve),)))


@given(st.lists(st.floats(-5, 5), max_size=15).map(sorted), st.floats(0.01, 1))
def test_labels_are_kept_apart_in_their_order(places: list[float], gap: float) -> None:
    moved = apart(places, gap)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(moved))


def test_labels_that_are_apart_stay_where_they_are() -> None:
    assert apart([0.0, 0.5, 1.0], 0.1) == pytest.approx([0.0, 0.5, 1.0])
