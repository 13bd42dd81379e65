"""F7, F8: the API server goes away and comes back; etcd is killed, stands still, or has no room left.

These tests have a control plane of their own. Some, and an outage of five minutes, want `ASIARCH_FULL=1`.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import scenarios
from tests.cluster.binaries import MissingBinaryError, find_all
from tests.cluster.plane import ApiError, ControlPlane, Flags
from tests.cluster.processes import Process
from tests.cluster.stage import AT_FULL_LENGTH, Scene, Stage, stage

pytestmark = pytest.mark.long
OUTAGE = 300.0
STILL = 10.0
BACK_IN_SYNC = 30.0
"""Seconds after its return in which the operator writes again."""
QUOTA = 24 << 20
_FILLER = "x" * (900 << 10)


@pytest.fixture(scope="module")
def own_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A control plane that may be broken, with little room in its etcd; orders take half a second."""
    try:
        find_all()
    except MissingBinaryError as missing:
        pytest.skip(str(missing))
    with ControlPlane(Flags(etcd=(f"--quota-backend-bytes={QUOTA}",))) as plane:
        plane.install()
        with stage(plane, tmp_path_factory.mktemp("own-stage"), lasts=0.5) as made:
            yield made


@AT_FULL_LENGTH
def test_f7_an_outage_of_the_api_server_is_waited_out(own_stage: Stage) -> None:
    with _under_way(own_stage, "outage") as scene:
        pid = scene.operator.pid
        own_stage.plane.apiserver.kill()
        time.sleep(OUTAGE)
        own_stage.plane.apiserver.start()
        own_stage.plane.wait_ready()
        _acts_again(scene)
        assert scenarios.end(scene, "outage") == []
        assert scene.operator.pid == pid, scene.operator.last_words()


def test_f7_a_restart_of_the_api_server_is_hardly_noticed(own_stage: Stage) -> None:
    with _under_way(own_stage, "restart") as scene:
        own_stage.plane.apiserver.kill()
        own_stage.plane.apiserver.start()
        own_stage.plane.wait_ready()
        _acts_again(scene)
        assert scenarios.end(scene, "restart") == []
        assert scene.operator.starts == 1, scene.operator.last_words()


def _killed(etcd: Process) -> None:
    etcd.kill()
    time.sleep(1)
    etcd.start()


def _paused(etcd: Process) -> None:
    etcd.pause()
    time.sleep(STILL)
    etcd.resume()


@pytest.mark.parametrize(
    "strike",
    [pytest.param(_killed, id="killed"), pytest.param(_paused, id="paused", marks=AT_FULL_LENGTH)],
)
def test_f8_a_fault_of_etcd_is_waited_out(own_stage: Stage, strike: Callable[[Process], None]) -> None:
    name = f"etcd{strike.__name__.replace('_', '-')}"
    with _under_way(own_stage, name) as scene:
        strike(own_stage.plane.etcd)
        own_stage.plane.wait_ready()
        _acts_again(scene)
        assert scenarios.end(scene, name) == []
        assert scene.operator.starts == 1, scene.operator.last_words()


@AT_FULL_LENGTH
def test_f8_an_etcd_without_room_is_waited_out(own_stage: Stage) -> None:
    plane = own_stage.plane
    with _under_way(own_stage, "full") as scene:
        with pytest.raises(ApiError, match="space exceeded"):
            _write_fillers(plane)
        time.sleep(3)
        plane.request("DELETE", "/api/v1/namespaces/default/configmaps?labelSelector=filler")
        _make_room(own_stage)
        _acts_again(scene)
        assert scenarios.end(scene, "full") == []
        assert scene.operator.starts == 1, scene.operator.last_words()


@contextmanager
def _under_way(on: Stage, name: str) -> Iterator[Scene]:
    """A search in the midst of its work."""
    with on.scene() as scene:
        scene.post(scenarios.small(name, 2))
        scene.start_operator()
        scene.until(lambda: len(scene.candidates()) >= 3, "a proposal", scenarios.PATIENCE)
        yield scene


def _acts_again(scene: Scene) -> None:
    before = scene.proxy.state()["writes"]
    scene.plane.wait_for(lambda: scene.proxy.state()["writes"] > before, "the operator to act", BACK_IN_SYNC)


def _write_fillers(plane: ControlPlane) -> None:
    for number in range(2 * QUOTA // len(_FILLER)):
        metadata = {"name": f"filler-{number}", "labels": {"filler": ""}}
        body = {"metadata": metadata, "data": {"text": _FILLER}}
        plane.request("POST", "/api/v1/namespaces/default/configmaps", body)


def _make_room(on: Stage) -> None:
    """Compact, defragment, and lift the alarm, as an administrator would with etcdctl."""
    status = _etcd(on, "maintenance/status", {})
    _etcd(on, "kv/compaction", {"revision": status["header"]["revision"], "physical": True})
    _etcd(on, "maintenance/defragment", {})
    member = status["header"]["member_id"]
    _etcd(on, "maintenance/alarm", {"action": "DEACTIVATE", "memberID": member, "alarm": "NOSPACE"})


def _etcd(on: Stage, call: str, body: dict[str, Any]) -> dict[str, Any]:
    url = f"{on.plane.etcd_url}/v3/{call}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - the same
        found: dict[str, Any] = json.loads(reply.read())
        return found
