"""F9: two operators on one search, at once or one after the other; safety must not rest on there being one."""

import time

from tests.cluster import scenarios
from tests.cluster.stage import Scene, Stage

GAP = 30.0
"""Seconds without any operator that acts, at most."""
_TAKEN_BACK = 15.0


def test_f9_two_operators_at_once_break_no_invariant(shared_stage: Stage) -> None:
    with shared_stage.scene() as scene, shared_stage.proxy(scene.folder / "other") as proxy:
        other = shared_stage.operator(scene.namespace, scene.folder, proxy, name="other")
        with other:
            assert scenarios.play(scene, scenarios.small("both", 3)) == []
        assert proxy.state()["writes"] > 0


def test_f9_an_old_operator_that_wakes_after_the_end_changes_nothing(shared_stage: Stage) -> None:
    with shared_stage.scene() as scene, shared_stage.proxy(scene.folder / "other") as proxy:
        other = shared_stage.operator(scene.namespace, scene.folder, proxy, name="other")
        _begin(scene, "woken")
        scene.operator.pause()
        with other:
            assert scenarios.end(scene, "woken") == []
            woken = time.time()
            scene.operator.resume()
            time.sleep(3)
            assert scenarios.end(scene, "woken") == []
        late = [row for row in scene.proxy.rows("write") if row["moment"] > woken and row["code"] == 200]
        assert [row["path"] for row in late if row["verb"] == "update"] == []


def test_f9_with_a_lease_the_next_one_takes_over_and_the_old_one_ends(shared_stage: Stage) -> None:
    with shared_stage.scene() as scene, shared_stage.proxy(scene.folder / "other") as proxy:
        lease = ("--lease", scene.namespace)
        first, second = (
            shared_stage.operator(scene.namespace, scene.folder, place, lease, name=name)
            for place, name in ((scene.proxy, "first"), (proxy, "second"))
        )
        scene.operator = first
        _begin(scene, "lease")
        with second:
            before = proxy.state()["writes"]
            first.pause()
            scene.plane.wait_for(lambda: proxy.state()["writes"] > before, "the second to act", GAP)
            assert scenarios.end(scene, "lease") == []
            first.resume()
            assert first.wait(_TAKEN_BACK) not in {0, -9}


def _begin(scene: Scene, name: str) -> None:
    """A search that is under way."""
    scene.post(scenarios.small(name, 3))
    scene.start_operator()
    scene.until(lambda: len(scene.candidates()) >= 3, "a proposal", scenarios.PATIENCE)
