"""F1 for the gateway: killed around its writes, it loses no result and takes none twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import checker
from tests.cluster.faults.client import FaultProxy, fault_proxy
from tests.cluster.faults.settings import Crash, Faults, Moment
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.ports import Ports
from tests.cluster.rig import Rig, rig
from tests.cluster.stage import AT_FULL_LENGTH

EVERY = 4
"""One of so many writes is struck, so that there is progress in between: a review of a token, or a result."""
_WRITES = 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "moment"),
    [
        pytest.param(2, "before", marks=AT_FULL_LENGTH),
        (3, "committed"),
        pytest.param(4, "replied", marks=AT_FULL_LENGTH),
    ],
)
def test_f1_a_gateway_killed_around_its_writes_breaks_no_invariant(
    plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
    kubelet: Callable[..., Playing],
    first: int,
    moment: Moment,
) -> None:
    ports = Ports()
    folder = tmp_path / "between"
    folder.mkdir()
    with fault_proxy(plane.url, (ports.take(), ports.take()), folder) as between:
        playing = kubelet(agents="real")
        with rig(plane, namespace, tmp_path, playing, gateway_by=between.server) as cast:
            struck = tuple(Crash(write=k, moment=moment) for k in range(first, _WRITES, EVERY))
            between.faults(Faults(crashes=struck))
            between.restart()
            between.target(cast.gateway.pid)
            cast.apply(a_short_search("s", 2))
            plane.wait_for(lambda: _has_ended(cast, between), "the search's end", 180)
            assert checker.check_all(cast.evidence("s"), cast.users) == []
            assert {c["status"]["phase"] for c in cast.candidates()} == {"Complete"}
        killed = {row["k"] for row in between.rows("kill")}
        results = {row["k"] for row in between.rows("write") if row["path"].endswith("/configmaps")}
        assert len(killed & results) >= 2
    ports.close()


def _has_ended(cast: Rig, between: FaultProxy) -> bool:
    """Whether the search is complete; a gateway that was killed is started again, as a Deployment would."""
    if not cast.gateway.running:
        cast.gateway.start()
        between.target(cast.gateway.pid)
    return bool(cast.search("s").get("status", {}).get("phase") == "Complete")
