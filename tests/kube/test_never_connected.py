"""A referee that waits for its player in vain doesn't know why; the player's container does."""

import pytest

from asiarch.api.reason import Reason
from asiarch.kube.client import Object
from tests.kube.orders import an_order
from tests.kube.statuses import a_pod, ended, measured, message, only, running

TRAIN = an_order()


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (
            ended("player", 137, "OOMKilled"),
            " Container player ended with exit code 137 (OOMKilled), killed for its memory, limit 2Gi: the rung's"
            " `memory` is too small.",
        ),
        (
            ended("player", 128, "StartError", "no\nGPU"),
            " Container player ended with exit code 128 (StartError): no GPU.",
        ),
        (ended("player", 1, "Error"), " Container player ended with exit code 1 (Error)."),
        (ended("player"), ""),
        (running("player"), ""),
    ],
)
def test_a_player_that_never_connected_is_nobodys_fault_and_its_end_is_told(end: Object, told: str) -> None:
    said = "No player connected within 60 s."
    result = measured(TRAIN, measurement=None, reason=Reason.INFRASTRUCTURE_FAILED, message=said)
    found = only(TRAIN, a_pod(TRAIN, ended("referee", message=message(result)), end))
    assert (found.reason, found.message) == (Reason.INFRASTRUCTURE_FAILED, said + told)
