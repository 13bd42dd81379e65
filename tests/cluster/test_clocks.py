"""F10: the operator's clock is an hour off, or jumps; deadlines are the API server's and the kubelet's to keep."""

import re
import time
from pathlib import Path

import pytest

from tests.cluster import scenarios, sweep
from tests.cluster.stage import Scene, Stage

_SKEWED = Path(__file__).with_name("skewed")
_HOUR = 3600.0


def _with_clock(on: Stage, scene: Scene, offset: float) -> Path:
    """Give the scene's operator a clock of its own, off by the seconds in a file, which may change."""
    path = scene.folder / "offset"
    path.write_text(str(offset))
    env = {"PYTHONPATH": str(_SKEWED), "ASIARCH_TEST_OFFSET": str(path)}
    scene.operator = on.operator(scene.namespace, scene.folder, scene.proxy, name="skewed", env=env)
    return path


@pytest.mark.parametrize("offset", [_HOUR, -_HOUR])
def test_f10_a_clock_that_is_an_hour_off_changes_nothing(shared_stage: Stage, offset: float) -> None:
    search = scenarios.small("hour")
    wanted, _ = sweep.reference(shared_stage, search)
    with shared_stage.scene() as scene:
        _with_clock(shared_stage, scene, offset)
        with scene.operator:
            assert scenarios.play(scene, search, reference=wanted) == []
            assert abs(_ahead(scene) - offset) < 600
            assert _durations(scene) == []


def test_f10_a_clock_that_jumps_back_changes_nothing(shared_stage: Stage) -> None:
    search = scenarios.small("jump")
    wanted, _ = sweep.reference(shared_stage, search)
    with shared_stage.scene() as scene:
        offset = _with_clock(shared_stage, scene, _HOUR)
        with scene.operator:
            scene.post(search)
            scene.until(lambda: len(scene.candidates()) >= 3, "a proposal", scenarios.PATIENCE)
            replacement = offset.with_suffix(".new")
            replacement.write_text(str(-_HOUR))
            replacement.replace(offset)
            assert scenarios.end(scene, "jump", reference=wanted) == []
            assert _durations(scene) == []


def _ahead(scene: Scene) -> float:
    """By how much the operator's clock is ahead of ours, as its log shows it."""
    stamp = re.search(r"^(\S+ \S+),\d+ INFO", scene.operator.log.read_text(), re.MULTILINE)
    assert stamp is not None
    return time.mktime(time.strptime(stamp[1], "%Y-%m-%d %H:%M:%S")) - time.time()


def _durations(scene: Scene) -> list[str]:
    """Everything that ran for less than no time."""
    return [
        f"{candidate['metadata']['name']} {rung['name']}: {rung['seconds']} s"
        for candidate in scene.candidates()
        for rung in candidate["status"].get("rungs", ())
        if rung.get("seconds", 0) < 0
    ]
