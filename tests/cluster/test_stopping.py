"""An operator that is told to stop ends its turns, itself, and soon; the next one goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import checker
from tests.cluster.manifests import a_search
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.rig import Rig, rig

STOPPED_SECONDS = 10.0


@pytest.fixture
def stage(
    plane: ControlPlane, namespace: str, tmp_path: Path, kubelet: Callable[..., Playing]
) -> Iterator[Rig]:
    """Everything up, agents and training played instantly."""
    with rig(plane, namespace, tmp_path, kubelet(training="instant", agents="instant")) as made:
        yield made


def test_an_operator_that_is_told_to_stop_in_a_search_ends_well_and_loses_nothing(stage: Rig) -> None:
    stage.apply(a_search("s", candidates=8))
    stage.plane.wait_for(lambda: len(stage.candidates()) > 2, "some candidates", 60)
    assert stage.operator.terminate(STOPPED_SECONDS) == 0
    log = stage.operator.log.read_text()
    assert "Told to stop" in log
    assert "Traceback" not in log
    stage.start_operator()
    stage.await_phase("s")
    assert checker.check_all(stage.evidence("s"), stage.users) == []


def test_an_operator_that_stands_by_ends_well_too(
    plane: ControlPlane, namespace: str, tmp_path: Path, kubelet: Callable[..., Playing]
) -> None:
    holder = {"holderIdentity": "another", "leaseDurationSeconds": 3600}
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "asiarch-operator"},
        "spec": holder,
    }
    plane.kubectl("-n", namespace, "apply", "-f", "-", stdin=yaml.safe_dump(lease))
    with rig(plane, namespace, tmp_path, kubelet(), ("--lease", namespace)) as stage:
        assert stage.operator.terminate(STOPPED_SECONDS) == 0
