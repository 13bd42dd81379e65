"""Who has asked a model for how much."""

from asiarch.api.search import Cost
from asiarch.gateway import meter
from asiarch.gateway.meter import Meter


def test_a_pod_that_asked_nothing_costs_nothing() -> None:
    assert Meter().cost("uid") == Cost()


def test_of_very_many_pods_the_last_ones_are_remembered() -> None:
    counted = Meter()
    for number in range(meter._KEPT + 1):
        counted.count(str(number), 1)
    assert counted.cost("0") == Cost()
    assert counted.cost("1") == Cost(tokens=1)
