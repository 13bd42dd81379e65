"""The API server's time is what counts, whatever our machine's clock says."""

import time
from email.utils import formatdate

import pytest

from asiarch.kube.clock import ServerClock


def test_a_clock_that_agrees_is_left_alone() -> None:
    clock = ServerClock()
    before = clock() - time.time()
    clock.hear(formatdate(time.time(), usegmt=True))
    assert clock() - time.time() == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_server_that_is_an_hour_off_is_right(skew: int) -> None:
    clock = ServerClock()
    clock.hear(formatdate(time.time() + skew, usegmt=True))
    assert clock() - time.time() == pytest.approx(skew, abs=1.5)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_what_is_no_date_changes_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.hear(date)
    assert clock() == pytest.approx(time.time(), abs=0.1)
