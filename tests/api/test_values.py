"""The small types: numbers and moments as text, names, sums of cost."""

import pytest
from pydantic import ValidationError

from asiarch.api.base import decimal, instant, seconds, timestamp
from asiarch.api.meta import Metadata
from asiarch.api.names import candidate_name, order_name
from asiarch.api.search import Budget, Cost
from tests.builders import a_candidate, a_search


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (1.0, "1"), (-0.0, "0"), (-0.0000001, "0"), (100.0, "100"), (2 / 3, "0.666667")],
)
def test_a_number_is_written_in_the_fewest_digits(value: float, text: str) -> None:
    assert decimal(value) == text


def test_a_number_without_digits_after_the_point_keeps_its_zeros() -> None:
    assert decimal(120.4, digits=0) == "120"


@pytest.mark.parametrize(("text", "length"), [("90s", 90), ("15m", 900), ("48h", 172_800)])
def test_a_duration_is_so_many_seconds(text: str, length: int) -> None:
    assert seconds(text) == length


def test_a_moment_is_read_as_it_was_written() -> None:
    assert timestamp(1_764_000_000.25) == "2025-11-24T16:00:00.250Z"
    assert instant(timestamp(1_764_000_000.25)) == 1_764_000_000.25


def test_names_are_made_of_what_they_name() -> None:
    assert candidate_name("s", 7) == "s-0007"
    assert order_name("s-0007", "build", attempt=1) == "s-0007-build-a1"
    assert order_name("s-0007", "train", attempt=2, rung="recall", turn=3) == "s-0007-train-recall-r3-a2"


def test_costs_add_up() -> None:
    one = Cost(seconds=1, gpu_seconds=2, tokens=3, usd=4)
    assert one + one == Cost(seconds=2, gpu_seconds=4, tokens=6, usd=8)


def test_a_sum_of_costs_stops_at_its_bound_and_is_never_refused() -> None:
    dear = Cost(seconds=1e18, gpu_seconds=6e17, tokens=10**18, usd=999_999_999_999.0)
    assert dear + dear == Cost(seconds=1e18, gpu_seconds=1e18, tokens=10**18, usd=1_999_999_999_998.0)


def test_objects_are_called_by_their_names() -> None:
    assert (a_search(name="s").name, a_candidate(7).name) == ("s", "s-0007")


def test_a_model_refuses_what_it_does_not_know_and_never_changes() -> None:
    with pytest.raises(ValidationError):
        Budget(candidates=1, candidate=2)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Budget(candidates=1).candidates = 2  # type: ignore[misc]


def test_metadata_passes_over_what_the_api_server_owns() -> None:
    metadata = Metadata.model_validate({"name": "s", "managedFields": [], "resourceVersion": "7"})
    assert metadata.resource_version == "7"
