"""`Gates` lets honest designs through, however odd, and refuses each cheat for what it is."""

import pytest

from asiarch.agents import baselines
from tests.trainer.bout import Ring
from tests.trainer.mixers.cheats import CHEATS, ENDLESS
from tests.trainer.mixers.honest import HONEST


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_design_passes_every_gate(ring: Ring, name: str) -> None:
    found = ring.hold(HONEST[name])
    assert (found.reason, found.message) == (None, "")


@pytest.mark.parametrize("name", baselines.NAMES)
def test_a_shipped_baseline_passes_every_gate(ring: Ring, name: str) -> None:
    found = ring.hold(baselines.source(name))
    # Softmax attention grows too fast; what lets it through as a baseline is its order.
    assert found.reason == ("CostGrowth" if name == "softmax-attention" else None), found.message


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_refused_for_what_it_is(ring: Ring, name: str) -> None:
    source, reason = CHEATS[name]
    found = ring.hold(source)
    assert found.reason == reason, found.message
    assert 40 < len(found.message) <= 1024


def test_an_endless_loop_ends_at_the_referees_deadline(ring: Ring) -> None:
    found = ring.hold(ENDLESS, seconds=2)
    assert found.reason == "DeadlineExceeded"
    assert found.cost.seconds < 2
