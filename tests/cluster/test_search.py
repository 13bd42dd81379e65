"""A whole search on a real API server, under exactly the chart's rights."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import checker
from tests.cluster.manifests import a_search
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.rig import Rig, rig


@pytest.fixture
def stage(
    plane: ControlPlane, namespace: str, tmp_path: Path, kubelet: Callable[..., Playing]
) -> Iterator[Rig]:
    """Everything up, agents and training played instantly."""
    with rig(plane, namespace, tmp_path, kubelet(training="instant", agents="instant")) as made:
        yield made


def test_a_search_runs_to_its_end_and_breaks_no_invariant(stage: Rig) -> None:
    stage.apply(a_search("s", candidates=4))
    stage.await_phase("s")
    assert checker.check_all(stage.evidence("s"), stage.users) == []
