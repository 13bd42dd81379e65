"""F10: the operator's clock is an hour off, or jumps; deadlines are the API server's and the kubelet's to keep."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cluster import scenarios, sweep
from tests.cluster.stage import Scene, Stage

LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="needs Debian's package faketime")


def _skewed(offset: Path) -> Mapping[str, str]:
    """The wall clock as a file says, which may change; the monotonic clock is left alone."""
    return {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _with_clock(on: Stage, scene: Scene, offset: str) -> Path:
    """Give the scene's operator a clock of its own."""
    path = scene.folder / "offset"
    path.write_text(offset + "\n")
    scene.operator = on.operator(scene.namespace, scene.folder, scene.proxy, name="skewed", env=_skewed(path))
    return path


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_f10_a_clock_that_is_an_hour_off_changes_nothing(shared_stage: Stage, offset: str) -> None:
    search = scenarios.small("hour")
    wanted, _ = sweep.reference(shared_stage, search)
    with shared_stage.scene() as scene:
        _with_clock(shared_stage, scene, offset)
        with scene.operator:
            assert scenarios.play(scene, search, reference=wanted) == []
            assert abs(abs(_ahead(scene)) - 3600) < 600
            assert _durations(scene) == []


def test_f10_a_clock_that_jumps_back_changes_nothing(shared_stage: Stage) -> None:
    search = scenarios.small("jump")
    wanted, _ = sweep.reference(shared_stage, search)
    with shared_stage.scene() as scene:
        offset = _with_clock(shared_stage, scene, "+1h")
        with scene.operator:
            scene.post(search)
            scene.until(lambda: len(scene.candidates()) >= 3, "a proposal", scenarios.PATIENCE)
            replacement = offset.with_suffix(".new")
            replacement.write_text("-1h\n")
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
