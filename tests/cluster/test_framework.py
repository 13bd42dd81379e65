"""An answer that the framework can't read ends its process with an error, and the next one goes on."""

import re
import time

from tests.cluster import scenarios
from tests.cluster.faults.settings import Faults, Noise
from tests.cluster.stage import Stage

WITHIN = 5.0
"""Seconds from the framework's error to the end of the process."""
_FAILED = re.compile(r"^(\S+ \S+),(\d+) ERROR kopf\S* Resource observer has failed", re.MULTILINE)


def test_an_error_of_the_framework_ends_the_process_in_seconds_and_loses_nothing(shared_stage: Stage) -> None:
    with shared_stage.scene() as scene:
        # What kopf asks at its start: which kinds the API server has. Some answers it asks for again, one breaks it.
        scene.proxy.faults(Faults(noise=Noise(rate=1.0, kinds=("unavailable", "cut"), resources=("",))))
        scene.post(scenarios.small("framework"))
        scene.start_operator()
        assert scene.operator.wait(60) != 0
        ended = time.time()
        failed = _FAILED.search(scene.operator.log.read_text())
        assert failed is not None, scene.operator.last_words()
        moment = time.mktime(time.strptime(failed[1], "%Y-%m-%d %H:%M:%S")) + int(failed[2]) / 1000
        print(f"{ended - moment:.1f} s from the framework's error to the end of the process")
        assert ended - moment <= WITHIN
        scene.proxy.faults(Faults())
        scene.start_operator()
        assert scenarios.end(scene, "framework") == []
